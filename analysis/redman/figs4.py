"""Cavity score against the weight itself, at round 0 and one round before the last.  Redman et al. (2025), Fig. S4.

Two-dimensional counts over the scored first-layer weights of imp; numbers are rank correlations of the score with
the weight (its sign and size) and with its magnitude, in every seed. Two controls: the Gaussian clone, and beside each
panel the same from half of the inputs.

Expect: no strong connection, which we read as both rank correlations within 0.5 of 0. What would count against the
paper: one beyond, from all inputs and from half of them alike. Blind spot: a connection that is neither monotone in w
nor in |w|.
"""

from __future__ import annotations

import common
import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from paper.claims import Claim, counted

from redman import panels
from redman.panels import Table, measured
from redman.slice import CLONE, NATURAL, NotMeasured, Slice

TITLE = "Fig. S4  Cavity score against the weight"
PAPER = "Neither a weight's sign nor its magnitude is strongly connected to its cavity score, at round 0 or at round 9."
STRONG = 0.5
SIDES = (NATURAL, CLONE)
ALL, HALF = "all inputs", "half of the inputs"
NAMES = {ALL: "weight_cavity", HALF: "weight_cavity_half"}  # sample -> name in the table `histograms`


def table(of: Slice) -> Table:
    """Frames `correlations` (a row per lineage, round and sample) and `counts` (the lowest seed's, a row per panel)."""
    names = ["name", "spearman", "spearman_magnitude", "x_edges", "y_edges", "counts"]
    frame = of.rows("histograms", names, name=tuple(NAMES.values()), layer=1, method="imp")
    frame = measured(frame, "counts", "measure cavity of method imp")
    samples = {name: sample for sample, name in NAMES.items()}
    frame = frame.with_columns(pl.col("name").replace_strict(samples, return_dtype=pl.String).alias("sample"))
    rounds = sorted({0, max(of.last - 1, 0)})
    frame = frame.filter(pl.col("round").is_in(rounds))
    if common.part(frame, sample=ALL).is_empty():
        raise NotMeasured(f"needs measure cavity at {common.spans(rounds)}")
    weights = pl.col("counts").list.sum().alias("weights")
    numbers = frame.with_columns(weights).select(
        "side", "method", "seed", "round", "sample", "weights", "spearman", "spearman_magnitude"
    )
    shown = frame.drop("name").filter(pl.col("seed") == pl.col("seed").min().over("side"))
    keys = ["side", "round", "sample"]
    return Table(of, {"correlations": numbers.sort(*keys, "seed"), "counts": shown.sort(keys)})


def claims(table: Table) -> list[Claim]:
    """Both rank correlations, all natural inputs, every seed and round."""
    frame = common.part(table.frames["correlations"], side=NATURAL, sample=ALL)
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
    """The controls: the clone, and half of the inputs."""
    controls = {(NATURAL, HALF): "natural, half of the inputs", (CLONE, ALL): "clone", (CLONE, HALF): "clone, half"}
    found = []
    for (side, sample), name in controls.items():
        frame = common.part(table.frames["correlations"], side=side, sample=sample)
        listed = [
            f"with {words} {panels.ranged(common.part(frame, round=round)[column])} at round {round}"
            for column, words in (("spearman_magnitude", "|w|"), ("spearman", "w"))
            for round in frame["round"].unique().sort()
        ]
        found += [f"Rank correlations, {name}: {', '.join(listed)}."] if listed else []
    return found


def caption(table: Table) -> str:
    frame = table.frames["correlations"]
    least = table.of.parameter("cavity", "min_fan_in")
    half = (
        "Right of each panel, the control: the same weights scored from half of the inputs, on the same axes."
        if HALF in frame["sample"]
        else "The control, counts from half of the inputs, is not stored (measure cavity with half: true)."
    )
    return (
        "First layer, method imp, the lowest seed's weights; rank correlations in the titles are means and ranges "
        f"over {panels.seeds(common.part(frame, side=NATURAL))}, no error bars. {half} The outermost bins take all "
        f"that lies beyond; weights of units with fewer than {least} inputs left are not scored "
        f"({panels.between(frame['weights'])} weights per lineage and round). {table.of.caption}"
    )


def draw(table: Table) -> Figure:
    """A row per side; per round a column from all inputs and one from half of them."""
    frame = table.frames["counts"]
    sides = [side for side in SIDES if side in frame["side"]]
    columns = [(round, sample) for round in frame["round"].unique().sort() for sample in NAMES]
    figure = panels.canvas(3.1 * len(sides))
    grid = figure.subplots(len(sides), len(columns), squeeze=False)
    letters = iter("ABCDEFGH")
    for side, line in zip(sides, grid, strict=True):
        for (round, sample), axes in zip(columns, line, strict=True):
            pair = common.part(frame, side=side, round=round)
            part = common.part(pair, sample=sample)
            words = f"{side}, round {round}\n{sample}"
            if part.is_empty():
                panels.shown(axes, None, "not stored")
            else:
                _counts(figure, axes, part.row(0, named=True))
                axes.set_xlim(*_ends(pair["x_edges"]))
                axes.set_ylim(*_ends(pair["y_edges"]))
                words += f"\n{_correlations(table, side, round, sample)}"
            panels.titled(axes, next(letters), words)
    return figure


def _ends(edges: pl.Series) -> tuple[float, float]:
    """What holds all edges of a round's panels, so that scores that shrink with the sample are seen to."""
    return min(edges.list.min()), max(edges.list.max())


def _correlations(table: Table, side: str, round: int, sample: str) -> str:
    part = table.frame("correlations", side=side, round=round, sample=sample)
    return f"corr. w {_ranged(part['spearman'])}\ncorr. |w| {_ranged(part['spearman_magnitude'])}"


def _ranged(values: pl.Series) -> str:
    """Mean and range over seeds, short enough to stand above a panel."""
    known = values.drop_nulls().drop_nans().to_list()
    if not known:
        return "undefined"
    mean = f"{sum(known) / len(known):.2f}"
    return mean if len(known) == 1 else f"{mean} ({min(known):.2f} to {max(known):.2f})"


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
