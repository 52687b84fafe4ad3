"""The leaderboard: trials, best first, with their goals; or, where a sweep has none, every method's means side by side."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from impray.results import goals, tables
from impray.results.paths import Paths
from impray.spec.sweep import Sweep

# Columns shown where a sweep has no goals, if they were measured, and how the leaderboard calls them (it has to fit a terminal).
SHOWN = {
    "accuracy": "accuracy",
    "rf_width_x_px_median": "width px",
    "clustering_mean": "clustering",
    "kurtosis_per_class_mean": "kurtosis",
    "ipr_mean": "ipr",
}


def by_goals(sweep: Sweep, folder: str | Path) -> pl.DataFrame:
    """One row per trial, sorted by the first goal; `front` marks trials that no other beats in every goal."""
    axes = list(tables.axes_of(Paths(Path(folder))))
    rows = tables.scan("trials", folder).filter(pl.col("status").is_in(["done", "stopped"])).collect()
    rows = rows.filter(pl.col("goals").list.len() == len(sweep.search.goals))
    names = [goals.label(goal) for goal in sweep.search.goals]
    signs = [1 if goal.direction == "min" else -1 for goal in sweep.search.goals]
    points = [[sign * value for sign, value in zip(signs, of_row, strict=True)] for of_row in rows["goals"].to_list()]
    whole = [row["status"] == "done" for row in rows.iter_rows(named=True)]
    front = [
        done and not any(_beats(q, p) for q, d in zip(points, whole, strict=True) if d)
        for p, done in zip(points, whole, strict=True)
    ]
    shown = rows.select(
        "number", *axes, "status", "rounds", *(pl.col("goals").list.get(i).alias(n) for i, n in enumerate(names))
    )
    shown = shown.with_columns(pl.Series("front", front))
    order = pl.Series([point[0] for point in points], dtype=pl.Float64)
    return shown.with_columns(order.alias("_order")).sort("_order", nulls_last=True).drop("_order")


def by_method(folder: str | Path) -> pl.DataFrame:
    """One row per trial and method: means over seeds in the last round, and over how many seeds."""
    axes = list(tables.axes_of(Paths(Path(folder))))
    rows = tables.scan("rounds", folder).filter(pl.col("status") == "done")
    last = rows.filter(pl.col("round") == pl.col("round").max().over("trial", "method"))
    measured = [name for name in SHOWN if not last.select(pl.col(name).is_null().all()).collect().item()]
    return (
        last.group_by("trial", "method", *axes)
        .agg(
            pl.col("round").first(),
            pl.col("density").mean(),
            *(pl.col(name).drop_nans().mean().alias(SHOWN[name]) for name in measured),
            pl.len().alias("seeds"),
        )
        .join(tables.scan("trials", folder).select("trial", "number"), on="trial", how="left")
        .sort("number", "method")
        .select("number", *axes, "method", "round", "density", *(SHOWN[name] for name in measured), "seeds")
        .collect()
    )


def _beats(p: list[float], q: list[float]) -> bool:
    return all(a <= b for a, b in zip(p, q, strict=True)) and any(a < b for a, b in zip(p, q, strict=True))
