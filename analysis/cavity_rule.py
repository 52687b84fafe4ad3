"""Does pruning the highest cavity scores give the masks that IMP gives?  Redman et al. (2025), section 3.3, H*; not a figure of theirs.

A column for the data and one for their Gaussian clone, every round. Overlap: the share of imp's kept weights that a method keeps too
(same trial, seed, round); chance is the share of all weights that are kept, in claims what masks with these inputs per unit share.
Scores (times N_W, on held-out data) are those of the weights that a method removes next. Of Gaussian data they are noise that shrinks
with the sample: a score is worth as much as it stands above the clone's, and as all inputs agree with half of them.
Reads sweeps with the method `cavity`, the measure `cavity` and masks of all units; cavity_rule is meant.

Expect, if H* holds: on the data `cavity` keeps more of imp's weights than oneshot does, is about as local as imp and further from a
Gaussian's 3, which it must be if the score of single weights says what removing many does; `cavity_lowest`, its mirror image, does
the reverse; on the clone `cavity` is like random. Stated beforehand: differences below 0.6 in clustering and 0.25 px in width do not
matter. Counts against H*: masks at chance although the kurtosis rises above imp's, or a mirror image that is as local. Where the
kurtosis does not rise, the rule is no test of H*: the score fails, not IMP.
"""

import polars as pl
from polars import col

from impray.figures import CLONE, EVERY, NATURAL, Figure, Level, More, NotMeasured, Panel, Same, band, command
from impray.results.overlap import OVERLAP, OVERLAP_ABOVE, OVERLAP_BY_CHANCE
from impray.results.quantities import ACCURACY, CLUSTERING, KURTOSIS, OF_CEILING, PIECES, SPREAD, WIDTH, Quantity
from impray.results.quantities import quantity as catalogued

METHODS = {name: col("method") == name for name in ("imp", "oneshot", "random", "cavity", "cavity_lowest")}
SIDES = {"data": col("side") == NATURAL, "clone": col("side") == CLONE}
MARGINS = {CLUSTERING.name: 0.6, WIDTH.name: 0.25}
LIKE = [("cavity", "imp", "data"), ("cavity", "random", "clone")]  # where H* expects no difference in locality
ORDERS = [
    ("cavity", "imp"),
    ("cavity", "random"),
    ("cavity", "cavity_lowest"),
    ("cavity_lowest", "random"),
    ("imp", "random"),
]
MEDIAN_CLASS = catalogued("kurtosis_class_median_mean")  # of ten photographs three make the mean
H = "H* of Redman et al. (2025), section 3.3"


def score(name, column):
    """Of the first layer's weights whose fate is the next round."""

    def rows(results):
        following = results.rows("fates", ["fate", column], layer=1).filter(col("fate") == col("round") + 1)
        return following.select("lineage", "round", col(column).alias("value"))

    return Quantity(name, f"cavity score x N_W\nof what goes next\n({name.split()[0]})", "", "higher", make=rows)


MEAN, MEDIAN = score("mean score", "cavity_scaled_mean"), score("median score", "cavity_scaled_median")
HALF = score("mean score from half of the inputs", "cavity_half_scaled_mean")


def with_chance(results):
    chance = (
        results.values(OVERLAP_BY_CHANCE, EVERY)
        .filter(METHODS["cavity"])
        .with_columns(pl.lit("chance").alias("method"))
    )
    return pl.concat([results.values(OVERLAP, EVERY), chance])


def means(results):
    parts = {"all inputs": MEAN, "half of them": HALF}
    return pl.concat(
        [results.values(quantity, EVERY).with_columns(pl.lit(name).alias("from")) for name, quantity in parts.items()]
    )


def compared(quantity, left, than, side, **more):
    left_rows, than_rows = (METHODS[name] & SIDES[side] for name in (left, than))
    margin = MARGINS.get(quantity.name)
    alike = margin and (left, than, side) in LIKE
    comparative = quantity.comparative
    words = f"as {comparative.removeprefix('more ').replace('rower', 'row')} as" if alike else f"{comparative} than"
    shared: dict = {
        "says": f"on the {side} {left} is {words} {than}",
        "source": H,
        "question": f"{quantity.name}, {side}",
    }
    return (Same if alike else More)(quantity=quantity, left=left_rows, than=than_rows, margin=margin, **shared | more)


def orders(quantity):
    return [compared(quantity, *pair, "data", control=pair == ("imp", "random")) for pair in ORDERS]


def above_chance(side):
    says = f"on the {side} {{each}} keeps more of imp's weights than chance with its inputs per unit"
    question = f"overlap by chance, {side}"
    return Level(quantity=OVERLAP_ABOVE, left=SIDES[side], above=0.0, each="method", says=says, question=question)


def positive(quantity):
    left = SIDES["data"] & col("method").is_in(["imp", "cavity"])
    says = f"over all rounds what {{each}} removes next on the data has a positive {quantity.name}"
    shared = {"source": H, "question": quantity.name, "optional": True}
    return Level(quantity=quantity, left=left, above=0.0, each="method", at=EVERY, says=says, **shared)


def of_rule(results):
    if "cavity" not in results.lineages["method"]:
        raise NotMeasured("needs the method cavity")
    return results


def panel(quantity, optional=False):
    return Panel(of=quantity, mark=band, at=EVERY, columns="side", height=1.55, optional=optional)


FIGURE = Figure(
    name="cavity_rule",
    title="Masks by cavity score beside IMP's",
    question="H*: does pruning the highest cavity scores give the masks that IMP gives?",
    source="Redman et al. (2025), section 3.3",
    wanted=of_rule,
    paper="IMP removes the weights whose removal makes preactivations least Gaussian (H*); they do not prune by the score.",
    panels=[
        panel(CLUSTERING),
        Panel(of=with_chance, mark=band, columns="side", label=OVERLAP.label, yscale="log", height=1.55),
        panel(WIDTH),
        *(panel(quantity, optional=True) for quantity in (OF_CEILING, SPREAD, PIECES)),
        Panel(of=means, mark=band, columns="side", dash="from", label=MEAN.label, yscale="symlog", reference=0.0, height=1.55,
              optional=True, options={"linear": 10.0, "apart": True}),
        Panel(of=MEDIAN, mark=band, at=EVERY, columns="side", yscale="symlog", reference=0.0, height=1.55, optional=True,
              options={"linear": 10.0}),
        panel(KURTOSIS),
        panel(MEDIAN_CLASS, optional=True),
        panel(ACCURACY),
    ],
    claims=[
        compared(OVERLAP, "cavity", "oneshot", "data"),
        *(above_chance(side) for side in SIDES),
        *orders(CLUSTERING),
        *orders(WIDTH),
        *(compared(quantity, "cavity", "random", "clone") for quantity in (CLUSTERING, WIDTH)),
        *(compared(KURTOSIS, "cavity", than, "data") for than in ("imp", "random", "cavity_lowest")),
        compared(KURTOSIS, "cavity", "imp", "data", at=EVERY, says=f"over all rounds cavity is {KURTOSIS.comparative} than imp"),
        compared(MEDIAN_CLASS, "cavity", "imp", "data", optional=True,
                 says="in the median class cavity is further from a Gaussian's 3 than imp"),
        *(positive(quantity) for quantity in (MEAN, MEDIAN)),
    ],
)  # fmt: skip

if __name__ == "__main__":
    command.run(FIGURE, __doc__)
