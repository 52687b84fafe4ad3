"""What the figures share: their table, reading one number per lineage, spreads over seeds, lines with bands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import common
import numpy as np
import polars as pl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from paper import parts

from redman.slice import CLONE, NATURAL, NotMeasured, Slice

DASHES = {NATURAL: "-", CLONE: (0, (4, 2))}

Table = parts.Table[Slice]
Drawn = parts.Drawn[Slice]
WIDTH_IN, canvas, titled, measured = parts.WIDTH_IN, parts.canvas, parts.titled, parts.measured
number, ranged, between = parts.number, parts.ranged, parts.between


# --- tables ----------------------------------------------------------------------------------------------------------


def of_sides(frame: pl.DataFrame, side: str = NATURAL) -> pl.DataFrame:
    """The rows of one side.

    Raises:  NotMeasured: this sweep has none of it.
    """
    found = frame.filter(pl.col("side") == side)
    if found.is_empty():
        blend = "below 1" if side == NATURAL else "= 1"
        raise NotMeasured(f"needs a trial with data.gaussian_blend {blend}, measured ({side} inputs)")
    return found


def values(of: Slice, measure: common.Measure, needs: str, methods: Sequence[str] | None = None) -> pl.DataFrame:
    """One row per lineage and round: side, method, seed, round, sparsity, value, and the spread over seeds.

    The value is the mean of the measure's columns of the table `rounds`; undefined ones (NaN) are null, to be counted.
    """
    frame = measured(of.rows("rounds", ["density", *measure.columns]), measure.columns[0], needs)
    if methods is not None:
        frame = frame.filter(pl.col("method").is_in(methods))
    value = pl.mean_horizontal(*[pl.col(name).cast(pl.Float64) for name in measure.columns], ignore_nulls=False)
    frame = frame.with_columns((1 - pl.col("density")).alias("sparsity"), value.alias("value"))
    return spread(frame.drop("density", *measure.columns), "side", "method", "round")


def spread(frame: pl.DataFrame, *by: str) -> pl.DataFrame:
    """Adds mean, low, high and seeds of `value` over the rows of a group; NaN becomes null."""
    value = pl.col("value")
    groups = [value.mean().alias("mean"), value.min().alias("low"), value.max().alias("high")]
    seeds = pl.col("seed").filter(value.is_not_null()).n_unique().alias("seeds")
    frame = frame.with_columns(value.fill_nan(None)).with_columns(each.over(by) for each in (*groups, seeds))
    return frame.sort(*by, "seed")


def attempts(
    of: Slice, makers: Mapping[str, Callable[[Slice], pl.DataFrame]]
) -> tuple[dict[str, pl.DataFrame], tuple[str, ...]]:
    """The frames that can be made, and for the others what they need.

    Raises:  NotMeasured: none can be made.
    """
    frames: dict[str, pl.DataFrame] = {}
    lacking: list[str] = []
    for name, make in makers.items():
        try:
            frames[name] = make(of)
        except NotMeasured as error:
            lacking.append(f"{name}: {error}")
    if not frames:
        raise NotMeasured("; ".join(dict.fromkeys(each.split(": ", 1)[1] for each in lacking)))
    return frames, tuple(lacking)


def seeds(frame: pl.DataFrame) -> str:
    """'3 seeds', of the rows that have a value."""
    if "value" in frame.columns:
        frame = frame.filter(pl.col("value").is_not_null())
    count = frame["seed"].n_unique() if len(frame) else 0
    return f"{count} seed{'s' if count != 1 else ''}"


# --- figures ---------------------------------------------------------------------------------------------------------


def shown(axes: Axes, picture: np.ndarray | None, otherwise: str = "") -> Axes:
    """A picture without ticks, or why there is none."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.grid(False)
    if picture is None:
        axes.text(0.5, 0.5, otherwise, ha="center", va="center", transform=axes.transAxes, fontsize=8, wrap=True)
    else:
        axes.imshow(picture, interpolation="nearest", aspect="equal")
    return axes


def bands(axes: Axes, frame: pl.DataFrame, x: str) -> dict[str, Artist]:
    """One line per method and side (natural solid, clone dashed), shaded from minimum to maximum over seeds."""
    handles: dict[str, Artist] = {}
    for method in common.in_order(frame, "method"):
        for side in (side for side in (NATURAL, CLONE) if side in frame["side"]):
            line = common.part(frame, method=method, side=side).unique("round").sort("round").drop_nulls("mean")
            if line.is_empty():
                continue
            looks = common.look(method) | {"linestyle": DASHES[side]}
            looks |= {"markerfacecolor": "white"} if side == CLONE else {}
            handles[f"{method}, {side}"] = banded(axes, line, x, looks)
    return handles


def banded(axes: Axes, line: pl.DataFrame, x: str, looks: dict[str, Any]) -> Line2D:
    """The mean as a line, shaded from `low` to `high`; gives what a legend shows."""
    at, low, high, mean = (line[name].to_list() for name in (x, "low", "high", "mean"))
    axes.fill_between(at, low, high, color=looks["color"], alpha=0.15, linewidth=0)
    axes.plot(at, mean, **looks)
    return Line2D([], [], **looks)


def legend(figure: Figure, handles: Mapping[str, Artist]) -> None:
    """One legend to the right of all panels."""
    if handles:
        figure.legend(list(handles.values()), list(handles), loc="outside right center", fontsize=8, frameon=False)
