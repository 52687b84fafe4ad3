"""Claims as data: what is compared with what. The judge (`impray.figures.judge`) says what a run makes of them.

    imp, clone = col("method") == "imp", col("side") == CLONE
    More(CLUSTERING, imp, than=oneshot, says="imp is more clustered than oneshot")
    More(CLUSTERING, imp & (col("excess") < 0), than=gaussian, each="name", says="imp on {each} is more clustered than on Gaussian inputs")
    Same(WIDTH, imp & natural, than=imp & clone, margin=0.3, says="imp is as narrow on the clone")
    Level(KURTOSIS, imp & clone, above=3.0, says="...")           a number against a threshold
    Trend(KURTOSIS, imp, along="round", says="...")               a rank correlation per seed
    Share(peaks, holds=col("apart") <= 1, chance=0.075, says="...")  yes or no per unit of replication
    Bounded(draws, fails=col("lost"), bound="bound", says="...")  it fails no more often than a bound allows

Everything is paired by seed: a seed's number is the mean over its rows, left and right meet in the rounds, and in the columns `by`,
that both have. Methods that share their masks are not compared there: all of them at round 0, imp and oneshot at round 1 too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import polars as pl

from impray.figures.judge import Sample
from impray.results.quantities import Quantity, quantity
from impray.results.tidy import LAST, At, NotMeasured, Results
from impray.theory.statistics import spearman

Frame = Callable[[Results], pl.DataFrame]


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What all claims have.

    says: the sentence; `{each}` stands for the value of the column `each`.  source: the paper and figure that says so.
    against: what would count against it.  question: claims of one question are corrected together (Holm).  control: not what is
    claimed, but what the claims lean on.  at: the round.  where: only these rows, on both sides.  optional: left out, not told as
    missing, where it was not measured.  over: the column that is the unit of replication, `what` its word: seeds replicate training;
    a claim about natural images wants sets of images.
    """

    says: str
    source: str = ""
    against: str = ""
    question: str = ""
    control: bool = False
    margin: float | None = None
    at: At = LAST
    each: str = ""
    where: pl.Expr | None = None
    optional: bool = False
    over: str = "seed"
    what: str = "seed"

    def samples(self, results: Results) -> list[Sample]:
        """What the judge needs: one sample, or one per value of the column `each`."""
        try:
            return [sample for sample in self._samples(results) if not (self.optional and sample.lacking)]
        except NotMeasured as missing:
            return (
                [] if self.optional else [self._sample((), self.says.replace("{each}", "each"), lacking=str(missing))]
            )

    def _samples(self, results: Results) -> list[Sample]:
        raise NotImplementedError

    def _each(self, frame: pl.DataFrame, wanted: pl.Expr) -> list[tuple[str, pl.DataFrame]]:
        """(words, rows) of every value of `each` among the wanted rows, in their order; one pair without it."""
        rows = frame.filter(wanted)
        if not self.each:
            return [(self.says, rows)]
        parts = rows.group_by(self.each, maintain_order=True)
        return [(self.says.replace("{each}", str(key[0])), part) for key, part in parts]

    def _sample(self, gaps: Sequence[float], says: str, *, sign: int = 1, unit: str = "", **more: object) -> Sample:
        shared = {
            "what": self.what,
            "source": self.source,
            "against": self.against,
            "question": self.question,
            "control": self.control,
        }
        return Sample(says=says, gaps=tuple(gaps), sign=sign, margin=self.margin, unit=unit, **shared, **more)  # type: ignore[arg-type]

    def _values(self, results: Results, of: Quantity) -> pl.DataFrame:
        """Rows that have a number, with `score`: what is compared."""
        frame = results.values(of, self.at).drop_nulls("value")
        frame = frame.with_columns(of.compared(pl.col("value")).alias("score"))
        return frame if self.where is None else frame.filter(self.where)


def first_round(methods: set[str]) -> int:
    """The first round in which methods have masks of their own."""
    return 0 if len(methods) < 2 else 2 if methods == {"imp", "oneshot"} else 1


@dataclass(frozen=True, kw_only=True)
class More(Claim):
    """The quantity is better (by its own direction, or `sign`) in `left` than in `than`, seed by seed.

    by: further columns in which both sides meet, such as `setting`; the seed stays the unit of replication.
    """

    quantity: Quantity | str
    left: pl.Expr
    than: pl.Expr
    by: tuple[str, ...] = ()
    sign: int | None = None

    def _samples(self, results: Results) -> list[Sample]:
        frame = self._values(results, quantity(self.quantity))
        right = frame.filter(self.than)
        samples = [self._compared(says, left, right) for says, left in self._each(frame, self.left)]
        if not samples:
            raise NotMeasured("no trial on the claim's first side")
        return samples

    def _compared(self, says: str, left: pl.DataFrame, right: pl.DataFrame) -> Sample:
        sign = quantity(self.quantity).sign if self.sign is None else self.sign
        first = first_round({*left["method"], *right["method"]})
        keys = list(dict.fromkeys(["seed", "round", *self.by, self.over]))
        sides = [
            side.filter(pl.col("round") >= first).group_by(keys).agg(pl.col("score").mean()) for side in (left, right)
        ]
        both = sides[0].join(sides[1], on=keys, suffix="_right")
        if both.is_empty():
            return self._sample((), says, sign=sign, lacking=_why_not(left, right, first))
        gaps = both.with_columns((pl.col("score") - pl.col("score_right")).alias("gap"))
        of_units = gaps.group_by(self.over).agg(pl.col("gap").mean()).sort(self.over)["gap"].to_list()
        return self._sample(of_units, says, sign=sign, unit=quantity(self.quantity).unit)


@dataclass(frozen=True, kw_only=True)
class Same(More):
    """No difference beyond the margin."""

    sign: int | None = 0


def _why_not(left: pl.DataFrame, right: pl.DataFrame, first: int) -> str:
    if left.is_empty() or right.is_empty():
        side = "first" if left.is_empty() else "second"
        return (
            f"the claim's {side} side has no rows: not measured, or its condition names what this sweep does not have"
        )
    if max(*left["round"], *right["round"]) < first:
        return f"needs round {first} or later: before it their masks are the same"
    return "no seed has both sides at one round"


@dataclass(frozen=True, kw_only=True)
class Level(Claim):
    """The quantity is above (or below) a threshold, seed by seed; `near`: no further from it than the margin."""

    quantity: Quantity | str
    left: pl.Expr
    above: float | None = None
    below: float | None = None
    near: float | None = None

    def _samples(self, results: Results) -> list[Sample]:
        threshold, sign = (self.above, 1) if self.above is not None else (self.below or 0.0, -1)
        threshold, sign = (self.near, 0) if self.near is not None else (threshold, sign)
        samples = []
        for says, rows in self._each(self._values(results, quantity(self.quantity)), self.left):
            seeds = rows.group_by(self.over).agg(pl.col("value").mean()).sort(self.over)["value"].to_list()
            lacking = "" if seeds else "was not measured"
            gaps = [value - threshold for value in seeds]
            samples.append(self._sample(gaps, says, sign=sign, unit=quantity(self.quantity).unit, lacking=lacking))
        return samples


@dataclass(frozen=True, kw_only=True)
class Trend(Claim):
    """The quantity's rank correlation with a column, or another quantity, is positive (sign 1) or negative, seed by seed; `beyond`: by
    more than this.
    """

    quantity: Quantity | str
    left: pl.Expr
    along: str | Quantity
    sign: int = 1
    beyond: float = 0.0

    def _samples(self, results: Results) -> list[Sample]:
        frame, along = self._values(results, quantity(self.quantity)), self.along
        if isinstance(along, Quantity):
            other = results.values(along, self.at).select("lineage", "round", pl.col("value").alias(along.name))
            frame, along = frame.join(other, on=["lineage", "round"]), along.name
        samples = []
        for says, rows in self._each(frame, self.left):
            rows = rows.filter(pl.col(along).is_not_null())
            points = rows.group_by(self.over, along).agg(pl.col("score").mean()).sort(self.over, along)
            rhos = [
                spearman(part[along].to_numpy(), part["score"].to_numpy())
                for _, part in points.group_by(self.over, maintain_order=True)
            ]
            threshold = self.sign * self.beyond
            gaps = [rho - threshold for rho in rhos if rho == rho]
            lacking = "" if gaps else _no_trend(points, self.over, along)
            least, most = -1 - threshold, 1 - threshold
            samples.append(self._sample(gaps, says, sign=self.sign, lacking=lacking, least=least, most=most))
        return samples


def _no_trend(points: pl.DataFrame, over: str, along: str) -> str:
    """Why no unit of replication has a rank correlation."""
    most = 0 if points.is_empty() else points.group_by(over).len()["len"].max()
    return f"does not vary with {along}" if most and most >= 3 else f"needs three values of {along} or more"  # type: ignore[operator]


@dataclass(frozen=True, kw_only=True)
class Share(Claim):
    """Something holds, yes or no per unit of replication (a row of `frame`; with `per_seed` a seed, in which every row must hold).

    chance: the probability that one unit holds under no effect.
    """

    frame: Frame
    holds: pl.Expr
    chance: float = 0.5
    per_seed: bool = False
    left: pl.Expr | None = None

    def _samples(self, results: Results) -> list[Sample]:
        frame = self.frame(results)
        frame = frame if self.where is None else frame.filter(self.where)
        samples = []
        for says, rows in self._each(frame, pl.lit(True) if self.left is None else self.left):
            judged = rows.with_columns(self.holds.alias("holds")).drop_nulls("holds")
            if self.per_seed:
                judged = judged.group_by("seed").agg(pl.col("holds").all()).sort("seed")
            held = tuple(judged["holds"].to_list())
            more = {"lacking": "" if held else "was not measured", "held": held or None}
            samples.append(self._sample((), says, chance=self.chance, **more))
        return samples


@dataclass(frozen=True, kw_only=True)
class Bounded(Claim):
    """Something fails no more often than a bound on its probability allows; yes or no per unit of replication, a row of `frame`.

    The share that does not fail is held against 1 - the mean of the column `bound`, which it is at least if the bound is true. Units may
    have bounds of their own: failures then vary less than the binomial of their mean. Points whose mean bound is 1 say nothing and are
    left out. Where the bound is so near 0 that no failure is expected, the verdict is no difference, if a margin is stated.
    """

    frame: Frame
    fails: pl.Expr
    bound: str = "bound"

    def _samples(self, results: Results) -> list[Sample]:
        frame = self.frame(results).with_columns(self.fails.alias("fails"), pl.col(self.bound).fill_nan(None))
        frame = (frame if self.where is None else frame.filter(self.where)).drop_nulls(["fails", self.bound])
        samples = [
            self._sample((), says, held=tuple((~rows["fails"]).to_list()), chance=min(1 - bound, _SURE))
            for says, rows in self._each(frame, pl.lit(True))
            if (bound := float(rows[self.bound].mean() or 0.0)) < 1  # type: ignore[arg-type]
        ]
        if not samples:
            raise NotMeasured("no bound below 1")
        return samples


_SURE = 1 - 1e-12  # of a share that is held against chance: the largest below 1 that has an exact test


@dataclass(frozen=True, kw_only=True)
class Gaps(Claim):
    """A number per seed that the figure computes itself (columns `seed` and `gap`), claimed positive (sign 1), negative, or none (0).

    A column `p`, alike in all rows, is the two-sided p of an exact test of their mean. least, most: what that mean can be.
    """

    frame: Frame
    sign: int = 1
    unit: str = ""  # of the gap
    least: float = -math.inf
    most: float = math.inf

    def _samples(self, results: Results) -> list[Sample]:
        samples = []
        for says, rows in self._each(self.frame(results), pl.lit(True) if self.where is None else self.where):
            gaps = rows["gap"].drop_nulls().to_list()
            more = {"lacking": "" if gaps else "was not measured", "least": self.least, "most": self.most}
            more |= {"p_exact": rows["p"][0]} if gaps and "p" in rows.columns else {}
            samples.append(self._sample(gaps, says, sign=self.sign, unit=self.unit, **more))
        return samples
