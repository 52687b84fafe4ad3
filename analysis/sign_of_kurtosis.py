"""Which sign of the inputs' excess kurtosis makes IMP find local fields?  Redman et al. (2025) against Lufkin et al. (2024).

imp, oneshot and random against the exact excess kurtosis of the inputs, at the last round. Pointwise stimuli (nlgp, kur) and
elliptical ones have one covariance if the sweep says `covariance: matched`; the Gaussian stimulus, NLGP(0.01), is drawn with both.
Photographs have another covariance and ten classes: they are compared with their own clone only. Reads sweeps over such data;
sign_of_kurtosis and sign_of_kurtosis_committee are meant.

Per seed, a method on a stimulus minus the same method on its Gaussian stimulus (photographs: the clone). Stated beforehand: changes
in clustering below 0.6 (chance is 1) do not matter. Clustering has a ceiling that falls with fan-in, so it stands beside its share of
the ceiling and beside itself at one distribution of fan-ins.

Counts against Lufkin et al.: negative excess kurtosis no more clustered than Gaussian, elliptical inputs more clustered, or imp more
clustered than random on Gaussian inputs already (then locality needs no non-Gaussianity). Against Redman et al.: positive excess
kurtosis of kur no more clustered, although photographs are; or clustering that does not follow the preactivations' kurtosis. A rank
correlation over a family of one parameter does not say that kurtosis is that parameter; and masks of smooth weights cluster wherever
they are, so more clustered than random is less than having one place.
"""

import polars as pl
from polars import col

from impray.figures import (
    CLONE,
    LAST,
    NATURAL,
    Figure,
    Gaps,
    More,
    NotMeasured,
    Panel,
    Same,
    Share,
    Trend,
    command,
    dots,
)
from impray.results.quantities import (
    CLUSTERING,
    CLUSTERING_EQUAL,
    IPR,
    IPR_MASK,
    KURTOSIS,
    KURTOSIS_END,
    OF_CEILING,
    WIDTH,
)
from impray.theory.statistics import spearman

BLEND = "blend of photographs with their clone"
MARGIN = 0.6  # of clustering, stated beforehand
imp, oneshot, random = (col("method") == name for name in ("imp", "oneshot", "random"))
pointwise, elliptical, images = (col("family") == name for name in ("pointwise", "elliptical", "images"))
gaussian, clone = pointwise & (col("excess").abs() < 0.01), images & (col("side") == CLONE)
negative, positive = pointwise & (col("excess") <= -0.01), pointwise & (col("excess") >= 0.01)
METHODS = {"imp": imp, "oneshot": oneshot}
FAMILIES = {"nlgp and kur": pointwise, "elliptical inputs": elliptical, "both families": pointwise | elliptical}
LUFKIN, REDMAN = "Lufkin et al. (2024)", "Redman et al. (2025)"
# words -> the stimuli, what they are compared with, who says that they localise
SIDES = {
    "negative excess kurtosis": (negative, gaussian, LUFKIN),
    "positive excess kurtosis (kur)": (positive, gaussian, REDMAN),
    "elliptical inputs": (elliptical, gaussian, f"{REDMAN}: preactivations of positive excess kurtosis"),
    "photographs": (images & (col("side") != CLONE), clone, f"{REDMAN}, Fig. 3"),
}


# --- rows ------------------------------------------------------------------------------------------------------------


def stimuli(quantity):
    """A quantity at the last round; the Gaussian stimulus, which is both, stands with pointwise and with elliptical ones."""

    def rows(of):
        frame = of.values(quantity)
        twice = frame.filter(gaussian & bool(len(frame.filter(elliptical))))
        twice = twice.with_columns(pl.lit("elliptical").alias(name) for name in ("family", "kind"))
        blends = col("side").str.strip_prefix("blend ").alias(BLEND)
        by = [images, elliptical, col("side") == CLONE, col("side") != NATURAL, "side", "excess"]
        return pl.concat([frame, twice]).with_columns(blends).sort(by)

    return rows


def dependence(of):
    """Per seed: how much more clustered at negative than at positive excess kurtosis, oneshot minus imp."""
    frame = of.values(CLUSTERING).filter(pointwise & (col("round") >= 2))
    change = col("value").filter(negative).mean() - col("value").filter(positive).mean()
    sides = [frame.filter(method).group_by("seed").agg(change.alias("gap")) for method in (oneshot, imp)]
    both = sides[0].join(sides[1], on="seed", suffix="_imp").sort("seed")
    return both.select("seed", col("gap") - col("gap_imp"))


def proxy(of):
    """Per family and seed: rank correlation over stimuli of imp's clustering with its preactivations' kurtosis."""
    try:
        kurtosis = of.values(KURTOSIS)
    except NotMeasured:
        kurtosis = of.values(KURTOSIS_END)
    other = kurtosis.select("lineage", "round", col("value").alias("kurtosis"))
    both = of.values(CLUSTERING).filter(imp).join(other, on=["lineage", "round"]).drop_nulls(["value", "kurtosis"])
    parts = [both.filter(those).with_columns(pl.lit(name).alias("over")) for name, those in FAMILIES.items()]
    of_seeds = pl.concat(parts).group_by("over", "seed", maintain_order=True)
    rows = [(*key, spearman(part["kurtosis"], part["value"])) for key, part in of_seeds]
    return pl.DataFrame(rows, ["over", "seed", "gap"], orient="row").drop_nans()


def classes(of):
    """Excess kurtosis of the pixels of every class of the photographs."""
    by_class = of.at(LAST).filter(images & (col("side") == NATURAL)).drop_nulls("input_kurtosis_by_class")
    if by_class.is_empty():
        raise NotMeasured("needs the measure inputs, class by class")
    number = pl.int_ranges(col("input_kurtosis_by_class").list.len()).alias("class")
    each = by_class.select(number, col("input_kurtosis_by_class").alias("value")).explode("class", "value")
    return each.group_by("class").agg(col("value").mean() - 3).sort("class")


# --- claims and panels ------------------------------------------------------------------------------------------------


def change(quantity, method, words, each=False, **more):
    """A method on a side's stimuli, together or one by one, against the same method on their Gaussian stimulus."""
    those, than, source = SIDES[words]
    beside = "their clone" if words == "photographs" else "Gaussian inputs"
    says = f"{'on {each}' if each else f'with {words}'} {method} is {quantity.comparative} than on {beside}"
    margin = MARGIN if quantity in (CLUSTERING, CLUSTERING_EQUAL) else None
    question = f"{quantity.name} of {method}, {f'{words} one by one' if each else 'four sides'}"
    return More(
        quantity=quantity,
        left=METHODS[method] & those,
        than=METHODS[method] & than,
        each="name" if each else "",
        says=says,
        source=source,
        margin=margin,
        question=question,
        **more,
    )


def changes(quantity, method, each=False, **more):
    return [change(quantity, method, words, each, **more) for words in SIDES]


def beyond_random(quantity, method):
    says = f"on Gaussian inputs {method} is {quantity.comparative} than random already"
    of, than = METHODS[method] & gaussian, random & gaussian
    source = f"against {LUFKIN}: locality would need no non-Gaussianity"
    return More(quantity=quantity, left=of, than=than, says=says, source=source, question="random", optional=True)


def trend(quantity, method, words):
    """The same direction for all families: that of negative excess kurtosis."""
    of, sign = METHODS[method] & FAMILIES[words], -quantity.sign
    says = f"over {words} {method} is {quantity.comparative} the lower the excess kurtosis"
    question = f"rank correlation of {quantity.name}"
    return Trend(
        quantity=quantity,
        left=of,
        along="excess",
        sign=sign,
        says=says,
        source=LUFKIN,
        question=question,
        optional=True,
    )


def panel(quantity):
    shown = {"label": quantity.label, "reference": quantity.reference, "yscale": "log" if quantity.log else ""}
    place = {"x": "excess", "scale": "symlog", "instead": BLEND, "columns": "family", "dash": "kind", "height": 1.55}
    options = {"apart": True, "join": True}
    return Panel(
        of=stimuli(quantity), mark=dots, optional=quantity is not CLUSTERING, options=options, **place, **shown
    )


DRAWN = (CLUSTERING, CLUSTERING_EQUAL, OF_CEILING, WIDTH, IPR, IPR_MASK, KURTOSIS, KURTOSIS_END)
OLDER = (WIDTH, IPR, IPR_MASK)
FIGURE = Figure(
    name="sign_of_kurtosis",
    title="Locality of masks against the inputs' excess kurtosis",
    question="Which sign of the inputs' excess kurtosis makes IMP find local receptive fields?",
    source=f"{REDMAN} against {LUFKIN}",
    paper="Lufkin et al.: negative excess kurtosis localises, positive and elliptical inputs do not. Redman et al.: photographs do, "
    "whose preactivations have positive excess kurtosis.",
    panels=[panel(quantity) for quantity in DRAWN],
    claims=[
        *changes(CLUSTERING, "imp"),
        Same(
            quantity=CLUSTERING,
            left=imp & elliptical,
            than=imp & gaussian,
            margin=MARGIN,
            says="on elliptical inputs imp is as clustered as on Gaussian inputs",
            source=LUFKIN,
            question="elliptical",
        ),
        *(beyond_random(quantity, method) for quantity in (CLUSTERING, *OLDER) for method in METHODS),
        *changes(CLUSTERING, "imp", each=True, optional=True),
        *changes(CLUSTERING, "oneshot", optional=True),
        *changes(CLUSTERING, "oneshot", each=True, optional=True),
        Gaps(
            frame=dependence,
            says="from positive to negative excess kurtosis oneshot's clustering rises more than imp's",
            question="dependence",
            optional=True,
        ),
        *changes(CLUSTERING_EQUAL, "imp", optional=True),
        *changes(CLUSTERING_EQUAL, "imp", each=True, optional=True),
        *changes(OF_CEILING, "imp", optional=True),
        *(trend(q, method, words) for q in (CLUSTERING, WIDTH) for method in METHODS for words in FAMILIES),
        Gaps(
            frame=proxy,
            each="over",
            says="over {each} imp is the more clustered the higher the kurtosis of its preactivations",
            source=f"{REDMAN}: preactivation kurtosis as the sign of locality",
            question="proxy",
            optional=True,
        ),
        *(each for q in OLDER for method in METHODS for each in changes(q, method, optional=True)),
        Share(
            frame=classes,
            holds=col("value") > 0,
            what="class",
            says="the photographs' own pixels have positive excess kurtosis",
            source=REDMAN,
            question="pixels",
            optional=True,
        ),
    ],
    notes=[
        "Seeds replicate training, not photographs: what is said of photographs is said of one set of them.",
        "Masks of smooth weights cluster wherever they are: more clustered than random is less than having one place.",
    ],
)

if __name__ == "__main__":
    command.run(FIGURE, __doc__)
