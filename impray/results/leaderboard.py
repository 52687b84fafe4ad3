"""The leaderboard: trials, best first, with their goals; or, where a sweep has none, every method's means side by side."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
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
    names = [goals.label(goal) for goal in sweep.search.goals]
    rows = rows.filter(
        pl.col("goal_names") == names
    )  # rows of other goals, of an earlier form of the sweep, are left out
    signs = [1 if goal.direction == "min" else -1 for goal in sweep.search.goals]
    points = [[sign * value for sign, value in zip(signs, of_row, strict=True)] for of_row in rows["goals"].to_list()]
    whole = [row["status"] == "done" and not any(map(math.isnan, row["goals"])) for row in rows.iter_rows(named=True)]
    rivals = [point for point, done in zip(points, whole, strict=True) if done]
    front = [done and not any(_beats(q, p) for q in rivals) for p, done in zip(points, whole, strict=True)]
    shown = rows.select(
        "number", *axes, "status", "rounds", *(pl.col("goals").list.get(i).alias(n) for i, n in enumerate(names))
    )
    shown = shown.with_columns(pl.Series("front", ["yes" if best else None for best in front], dtype=pl.String))
    order = pl.Series([point[0] for point in points], dtype=pl.Float64)
    best_first = shown.with_columns(order.fill_nan(None).alias("_order")).sort("_order", "number", nulls_last=True)
    return best_first.drop("_order").with_columns(pl.col(names).fill_nan(None))


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


def lines(frame: pl.DataFrame, width: int | None, rows: int = 30) -> list[str]:
    """A frame as plain text, numbers with four digits: the roomiest form that fits into `width` (None: any does).

    No column is left out: where none fits, the terminal breaks the lines.
    """
    cells = [
        [f"{v:.4g}" if isinstance(v, float) else "" if v is None else str(v) for v in row]
        for row in frame.head(rows).iter_rows()
    ]
    whole = [[name] for name in frame.columns]
    folded = [[word.strip() for word in re.findall(r"[^._ ]+[._ ]*", name)] for name in frame.columns]
    numeric = [dtype.is_numeric() for dtype in frame.dtypes]
    forms = [_text(heads, cells, numeric, gap) for heads, gap in ((whole, "  "), (folded, "  "), (folded, " "))]
    text = next((form for form in forms if width is None or max(map(len, form)) <= width), forms[-1])
    return text + ([f"and {frame.height - rows} more"] if frame.height > rows else [])


def _text(heads: Sequence[Sequence[str]], cells: list[list[str]], numeric: Sequence[bool], gap: str) -> list[str]:
    """Headings of one or more lines, standing on the first row; numbers to the right, words to the left."""
    tallest = max(map(len, heads))
    above = [[""] * (tallest - len(head)) + list(head) for head in heads]
    table = [*zip(*above, strict=True), *cells]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        gap.join(
            word.rjust(width) if right else word.ljust(width)
            for word, width, right in zip(line, widths, numeric, strict=True)
        ).rstrip()
        for line in table
    ]


def _beats(p: list[float], q: list[float]) -> bool:
    return all(a <= b for a, b in zip(p, q, strict=True)) and any(a < b for a, b in zip(p, q, strict=True))
