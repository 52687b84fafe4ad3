"""Courses over rounds: per seed, where one method is ahead of another, whether a number rises, where it is largest."""

from __future__ import annotations

import common
import numpy as np
import polars as pl
from paper.claims import Claim, counted

from redman.panels import ranged
from redman.slice import NATURAL

FIRST = 2  # round 0 is shared by all methods, round 1 by imp and oneshot


def ahead(frame: pl.DataFrame, left: str, right: str, measure: common.Measure, first: int = FIRST) -> list[int]:
    """The rounds in which `left` is better than `right` in every seed, on natural inputs."""
    parts = [_from(frame, method, first) for method in (left, right)]
    rounds = sorted(set(parts[0]["round"]) & set(parts[1]["round"]))
    found = []
    for round in rounds:
        pairs = common.paired([common.part(part, round=round) for part in parts], measure)
        if pairs is not None and measure.wins(pairs) == pairs.seeds:
            found.append(round)
    return found


def from_then_on(rounds: list[int], last: int) -> int | None:
    """The first of `rounds` from which on none is missing up to `last`."""
    start = last + 1
    while start - 1 in rounds:
        start -= 1
    return start if start <= last else None


def on_average(says: str, frame: pl.DataFrame, left: str, right: str, measure: common.Measure) -> Claim:
    """That `left` is better than `right` on average over the rounds in which their masks differ, seed by seed."""
    parts = [_from(frame, method, FIRST).drop_nulls("value") for method in (left, right)]
    means = [_means(part, measure) for part in parts]
    both = means[0].join(means[1], on=["seed", "rounds"], suffix="_right")
    gaps = (both["value"] - both["value_right"]).to_list() if len(both) else []
    sign = 1 if measure.better == "higher" else -1
    rounds = common.spans(ahead(frame, left, right, measure))
    shown = f"difference {ranged(gaps)}{measure.unit}; in every seed at {rounds}" if gaps else ""
    lacking = f"needs {left} and {right} at round {FIRST} or later"
    return counted(says, [sign * gap > 0 for gap in gaps], shown, lacking)


def _means(part: pl.DataFrame, measure: common.Measure) -> pl.DataFrame:
    return part.group_by("seed").agg(measure.score.mean().alias("value"), pl.col("round").sort().alias("rounds"))


def _from(frame: pl.DataFrame, method: str, first: int) -> pl.DataFrame:
    return common.part(frame, method=method, side=NATURAL).filter(pl.col("round") >= first)


def of_seeds(frame: pl.DataFrame, method: str, side: str = NATURAL) -> dict[int, list[float]]:
    """Seed -> the values of all rounds in order; seeds with a single one are left out."""
    part = common.part(frame, method=method, side=side).drop_nulls("value").sort("seed", "round")
    found = {key[0]: group["value"].to_list() for key, group in part.group_by("seed", maintain_order=True)}
    return {seed: values for seed, values in found.items() if len(values) > 1}


def rank_correlation(values: list[float]) -> float:
    """Spearman's, of the values with their order; NaN where they are all equal."""
    ranks = pl.Series(values).rank().to_numpy()
    if len(values) < 2 or ranks.std() == 0:
        return float("nan")
    return float(np.corrcoef(np.arange(len(values)), ranks)[0, 1])
