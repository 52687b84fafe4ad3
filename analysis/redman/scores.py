"""Cavity scores by fate as numbers: signs just before removal, flips, order at round 0, size, dependence on the sample.

A group is the weights of one (seed, round, fate); `at` is the fate, survivors come last (`end`). All numbers are of
frames as `fig5.table` makes them.
"""

from __future__ import annotations

import common
import polars as pl

from redman.courses import rank_correlation
from redman.slice import NATURAL

HALF = "mean, half the samples"


def groups(frame: pl.DataFrame, statistic: str, side: str = NATURAL) -> dict[tuple[int, int, int], float]:
    """(seed, round, place of the fate) -> score, of the groups that have one."""
    part = common.part(frame, statistic=statistic, side=side).drop_nulls("value")
    return {
        (seed, round, at): value for seed, round, at, value in part.select("seed", "round", "at", "value").iter_rows()
    }


def before(frame: pl.DataFrame, statistic: str, side: str = NATURAL) -> list[float]:
    """The score just before removal of every (seed, fate)."""
    end = frame["end"][0]
    return [value for (_, round, at), value in groups(frame, statistic, side).items() if at == round + 1 and at != end]


def later(frame: pl.DataFrame, statistic: str, side: str = NATURAL) -> list[float]:
    """The score of every group that is not removed next."""
    end = frame["end"][0]
    return [value for (_, round, at), value in groups(frame, statistic, side).items() if at > round + 1 or at == end]


def flips(frame: pl.DataFrame, statistic: str, side: str = NATURAL) -> list[bool]:
    """Per (seed, fate) from fate 2 on: negative in every round before f-1, and positive in f-1."""
    found, end = groups(frame, statistic, side), frame["end"][0]
    courses: dict[tuple[int, int], dict[int, float]] = {}
    for (seed, round, at), value in found.items():
        courses.setdefault((seed, at), {})[round] = value
    whole = [(at, course) for (_, at), course in courses.items() if 2 <= at < end and set(course) == set(range(at))]
    return [course[at - 1] > 0 and all(course[round] < 0 for round in range(at - 1)) for at, course in whole]


def orders(frame: pl.DataFrame, statistic: str = "mean", side: str = NATURAL) -> list[float]:
    """Rank correlation of score and fate at round 0, per seed; survivors are the latest fate."""
    found = groups(frame, statistic, side)
    return [
        rank_correlation([found[key] for key in sorted(found, key=lambda key: key[2]) if key[0] == seed])
        for seed in sorted({key[0] for key in found})
    ]


def sizes(frame: pl.DataFrame, statistic: str, side: str = NATURAL) -> dict[int, float]:
    """Root mean square over fates of the score at round 0, per seed."""
    found = groups(frame, statistic, side)
    seeds = {key[0]: [value for other, value in found.items() if other[0] == key[0]] for key in found}
    return {seed: (sum(value**2 for value in values) / len(values)) ** 0.5 for seed, values in seeds.items()}


def ratios(frame: pl.DataFrame, side: str = NATURAL) -> list[float]:
    """Full / half of these sizes, per seed."""
    full, half = (sizes(frame, statistic, side) for statistic in ("mean", HALF))
    return [full[seed] / half[seed] for seed in sorted(full) if half.get(seed)]
