"""What numbers over seeds, trials or stimuli say: a mean against zero, many p values at once, ranks, and the front of goals.

    mean against zero:  t = mean / (s / sqrt n),  p two-sided from Student's t with n - 1 degrees of freedom
    Holm (1979):        p sorted up, p_(k) (m - k + 1), no smaller than the one before, at most 1
    Spearman:           Pearson's correlation of ranks, ties at their mean rank
    standardised mean:  sum_b s_b y_b,  y_b a group's mean in stratum b and s_b the share of all units in it

Holm's adjusted p keeps the chance of any false rejection among m at the level, whatever the dependence between the m; claims that
share a reference are dependent.

Blind spot: the t test needs units that are independent and means that are about normal. Of a few skewed gaps they are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

CONFIDENCE = 0.95
ALIKE = 1e-9  # of the largest gap: rounding leaves less of a spread (numbers up to 10^6 gaps in size), seeds leave more


class Against(NamedTuple):
    """A mean against zero: the mean, the ends of its 95 % interval (NaN where there is none), a two-sided p, no spread in the units."""

    mean: Float[np.ndarray, "*any"]
    low: Float[np.ndarray, "*any"]
    high: Float[np.ndarray, "*any"]
    p: Float[np.ndarray, "*any"]
    alike: Bool[np.ndarray, "*any"]


def against_zero(gaps: Float[np.ndarray, "*any unit"]) -> Against:
    """One-sample t test and t interval along the last axis; finite gaps, one per unit of replication.

    Gaps that are all alike have no spread to hold the mean against: t would be infinite, and two seeds enough for any claim. What
    they have is signs. So p is the exact sign test's, 2 / 2^n (1 for zeros, which have no sign), and the interval is that test's
    too: the value itself from six units on, none below, where even n equal signs are not rare. One unit is a case of this.
    """
    n = gaps.shape[-1]
    mean, largest = gaps.mean(-1), np.abs(gaps).max(-1)
    alike = np.ptp(gaps, axis=-1) <= ALIKE * largest
    by_sign = 2 / 2**n
    known = mean if by_sign <= 1 - CONFIDENCE else np.full_like(mean, np.nan)
    if n == 1:
        return Against(mean, known, known, np.ones_like(mean), alike)
    half, p = _student(mean, gaps.std(-1, ddof=1) / np.sqrt(n), n - 1)
    return Against(
        mean,
        np.where(alike, known, mean - half),
        np.where(alike, known, mean + half),
        np.where(alike, np.where(largest > 0, by_sign, 1.0), p),
        alike,
    )


def _student(mean: np.ndarray, error: np.ndarray, freedom: int) -> tuple[np.ndarray, np.ndarray]:
    """Half the interval's length and p; p is NaN where nothing varies."""
    from scipy.special import stdtr, stdtrit  # here, because it is slow to import

    with np.errstate(divide="ignore", invalid="ignore"):
        p = 2 * stdtr(freedom, -np.abs(mean / error))
    return stdtrit(freedom, (1 + CONFIDENCE) / 2) * error, p


def holm(p: Float[np.ndarray, "*any claim"]) -> Float[np.ndarray, "*any claim"]:
    """Adjusted p values along the last axis: reject where they are below the level. No NaN."""
    p = np.asarray(p, dtype=float)
    order = np.argsort(p, axis=-1)
    steps = np.take_along_axis(p, order, -1) * np.arange(p.shape[-1], 0, -1)
    adjusted = np.empty_like(p)
    np.put_along_axis(adjusted, order, np.minimum(np.maximum.accumulate(steps, axis=-1), 1.0), -1)
    return adjusted


def share_interval(held: int, total: int) -> tuple[float, float]:
    """Clopper and Pearson's 95 % interval of a share: exact, it covers any share at least so often. `total` at least 1."""
    from scipy.stats import binomtest  # here, because it is slow to import

    interval = binomtest(held, total).proportion_ci(CONFIDENCE, "exact")
    return float(interval.low), float(interval.high)


def spearman(x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray) -> float:
    """Rank correlation, in [-1, 1]; infinite values are the largest. NaN below three pairs, with a constant side or with a NaN.

    Raises:  ValueError: sides of different lengths.
    """
    from scipy.stats import rankdata  # here, because it is slow to import

    pairs = np.stack([np.asarray(side, dtype=float) for side in (x, y)])
    if pairs.shape[1] < 3 or np.isnan(pairs).any():
        return float("nan")
    ranks = rankdata(pairs, axis=1)
    return float("nan") if (np.ptp(ranks, axis=1) == 0).any() else float(np.corrcoef(ranks)[0, 1])


class Ranks(NamedTuple):
    """A rank correlation over pairs: what each pair adds (their mean is `spearman`), and a two-sided p by shuffling; NaN where it is."""

    of_pairs: Float[np.ndarray, " pair"]
    p: float


def ranks(x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray, shuffles: int = 20_000) -> Ranks:
    """Spearman's correlation where pairs, not seeds, are the unit: products of standardised ranks, and p = (1 + as large) / (1 + shuffles).

    Shuffles are seeded. Their p, not a t test of the products: that one finds p < 0.05 in 6.5 % of cases with 9 unrelated pairs.
    """
    from scipy.stats import rankdata  # here, because it is slow to import

    if np.isnan(spearman(x, y)):
        return Ranks(np.full(len(x), np.nan), float("nan"))
    both = rankdata(np.stack([np.asarray(side, dtype=float) for side in (x, y)]), axis=1)
    rank_x, rank_y = (both - both.mean(1, keepdims=True)) / both.std(1, keepdims=True)
    shuffled = np.random.default_rng(0).permuted(np.tile(rank_x, (shuffles, 1)), axis=1) @ rank_y
    as_large = np.abs(shuffled) >= np.abs(rank_x @ rank_y) * (1 - 1e-9)
    return Ranks(rank_x * rank_y, float((1 + as_large.sum()) / (1 + shuffles)))


def standardised(
    y: Float[np.ndarray, " unit"],
    covariate: Float[np.ndarray, " unit"],
    group: Int[np.ndarray, " unit"],
    strata: int = 4,
) -> Float[np.ndarray, " group"]:
    """Means of groups as if all of them had one distribution of a covariate: direct standardisation.

    Strata are cut at quantiles of the covariate over all units, and weighted by their share of all units. A stratum that a group
    lacks is left out of its mean; where those it has hold less than half of all units, the mean is NaN.

    Args:    y, covariate: finite. group: 0 to the largest number; each has a place in the answer, without units NaN.
             strata: at most so many, fewer where values tie. What a stratum spans is not evened out within it.
    """
    edges = np.unique(np.quantile(covariate, np.arange(1, strata) / strata))
    stratum = np.searchsorted(edges, covariate)  # a value on an edge is in the stratum below it
    cells = (group.max() + 1, len(edges) + 1)
    count, total = np.zeros(cells), np.zeros(cells)
    np.add.at(count, (group, stratum), 1)
    np.add.at(total, (group, stratum), y)
    share = np.where(count > 0, count.sum(0) / len(y), 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = (share * total / np.maximum(count, 1)).sum(1) / share.sum(1)
    return np.where(share.sum(1) >= 0.5, means, np.nan)


def front(points: Sequence[Sequence[float | None]]) -> list[bool]:
    """Which points no other one beats: no worse in every goal, better in one. Smaller is better; None and NaN are never on it."""
    whole = [all(value is not None and value == value for value in point) for point in points]
    rivals = [point for point, is_whole in zip(points, whole, strict=True) if is_whole]
    return [
        is_whole and not any(_beats(rival, point) for rival in rivals)
        for point, is_whole in zip(points, whole, strict=True)
    ]


def _beats(p: Sequence, q: Sequence) -> bool:
    return all(a <= b for a, b in zip(p, q, strict=True)) and any(a < b for a, b in zip(p, q, strict=True))
