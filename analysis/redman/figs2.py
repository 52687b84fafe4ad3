"""Masks of imp and the ICA components nearest to them.  Redman et al. (2025), Fig. S2.

A: per seed, the stored mask whose cosine is nearest to its lineage's mean, and its best component. B: largest
|cosine| of a unit's mask with any component, over units and seeds; beside the paper: with PCA components, and of
random masks (chance level).

Expect: small cosines, a median below 0.5, skewed towards small values (skewness above 0). What would count against
the paper: a median of 0.5 or more; and imp's masks matching ICA better than random masks of the same density would
say that what they share is little but not nothing (told, not judged: the paper has no chance level).
"""

from __future__ import annotations

import common
import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from paper.claims import Claim, counted

from redman import panels, pictures
from redman.panels import Table, measured
from redman.slice import NotMeasured, Slice

TITLE = "Fig. S2  Masks of IMP against independent components"
PAPER = (
    "IMP masks have little in common with ICA components: the best cosine similarity per mask is distributed over "
    "small values, so the two find largely distinct features."
)
NEEDS = "measure components"
EXAMPLES = 3
SMALL = 0.5
BINS = 25
KINDS = {"cosine_ica": ("ICA", "-"), "cosine_pca": ("PCA", ":")}


def table(of: Slice) -> Table:
    """Frames `lineages` (a row per lineage and kind: median, skewness) and `bins` (histograms); examples shown."""
    frame = of.rows("units", ["unit", "ica_component", *KINDS], layer=1, round=of.last)
    frame = panels.of_sides(measured(frame, "cosine_ica", NEEDS))
    frame = frame.filter(pl.col("method").is_in(["imp", "random"]))
    if "imp" not in frame["method"]:
        raise NotMeasured(f"needs {NEEDS} of method imp")
    long = frame.unpivot(on=list(KINDS), index=["side", "method", "seed", "round", "unit"], variable_name="kind")
    long = measured(long.drop_nulls("value").drop_nans("value"), "value", "units with enough inputs left")
    found, lacking = {}, ()
    try:
        found = _examples(of, frame.filter(pl.col("method") == "imp"))
    except NotMeasured as error:
        lacking = (f"A: {error}",)
    return Table(of, {"lineages": _lineages(long), "bins": _bins(long)}, found, lacking)


def _lineages(long: pl.DataFrame) -> pl.DataFrame:
    cosine = pl.col("value")
    numbers = [
        cosine.median().alias("value"),
        cosine.mean().alias("mean_cosine"),
        cosine.skew().alias("skewness"),
        pl.len().alias("units"),
    ]
    found = long.group_by("side", "method", "seed", "round", "kind").agg(numbers)
    return panels.spread(found, "side", "method", "round", "kind")


def _bins(long: pl.DataFrame) -> pl.DataFrame:
    """Share of units per bin, seeds pooled."""
    edges = np.linspace(0, max(float(long["value"].max()), 1e-6), BINS + 1)  # type: ignore[arg-type]
    rows = []
    for (method, kind), part in long.group_by("method", "kind", maintain_order=True):
        counts, _ = np.histogram(part["value"].to_numpy(), edges)
        for left, right, count in zip(edges[:-1], edges[1:], counts, strict=True):
            rows.append({"method": method, "kind": kind, "left": left, "right": right, "share": count / len(part)})
    return pl.DataFrame(rows).sort("method", "kind", "left")


def _examples(of: Slice, frame: pl.DataFrame) -> dict[str, np.ndarray]:
    """`mask k`, `component k`: of the k-th seed, the stored mask nearest to the mean cosine."""
    stored = of.rows("masks", ["unit", "bits", "shape"], layer=1, method="imp", round=of.last)
    stored = pictures.laid_out(measured(stored, "bits", "measure masks")).select("lineage", "unit", "bits", "shape")
    icas = of.rows("images", ["number", "values", "shape"], name="ica", method="imp").sort("round")
    icas = icas.unique(["lineage", "number"], keep="first").rename({"values": "ica", "shape": "ica_shape"})
    away = (pl.col("cosine_ica") - pl.col("cosine_ica").fill_nan(None).mean().over("lineage")).abs().alias("away")
    near = frame.with_columns(away).join(stored, on=["lineage", "unit"]).drop_nulls("ica_component").drop_nans("away")
    near = near.sort("away", "unit").unique("lineage", keep="first").sort("seed")
    both = near.join(icas, left_on=["lineage", "ica_component"], right_on=["lineage", "number"])
    found: dict[str, np.ndarray] = {}
    for place, row in enumerate(both.sort("seed").head(EXAMPLES).iter_rows(named=True)):
        name = f"seed {row['seed']}, unit {row['unit']}\ncosine {row['cosine_ica']:.2f}"
        found[f"mask {place} {name}"] = pictures.of_mask(pictures.mask(row["bits"], row["shape"]))
        found[f"component {place} {name}"] = pictures.of_component(pictures.image(row["ica"], row["ica_shape"]))
    return found


def claims(table: Table) -> list[Claim]:
    """Medians and skewness of imp's cosines with ICA."""
    frame = table.frame("lineages", method="imp", kind="cosine_ica").drop_nulls("value").sort("seed")
    medians, skews = frame["value"].to_list(), frame["skewness"].drop_nulls().drop_nans().to_list()
    lacking = "needs measure components of imp"
    return [
        counted(
            f"the median best cosine of imp's masks with ICA is below {SMALL:g}",
            [value < SMALL for value in medians],
            panels.ranged(medians),
            lacking,
        ),
        counted(
            "its distribution is skewed towards small values",
            [value > 0 for value in skews],
            f"skewness {panels.ranged(skews)}",
            lacking,
        ),
    ]


def told(table: Table) -> list[str]:
    """imp against chance, seed by seed."""
    frame, found = table.frames["lineages"], []
    for kind, (name, _) in KINDS.items():
        parts = [common.part(frame, method=method, kind=kind).drop_nulls("value") for method in ("imp", "random")]
        both = parts[0].join(parts[1], on="seed", suffix="_random")
        if len(both):
            more = int((both["value"] > both["value_random"]).sum())
            found.append(
                f"Median cosine with {name}: imp {panels.ranged(both['value'])}, random masks "
                f"{panels.ranged(both['value_random'])}; imp's is larger in {more} of {len(both)} seeds."
            )
    return found


def caption(table: Table) -> str:
    frame = table.frame("lineages", kind="cosine_ica", method="imp")
    return (
        f"Round {table.of.last}, natural inputs, {panels.seeds(frame)}, {panels.between(frame['units'])} units per "
        "lineage. A: of each seed, the stored mask whose cosine is nearest to the mean over its lineage's units "
        f"(masks are stored of the most connected ones only). B: seeds pooled, no error bars. {table.of.caption}"
    )


def draw(table: Table) -> Figure:
    """Examples, and histograms."""
    figure = panels.canvas(3.8)
    grid = figure.add_gridspec(2, EXAMPLES + 1, width_ratios=[*[1] * EXAMPLES, 2.2])
    for row, (name, words) in enumerate((("mask", "mask"), ("component", "its component"))):
        named = [key for key in table.pictures if key.startswith(name)]
        for place in range(EXAMPLES):
            key = named[place] if place < len(named) else ""
            axes = panels.shown(
                figure.add_subplot(grid[row, place]),
                table.pictures.get(key),
                "none" if table.pictures else _why(table, place),
            )
            if place == 0:
                axes.set_ylabel(words, fontsize=8)
            if row == 0:
                axes.set_title(f"{'A  ' * (place == 0)}{key.split(' ', 2)[-1]}", fontsize=8, loc="left")
    _histograms(common.plain(figure.add_subplot(grid[:, EXAMPLES])), table.frames["bins"])
    return figure


def _why(table: Table, place: int) -> str:
    return f"not measured:\n{table.lacking[0].split(': ', 1)[1]}" if table.lacking and place == 1 else ""


def _histograms(axes: Axes, frame: pl.DataFrame) -> None:
    for method in common.in_order(frame, "method"):
        for kind, (name, dashes) in KINDS.items():
            part = common.part(frame, method=method, kind=kind)
            if len(part):
                looks = {"color": common.look(method)["color"], "linestyle": dashes, "linewidth": 1.4}
                axes.stairs(
                    part["share"].to_list(),
                    [*part["left"].to_list(), part["right"][-1]],
                    label=f"{method} masks, {name}",
                    **looks,
                )
    panels.titled(axes, "B", "best match per unit")
    axes.set_xlabel("largest |cosine| of a mask with a component", fontsize=8)
    axes.set_ylabel("share of units", fontsize=8)
    axes.set_xlim(left=0)
    axes.legend(fontsize=7.5, frameon=False)
