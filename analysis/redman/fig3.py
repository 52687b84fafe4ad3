"""IMP on natural inputs against IMP on their Gaussian clone: samples, masks, RF widths.  Redman et al. (2025), Fig. 3.

C: median over units of the RF width sigma_x, at the last round; the paper draws imp, oneshot and random are controls.

Expect: imp narrower on natural inputs than on the clone. What would count against the paper: equal widths; and,
since its clone masks "contain no obvious structure", imp on the clone narrower than random masks there (control, not
in the paper).
"""

from __future__ import annotations

from typing import Any

import common
import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from paper.claims import Claim, ordered

from redman import masks_of, panels, pictures
from redman.panels import Table, measured
from redman.slice import CLONE, NATURAL, NotMeasured, Slice

TITLE = "Fig. 3  IMP on a Gaussian clone of the inputs"
PAPER = (
    "Trained on a Gaussian clone of ImageNet32 (same mean and covariance), IMP finds no local fields: its masks look "
    "diffuse, and their median RF width is much larger than on ImageNet32."
)
WIDTH = common.Measure(
    "rf_width_x_px", ("rf_width_x_px_median",), "RF width σx (px)\nmedian over units", " px", "lower", "narrower"
)
CLUSTERING = common.Measure("clustering", ("clustering_mean",), "clustering", "", "higher", "more clustered", 1.0)
SIDES = (NATURAL, CLONE)


def table(of: Slice) -> Table:
    """Frames `widths` and `clustering` (a row per lineage, last round); pictures `samples` and `masks` of each side."""
    frames, lacking = panels.attempts(of, {"widths": _widths, "clustering": _clustering})
    if "widths" not in frames:
        raise NotMeasured("needs measure rf_width")
    made: dict[str, np.ndarray] = {}
    for name, make in (("samples", _samples), ("masks", _masks)):
        try:
            made |= {f"{name} {side}": picture for side, picture in make(of).items()}
        except NotMeasured as error:
            lacking = (*lacking, f"{name}: {error}")
    optional = tuple(each for each in lacking if not each.startswith("clustering"))
    return Table(of, frames, made, optional)


def _widths(of: Slice) -> pl.DataFrame:
    frame = panels.values(of, WIDTH, "measure rf_width")
    counted = of.rows("rounds", ["units_counted"]).select("lineage", "round", "units_counted")
    return _last(frame.join(counted, on=["lineage", "round"]), of)


def _clustering(of: Slice) -> pl.DataFrame:
    return _last(panels.values(of, CLUSTERING, "measure clustering"), of)


def _last(frame: pl.DataFrame, of: Slice) -> pl.DataFrame:
    found = frame.filter(pl.col("round") == of.last)
    if found.is_empty():
        raise NotMeasured(f"nothing measured at round {of.last}")
    return found


def _samples(of: Slice) -> dict[str, np.ndarray]:
    """Samples of both sides, on one scale: 1st to 99th percentile of all that are shown."""
    frame = of.rows("images", ["name", "number", "values", "shape"], name="sample", round=0)
    frame = pictures.laid_out(measured(frame, "values", "measure inputs"))
    tiles = {}
    for side in SIDES:
        part = frame.filter(pl.col("side") == side).sort("seed", "method", "number")
        rows = part.unique(["side", "number"], keep="first", maintain_order=True).select("values", "shape").iter_rows()
        tiles[side] = [pictures.image(*pair) for pair in rows]
    low, high = np.quantile(np.concatenate([tile.ravel() for part in tiles.values() for tile in part]), (0.01, 0.99))
    shown = {side: [pictures.of_floats(tile, low, high) for tile in part] for side, part in tiles.items() if part}
    return {side: pictures.mosaic(part, 4) for side, part in shown.items()}


def _masks(of: Slice) -> dict[str, np.ndarray]:
    frame = masks_of.stored(of)
    found = {side: masks_of.mosaic(frame, "imp", side) for side in SIDES}
    return {side: picture for side, picture in found.items() if picture is not None}


def claims(table: Table) -> list[Claim]:
    """Natural against clone; imp on the clone against random there; the same of clustering where it was measured."""
    no_clone = "needs imp trials with data.gaussian_blend 0 and 1"
    says = "imp's median RF width is narrower on natural inputs than on the clone"
    found = [ordered(says, _sides(table, "widths"), WIDTH, no_clone)]
    says = "on the clone imp's fields are no narrower than random masks' (control: 'no structure')"
    found.append(_not_better(says, [table.frame("widths", side=CLONE, method=method) for method in ("imp", "random")]))
    if "clustering" in table.frames:
        says = "imp's masks are more clustered on natural inputs than on the clone (no fit)"
        found.append(ordered(says, _sides(table, "clustering"), CLUSTERING, no_clone))
    return found


def _sides(table: Table, name: str) -> list[pl.DataFrame]:
    return [table.frame(name, side=side, method="imp") for side in SIDES]


def _not_better(says: str, parts: list[pl.DataFrame]) -> Claim:
    pairs = common.paired(parts, WIDTH) if all(len(part) for part in parts) else None
    if pairs is None:
        return Claim(says, lacking="needs imp and random on the clone")
    return Claim(says, pairs.seeds - pairs.lower, pairs.seeds, common.gap(pairs, WIDTH))


def told(table: Table) -> list[str]:
    """Widths per side and method."""
    found = []
    for name, words in (("widths", "Median RF width in px"), ("clustering", "Clustering relative to chance")):
        if name in table.frames:
            frame = table.frames[name]
            listed = [
                f"{method} {panels.ranged(part['value'])}, {side}"
                for method in common.in_order(frame, "method")
                for side in SIDES
                if len(part := common.part(frame, method=method, side=side))
            ]
            found.append(f"{words}, mean and range over seeds: {'; '.join(listed)}.")
    return found


def caption(table: Table) -> str:
    frame = table.frames["widths"]
    gone = panels.number(100 * float(np.mean(frame["sparsity"].to_numpy())))
    counted = frame["units_counted"].drop_nulls()
    units = f"{panels.between(counted)} units per lineage have a width" if len(counted) else "units not counted"
    undefined = int(frame["value"].null_count())
    missing = f" {undefined} lineages have no width (too few inputs left in every unit)." if undefined else ""
    return (
        f"Round {table.of.last}, {gone} % of the weights gone. A: held-out inputs, the same scale on both sides. B: "
        f"imp masks of the lowest seed. C: bars are means over {panels.seeds(frame)}, error bars minimum and maximum, "
        f"dots single lineages; {units}.{missing} {table.of.caption}"
    )


def draw(table: Table) -> Figure:
    """Samples and masks of both sides, and bars."""
    figure = panels.canvas(4.6)
    grid = figure.add_gridspec(2, 3, width_ratios=[1.5, 1.5, 1.5])
    lacking = dict(each.split(": ", 1) for each in table.lacking)
    for row, side in enumerate(SIDES):
        for column, (letter, name) in enumerate((("A", "samples"), ("B", "masks"))):
            words = f"not measured:\n{lacking.get(name, f'no {name} of {side} inputs')}"
            axes = panels.shown(figure.add_subplot(grid[row, column]), table.pictures.get(f"{name} {side}"), words)
            panels.titled(axes, letter if row == 0 else "", f"{'imp ' * (name == 'masks')}{name}, {side}")
    axes = common.plain(figure.add_subplot(grid[:, 2]))
    _bars(axes, table.frames["widths"])
    panels.titled(axes, "C", "median RF width, last round")
    return figure


_BOX = {"facecolor": "white", "edgecolor": "none", "pad": 1, "alpha": 0.85}
_NAMED: dict[str, Any] = {"textcoords": "offset points", "rotation": 90, "fontsize": 7, "zorder": 5, "bbox": _BOX}
_NAMED |= {"ha": "center", "va": "bottom"}


def _bars(axes: Axes, frame: pl.DataFrame) -> None:
    """A group per method: natural filled, clone hatched."""
    methods = common.in_order(frame, "method")
    for place, method in enumerate(methods):
        for at, side in ((place - 0.2, NATURAL), (place + 0.2, CLONE)):
            part = common.part(frame, method=method, side=side).drop_nulls("value")
            if part.is_empty():
                continue
            colour = common.look(method)["color"]
            hatched = {"facecolor": "white", "edgecolor": colour, "hatch": "////"}
            looks: dict[str, Any] = hatched if side == CLONE else {"color": colour, "alpha": 0.75}
            axes.bar(at, part["mean"][0], width=0.36, **looks)
            axes.vlines(at, part["low"][0], part["high"][0], color="0.35", linewidth=1.6, zorder=3)
            axes.scatter([at] * len(part), part["value"].to_list(), s=14, color="white", edgecolors="black", zorder=4)
            axes.annotate(side, (at, 0), (0, 3), **_NAMED)
    axes.set_xticks(range(len(methods)), methods)
    axes.set_ylabel(WIDTH.label, fontsize=8)
