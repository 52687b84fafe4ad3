"""Cavity scores of imp's first-layer weights by fate, as rows: a group is the weights of one (seed, round, fate).

Rows have what their trial is and, per statistic (mean, median, or the mean from half of the samples):

    score        cavity score (Redman et al. 2025, eq. 5 and 6)         scaled    times the weights left in the layer, N_W
    place, fate_name    fates in order, survivors (`LEFT`) last, as "end"       next      removed in the round that follows
    right        the score is positive where `next`, else negative: what Fig. 5C says

Only rounds that every lineage has reached.
"""

from __future__ import annotations

import polars as pl
from polars import col

from impray.results.tidy import CLONE, NATURAL, NotMeasured, Results, once
from impray.theory.statistics import spearman

LEFT = 0  # the fate of survivors
MEAN, MEDIAN, HALF = "mean", "median", "mean, half the samples"
STATISTICS = {MEAN: "cavity_{}mean", MEDIAN: "cavity_{}median", HALF: "cavity_half_{}mean"}


@once
def groups(results: Results) -> pl.DataFrame:
    """Every group and statistic, natural inputs and clone; a score that is undefined is null.

    Raises:  NotMeasured: no scores, or none of a lineage that was pruned.
    """
    columns = [name.format(kind) for name in STATISTICS.values() for kind in ("", "scaled_")]
    rows = results.rows("fates", ["fate", *columns], layer=1, method="imp").filter(
        col("round") <= results.last, col("side").is_in([NATURAL, CLONE]), col("cavity_mean").is_not_null()
    )
    if not (rows["fate"] > LEFT).any():
        raise NotMeasured("needs measure cavity of method imp, whose lineages have finished at least one pruning")
    is_next, end = col("round") + 1 == col("fate"), pl.lit(rows["fate"].max()) + 1
    named = [
        rows.select(
            pl.exclude(columns),
            pl.lit(name).alias("statistic"),
            col(column.format("")).fill_nan(None).alias("score"),
            col(column.format("scaled_")).fill_nan(None).alias("scaled"),
            pl.when(col("fate") == LEFT).then(end).otherwise("fate").alias("place"),
            pl.when(col("fate") == LEFT).then(pl.lit("end")).otherwise(col("fate").cast(pl.String)).alias("fate_name"),
            is_next.alias("next"),
        )
        for name, column in STATISTICS.items()
        if rows[column.format("")].is_not_null().any()
    ]
    right = (col("scaled") * pl.when("next").then(1).otherwise(-1) > 0).alias("right")
    return pl.concat(named).with_columns(right).sort("number", "statistic", "round", "place", "seed")


def scored(results: Results, side: str = NATURAL, statistic: str = MEAN) -> pl.DataFrame:
    """The groups of one side and statistic that have a score."""
    return groups(results).filter(col("side") == side, col("statistic") == statistic).drop_nulls("score")


def sizes(results: Results, side: str = NATURAL, statistic: str = MEAN) -> pl.DataFrame:
    """`size` per seed: root mean square over fates of the score at round 0."""
    rows = scored(results, side, statistic).filter(col("round") == 0).group_by("seed")
    return rows.agg((col("score") ** 2).mean().sqrt().alias("size")).sort("seed")


def orders(results: Results, side: str = NATURAL, statistic: str = MEAN) -> pl.DataFrame:
    """`rho` per seed: rank correlation of score and fate at round 0, survivors the latest; NaN below three fates."""
    rows = scored(results, side, statistic).filter(col("round") == 0).group_by("seed", maintain_order=True)
    rhos = [(seed, spearman(group["place"].to_numpy(), group["score"].to_numpy())) for (seed,), group in rows]
    return pl.DataFrame(rhos, {"seed": pl.Int64, "rho": pl.Float64}, orient="row").sort("seed")
