"""ICA and PCA components of the inputs, and how local they are.  Redman et al. (2025), Fig. 2 and Appendix B.

With p the share of a component's squared weight at each pixel (summed over channels), two measures without a fit:

    spread_px = sqrt(sum p |z - c|^2 / 2), c = sum p z         area = 1 / (P sum p^2), P pixels

A flat field of side L has sqrt((L^2 - 1)/12) and 1; a single pixel 0 and 1/P; a cosine along one axis has an area of
2/3. Lineages on one draw of the data share their components: equal sets count once.

Expect: ICA below PCA in both, on natural inputs; and ICA of natural inputs below ICA of the clone, in which there is
nothing to find (control, not in the paper). What would count against the paper: ICA as spread out as PCA, or ICA of
the clone as local as that of the data.
"""

from __future__ import annotations

import hashlib
from typing import Any

import common
import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from paper.claims import Claim, counted

from redman import panels, pictures
from redman.panels import Table, measured
from redman.slice import CLONE, NATURAL, Slice

TITLE = "Fig. 2  Independent and principal components of the inputs"
PAPER = (
    "FastICA of the 50,000 held-out images (64 components) extracts features many of which are local; PCA, which "
    "only knows the covariance, extracts periodic ones that fill the image."
)
NEEDS = "measure components"
MOST = 64
MOST_STEPS = 500  # of FastICA in the measure; as many mean that it did not converge
KINDS = {"ica": "#009E73", "pca": "#CC79A7"}
MEASURES = {"spread_px": "spread (px)", "area": "area (share of all pixels)"}


def table(of: Slice) -> Table:
    """Frame `components`: a row per distinct component; mosaics `ica` and `pca` of the first natural set."""
    frame = of.rows("images", ["name", "number", "values", "shape", "value"], name=tuple(KINDS))
    frame = pictures.laid_out(measured(frame, "values", NEEDS))
    frame = _distinct(frame.filter(pl.col("round") == pl.col("round").min().over("lineage")))
    local = [_local(pictures.image(*pair)) for pair in frame.select("values", "shape").iter_rows()]
    numbers = pl.DataFrame(
        local, schema={"spread_px": pl.Float64, "area": pl.Float64, "flat_px": pl.Float64}, orient="row"
    )
    frame = pl.concat([frame, numbers], how="horizontal")
    first = panels.of_sides(frame).filter(pl.col("set") == 0)
    mosaics = {kind: _mosaic(first.filter(pl.col("name") == kind)) for kind in KINDS if kind in first["name"]}
    frames = {"components": _placed(frame.drop("values", "shape"))}
    steps = of.rows("rounds", ["ica_steps"], lineage=tuple(frame["lineage"].unique())).drop_nulls("ica_steps")
    return Table(of, frames | {"steps": steps.unique("lineage", keep="first")}, mosaics)


def _placed(frame: pl.DataFrame) -> pl.DataFrame:
    """Adds, per measure, the median of a side's kind and where a dot lies beside its group's place."""
    group = ["side", "name"]
    for column in MEASURES:
        known = pl.col(column).fill_nan(None)
        share = (known.rank("ordinal") - 1) / (known.count() - 1).clip(1)
        places = [
            known.median().over(group).alias(f"{column}_median"),
            (0.6 * share - 0.3).over(group).alias(f"{column}_beside"),
        ]
        frame = frame.with_columns(places)
    return frame


def _distinct(frame: pl.DataFrame) -> pl.DataFrame:
    """One row per component and distinct set of a side; `set` is its place among them, `lineages` how many share it."""
    prints = [hashlib.sha1(values).hexdigest() for values in frame["values"]]
    frame = frame.with_columns(pl.Series("print", prints, dtype=pl.String))
    frame = frame.sort("side", "seed", "method", "name", "number")
    sets = frame.group_by("side", "lineage", maintain_order=True).agg(pl.col("print").str.join(",").alias("all"))
    same = pl.col("all").rank("dense").over("side").alias("same")
    sets = sets.with_columns(same, pl.int_range(pl.len()).alias("order"))
    first = pl.col("order").min().over("side", "same")
    sets = sets.with_columns(
        (first.rank("dense").over("side") - 1).cast(pl.Int64).alias("set"),
        pl.len().over("side", "same").alias("lineages"),
        (pl.col("order") == first).alias("kept"),
    )
    return frame.join(sets.filter("kept").select("lineage", "set", "lineages"), on="lineage").drop("print")


def _local(values: np.ndarray) -> tuple[float, float, float]:
    """spread_px, area, and the spread of a flat field of this size."""
    p = (values**2).sum(axis=0)
    if not p.sum() > 0:
        return float("nan"), float("nan"), float("nan")
    p = p / p.sum()
    y, x = np.indices(p.shape)
    variance = sum(float((p * z**2).sum() - (p * z).sum() ** 2) for z in (x, y)) / 2
    flat = sum(side**2 - 1 for side in p.shape) / 24
    return max(variance, 0.0) ** 0.5, float(1 / (p.size * (p**2).sum())), flat**0.5


def _mosaic(frame: pl.DataFrame) -> np.ndarray:
    rows = frame.sort("number").head(MOST).select("values", "shape").iter_rows()
    tiles = [pictures.of_component(pictures.image(*pair)) for pair in rows]
    return pictures.mosaic(tiles, pictures.per_line(len(tiles), 1.0))


def claims(table: Table) -> list[Claim]:
    """ICA against PCA by both measures; ICA of the data against ICA of the clone."""
    found = []
    for column, words in (("spread_px", "spread out"), ("area", "extended (area)")):
        medians = _medians(table, column)
        both = [sides for sides in medians[NATURAL].values() if set(KINDS) <= set(sides)]
        held = [sides["ica"] < sides["pca"] for sides in both]
        says = f"ICA components are less {words} than PCA components"
        found.append(counted(says, held, _listed(both), "needs both kinds of components", "distinct set"))
    clone = [sides["ica"] for sides in _medians(table, "area")[CLONE].values() if "ica" in sides]
    if clone:
        data = [sides["ica"] for sides in _medians(table, "area")[NATURAL].values() if "ica" in sides]
        held = [each < min(clone) for each in data]
        says = "the data's ICA components are less extended (area) than the Gaussian clone's (control)"
        shown = f"median {panels.ranged(data)} against {panels.ranged(clone)}"
        found.append(counted(says, held, shown, what="distinct set"))
    return found


def _listed(sides: list[dict[str, float]]) -> str:
    parts = (f"{kind.upper()} {panels.ranged([each[kind] for each in sides])}" for kind in KINDS)
    return f"medians {', '.join(parts)}" if sides else ""


def _medians(table: Table, column: str) -> dict[str, dict[int, dict[str, float]]]:
    """Side -> set -> kind -> median over components."""
    frame = table.frames["components"].filter(pl.col(column).is_not_nan())
    found: dict[str, dict[int, dict[str, float]]] = {NATURAL: {}, CLONE: {}}
    for row in frame.group_by("side", "set", "name").agg(pl.col(column).median()).sort("set").iter_rows(named=True):
        found[row["side"]].setdefault(row["set"], {})[row["name"]] = row[column]
    return found


def told(table: Table) -> list[str]:
    """Most local components, the scale, and the kurtosis of the projections."""
    frame = table.frame("components", side=NATURAL, set=0)
    found = [
        f"A flat field of these images has a spread of {panels.number(frame['flat_px'].max())} px and an area of 1."
    ]
    for kind in (kind for kind in KINDS if kind in frame["name"]):
        part = frame.filter(pl.col("name") == kind)
        half = int((part["spread_px"] < 0.5 * part["flat_px"]).sum())
        sentence = f"{half} of {len(part)} {kind.upper()} components have less than half of a flat field's spread"
        given = part["value"].drop_nulls().drop_nans()
        if kind == "ica" and len(given):
            sentence += f"; the kurtosis of their projections has the median {panels.number(given.median())}"
        found.append(f"{sentence}.")
    unfinished = table.frames["steps"].filter(pl.col("ica_steps") >= MOST_STEPS)["side"].unique().sort().to_list()
    return [
        *found,
        *(f"FastICA did not converge on {side} inputs: its components there are of no account." for side in unfinished),
    ]


def caption(table: Table) -> str:
    frame = table.frames["components"]
    sets = {side: common.part(frame, side=side) for side in (NATURAL, CLONE)}
    listed = ", ".join(
        f"{part['set'].n_unique()} of {side} inputs (from {part.unique('set')['lineages'].sum()} lineages)"
        for side, part in sets.items()
        if len(part)
    )
    count = max(len(common.part(frame, side=NATURAL, set=0, name=kind)) for kind in KINDS)
    return (
        f"Distinct sets of components: {listed}; lineages on the same data share them, and a set counts once. A, B: "
        f"the first {min(MOST, count)} of {count} components of each kind, first natural set; the sign is arbitrary, "
        f"zero is grey. C, D: each dot is a component, bars are medians. No error bars. {table.of.caption}"
    )


def draw(table: Table) -> Figure:
    """Two mosaics, and both measures of every component."""
    figure = panels.canvas(4.2)
    grid = figure.add_gridspec(1, 4, width_ratios=[1.25, 1.25, 0.8, 0.8])
    for letter, kind, place in (("A", "ica", 0), ("B", "pca", 1)):
        axes = panels.shown(figure.add_subplot(grid[place]), table.pictures.get(kind), "no components")
        panels.titled(axes, letter, f"{kind.upper()}, natural inputs")
    for letter, column, place in (("C", "spread_px", 2), ("D", "area", 3)):
        axes = common.plain(figure.add_subplot(grid[place]))
        _dots(axes, table, column)
        panels.titled(axes, letter, MEASURES[column])
    return figure


def _dots(axes: Axes, table: Table, column: str) -> None:
    frame = table.frames["components"].drop_nans(column)
    groups = [(side, kind) for side in (NATURAL, CLONE) for kind in KINDS]
    groups = [pair for pair in groups if len(common.part(frame, side=pair[0], name=pair[1]))]
    for place, (side, kind) in enumerate(groups):
        part = common.part(frame, side=side, name=kind).with_columns(pl.lit(float(place)).alias("at"))
        looks: dict[str, Any] = (
            {"color": KINDS[kind]} if side == NATURAL else {"facecolors": "none", "edgecolors": KINDS[kind]}
        )
        axes.scatter(
            (part["at"] + part[f"{column}_beside"]).to_list(), part[column].to_list(), s=9, linewidths=0.7, **looks
        )
        axes.plot(place, part[f"{column}_median"][0], marker="_", color="black", markersize=20, markeredgewidth=1.5)
    axes.set_xticks(range(len(groups)), [f"{kind.upper()}\n{side}" for side, kind in groups], fontsize=7)
    axes.set_ylim(bottom=0)
    axes.set_ylabel(MEASURES[column], fontsize=8)
