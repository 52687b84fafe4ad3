"""Masks of imp and the ICA components nearest to them.  Redman et al. (2025), Fig. S2.

A: per seed, the stored mask whose cosine is nearest to its lineage's mean, and its best component. B: largest |cosine| of a unit's mask
with any component, units of all seeds pooled, and the median over units seed by seed; beside the paper: with PCA components, and of
random masks (the chance level).

Expect: small cosines, a median below 0.5, skewed towards small values (skewness above 0). Counts against the paper: a median of 0.5 or
more. imp's masks nearer to ICA than random ones of the same density would say that what they share is little, but not nothing.
"""

import numpy as np
import polars as pl
from polars import col

from impray.figures import NATURAL, Figure, Level, More, NotMeasured, Panel, bars, command, dots, images, once
from impray.results.pictures import as_images
from impray.results.quantities import Quantity

KINDS = {"cosine_ica": "ICA", "cosine_pca": "PCA"}
imp, random = (col("method") == name for name in ("imp", "random"))


@once
def cosines(results):
    """A row per unit and kind of component: `value`, the largest |cosine|."""
    rows = results.rows("units", ["unit", "ica_component", *KINDS], layer=1, round=results.last).filter(imp | random)
    keys = ["lineage", "method", "seed", "round", "unit", "ica_component"]
    by_kind = rows.unpivot([*KINDS], index=keys, variable_name="with")
    by_kind = by_kind.drop_nulls("value").drop_nans("value").with_columns(col("with").replace_strict(KINDS))
    if by_kind.filter(imp).is_empty():
        raise NotMeasured("needs measure components of method imp, and units with enough inputs left")
    return by_kind.sort("with", "method", "seed", "unit")


def medians(results):
    return cosines(results).group_by("with", "method", "seed", "round", maintain_order=True).agg(col("value").median())


def histograms(results, bins=25):
    """Share of units per bin, seeds pooled."""
    rows = cosines(results)
    edges = np.linspace(0, max(rows["value"].to_numpy().max(), 1e-6), bins + 1)
    parts = [
        pl.DataFrame({"with": kind, "method": method, "left_edge": edges[:-1], "right_edge": edges[1:],
                      "share": np.histogram(part["value"], edges)[0] / len(part)})
        for (kind, method), part in rows.group_by("with", "method", maintain_order=True)
    ]  # fmt: skip
    return pl.concat(parts)


def nearest(results):
    """The stored mask of each of three seeds that is nearest to its lineage's mean cosine with ICA: `bits`, `example`, `ica_component`."""
    units = cosines(results).filter(imp, col("with") == "ICA").drop_nulls("ica_component")
    away = (col("value") - col("value").mean().over("lineage")).abs().alias("away")
    stored = as_images(results.rows("masks", ["unit", "bits", "shape"], layer=1, method="imp", round=results.last))
    both = units.with_columns(away).join(stored.select("lineage", "unit", "bits", "shape"), on=["lineage", "unit"])
    example = pl.format("seed {}, unit {}\ncosine {}", "seed", "unit", col("value").round(2))
    first = both.sort("seed", "away", "unit").unique("lineage", keep="first", maintain_order=True).head(3)
    return first.select("lineage", "bits", "shape", "ica_component", example=example)


def components(results):
    icas = results.rows("images", ["number", "values", "shape"], name="ica", method="imp").sort("round")
    icas = icas.select("lineage", "values", "shape", ica_component="image_number")
    icas = icas.unique(["lineage", "ica_component"], keep="first")
    return nearest(results).drop("shape").join(icas, on=["lineage", "ica_component"], maintain_order="left")


def skewness(results):
    rows = cosines(results).filter(col("with") == "ICA").group_by("lineage", "round", maintain_order=True)
    return rows.agg(col("value").skew())


COSINE = Quantity("cosine_ica_median", "median |cosine| with ICA", comparative="nearer to ICA components")
SKEWNESS = Quantity("cosine_ica_skewness", "skewness of |cosine|", make=skewness)
PAPER = "Redman et al. (2025), Fig. S2"
FIGURE = Figure(
    name="redman2025_figS2",
    title="Fig. S2  Masks of IMP against independent components",
    question="Are the masks of IMP the independent components of the inputs?",
    source=PAPER,
    paper="IMP masks have little in common with ICA components: the best cosine similarity per mask is distributed over small values, so "
    "the two find largely distinct features.",
    base=True,
    wanted=lambda results: results.where(col("side") == NATURAL),
    per_line=2,
    notes=["The histogram pools the units of all seeds. Masks are stored of the most connected units only."],
    panels=[
        Panel(of=nearest, mark=images, x="", columns="example", label="mask", height=1.3),
        Panel(of=components, mark=images, x="", columns="example", label="its component", height=1.3, options={"as": "component"}),
        Panel(of=histograms, y="share", mark=bars, x="", dash="with", label="share of units",
              xlabel="largest |cosine| of a mask with a component", height=2.2),
        Panel(of=medians, mark=dots, x="with", label="median over units", xlabel="kind of component", height=2.2),
    ],
    claims=[
        Level(quantity=COSINE, left=imp, below=0.5, source=PAPER, question="cosines",
              says="the median best cosine of imp's masks with ICA is below 0.5"),
        Level(quantity=SKEWNESS, left=imp, above=0.0, source=PAPER, question="cosines",
              says="its distribution is skewed towards small values"),
        More(quantity=COSINE, left=imp, than=random, says="imp's masks are nearer to ICA components than random ones",
             question="chance", source="against: masks and ICA find largely distinct features"),
    ],
)  # fmt: skip

if __name__ == "__main__":
    command.run(FIGURE, __doc__)
