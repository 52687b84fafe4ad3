"""Means over seeds: how far seeds spread them, and whether two of them can be told apart.

    standard error = s / sqrt(n), s the standard deviation over n seeds (n - 1 below the root)
    told apart: the 95 % t interval of the mean difference does not hold 0

Trials and methods share their random numbers seed by seed, so differences are paired over the seeds that both have; with fewer than
two such seeds the interval is Welch's, unpaired; with fewer than two seeds on a side nothing can be told apart.

Blind spot: the best of many is compared with each of the others as if it had been named beforehand. Of k trials that do not
differ, more than one in twenty is told from the best.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

CONFIDENCE = 0.95


def standard_error(values: Sequence[float]) -> float | None:
    """Of the mean; None below two values."""
    return statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None


def told_apart(left: Mapping[int, float], right: Mapping[int, float]) -> bool:
    """Whether two means over seeds differ by more than their seeds do; the arguments are seed -> number, all finite."""
    shared = left.keys() & right.keys()
    if len(shared) > 1:
        gaps = [left[seed] - right[seed] for seed in sorted(shared)]
        return _outside(statistics.fmean(gaps), statistics.stdev(gaps) / math.sqrt(len(gaps)), len(gaps) - 1)
    if min(len(left), len(right)) < 2:
        return False
    squares = [statistics.variance(side.values()) / len(side) for side in (left, right)]
    gap, total = statistics.fmean(left.values()) - statistics.fmean(right.values()), sum(squares)
    freedom = sum(square**2 / (len(side) - 1) for square, side in zip(squares, (left, right), strict=True))
    return _outside(gap, math.sqrt(total), total**2 / freedom if freedom else math.inf)


def _outside(gap: float, error: float, freedom: float) -> bool:
    """Whether 0 is outside of gap +- t error."""
    from scipy.special import ndtri, stdtrit  # here, because it is slow to import

    at = (1 + CONFIDENCE) / 2
    return abs(gap) > (float(stdtrit(freedom, at)) if math.isfinite(freedom) else float(ndtri(at))) * error
