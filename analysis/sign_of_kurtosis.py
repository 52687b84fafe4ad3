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
from impray.results import quantities as q

MARGINS = {q.CLUSTERING.name: 0.6, q.CLUSTERING_EQUAL.name: 0.6}
imp, oneshot, random = (col("method") == name for name in ("imp", "oneshot", "random"))
pointwise, elliptical, images = (col("family") == name for name in ("pointwise", "elliptical", "images"))
gaussian, clone = pointwise & (col("excess").abs() < 0.01), images & (col("side") == CLONE)
negative, positive = pointwise & (col("excess") <= -0.01), pointwise & (col("excess") >= 0.01)
METHODS = {"imp": imp, "oneshot": oneshot}
FAMILIES = {"nlgp and kur": pointwise, "elliptical inputs": elliptical, "both families": pointwise | elliptical}
LUFKIN, REDMAN = "Lufkin et al. (2024)", "Redman et al. (2025)"
SIDES = {  # words -> the stimuli, what they are compared with, who says that they localise
    "negative excess kurtosis": (negative, gaussian, LUFKIN),
    "positive excess kurtosis (kur)": (positive, gaussian, REDMAN),
    "elliptical inputs": (elliptical, gaussian, f"{REDMAN}: preactivations of positive excess kurtosis"),
    "photographs": (images & (col("side") != CLONE), clone, f"{REDMAN}, Fig. 3"),
}
MEDIAN_CLASS = q.quantity("kurtosis_class_median_mean")  # of ten photographs three make the mean
OLDER = (q.WIDTH, q.IPR, q.IPR_MASK)
MASKS = (q.CLUSTERING, q.CLUSTERING_EQUAL, q.OF_CEILING, *OLDER, q.SPREAD, q.PIECES)
BLEND = "blend with the Gaussian clone"


def at_one_round(results):
    """All stimuli at the round that most trials have reached, the later one of as many: while a sweep runs they differ."""
    alive = results.lineages.filter(col("status") != "diverged")
    usual = alive.group_by("trial").agg(col("last").min())["last"].mode().max()
    return results.in_round(usual) if results.round is None else results


def stimuli(quantity):
    """A quantity at the last round; the Gaussian stimulus, which is both, stands with pointwise and with elliptical ones."""

    def rows(results):
        frame = results.values(quantity)
        twice = frame.filter(gaussian & bool(len(frame.filter(elliptical))))
        twice = twice.with_columns(pl.lit("elliptical").alias(name) for name in ("family", "kind"))
        blends = col("side").str.strip_prefix("blend ").alias(BLEND)
        by = [images, elliptical, col("side") == CLONE, col("side") != NATURAL, "side", "excess"]
        return pl.concat([frame, twice]).with_columns(blends).sort(by)

    return rows


def dependence(results):
    """Per seed: how much more clustered at negative than at positive excess kurtosis, oneshot minus imp."""
    frame = results.values(q.CLUSTERING).filter(pointwise & (col("round") >= 2))
    rise = col("value").filter(negative).mean() - col("value").filter(positive).mean()
    sides = [frame.filter(method).group_by("seed").agg(rise.alias("gap")) for method in (oneshot, imp)]
    return sides[0].join(sides[1], on="seed", suffix="_imp").sort("seed").select("seed", col("gap") - col("gap_imp"))


def classes(results):
    """Excess kurtosis of the pixels of every class of the photographs."""
    frame = results.at(LAST).filter(images & (col("side") == NATURAL)).drop_nulls("input_kurtosis_by_class")
    if frame.is_empty():
        raise NotMeasured("needs the measure inputs, class by class")
    number = pl.int_ranges(col("input_kurtosis_by_class").list.len()).alias("class")
    by_class = frame.select(number, col("input_kurtosis_by_class").alias("value")).explode("class", "value")
    return by_class.group_by("class").agg(col("value").mean() - 3).sort("class")


def change(quantity, method, words, one_by_one=False, **more):
    """A method on a side's stimuli, together or one by one, against the same method on their Gaussian stimulus."""
    those, than, source = SIDES[words]
    beside = "their clone" if words == "photographs" else "Gaussian inputs"
    says = f"{'on {each}' if one_by_one else f'with {words}'} {method} is {quantity.comparative} than on {beside}"
    question = f"{quantity.name} of {method}, {f'{words} one by one' if one_by_one else 'four sides'}"
    shared = {
        "margin": MARGINS.get(quantity.name),
        "each": "name" if one_by_one else "",
        "source": source,
        "question": question,
    }
    return More(
        quantity=quantity, left=METHODS[method] & those, than=METHODS[method] & than, says=says, **shared | more
    )


def changes(quantity, method, one_by_one=False, **more):
    return [change(quantity, method, words, one_by_one, **more) for words in SIDES]


def beyond_random(quantity, method):
    says = f"on Gaussian inputs {method} is {quantity.comparative} than random already"
    shared = {
        "source": f"against {LUFKIN}: locality would need no non-Gaussianity",
        "question": "random",
        "optional": True,
    }
    return More(quantity=quantity, left=METHODS[method] & gaussian, than=random & gaussian, says=says, **shared)


def trend(quantity, method, words):
    """The same direction for all families: that of negative excess kurtosis."""
    says = f"over {words} {method} is {quantity.comparative} the lower the excess kurtosis"
    shared = {"source": LUFKIN, "question": f"rank correlation of {quantity.name}", "optional": True}
    left = METHODS[method] & FAMILIES[words]
    return Trend(quantity=quantity, left=left, along="excess", sign=-quantity.sign, says=says, **shared)


def proxy(words):
    says = f"over {words} imp is more clustered the higher the kurtosis of its preactivations"
    shared = {
        "source": f"{REDMAN}: preactivation kurtosis as the sign of locality",
        "question": "proxy",
        "optional": True,
    }
    return Trend(quantity=q.CLUSTERING, left=imp & FAMILIES[words], along=q.KURTOSIS, says=says, **shared)


def panel(quantity):
    shown = {"label": quantity.label, "reference": quantity.reference, "yscale": "log" if quantity.log else ""}
    place = {"x": "excess", "scale": "symlog", "instead": BLEND, "columns": "family", "dash": "kind", "height": 1.55}
    options = {"apart": True, "join": True}
    return Panel(
        of=stimuli(quantity), mark=dots, optional=quantity is not q.CLUSTERING, options=options, **place, **shown
    )


FIGURE = Figure(
    name="sign_of_kurtosis",
    title="Locality of masks against the inputs' excess kurtosis",
    question="Which sign of the inputs' excess kurtosis makes IMP find local receptive fields?",
    source=f"{REDMAN} against {LUFKIN}",
    wanted=at_one_round,
    paper="Negative excess kurtosis localises, positive and elliptical inputs do not (Lufkin et al.); photographs do, whose "
          "preactivations have positive excess kurtosis (Redman et al.).",
    panels=[panel(quantity) for quantity in (*MASKS, q.KURTOSIS, MEDIAN_CLASS, q.KURTOSIS_END)],
    claims=[
        *changes(q.CLUSTERING, "imp"),
        Same(quantity=q.CLUSTERING, left=imp & elliptical, than=imp & gaussian, margin=MARGINS[q.CLUSTERING.name], source=LUFKIN,
             says="with elliptical inputs imp is as clustered as on Gaussian inputs", question="elliptical"),
        *(beyond_random(quantity, method) for quantity in (q.CLUSTERING, *OLDER) for method in METHODS),
        *changes(q.CLUSTERING, "imp", one_by_one=True, optional=True),
        *changes(q.CLUSTERING, "oneshot", optional=True),
        *changes(q.CLUSTERING, "oneshot", one_by_one=True, optional=True),
        Gaps(frame=dependence, says="from positive to negative excess kurtosis oneshot's clustering rises more than imp's",
             question="dependence", optional=True),
        *changes(q.CLUSTERING_EQUAL, "imp", optional=True),
        *changes(q.CLUSTERING_EQUAL, "imp", one_by_one=True, optional=True),
        *changes(q.OF_CEILING, "imp", optional=True),
        *(trend(quantity, method, words) for quantity in (q.CLUSTERING, q.WIDTH) for method in METHODS for words in FAMILIES),
        *(proxy(words) for words in FAMILIES),
        *(claim for quantity in OLDER for method in METHODS for claim in changes(quantity, method, optional=True)),
        Share(frame=classes, holds=col("value") > 0, what="photograph", source=REDMAN, question="pixels", optional=True,
              says="the photographs' own pixels have positive excess kurtosis"),
    ],
    notes=[
        "Seeds replicate training, not photographs: what is said of photographs is said of one set of them.",
        "Masks of smooth weights cluster wherever they are: more clustered than random is less than having one place.",
    ],
)  # fmt: skip

if __name__ == "__main__":
    command.run(FIGURE, __doc__)
