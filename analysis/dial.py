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

import numpy as np
import polars as pl
from polars import col

from impray.figures import AXIS, LEAST, MOST, Density, Figure, Gaps, More, NotMeasured, Panel, command, dots
from impray.results.quantities import ACCURACY, CLUSTERING, KURTOSIS, PIECES, SPREAD, WIDTH
from impray.results.tidy import BLEND, label
from impray.theory.statistics import spearman

AT = Density(0.06)  # 0.7^8 = 5.8 %: later rounds leave too few units with the inputs that a width is fitted to
imp, oneshot, random = (col("method") == name for name in ("imp", "oneshot", "random"))
least, most = col("end") == LEAST, col("end") == MOST
FIG3 = "Redman et al. (2025), Fig. 3C"


def settings(quantity):
    """imp's rows with the first two further axes in words, and `score`, the number that is compared."""

    def rows(of):
        frame = of.values(quantity, AT).filter(imp).with_columns(quantity.compared(col("value")).alias("score"))
        further = [path for path in of.axes if path != of.axis and frame[path].n_unique() > 1][:2]
        words = [f"{path} = {label(value)}" for path in further for value in frame[path]]
        names = [words[n * len(frame) : (n + 1) * len(frame)] or [""] * len(frame) for n in (0, 1)]
        return frame.with_columns(pl.Series(name, each) for name, each in zip(("first", "second"), names, strict=True))

    return rows


def differences(quantity):
    """Per setting and seed imp on the least Gaussian inputs minus imp on the most Gaussian."""

    def rows(of):
        kept = settings(quantity)(of).filter(col("end") != "")
        gap = col("score").filter(least).mean() - col("score").filter(most).mean()
        found = kept.group_by("first", "second", "setting", "seed", maintain_order=True).agg(gap.alias("value"))
        if found["value"].is_null().all():
            raise NotMeasured("needs imp at both ends of an axis of non-Gaussianity")
        return found.drop_nulls("value").with_columns(place=col("first").str.split(" = ").list.last())

    return rows


def smallest(quantity):
    """Per seed the difference at the setting where it is the smallest; positive: the same order at every setting."""
    gap = (quantity.sign * col("value")).min().alias("gap")
    return lambda of: differences(quantity)(of).group_by("seed").agg(gap).sort("seed")


def course_of(quantity, number):
    """Per seed that has all values of the dial a number of its course: scores from the most to the least Gaussian inputs."""

    def rows(of):
        frame = settings(quantity)(of).drop_nulls("score")
        if not frame["end"].is_in([LEAST]).any() or frame[of.axis].n_unique() < 3:
            raise NotMeasured("needs three values or more of an axis with a Gaussian end")
        points = frame.group_by("seed", of.axis).agg(col("score").mean())
        points = points.sort(of.axis, descending=of.axis == BLEND)
        lines = points.group_by("seed").agg("score").sort("seed")
        lines = lines.filter(col("score").list.len() == points[of.axis].n_unique())
        return lines.select(
            "seed", gap=pl.Series([number(np.array(line)) for line in lines["score"]], dtype=pl.Float64)
        )

    return rows


def effects(quantity):
    """Per seed imp at one end of a further axis minus the other, all else held, on the least Gaussian inputs.

    The smallest fraction minus the largest, of other axes the last value minus the first.
    """

    def rows(of):
        frame = settings(quantity)(of).filter(least)
        others = [path for path in of.axes if path != of.axis and frame[path].n_unique() > 1]
        found = []
        for path in others:
            values = sorted(set(frame[path]), reverse=path == "prune.fraction")
            keys = ["seed", *(other for other in others if other != path)]
            sides = [frame.filter(col(path) == value).select(*keys, "score") for value in (values[-1], values[0])]
            both = sides[0].join(sides[1], on=keys).with_columns(gap=col("score") - col("score_right"))
            words = pl.lit(f"{path} {label(values[-1])} instead of {label(values[0])}")
            found.append(both.group_by("seed").agg(col("gap").mean()).sort("seed").with_columns(words=words))
        return pl.concat(found) if found else pl.DataFrame(schema=["seed", "gap", "words"])

    return rows


def told(of):
    """Where rows were read, and how many pairs of setting and seed stand behind a count of seeds."""
    rows = of.at(AT)
    low, high = (100 * share for share in (rows["density"].min(), rows["density"].max()))
    unequal = ": not one density, and part of what differs between settings is that" * (high > 1.05 * low)
    found = [f"Read with {low:.3g} to {high:.3g} % of the weights left{unequal}."]
    for quantity in LOCAL:
        try:
            gaps = differences(quantity)(of)
        except NotMeasured:
            continue
        held = (quantity.sign * gaps["value"] > 0).sum()
        of_what = f"{gaps['seed'].n_unique()} seeds at {gaps['setting'].n_unique()} settings of one set of inputs"
        found.append(
            f"imp is {quantity.comparative} at the least Gaussian end in {held} of {len(gaps)} pairs: {of_what}."
        )
    return found


def order(quantity, says, left, than, question, **more):
    says, question = says.replace("more", quantity.comparative, 1), f"{quantity.name}: {question}"
    return More(quantity=quantity, left=left, than=than, says=says, question=question, at=AT, by=("setting",), **more)


def gaps(quantity, says, frame, question, **more):
    says, question = says.replace("more", quantity.comparative, 1), f"{quantity.name}: {question}"
    return Gaps(frame=frame, says=says, question=question, **{"unit": quantity.unit} | more)


def ends(quantity):
    """imp between the ends of the dial, and against random at both."""
    clone = "against: the clone's masks have no structure (Redman et al. 2025, Fig. 3B)"
    return [
        order(quantity, "imp is more on the least Gaussian inputs than on the most", imp & least, imp & most, "ends", source=FIG3),
        order(quantity, "On the most Gaussian inputs imp is more than random too", imp & most, random & most, "ends", source=clone),
        order(quantity, "On the least Gaussian inputs imp is more than random", imp & least, random & least, "ends", control=True),
    ]  # fmt: skip


def course(quantity):
    """What makes it a dial: an order, in every step, and not in the first alone."""
    sign, question = quantity.sign, "dial"
    rank = course_of(quantity, lambda line: sign * spearman(range(len(line)), line))
    step = course_of(quantity, lambda line: (sign * np.diff(line)).min())
    rest = course_of(quantity, lambda line: sign * (line[-2] - line[0]))
    return [
        gaps(
            quantity,
            "The less Gaussian the inputs, the more is imp (rank correlation)",
            rank,
            question,
            unit="",
            source=FIG3,
        ),
        gaps(
            quantity,
            "At every step of the dial imp is more on the less Gaussian inputs (smallest step)",
            step,
            question,
        ),
        gaps(
            quantity,
            "Beyond its first step the dial goes on: imp is more there than on the most Gaussian inputs",
            rest,
            question,
        ),
    ]


def over_settings(quantity):
    """The ends, in the mean of all settings and where they differ least."""
    says = "In the mean of all settings imp is more on the least Gaussian inputs than on the most"
    everywhere = "At every setting imp is more on the least Gaussian inputs than on the most (smallest difference)"
    return [
        order(quantity, says, imp & least, imp & most, "settings"),
        gaps(quantity, everywhere, smallest(quantity), "settings"),
    ]


def compared(quantity):
    """The methods in the mean of all settings, and what a further axis does, on the least Gaussian inputs."""
    methods = {"oneshot": oneshot, "random": random}
    return [
        *(order(quantity, f"On the least Gaussian inputs imp is more than {name}", imp & least, method & least, "methods")
          for name, method in methods.items()),
        gaps(quantity, "With {each} imp is more on the least Gaussian inputs", effects(quantity), "further axes",
             each="words", sign=quantity.sign),
    ]  # fmt: skip


def panel(quantity, of, **more):
    return Panel(
        of=of, at=AT, mark=dots, label=quantity.label, optional=quantity in (SPREAD, PIECES), height=1.8, **more
    )


def of_settings(quantity):
    """imp along the dial; a column per value of the first further axis."""
    shown = {"x": AXIS, "columns": "first", "colour": "second", "reference": quantity.reference}
    return panel(quantity, settings(quantity), yscale="log" if quantity.log else "", **shown)


def of_ends(quantity):
    shown = {
        "x": "place",
        "xlabel": "as the columns above",
        "colour": "second",
        "options": {"join": False},
        "scale": "names",
    }
    return panel(quantity, differences(quantity), title="least minus most Gaussian inputs", reference=0.0, **shown)


LOCAL, DRAWN = (WIDTH, CLUSTERING), (WIDTH, SPREAD, PIECES, CLUSTERING, KURTOSIS, ACCURACY)
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
        claims=[*over_settings(WIDTH), *over_settings(CLUSTERING)]
        + [claim for quantity in (WIDTH, CLUSTERING, KURTOSIS, ACCURACY) for claim in compared(quantity)],
    ),
]  # fmt: skip

if __name__ == "__main__":
    command.run(FIGURE, __doc__)
