"""S_i(d) of single units with its fitted Gaussian, and how well such fits do.  Redman et al. (2025), Fig. S1.

A: units of imp on natural inputs at the last round: mask, S_i(d), fit. B: mean squared residual of the fit, all
units, imp against random. Beside the paper: S(d) averaged over units, pairs within a colour and between colours
(Pellegrini & Biroli 2022). The centre S(0) is left out of the colour scale.

Expect: smaller errors for imp than for random. What would count against the paper: errors as large as random's. Note:
the error has the unit pairs^2, so it is small for any mask with few pairs, whatever its form.
"""

from __future__ import annotations

import common
import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from paper.claims import Claim, ordered

from redman import panels, pictures
from redman.panels import Table, measured
from redman.slice import NotMeasured, Slice

TITLE = "Fig. S1  Gaussians fitted to the correlation of masks"
PAPER = (
    "The correlation S_i(d) of single IMP masks looks like a two-dimensional Gaussian even where the mask does not, "
    "and the squared error of the fit is much smaller for IMP masks than for random ones."
)
ERROR = common.Measure("rf_fit_mse", ("rf_fit_mse",), "squared error", " pairs²", "lower", "better fitted")
EXAMPLES = 3
SHOWN = {"mask": "mask", "unit_correlation": "S_i(d)", "unit_fit": "fit"}
MAPS = {"correlation_same": "same colour", "correlation_different": "different colours"}


def table(of: Slice) -> Table:
    """Frames `mse` (a row per unit: value, share of units up to it) and `fits` (a row per lineage: median); pictures.

    Raises:  NotMeasured: there is nothing of all this.
    """
    frames: dict[str, pl.DataFrame] = {}
    made: dict[str, np.ndarray] = {}
    lacking = []
    try:
        errors = _errors(of)
        frames = {"mse": errors, "fits": _medians(errors)}
    except NotMeasured as missing:
        lacking.append(f"B: {missing}")
    for letter, make in (("A", _examples), ("C", _maps)):
        try:
            made |= make(of)
        except NotMeasured as missing:
            lacking.append(f"{letter}: {missing}")
    if not frames and not made:
        raise NotMeasured("; ".join(dict.fromkeys(each.split(": ", 1)[1] for each in lacking)))
    return Table(of, frames, made, tuple(lacking))


def _errors(of: Slice) -> pl.DataFrame:
    frame = of.rows("units", ["unit", "rf_fit_mse"], layer=1, round=of.last)
    frame = panels.of_sides(measured(frame, "rf_fit_mse", "measure rf_width"))
    frame = frame.filter(pl.col("method").is_in(["imp", "random"])).rename({"rf_fit_mse": "value"})
    frame = measured(frame.drop_nans("value"), "value", "units with enough inputs left for a fit")
    share = (pl.col("value").rank("ordinal") / pl.len()).over("method").alias("share")
    return frame.with_columns(share).sort("method", "share")


def _medians(frame: pl.DataFrame) -> pl.DataFrame:
    found = frame.group_by("side", "method", "seed", "round").agg(pl.col("value").median(), pl.len().alias("units"))
    return panels.spread(found, "side", "method", "round")


def _examples(of: Slice) -> dict[str, np.ndarray]:
    """`mask k`, `unit_correlation k` and `unit_fit k`, of the first units of the lowest seed."""
    names = ("unit_correlation", "unit_fit")
    frame = of.rows("images", ["name", "number", "values", "shape", "value"], method="imp", name=names)
    frame = panels.of_sides(measured(frame, "values", "measure correlation"))
    frame = frame.filter(pl.col("seed") == frame["seed"].min()).filter(pl.col("round") == pl.col("round").max())
    stored = _masks(of, frame["lineage"][0], frame["round"][0])
    found: dict[str, np.ndarray] = {}
    for number in sorted(frame["number"].unique())[:EXAMPLES]:
        maps = {row["name"]: row for row in common.part(frame, number=number).iter_rows(named=True)}
        if set(maps) == set(names):
            kept = {name: pictures.image(row["values"], row["shape"])[0] for name, row in maps.items()}
            most = pictures.off_centre(kept["unit_correlation"])
            found |= {f"{name} {number}": pictures.of_map(values, most) for name, values in kept.items()}
            unit = int(maps["unit_correlation"]["value"])
            found |= {f"mask {number}": stored[unit]} if unit in stored else {}
    return found


def _masks(of: Slice, lineage: str, round: int) -> dict[int, np.ndarray]:
    """Unit -> its mask as a picture."""
    frame = of.rows("masks", ["unit", "bits", "shape"], layer=1, lineage=lineage, round=round)
    rows = frame.drop_nulls("bits").select("unit", "bits", "shape").iter_rows()
    return {unit: pictures.of_mask(pictures.mask(bits, shape)) for unit, bits, shape in rows if len(shape) > 1}


def _maps(of: Slice) -> dict[str, np.ndarray]:
    """`correlation_same imp` and so on: the mean over units and seeds, each on its own scale."""
    frame = of.rows("images", ["name", "values", "shape"], name=tuple(MAPS))
    frame = panels.of_sides(measured(frame, "values", "measure correlation"))
    frame = frame.filter(pl.col("round") == pl.col("round").max())
    found: dict[str, np.ndarray] = {}
    for name in MAPS:
        for method in ("imp", "random"):
            rows = common.part(frame, name=name, method=method).select("values", "shape").iter_rows()
            maps = [each for pair in rows if not np.isnan(each := pictures.image(*pair)[0]).any()]
            if maps:
                mean = np.mean(maps, axis=0)
                found[f"{name} {method}"] = pictures.of_map(mean, pictures.off_centre(mean))
    return found


def claims(table: Table) -> list[Claim]:
    """Medians over units, seed by seed."""
    says = "the median squared error of the fit is smaller for imp's masks than for random ones"
    parts = [table.frame("fits", method=method) for method in ("imp", "random")]
    return [ordered(says, parts, ERROR, "needs measure rf_width of imp and random")]


def told(table: Table) -> list[str]:
    """Medians and units."""
    if "fits" not in table.frames:
        return []
    frame = table.frames["fits"]
    listed = [
        f"{method} {panels.ranged(part['value'])}"
        for method in common.in_order(frame, "method")
        if len(part := common.part(frame, method=method))
    ]
    return [f"Median over units of the squared error, mean and range over seeds: {'; '.join(listed)}."]


def caption(table: Table) -> str:
    frame, counts = table.frames.get("fits"), ""
    if frame is not None:
        counts = f"{panels.seeds(frame)}, {panels.between(frame['units'])} units with a fit per lineage; "
    return (
        f"Round {table.of.last}, natural inputs. A: the units shown first by the measure correlation, of the lowest "
        f"seed; colours from 0 to the largest value beside the centre. B: {counts}no error bars, units of all seeds "
        f"pooled. C: mean S(d) over units and seeds, each map on its own scale. {table.of.caption}"
    )


def draw(table: Table) -> Figure:
    """Examples to the left; errors and mean maps to the right."""
    figure = panels.canvas(5.4)
    left, right = figure.subfigures(1, 2, width_ratios=[1, 1.15], squeeze=False)[0]
    grid = left.subplots(EXAMPLES, 3, squeeze=False)
    for row, line in enumerate(grid):
        for axes, (name, words) in zip(line, SHOWN.items(), strict=True):
            missing = "not stored" if name == "mask" else "not measured"
            panels.shown(axes, table.pictures.get(f"{name} {row}"), missing)
            if row == 0:
                panels.titled(axes, "A" if name == "mask" else "", words)
    maps = [(name, method) for name in MAPS for method in ("imp", "random") if f"{name} {method}" in table.pictures]
    places = right.add_gridspec(2 if maps else 1, max(1, len(maps)), height_ratios=[1.9, 1] if maps else [1])
    _shares(common.plain(right.add_subplot(places[0, :])), table)
    for place, (name, method) in enumerate(maps):
        axes = panels.shown(right.add_subplot(places[1, place]), table.pictures[f"{name} {method}"])
        axes.set_title(f"{'C  ' * (place == 0)}{method}\n{MAPS[name]}", fontsize=7.5, loc="left")
    return figure


def _shares(axes: Axes, table: Table) -> None:
    """Share of units with an error up to x."""
    if "mse" not in table.frames:
        panels.shown(axes, None, "not measured: needs measure rf_width")
        return
    frame = table.frames["mse"]
    for method in common.in_order(frame, "method"):
        part = common.part(frame, method=method)
        looks = {"color": common.look(method)["color"], "label": method}
        axes.step(part["value"].to_list(), part["share"].to_list(), where="post", **looks)
    if (frame["value"] > 0).all():
        axes.set_xscale("log")
        axes.tick_params(which="both", labelsize=7)
    panels.titled(axes, "B", "error of the fit, all units")
    axes.set_xlabel("mean squared error (pairs²)", fontsize=8)
    axes.set_ylabel("share of units", fontsize=8)
    axes.legend(fontsize=8, frameon=False, loc="upper left")
