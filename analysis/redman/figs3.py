"""Kurtosis of second-layer preactivations against sparsity.  Redman et al. (2025), Fig. S3, eq. 7.

Mean over classes and units of the second hidden layer, as Fig. 4B is of the first. Where layer 2 has RF widths (its
masks multiplied back to the input), they are a second panel, not in the paper.

Expect: imp's kurtosis moves away from 3 with pruning, is largest before the last round or then (a plateau), no later
than the first layer's, and falls slightly after. What would count against the paper: no rise, a maximum after the
first layer's, or random pruning that rises as imp does (control: then it is sparsity alone).
"""

from __future__ import annotations

from contextlib import suppress

import common
import polars as pl
from matplotlib.figure import Figure
from paper.claims import Claim, counted

from redman import courses, panels
from redman.panels import Table, measured
from redman.slice import CLONE, NATURAL, NotMeasured, Slice

TITLE = "Fig. S3  Kurtosis of second-layer preactivations against sparsity"
PAPER = (
    "With IMP the kurtosis of second-layer preactivations rises over rounds too, levels off earlier than the first "
    "layer's, and falls slightly at the highest sparsity."
)
NEEDS = "measure kurtosis, and networks with two hidden layers"
COLUMNS = {
    "kurtosis": ("kurtosis_per_class", "kurtosis per class\nlayer 2, mean over units", NEEDS),
    "width": ("rf_width_x_px", "RF width σx (px)\nlayer 2, mean over units", "measure rf_width with layers [1, 2]"),
}


def table(of: Slice) -> Table:
    """Frames `kurtosis` of layer 2, `first`, that of layer 1, and `width` of layer 2 where it was measured."""
    # Kurtosis is measured of hidden layers only: the output layer is never taken for a second one.
    frames = {"kurtosis": _layer(of, 2, "kurtosis"), "first": _layer(of, 1, "kurtosis")}
    with suppress(NotMeasured):
        frames["width"] = _layer(of, 2, "width")
    return Table(of, frames)


def _layer(of: Slice, layer: int, name: str) -> pl.DataFrame:
    """A row per lineage and round: the mean over units of a layer (undefined ones left out), and how many they are."""
    column, _, needs = COLUMNS[name]
    units = measured(of.rows("units", ["unit", column], layer=layer), column, needs)
    known = pl.col(column).fill_nan(None)
    keys = ["lineage", "side", "method", "seed", "round"]
    found = units.group_by(keys).agg(known.mean().alias("value"), known.count().alias("units"))
    sparsity = of.rows("rounds", ["density"]).select("lineage", "round", (1 - pl.col("density")).alias("sparsity"))
    return panels.spread(found.join(sparsity, on=["lineage", "round"]), "side", "method", "round")


def claims(table: Table) -> list[Claim]:
    """Rise, plateau and end of imp on natural inputs, and random pruning as a control."""
    imp, first = _away(table, "kurtosis", "imp"), _away(table, "first", "imp")
    rises = [values[-1] - values[0] for values in imp.values()]
    both = sorted(set(imp) & set(first))
    peaks = [[of[seed].index(max(of[seed])) for seed in both] for of in (imp, first)]
    earlier = [0 < second <= other for second, other in zip(*peaks, strict=True)]
    at = f"at round {panels.ranged(peaks[0])} against {panels.ranged(peaks[1])}" if both else ""
    by, needs = (f"by {panels.ranged(rises)}" if rises else ""), "needs imp on natural inputs over two rounds"
    falls = [values[0] < max(values) > values[-1] for values in imp.values()]
    return [
        counted(
            "imp's kurtosis of layer 2 ends further from 3 than it starts", [rise > 0 for rise in rises], by, needs
        ),
        counted("it is largest after round 0 and no later than the first layer's", earlier, at, needs),
        counted("it rises first and falls after its largest value", falls, "", needs),
        _beyond_random(imp, _away(table, "kurtosis", "random")),
    ]


def _away(table: Table, name: str, method: str) -> dict[int, list[float]]:
    """Distance from 3 round by round, per seed, on natural inputs."""
    found = courses.of_seeds(table.frames[name], method)
    return {seed: [abs(value - 3) for value in values] for seed, values in found.items()}


def _beyond_random(imp: dict[int, list[float]], random: dict[int, list[float]]) -> Claim:
    """Sparsity alone, as random pruning has it, against imp."""
    both = sorted(set(imp) & set(random))
    rises = [[of[seed][-1] - of[seed][0] for seed in both] for of in (imp, random)]
    held = [ours > 0 and others < 0.5 * ours for ours, others in zip(*rises, strict=True)]
    says = "random's moves away from 3 by less than half as much (control)"
    return counted(says, held, f"by {panels.ranged(rises[1])}" if both else "", "needs random pruning")


def told(table: Table) -> list[str]:
    """First, largest and last value of each method."""
    frame, found = table.frames["kurtosis"], []
    for method in common.in_order(frame, "method"):
        for side in (NATURAL, CLONE):
            line = common.part(frame, method=method, side=side).unique("round").sort("round").drop_nulls("mean")
            if len(line):
                top = line.sort((pl.col("mean") - 3).abs(), descending=True).row(0, named=True)
                ends = f"{panels.number(line['mean'][0])} to {panels.number(line['mean'][-1])}"
                found.append(
                    f"{method}, {side}: {ends}, furthest from 3 at round {top['round']} ({panels.number(top['mean'])})"
                )
    return [f"Mean over seeds of the kurtosis of layer 2: {'; '.join(found)}."]


def caption(table: Table) -> str:
    frame, trial = table.frames["kurtosis"], table.of.trial
    pruned = trial is None or 2 in trial.prune.pruned_layers(trial.net.layers)
    kept = "" if pruned else " Layer 2 itself is not pruned in this sweep."
    return (
        f"{panels.between(frame['units'])} units per lineage. Lines: mean over {panels.seeds(frame)}; shaded: minimum "
        f"and maximum. Natural inputs solid, clone dashed; dotted line: 3, a Gaussian.{kept} {table.of.caption}"
    )


def draw(table: Table) -> Figure:
    """A panel per measure of layer 2."""
    figure = panels.canvas(3.4)
    names = [name for name in COLUMNS if name in table.frames]
    handles = {}
    for name, axes in zip(names, figure.subplots(1, len(names), squeeze=False)[0], strict=True):
        common.plain(axes)
        if name == "kurtosis":
            axes.axhline(3, color="0.55", linewidth=0.8, linestyle=":")
        handles |= panels.bands(axes, table.frames[name], "sparsity")
        axes.set_xlabel("sparsity (share of weights gone)", fontsize=8)
        axes.set_ylabel(COLUMNS[name][1], fontsize=8)
    panels.legend(figure, handles)
    return figure
