"""Figures by simulation: how often the judge, and the rule of counts before it, say something of claims that have no effect.

A figure has `CLAIMS` claims, each a condition minus one reference that all share, seed by seed. `python tests/figures/simulated.py`
prints the tables of docs/findings.md.
"""

from __future__ import annotations

import numpy as np
from scipy import stats

from impray.figures.judge import ALPHA
from impray.theory.statistics import against_zero, holm

FIGURES, CLAIMS, EFFECT = (
    2000,
    8,
    0.7,
)  # the effect is in standard deviations of a gap; it is the margin too, where one is asked
SEEDS = (3, 5, 10, 20, 30)
NOISES = ("normal", "t(5)")


def gaps(n: int, noise: str = "normal", effect: float = 0.0, shifted: int = CLAIMS, seed: int = 0) -> np.ndarray:
    """[figure, claim, seed]: condition minus the shared reference, of standard deviation 1; the first `shifted` claims have the effect."""
    rng = np.random.default_rng([seed, n, NOISES.index(noise)])

    def draw(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape) if noise == "normal" else rng.standard_t(5, shape) / (5 / 3) ** 0.5

    found = (draw(FIGURES, CLAIMS, n) - draw(FIGURES, 1, n)) / 2**0.5
    found[:, :shifted] += effect
    return found


def skewed(n: int, seed: int = 0) -> np.ndarray:
    """[figure, claim, seed]: exponential values minus their mean, a threshold: what differences of two conditions never are."""
    return np.random.default_rng([seed, n]).exponential(1.0, (FIGURES, CLAIMS, n)) - 1.0


def said_by_judge(of: np.ndarray) -> np.ndarray:
    """[figure, claim]: 1 or -1 where the corrected p is below the level, by the sign of the mean; else 0."""
    found = against_zero(of)
    return np.sign(found.mean) * (holm(found.p) < ALPHA)


def said_by_count(of: np.ndarray) -> np.ndarray:
    """[figure, claim]: 1 or -1 where at least 9 in 10 seeds, rounded up, have that sign; else 0. The rule before the judge."""
    needed = -(-9 * of.shape[-1] // 10)
    return ((of > 0).sum(-1) >= needed).astype(float) - ((of < 0).sum(-1) >= needed)


def anywhere(said: np.ndarray) -> float:
    """The share of figures in which some claim is said to have an effect."""
    return float((said != 0).any(-1).mean())


def within(of: np.ndarray, margin: float = EFFECT) -> np.ndarray:
    """[figure, claim]: the interval lies inside the margin."""
    found = against_zero(of)
    return (-margin < found.low) & (found.high < margin)


def count_exactly(n: int, effect: float) -> float:
    """The probability that at least 9 in 10 seeds, rounded up, have a positive gap: normal gaps of standard deviation 1."""
    return float(stats.binom.sf(-(-9 * n // 10) - 1, n, stats.norm.cdf(effect)))


def judge_exactly(n: int, effect: float) -> float:
    """The probability that the t interval of one claim lies above 0: normal gaps of standard deviation 1."""
    return float(stats.nct.sf(stats.t.ppf(1 - ALPHA / 2, n - 1), n - 1, effect * n**0.5))


def errors(n: int) -> dict[str, float]:
    """Shares of figures that say something of claims without an effect; of one claim exactly."""
    rules = {"judge": said_by_judge, "9 in 10": said_by_count}
    found = {f"{rule}, {noise}": anywhere(said(gaps(n, noise))) for rule, said in rules.items() for noise in NOISES}
    found |= {"judge, skewed": anywhere(said_by_judge(skewed(n)))}
    return found | {"one claim: judge": 2 * judge_exactly(n, 0.0), "one claim: 9 in 10": 2 * count_exactly(n, 0.0)}


def powers(n: int) -> dict[str, float]:
    """Shares of claims of an effect that are found, and of claims of either kind that are called no difference."""
    null, shifted, single = gaps(n), gaps(n, effect=EFFECT), gaps(n, effect=EFFECT, shifted=1)
    return {
        "judge, one claim": judge_exactly(n, EFFECT),
        f"judge, one of {CLAIMS}": float((said_by_judge(single)[:, 0] > 0).mean()),
        "9 in 10, one claim": count_exactly(n, EFFECT),
        "no difference, rightly": float(within(null).mean()),
        "wrongly": float(within(shifted).mean()),
        f"wrongly for some of {CLAIMS}": float(within(shifted).any(-1).mean()),
    }


def table(rows: dict[int, dict[str, float]]) -> str:
    """In Markdown, in percent; a row per number of seeds."""
    heads = ["seeds", *next(iter(rows.values()))]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    shown = {
        n: [f"{100 * share:.1f}" if share >= 0.0005 else "< 0.1" for share in row.values()] for n, row in rows.items()
    }
    return "\n".join([*lines, *(f"| {n} | " + " | ".join(row) + " |" for n, row in shown.items())])


if __name__ == "__main__":
    for asked in (errors, powers):
        print(table({n: asked(n) for n in SEEDS}), end="\n\n")
