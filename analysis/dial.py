"""Masks, kurtosis and accuracy along the dial of non-Gaussianity, and where rewind step and prune fraction change the answer.

After Redman et al. (2025), Fig. 3. `dial`: all methods at the base trial's setting. `dial_settings`: imp at every setting (a column per
value of the first further axis, a colour per value of the second), and imp on the least Gaussian inputs minus imp on the most Gaussian.
Rows are read at the first round with at most 6 % of the weights (`--round` asks for a round instead): settings are compared at equal
density. Reads any sweep with an axis of non-Gaussianity; non_gaussianity_dial is meant.

Expected: as the inputs get more Gaussian imp gets less local at every step; at every setting it is more local on the data than on their
clone, and more local the smaller the fraction, since one large step is oneshot pruning, and the later the rewind step. Counts against
us: a dial that only its first step moves (then it is a switch), and settings with the reverse order (then the answer is the recipe's,
not the data's). The unit is the seed: settings of one seed share their photographs and much of their masks.
"""

import math

import numpy as np
import polars as pl
from polars import col

from impray.figures import AXIS, LEAST, MOST, Density, Figure, Gaps, More, NotMeasured, Panel, command, dots
from impray.results.axis_values import label
from impray.results.quantities import ACCURACY, CLUSTERING, KURTOSIS, PIECES, SPREAD, WIDTH
from impray.results.tidy import BLEND
from impray.theory.statistics import spearman

AT = Density(0.06)  # 0.7^8 = 5.8 %: later rounds leave too few units with the inputs that a width is fitted to
imp, oneshot, random = (col("method") == name for name in ("imp", "oneshot", "random"))
least, most = col("end") == LEAST, col("end") == MOST
FIG3 = "Redman et al. (2025), Fig. 3C"


def settings(quantity):
    """imp's rows with the first two further axes in words, and `score`, the number that is compared."""

    def rows(results):
        frame = results.values(quantity, AT).filter(imp).with_columns(quantity.compared(col("value")).alias("score"))
        further = [path for path in results.axes if path != results.axis and frame[path].n_unique() > 1][:2]
        words = [f"{path} = {label(value)}" for path in further for value in frame[path]]
        names = [words[n * len(frame) : (n + 1) * len(frame)] or [""] * len(frame) for n in (0, 1)]
        return frame.with_columns(
            pl.Series(name, column) for name, column in zip(("first", "second"), names, strict=True)
        )

    return rows


def differences(quantity):
    """Per setting and seed imp on the least Gaussian inputs minus imp on the most Gaussian."""

    def rows(results):
        kept = settings(quantity)(results).filter(col("end") != "")
        gap = col("score").filter(least).mean() - col("score").filter(most).mean()
        gaps = kept.group_by("first", "second", "setting", "seed", maintain_order=True).agg(gap.alias("value"))
        if gaps["value"].is_null().all():
            raise NotMeasured("needs imp at both ends of an axis of non-Gaussianity")
        return gaps.drop_nulls("value").with_columns(place=col("first").str.split(" = ").list.last())

    return rows


def smallest(quantity):
    """Per seed the difference at the setting where it is the smallest; positive: the same order at every setting."""
    gap = (quantity.sign * col("value")).min().alias("gap")
    return lambda results: differences(quantity)(results).group_by("seed").agg(gap).sort("seed")


def course_of(quantity, number):
    """Per seed that has all values of the dial a number of its course: scores from the most to the least Gaussian inputs."""

    def rows(results):
        frame = settings(quantity)(results).drop_nulls("score")
        if not frame["end"].is_in([LEAST]).any() or frame[results.axis].n_unique() < 3:
            raise NotMeasured("needs three values or more of an axis with a Gaussian end")
        points = frame.group_by("seed", results.axis).agg(col("score").mean())
        points = points.sort(results.axis, descending=results.axis == BLEND)
        lines = points.group_by("seed").agg("score").sort("seed")
        lines = lines.filter(col("score").list.len() == points[results.axis].n_unique())
        return lines.select(
            "seed", gap=pl.Series([number(np.array(line)) for line in lines["score"]], dtype=pl.Float64)
        )

    return rows


def effects(quantity):
    """Per seed imp at one end of a further axis minus the other, all else held, on the least Gaussian inputs.

    The smallest fraction minus the largest, of other axes the last value minus the first.
    """

    def rows(results):
        frame = settings(quantity)(results).filter(least)
        others = [path for path in results.axes if path != results.axis and frame[path].n_unique() > 1]
        parts = []
        for path in others:
            values = sorted(set(frame[path]), reverse=path == "prune.fraction")
            keys = ["seed", *(other for other in others if other != path)]
            sides = [frame.filter(col(path) == value).select(*keys, "score") for value in (values[-1], values[0])]
            both = sides[0].join(sides[1], on=keys).with_columns(gap=col("score") - col("score_right"))
            words = pl.lit(f"{path} {label(values[-1])} instead of {label(values[0])}")
            parts.append(both.group_by("seed").agg(col("gap").mean()).sort("seed").with_columns(words=words))
        return pl.concat(parts) if parts else pl.DataFrame(schema=["seed", "gap", "words"])

    return rows


def told(results):
    """Where rows were read, and how many pairs of setting and seed stand behind a count of seeds."""
    rows = results.at(AT)
    low, high = (100 * share for share in (rows["density"].min(), rows["density"].max()))
    unequal = ": not one density, and part of what differs between settings is that" * (high > 1.05 * low)
    sentences = [f"Read with {low:.3g} to {high:.3g} % of the weights left{unequal}."]
    for quantity in (WIDTH, CLUSTERING) if (results.lineages["end"] != "").any() else ():
        gaps = differences(quantity)(results)
        pairs = f"{(quantity.sign * gaps['value'] > 0).sum()} of {len(gaps)} pairs"
        where = f"{gaps['seed'].n_unique()} seeds at {gaps['setting'].n_unique()} settings of one set of inputs"
        sentences.append(f"imp is {quantity.comparative} at the least Gaussian end in {pairs}: {where}.")
    return sentences


def claim_words(quantity, says, question, **more):
    """What all claims on a quantity have; "more" becomes its comparative."""
    return {"says": says.replace("more", quantity.comparative, 1), "question": f"{quantity.name}: {question}", **more}


def order(quantity, left, than, says, question, **more):
    shared = claim_words(quantity, says, question, **more)
    return More(quantity=quantity, left=left, than=than, at=AT, by=("setting",), **shared)


def ends(quantity):
    """imp between the ends of the dial, and against random at both."""
    clone = "against: the clone's masks have no structure (Redman et al. 2025, Fig. 3B)"
    return [
        order(quantity, imp & least, imp & most, "imp is more on the least Gaussian inputs than on the most", "ends", source=FIG3),
        order(quantity, imp & most, random & most, "On the most Gaussian inputs imp is more than random too", "ends", source=clone),
        order(quantity, imp & least, random & least, "On the least Gaussian inputs imp is more than random", "ends", control=True),
    ]  # fmt: skip


def course(quantity):
    """What makes it a dial: an order, in every step, and not in the first alone."""
    sign = quantity.sign
    numbers = {
        "The less Gaussian the inputs, the more is imp (rank correlation)": lambda line: sign * spearman(range(len(line)), line),
        "At every step of the dial imp is more on the less Gaussian inputs (smallest step)": lambda line: (sign * np.diff(line)).min(),
        "Beyond its first step too the dial makes imp more": lambda line: sign * (line[-2] - line[0]),
    }  # fmt: skip
    most = {says: 1.0 if says.endswith("(rank correlation)") else math.inf for says in numbers}
    return [
        Gaps(frame=course_of(quantity, number), least=-most[says], most=most[says], **claim_words(quantity, says, "dial"))
        for says, number in numbers.items()
    ]  # fmt: skip


def methods(quantity):
    """imp against the others in the mean of all settings."""
    says = "On the least Gaussian inputs imp is more than"
    return [
        order(quantity, imp & least, oneshot & least, f"{says} oneshot", "methods"),
        order(quantity, imp & least, random & least, f"{says} random", "methods", control=True),
    ]


def compared(quantity):
    """imp between the ends over all settings, the methods, and what a further axis does."""
    inputs, unit = "on the least Gaussian inputs", quantity.unit
    everywhere = claim_words(
        quantity, f"At every setting imp is more {inputs} than on the most (smallest difference)", "settings"
    )
    further = claim_words(
        quantity, f"With {{each}} imp is more {inputs}", "further axes", each="words", sign=quantity.sign
    )
    return [
        order(quantity, imp & least, imp & most, f"In the mean of all settings imp is more {inputs} than on the most", "settings"),
        Gaps(frame=smallest(quantity), unit=unit, **everywhere),
        *methods(quantity),
        Gaps(frame=effects(quantity), unit=unit, **further),
    ]  # fmt: skip


def panel(quantity, rows, **more):
    optional = quantity in (SPREAD, PIECES)
    return Panel(of=rows, at=AT, mark=dots, label=quantity.label, optional=optional, height=1.8, **more)


def of_settings(quantity):
    """imp along the dial; a column per value of the first further axis."""
    shown = {"x": AXIS, "columns": "first", "colour": "second", "reference": quantity.reference}
    return panel(quantity, settings(quantity), yscale="log" if quantity.log else "", **shown)


def of_ends(quantity):
    shown = {"x": "place", "xlabel": "as the columns above", "scale": "names", "colour": "second", "reference": 0.0}
    return panel(
        quantity, differences(quantity), title="least minus most Gaussian inputs", options={"join": False}, **shown
    )


DRAWN = (WIDTH, SPREAD, PIECES, CLUSTERING, KURTOSIS, ACCURACY)
FIGURE = [
    Figure(
        name="dial",
        title="Masks along the dial of non-Gaussianity",
        question="Is IMP's locality dialled by the inputs' non-Gaussianity?",
        source="after Redman et al. (2025), Fig. 3",
        paper="Masks are wider the more Gaussian the inputs are; on the Gaussian clone they show no structure.",
        base=True,
        per_line=2,
        panels=[panel(quantity, quantity, x=AXIS) for quantity in DRAWN],
        claims=[*ends(WIDTH), *ends(CLUSTERING), *course(WIDTH), *course(CLUSTERING), *course(KURTOSIS)],
    ),
    Figure(
        name="dial_settings",
        title="imp along the dial, at every setting of the further axes",
        question="Do rewind step and prune fraction change what the inputs' non-Gaussianity does to IMP's masks?",
        notes=told,
        per_line=2,
        panels=[*map(of_settings, DRAWN), *map(of_ends, DRAWN)],
        claims=[*compared(WIDTH), *compared(CLUSTERING), *compared(KURTOSIS), *methods(ACCURACY)],
    ),
]  # fmt: skip

if __name__ == "__main__":
    command.run(FIGURE, __doc__)
