"""Masks of the most connected units as images, natural against clone.  Redman et al. (2025), Fig. 1A, B and 3B.

A line per method, a mosaic per end of the axis of non-Gaussianity: up to 24 units of one seed (the lowest that most mosaics have), the
most inputs first, at the last round stored for all of them; pruned is black, colour channels are RGB. `touching` is the number of kept
neighbours (left-right and up-down, within a channel) relative to chance at the same fan-in; claims are over all seeds. Further axes are
held at the base trial's value.

Counts against us: masks of the clone touching as much as those of the data; oneshot as much as imp, or random more than either.
Counts against the paper's stronger claim, that the clone's masks have no structure: imp on the clone touching more than random.
"""

import polars as pl
from polars import col

from impray.figures import AXIS, LEAST, MOST, Figure, More, NotMeasured, Panel, command, dots, images
from impray.results.quantities import Quantity
from impray.theory.masks import touching, unpacked

MOST_UNITS, PER_LINE = 24, 8
imp, oneshot, random = (col("method") == name for name in ("imp", "oneshot", "random"))
least, most = (col("end") == LEAST) | (col("name").n_unique() == 1), col("end") == MOST  # least: or the only


def connected(results):
    """Stored image masks of layer 1, of each lineage and round those with the most inputs, in that order."""
    try:
        frame = results.rows("masks", ["unit", "fan_in", "bits", "shape"], layer=1).filter(col("shape").list.len() >= 2)
    except NotMeasured:
        raise NotMeasured("needs the measure masks") from None
    if frame.is_empty():
        raise NotMeasured("no stored mask of the first layer is an image")
    ordered = frame.sort("number", "lineage", "round", "fan_in", "unit", descending=[False, False, False, True, False])
    return ordered.group_by("lineage", "round", maintain_order=True).head(MOST_UNITS)


def of_lineages(results):
    """Mean of `touching` over those units."""
    frame = connected(results)
    near = [touching(unpacked(bits, tuple(shape))) for bits, shape in frame.select("bits", "shape").iter_rows()]
    frame = frame.with_columns(pl.Series("value", near, dtype=pl.Float64).fill_nan(None))
    return frame.group_by("lineage", "round").agg(col("value").mean())


def shown(results):
    """The mosaics: both ends, one round, one seed."""
    frame = connected(results)
    frame = frame.filter((col("end") != "") | ~(col("end") != "").any())
    mosaics = pl.struct("name", "method").n_unique()
    full = frame.group_by("round").agg(mosaics.alias("count")).filter(col("count") == frame.select(mosaics).item())
    wanted = full["round"].max() if results.round is None else results.round
    frame = frame.filter(col("round") == wanted)
    if frame.is_empty():
        raise NotMeasured("methods and inputs have no stored masks at one round; try --round")
    count = frame.group_by("seed").agg(mosaics.alias("count")).sort("count", "seed", descending=[True, False])
    return frame.filter(col("seed") == count["seed"][0])


TOUCHING = Quantity(
    "touching", "kept neighbours\nrelative to chance", "", "higher", "touching more", 1.0, make=of_lineages
)


def compared(says, left, than, source, question, **more):
    return More(quantity=TOUCHING, left=left, than=than, says=says, source=source, question=question, **more)


def mosaic(method):
    options = {"per_line": PER_LINE}
    return Panel(of=shown, mark=images, x="", columns="name", where=col("method") == method, label=method, height=1.35,
                 options=options, optional=method.startswith("cavity"))  # fmt: skip


FIG1, FIG3 = "Redman et al. (2025), Fig. 1", "Redman et al. (2025), Fig. 3B"
FIGURE = Figure(
    name="masks",
    title="Masks of the most connected units, and how often kept inputs touch",
    question="Do the masks that IMP finds show local receptive fields, and on which inputs?",
    source="Redman et al. (2025), Fig. 1A, B and 3B",
    paper="imp's masks on natural images are compact spots, oneshot's noisier, random's have no structure, nor have the clone's.",
    base=True,
    notes=[f"Pictures: up to {MOST_UNITS} units of one seed; touching: those units of every seed. It can be the higher the fewer "
           "inputs a unit has: clustering as a share of its ceiling is in width_by_gain."],
    panels=[
        *(mosaic(method) for method in ("imp", "oneshot", "random", "cavity", "cavity_lowest")),
        Panel(of=TOUCHING, mark=dots, x=AXIS),
    ],
    claims=[
        compared("imp's kept inputs touch more on the least Gaussian inputs than on the most", imp & least, imp & most, FIG3, "clone"),
        compared("On the most Gaussian inputs imp's kept inputs touch more than random's too", imp & most, random & most,
                 "against: the clone's masks have no structure (Fig. 3B)", "clone"),
        compared("On the least Gaussian inputs imp's kept inputs touch more than oneshot's", imp & least, oneshot & least, FIG1, "methods"),
        compared("On the least Gaussian inputs oneshot's kept inputs touch more than random's", oneshot & least, random & least, FIG1,
                 "methods"),
        compared("On the least Gaussian inputs imp's kept inputs touch more than random's", imp & least, random & least, FIG1, "methods",
                 control=True),
    ],
)  # fmt: skip

if __name__ == "__main__":
    command.run(FIGURE, __doc__)
