"""ICA and PCA components of the inputs, and how local they are.  Redman et al. (2025), Fig. 2 and Appendix B.

Spread and area of a component are those of `impray.theory.locality`. Lineages on one draw of the data share their components, so the
unit is a distinct set of components, not a seed: a sweep on one set of photographs has one, and one decides nothing.

Expect: ICA below PCA in both, on natural inputs; and ICA of natural inputs below every ICA of the clone, in which there is nothing to
find (control, not in the paper). Counts against the paper: ICA as spread out as PCA, or ICA of the clone as local as that of the data.
"""

import polars as pl
from polars import col

from impray.figures import CLONE, NATURAL, Figure, Gaps, NotMeasured, Panel, command, images, swarm
from impray.figures.tiles import floats
from impray.results.pictures import as_images, distinct
from impray.results.tidy import once
from impray.theory.locality import Locality, locality

PAPER = "Redman et al. (2025), Fig. 2"
STEPS = 500  # of FastICA in the measure; as many mean that it did not converge
MOST = 64


@once
def components(results):
    """A row per component of a distinct set (`set`, counted per side), and its locality."""
    frame = as_images(results.rows("images", ["values", "shape", "number"], name=("ica", "pca")))
    frame = distinct(frame.filter(col("round") == col("round").min().over("lineage"))).drop("seed")
    local = [locality(floats(*row)) for row in frame.select("values", "shape").iter_rows()]
    kind = col("image_name").str.to_uppercase()
    frame = frame.with_columns(kind.alias("kind"), pl.format("{}\n{}", kind, "side").alias("shown"))
    return pl.concat([frame, pl.DataFrame(local, Locality._fields, orient="row")], how="horizontal")


def mosaic(results):
    """The first components of each kind, first natural set."""
    frame = components(results).filter(col("set") == 1, col("side") == NATURAL)
    return frame.group_by("kind", maintain_order=True).head(MOST)


def medians(results, side=NATURAL):
    """A row per set of a side: the median of both measures over the components of each kind."""
    frame = components(results).filter(col("side") == side).with_columns(col("spread_px", "area").fill_nan(None))
    by_kind = frame.group_by("set", "kind").agg(col("spread_px", "area").median())
    if by_kind["kind"].n_unique() < 2:
        raise NotMeasured(f"needs components of {side} inputs")
    return by_kind.pivot("kind", index="set", values=["spread_px", "area"]).sort("set")


def ica_below_pca(measure):
    return lambda results: medians(results).select((col(f"{measure}_ICA") - col(f"{measure}_PCA")).alias("gap"))


def data_below_clone(results):
    least = medians(results, CLONE)["area_ICA"].min()
    return medians(results).select((col("area_ICA") - least).alias("gap"))


def below(frame, says, **more):
    return Gaps(frame=frame, sign=-1, says=says, what="distinct set", question="locality of components", **more)


def unfinished(results):
    sides = results.rounds.filter(col("ica_steps") >= STEPS)["side"].unique(maintain_order=True)
    return [f"FastICA did not converge on {side} inputs: its components there are of no account." for side in sides]


def panel(measure, label):
    return Panel(of=components, y=measure, x="shown", xlabel=" ", mark=swarm, colour="kind", dash="side", label=label)


FIGURE = Figure(
    name="redman2025_fig2",
    title="Fig. 2  Independent and principal components of the inputs",
    question="Are the independent components of the inputs local, and the principal ones not?",
    source=PAPER,
    paper="FastICA of the 50,000 held-out images (64 components) extracts features many of which are local; PCA, which only knows the "
    "covariance, extracts periodic ones that fill the image.",
    base=True,
    wanted=lambda results: results.where(col("side").is_in([NATURAL, CLONE])),
    notes=unfinished,
    per_line=2,
    panels=[
        Panel(of=mosaic, mark=images, columns="kind", colour="", label="of natural inputs\n(zero is grey)", height=2.8,
              options={"as": "component"}),
        panel("spread_px", "spread (px)"),
        panel("area", "area (share of all pixels)"),
    ],
    claims=[
        below(ica_below_pca("spread_px"), "ICA components are less spread out than PCA components", unit="px", source=PAPER),
        below(ica_below_pca("area"), "ICA components are less extended (area) than PCA components", source=PAPER),
        below(data_below_clone, "the data's ICA components are less extended (area) than the Gaussian clone's", control=True,
              optional=True),
    ],
)  # fmt: skip

if __name__ == "__main__":
    command.run(FIGURE, __doc__)
