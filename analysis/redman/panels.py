"""What the figures share: their table, reading one number per lineage, spreads over seeds, lines with bands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import common
import numpy as np
import polars as pl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from redman.claims import Claim
from redman.slice import CLONE, NATURAL, NotMeasured, Slice

WIDTH_IN = 11.0  # of every picture, so that they stack
DASHES = {NATURAL: "-", CLONE: (0, (4, 2))}


@dataclass(frozen=True)
class Table:
    """A figure's numbers: a frame per panel, pictures as they are shown (row, col, rgb), and what it lacks in words."""

    of: Slice
    frames: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    pictures: Mapping[str, np.ndarray] = field(default_factory=dict)
    lacking: tuple[str, ...] = ()

    def frame(self, panel: str, /, **values: object) -> pl.DataFrame:
        """Rows of a panel with these values; empty where there is no such panel."""
        found = self.frames.get(panel)
        if found is None:
            return pl.DataFrame()
        return common.part(found, **values) if values else found

    @property
    def csv(self) -> pl.DataFrame:
        """All frames under one another, without pictures."""
        parts = [frame.with_columns(pl.lit(name).alias("panel")) for name, frame in self.frames.items()]
        return pl.concat(parts, how="diagonal_relaxed") if parts else pl.DataFrame({"panel": []})


class Drawn(Protocol):
    """The members of a figure's file."""

    @property
    def TITLE(self) -> str: ...
    @property
    def PAPER(self) -> str: ...

    def table(self, of: Slice) -> Table: ...
    def claims(self, table: Table) -> list[Claim]: ...
    def told(self, table: Table) -> list[str]: ...
    def caption(self, table: Table) -> str: ...
    def draw(self, table: Table) -> Figure: ...


# --- tables ----------------------------------------------------------------------------------------------------------


def measured(frame: pl.DataFrame, column: str, needs: str) -> pl.DataFrame:
    """The rows in which a column was measured (NaN included).

    Raises:  NotMeasured: there are none.
    """
    found = frame.filter(pl.col(column).is_not_null())
    if found.is_empty():
        raise NotMeasured(f"needs {needs}")
    return found


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


def between(values: pl.Series) -> str:
    """'12', or '10 to 12'."""
    low, high = values.min(), values.max()
    return f"{low}" if low == high else f"{low} to {high}"


def number(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, (int, float)) and value == value else "undefined"


def ranged(values: Sequence[float | None] | pl.Series) -> str:
    """'2.1 (1.8 to 2.3)': mean and range over seeds."""
    known = [value for value in values if value is not None and value == value]
    if not known:
        return "undefined"
    mean = number(sum(known) / len(known))
    return mean if len(known) == 1 else f"{mean} ({number(min(known))} to {number(max(known))})"


# --- figures ---------------------------------------------------------------------------------------------------------


def canvas(height: float) -> Figure:
    """An empty figure of the common width."""
    return common.blank(WIDTH_IN, height)


def titled(axes: Axes, letter: str, words: str) -> Axes:
    """A panel's letter and words above it."""
    axes.set_title(f"{letter}  {words}", fontsize=9, loc="left")
    return axes


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
