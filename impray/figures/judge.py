"""The judge: what a run's numbers say of each claim, by one rule for all figures.

    effect: the mean over units of replication (nearly always seeds) of one gap each, with its 95 % t interval;
            of a count without gaps the share that holds, with its Clopper-Pearson interval
    p:      one-sample t test of the gaps; exact binomial test of the count; two-sided
    p_holm: Holm's, over the measured claims of one question

    p_holm < ALPHA, the effect on the claimed side        holds
    p_holm < ALPHA, the effect on the other side          contradicted
    else, the interval inside (-margin, margin)           no difference
    else, or fewer than two units                         undecided
    no finite number                                      not measured

A claim of no difference (sign 0) holds where the interval is inside its margin, and is contradicted where it is outside of it and
p_holm < ALPHA. Of a count, effect and margin lie around the chance of one unit.

Counts stand beside the effect and decide nothing where there are gaps: "9 of 10 seeds" asks whether P(gap > 0) is above 0.9, so it
loses power with every further seed. docs/findings.md has error and power of both rules; tests/figures/test_judge.py measures them.

Blind spots. Seeds replicate training, not photographs: the unit has to be what the claim generalises over. The t test wants gaps that
are about symmetric, as differences between two conditions are; of a skewed number minus a threshold it is wrong several times as often
as ALPHA says. Holm is over p values; intervals, and with them "no difference", are each at 95 %. Gaps without any spread are judged by
their signs (`impray.theory.statistics.against_zero`). A gap of zero does not hold, so `p_count` of numbers that tie is too ready to say
"fewer".
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import binomtest

from impray.theory.statistics import CONFIDENCE, against_zero, holm

SUPPORTED = "holds"
CONTRADICTED = "contradicted"
NO_DIFFERENCE = "no difference"
UNDECIDED = "undecided"
NOT_MEASURED = "not measured"
NO_CLAIMS = "No claims."
ALPHA = 0.05
ROUNDING = 1e-9  # of effects that end at `least` or `most`
FEWEST = 2  # units: one has no spread


@dataclass(frozen=True)
class Sample:
    """What one claim is judged on, reduced to one number per unit of replication.

    Args:    says: the claim.  gaps: left minus right, value minus threshold, or a rank correlation; one per unit.
             sign: 1 or -1, the claimed sign of the effect; 0: no difference, which needs a margin.
             margin: stated beforehand, in the effect's unit: smaller effects do not matter.
             held: yes or no per unit where that is not `gap * sign > 0`; without gaps, a count that is judged itself.
             chance: probability that one unit holds under no effect.  question: claims of one question are corrected together.
             what: the unit of replication.  unit: the effect's.  lacking: why there is nothing to judge (no gaps, no held).
             p_exact: two-sided p of the effect, where the figure has an exact test; else the t test's.
             least, most: what an effect can be (-1 and 1: a correlation): its interval ends there.
             control: what the other claims lean on.  source: paper and figure.  against: what would count against the claim.
    Raises:  ValueError: fields that contradict each other; each is a mistake of the figure's author.
    """

    says: str
    gaps: tuple[float, ...]
    sign: int
    margin: float | None = None
    held: tuple[bool, ...] | None = None
    chance: float = 0.5
    question: str = ""
    what: str = "seed"
    unit: str = ""
    lacking: str = ""
    control: bool = False
    source: str = ""
    against: str = ""
    p_exact: float | None = None
    least: float = -math.inf
    most: float = math.inf

    def __post_init__(self) -> None:
        wrong = {
            f"sign = {self.sign} must be 1, -1 or 0": self.sign not in (1, -1, 0),
            "sign = 0 needs a margin": self.sign == 0 and self.margin is None,
            f"margin = {self.margin} must be above 0": self.margin is not None and not self.margin > 0,
            f"chance = {self.chance} must be in (0, 1)": not 0 < self.chance < 1,
            "the mean gap must be in [least, most]": not all(
                self.least - ROUNDING <= mean <= self.most + ROUNDING for mean in self._means()
            ),
            "gaps and held must have a value for each unit": bool(
                self.gaps and self.held is not None and len(self.gaps) != len(self.held)
            ),
            "what lacks something has neither gaps nor held": bool(self.lacking and (self.gaps or self.held)),
        }
        if any(wrong.values()):
            raise ValueError(f"{self.says}: {'; '.join(text for text, is_so in wrong.items() if is_so)}")

    def _means(self) -> list[float]:
        """Of parts of one effect (products of ranks) the mean alone must be possible."""
        known = [gap for gap in self.gaps if math.isfinite(gap)]
        return [math.fsum(known) / len(known)] if known else []


@dataclass(frozen=True)
class Finding:
    """What a run says of a claim: the sample's words, numbers, verdict. Numbers are NaN where they are undefined.

    held, of: units that hold, and that have a finite number.  dropped: those that have none.  expected: `of * chance`.
    p_count: exact two-sided test of held against chance.  effect, low, high: mean gap (of a count: share) and 95 % interval.
    interval: "t", "exact binomial", or "sign test" where gaps do not vary.  p, p_holm: of the effect, before and after Holm.
    claims_corrected: how many claims of this question were corrected together, this one included.
    """

    says: str
    sign: int
    margin: float | None
    chance: float
    question: str
    what: str
    unit: str
    lacking: str
    control: bool
    source: str
    against: str
    held: int
    of: int
    dropped: int
    expected: float
    p_count: float
    effect: float
    low: float
    high: float
    interval: str
    p: float
    p_holm: float
    claims_corrected: int
    verdict: str

    @property
    def centre(self) -> float:
        """The effect under no effect: of a count the chance, of gaps 0."""
        return self.chance if self.interval == COUNT else 0.0


COUNT, STUDENT, SIGNS = "exact binomial", "t", "sign test"
WORDS = [field.name for field in fields(Sample) if field.name not in ("gaps", "held", "p_exact", "least", "most")]


class Effect(NamedTuple):
    effect: float
    low: float
    high: float
    interval: str
    p: float


class Count(NamedTuple):
    held: int
    of: int
    expected: float
    p_count: float


def judged(samples: Sequence[Sample]) -> list[Finding]:
    """A finding per sample, in their order; Holm within each question."""
    units = [_finite(sample) for sample in samples]
    effects = [_effect(sample) if count else None for sample, count in units]
    questions: dict[str, list[int]] = defaultdict(list)
    for place, (sample, effect) in enumerate(zip(samples, effects, strict=True)):
        if effect is not None:
            questions[sample.question].append(place)
    corrected: dict[int, tuple[float, int]] = {}
    for places in questions.values():
        adjusted = holm(np.array([effect.p for place in places for effect in [effects[place]] if effect is not None]))
        corrected |= {place: (float(p), len(places)) for place, p in zip(places, adjusted, strict=True)}
    return [
        _not_measured(sample) if effect is None else _finding(sample, kept, effect, *corrected[place])
        for place, (sample, (kept, _), effect) in enumerate(zip(samples, units, effects, strict=True))
    ]


def _finite(sample: Sample) -> tuple[Sample, int]:
    """The sample without the units that have no finite gap, and how many are left."""
    if not sample.gaps:
        return sample, len(sample.held or ())
    kept = [math.isfinite(gap) for gap in sample.gaps]
    if all(kept):
        return sample, len(kept)
    gaps = tuple(gap for gap, keep in zip(sample.gaps, kept, strict=True) if keep)
    held = sample.held and tuple(holds for holds, keep in zip(sample.held, kept, strict=True) if keep)
    return replace(sample, gaps=gaps, held=held), sum(kept)


def _effect(sample: Sample) -> Effect:
    if not sample.gaps:
        held = sample.held or ()
        return Effect(sum(held) / len(held), *_share(sum(held), len(held), sample.chance))
    estimate = against_zero(np.array(sample.gaps, dtype=float))
    p = float(estimate.p if sample.p_exact is None else sample.p_exact)
    mean = float(estimate.mean)
    low, high = max(float(estimate.low), min(sample.least, mean)), min(float(estimate.high), max(sample.most, mean))
    return Effect(mean, low, high, SIGNS if estimate.alike else STUDENT, p)


@lru_cache(maxsize=4096)
def _share(held: int, units: int, chance: float) -> tuple[float, float, str, float]:
    """Clopper-Pearson interval, its name, and the exact two-sided p. Cached: a figure asks for few counts, many times."""
    test = binomtest(held, units, chance)
    interval = test.proportion_ci(CONFIDENCE, "exact")
    return float(interval.low), float(interval.high), COUNT, min(float(test.pvalue), 1.0)


def _count(sample: Sample) -> Count:
    """Of gaps of a claim of no difference it counts those inside the margin; chance does not say how many that would be."""
    if sample.held is not None:
        held = sum(sample.held)
    elif sample.sign == 0:
        inside = sum(abs(gap) < (sample.margin or 0.0) for gap in sample.gaps)
        return Count(inside, len(sample.gaps), math.nan, math.nan)
    else:
        held = sum(gap * sample.sign > 0 for gap in sample.gaps)
    units = len(sample.held if sample.held is not None else sample.gaps)
    return Count(held, units, units * sample.chance, _share(held, units, sample.chance)[-1])


def _finding(sample: Sample, kept: Sample, effect: Effect, p_holm: float, claims: int) -> Finding:
    count = _count(kept)
    around = sample.chance if effect.interval == COUNT else 0.0
    verdict = _verdict(sample, effect, around, p_holm) if count.of >= FEWEST else UNDECIDED
    return Finding(
        **_words(sample),
        **count._asdict(),
        **effect._asdict(),
        dropped=len(sample.gaps) - len(kept.gaps),
        p_holm=p_holm,
        claims_corrected=claims,
        verdict=verdict,
    )


def _verdict(sample: Sample, effect: Effect, around: float, p_holm: float) -> str:
    """The rule of the module's docstring, for at least two units."""
    shift, margin = effect.effect - around, sample.margin or 0.0
    within = -margin < effect.low - around and effect.high - around < margin
    clear = p_holm < ALPHA and shift != 0
    if sample.sign == 0:
        beyond = effect.low - around >= margin or effect.high - around <= -margin
        return SUPPORTED if within else CONTRADICTED if clear and beyond else UNDECIDED
    if clear:
        return SUPPORTED if shift * sample.sign > 0 else CONTRADICTED
    return NO_DIFFERENCE if within else UNDECIDED


def _not_measured(sample: Sample) -> Finding:
    dropped = len(sample.gaps)
    why = f"no finite number in {_of(dropped, sample.what)}" if dropped else "no numbers"
    words = _words(sample) | {"lacking": sample.lacking or why}
    numbers: dict[str, Any] = dict.fromkeys(("expected", "p_count", "effect", "low", "high", "p", "p_holm"), math.nan)
    numbers |= {"held": 0, "of": 0, "dropped": dropped, "claims_corrected": 0}
    return Finding(**words, **numbers, interval="", verdict=NOT_MEASURED)


def _words(sample: Sample) -> dict[str, Any]:
    return {word: getattr(sample, word) for word in WORDS}


# -- in words ---------------------------------------------------------------------------------------------------------


def sentence(finding: Finding) -> str:
    """A finding in the one form that all have: claim, verdict, effect and interval, count and chance, p."""
    if finding.verdict == NOT_MEASURED:
        return f"{finding.says}: {NOT_MEASURED} ({finding.lacking})."
    of_claims = f" of {finding.claims_corrected} claims" if finding.claims_corrected > 1 else ""
    parts = [
        f"{finding.says}: {finding.verdict}; {_amount(finding)}",
        f"{_counted(finding)}",
        f"p = {finding.p_holm:.2g}{of_claims}.",
    ]
    return ", ".join(parts) + (f" {_open(finding)}." if finding.verdict == UNDECIDED else "")


def _amount(finding: Finding) -> str:
    known = math.isfinite(finding.low)
    ends = f"95 % interval {_number(finding.low)} to {_number(finding.high)}" if known else "no interval"
    share = "a share of " if finding.interval == COUNT else ""
    return f"{share}{_with_unit(finding.effect, finding)} ({ends})"


def _counted(finding: Finding) -> str:
    """ "in 10 of 10 seeds (a coin gives 5)", with what was left out."""
    by = "a coin" if finding.chance == 0.5 else "chance"
    notes = [] if math.isnan(finding.expected) else [f"{by} gives {_number(finding.expected)}"]
    notes += [f"{finding.dropped} more without a number"] if finding.dropped else []
    inside = "inside the margin " if math.isnan(finding.expected) else ""
    noted = f" ({'; '.join(notes)})" if notes else ""
    return f"{inside}in {finding.held} of {_of(finding.of, finding.what)}{noted}"


def _open(finding: Finding) -> str:
    """What the data of an undecided claim cannot exclude."""
    if not math.isfinite(finding.low):
        return f"How much it varies over {finding.what}s is not known"
    largest = max(abs(finding.low - finding.centre), abs(finding.high - finding.centre))
    around = " from chance" if finding.interval == COUNT else ""
    margin = f" (margin: {_with_unit(finding.margin, finding)})" if finding.margin is not None else ""
    return f"Differences{around} below {_with_unit(largest, finding)} cannot be excluded{margin}"


def _of(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _with_unit(value: float, finding: Finding) -> str:
    return f"{_number(value)} {'' if finding.interval == COUNT else finding.unit}".strip()


def _number(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def main_claim(findings: Sequence[Finding]) -> Finding | None:
    """The first that is no control; where all are, the first."""
    return next((finding for finding in findings if not finding.control), findings[0] if findings else None)


def verdict_of(findings: Sequence[Finding]) -> str:
    """A figure's verdict: its main claim's, whatever the others say; but undecided where that holds and a control is contradicted,
    since what the control was to exclude may have made it. A figure without claims is not measured.
    """
    main = main_claim(findings)
    if main is None:
        return NOT_MEASURED
    broken = any(finding.control and finding.verdict == CONTRADICTED for finding in findings)
    return UNDECIDED if broken and main.verdict == SUPPORTED else main.verdict


def headline(findings: Sequence[Finding]) -> str:
    """The main claim with its verdict, and how many claims (controls apart) came out how."""
    main = main_claim(findings)
    if main is None:
        return NO_CLAIMS
    parts = [f"{main.says}: {main.verdict}."]
    for name, is_control in (("Claims", False), ("Controls", True)):
        of_kind = [finding.verdict for finding in findings if finding.control == is_control]
        if len(of_kind) > 1 or (is_control and of_kind):
            parts.append(f"{name}: {_tally(of_kind)}.")
    return " ".join(parts)


def _tally(verdicts: Iterable[str]) -> str:
    counts = Counter(verdicts)
    words = (SUPPORTED, CONTRADICTED, NO_DIFFERENCE, UNDECIDED, NOT_MEASURED)
    return ", ".join(
        f"{counts[word]} {'hold' if word == SUPPORTED and counts[word] > 1 else word}" for word in words if counts[word]
    )
