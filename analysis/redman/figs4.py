"""Cavity score against the weight itself, at round 0 and one round before the last.  Redman et al. (2025), Fig. S4.

Two-dimensional counts over the scored first-layer weights of imp; numbers are rank correlations of the score with
the weight (its sign and size) and with its magnitude, in every seed. The Gaussian clone is a control.

Expect: no strong connection, which we read as both rank correlations within 0.5 of 0. What would count against the
paper: one beyond. Blind spot: a connection that is neither monotone in w nor in |w|. There are no counts from half
of the samples: see Fig. 5 for those.
"""

from __future__ import annotations

import common
import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from redman import panels
from redman.claims import Claim, counted
from redman.panels import Table, measured
from redman.slice import CLONE, NATURAL, NotMeasured, Slice

TITLE = "Fig. S4  Cavity score against the weight"
PAPER = "Neither a weight's sign nor its magnitude is strongly connected to its cavity score, at round 0 or at round 9."
STRONG = 0.5
SIDES = (NATURAL, CLONE)


def table(of: Slice) -> Table:
    """Frames `correlations` (a row per lineage and round) and `counts` (the lowest seed's, a row per panel)."""
    names = ["spearman", "spearman_magnitude", "x_edges", "y_edges", "counts"]
    frame = of.rows("histograms", names, name="weight_cavity", layer=1, method="imp")
    frame = measured(frame, "counts", "measure cavity of method imp")
    rounds = sorted({0, max(of.last - 1, 0)})
    frame = frame.filter(pl.col("round").is_in(rounds))
    if frame.is_empty():
        raise NotMeasured(f"needs measure cavity at {common.spans(rounds)}")
    weights = pl.col("counts").list.sum().alias("weights")
    numbers = frame.with_columns(weights).select(
        "side", "method", "seed", "round", "weights", "spearman", "spearman_magnitude"
    )
    shown = frame.filter(pl.col("seed") == pl.col("seed").min().over("side"))
    return Table(of, {"correlations": numbers.sort("side", "round", "seed"), "counts": shown.sort("side", "round")})


def claims(table: Table) -> list[Claim]:
    """Both rank correlations, natural inputs, every seed and round."""
    frame = common.part(table.frames["correlations"], side=NATURAL)
    found = []
    for column, words in (("spearman_magnitude", "magnitude |w|"), ("spearman", "value w (and so its sign)")):
        values = frame.drop_nulls(column).drop_nans(column)
        shown = "; ".join(
            f"round {round}: {panels.ranged(common.part(values, round=round)[column])}"
            for round in values["round"].unique().sort()
        )
        says = f"the score is not strongly connected to a weight's {words}: rank correlation within {STRONG:g} of 0"
        found.append(
            counted(
                says,
                [abs(rho) < STRONG for rho in values[column]],
                shown,
                "no natural inputs, or scores all equal",
                "seed-round",
            )
        )
    return found


def told(table: Table) -> list[str]:
    """The clone."""
    frame = common.part(table.frames["correlations"], side=CLONE)
    found = [
        f"with {words} {panels.ranged(common.part(frame, round=round)[column])} at round {round}"
        for column, words in (("spearman_magnitude", "|w|"), ("spearman", "w"))
        for round in frame["round"].unique().sort()
    ]
    return [f"Rank correlations on the clone: {', '.join(found)}."] if found else []


def caption(table: Table) -> str:
    frame = table.frames["correlations"]
    least = table.of.parameter("cavity", "min_fan_in")
    return (
        "First layer, method imp, the lowest seed's weights; rank correlations in the titles are means and ranges "
        f"over {panels.seeds(common.part(frame, side=NATURAL))}, no error bars. The outermost bins take what lies "
        f"beyond the axes; weights of units with fewer than {least} inputs left are not scored "
        f"({panels.between(frame['weights'])} weights per lineage and round). Counts from half of the samples are not "
        f"stored: see Fig. 5. {table.of.caption}"
    )


def draw(table: Table) -> Figure:
    """A row per side, a column per round."""
    frame = table.frames["counts"]
    sides = [side for side in SIDES if side in frame["side"]]
    rounds = frame["round"].unique().sort().to_list()
    figure = panels.canvas(3.0 * len(sides))
    grid = figure.subplots(len(sides), len(rounds), squeeze=False)
    letters = iter("ABCD")
    for side, line in zip(sides, grid, strict=True):
        for round, axes in zip(rounds, line, strict=True):
            part = common.part(frame, side=side, round=round)
            if part.is_empty():
                panels.shown(axes, None, "no scores at this round")
                continue
            _counts(figure, axes, part.row(0, named=True))
            panels.titled(axes, next(letters), f"{side}, round {round}\n{_correlations(table, side, round)}")
    return figure


def _correlations(table: Table, side: str, round: int) -> str:
    part = table.frame("correlations", side=side, round=round)
    return f"rank corr. w {panels.ranged(part['spearman'])}, |w| {panels.ranged(part['spearman_magnitude'])}"


def _counts(figure: Figure, axes: Axes, row: dict) -> None:
    x, y = row["x_edges"], row["y_edges"]
    counts = np.array(row["counts"]).reshape(len(x) - 1, len(y) - 1)
    common.plain(axes).grid(False)
    drawn = axes.pcolormesh(
        x, y, np.ma.masked_equal(counts, 0).T, norm=LogNorm(1, max(2, counts.max())), cmap="viridis"
    )
    axes.axhline(0, color="0.4", linewidth=0.8)
    axes.axvline(0, color="0.4", linewidth=0.8)
    axes.set_xlabel("weight at theta(rewind)", fontsize=8)
    axes.set_ylabel("cavity score", fontsize=8)
    bar = figure.colorbar(drawn, ax=axes, pad=0.02)
    bar.set_label("weights", fontsize=7)
    bar.ax.tick_params(labelsize=7)
