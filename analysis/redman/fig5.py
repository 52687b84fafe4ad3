"""Cavity scores of imp's weights by fate, at round 0 (B) and after every round (C).  Redman et al. (2025), Fig. 5B, C.

Score of a weight (eq. 5, 6): what its removal does to the distance of its unit's kurtosis from 3 (positive: further from a Gaussian
without it). Fate f: the round whose mask first lacks it; `end` are those in the last mask. The mask of round f is made at the end of
round f-1, so "just before removal" is the score at round f-1. C is N_W times the score, N_W the weights left in the layer.

Groups (fates of a seed at a round) share their network, so each claim is judged by one number per seed: the share of groups that do as
the paper says, minus what signs by chance give (1/2 a sign; of the f signs of one fate, taken as independent, 2^-f). Controls, not in the
paper: the Gaussian clone, whose scores are sampling noise (a Gaussian's are 0); half of the samples (noise shrinks as samples grow,
the data's score does not); medians beside means, since few weights carry a mean. Sizes are root mean squares over fates at round 0.

Margin: scores "do not depend on the sample" where full / half lies within 0.8 to 1.25. Counts against the paper: no more groups
with the paper's signs than by chance, or than on the clone; scores on the clone half as large as on the data, or scores that change
with the sample.
"""

from math import log

import polars as pl
from polars import col

from impray.figures import CLONE, NATURAL, Figure, Gaps, Panel, band, command, courses
from impray.results.scores import HALF, STATISTICS, groups, orders, scored, sizes


def before(results, side=NATURAL):
    return scored(results, side).filter("next").select("seed", holds="right", chance=pl.lit(0.5))


def later(results, side=NATURAL):
    return scored(results, side).filter(~col("next")).select("seed", holds="right", chance=pl.lit(0.5))


def flips(results, side=NATURAL):
    """Fates from 2 on that have a score in every round before their removal."""
    fates = scored(results, side).filter(col("fate") >= 2).group_by("seed", "fate")
    whole = fates.agg(col("right").all().alias("holds"), rounds=pl.len()).filter(col("rounds") == col("fate"))
    return whole.select("seed", "holds", chance=0.5 ** col("fate"))


def at_0(results, side=NATURAL):
    """Fates 1 and 2 are positive; 4, later ones and survivors negative."""
    rows = scored(results, side).filter(col("round") == 0, col("fate") != 3)
    sign = pl.when(col("fate").is_in([1, 2])).then(1).otherwise(-1)
    return rows.select("seed", holds=col("score") * sign > 0, chance=pl.lit(0.5))


def beyond_clone(kind, says):
    def gaps(results):
        data, clone = (kind(results, side).group_by("seed").agg(col("holds").mean()) for side in (NATURAL, CLONE))
        return data.join(clone, on="seed").sort("seed").select("seed", gap=col("holds") - col("holds_right"))

    return Gaps(frame=gaps, control=True, question="noise", says=f"{says} than on the clone (share of groups)")


def ratio(numerator, denominator, by=1.0):
    """Per seed the logarithm of one size over another, over `by`; sizes by side and statistic."""
    gap = (col("size") / col("size_right") / by).log()
    return lambda results: (
        sizes(results, *numerator).join(sizes(results, *denominator), on="seed").sort("seed").select("seed", gap=gap)
    )


def notes(results):
    kinds = {"positive before removal": before, "turn positive then": flips, "later negative": later, "B's signs": at_0}
    for words, kind in kinds.items():
        data, clone = kind(results), kind(results, CLONE)
        of_clone = f", on the clone {clone['holds'].sum()} of {len(clone)}" if len(clone) else ""
        yield f"Groups ({words}): {data['holds'].sum()} of {len(data)} (chance {data['chance'].sum():.3g}{of_clone})."


def share(kind, says, letter):
    beyond = (col("holds") - col("chance")).mean().alias("gap")
    return Gaps(frame=lambda results: kind(results).group_by("seed").agg(beyond).sort("seed"),
                says=f"{says} (share of groups beyond chance)", source=f"Redman et al. (2025), Fig. 5{letter}",
                question=f"Fig. 5{letter}")  # fmt: skip


def panel(y, label, mark, colour, where, **more):
    return Panel(of=groups, y=y, mark=mark, x="fate_name", columns="side", colour=colour, where=where, label=label,
                 xlabel="fate (round of removal)", reference=0.0, **more)  # fmt: skip


FIGURE = Figure(
    name="redman2025_fig5",
    title="Fig. 5  Cavity scores by the round of removal",
    question="Is a weight's cavity score positive just when IMP removes it, and negative before?",
    source="Redman et al. (2025), Fig. 5B, C",
    paper="At round 0, weights that go in rounds 1 and 2 have a positive mean cavity score and those that go from round 4 on a negative "
    "one; evaluated again after every round, a group's mean stays negative until the round before its removal and is positive just then.",
    base=True,
    notes=lambda results: list(notes(results)),
    panels=[
        panel("score", "cavity score\nat round 0", band, "statistic", col("round") == 0),
        *(panel("scaled", f"N_W x cavity score\n{name}", courses, "round", col("statistic") == name,
                optional=name == HALF, yscale="symlog", options={"ring": "just before removal", "linear": 1.0}) for name in STATISTICS),
    ],
    claims=[
        share(before, "just before its removal a group's mean score is positive", "C"),
        share(flips, "a group's mean is negative in every earlier round and turns positive exactly then, fates 2 and later", "C"),
        share(later, "whatever is removed later, or never, has a negative mean score at that time", "C"),
        share(at_0, "at round 0 fates 1 and 2 have a positive mean, fates from 4 on and survivors a negative one", "B"),
        Gaps(frame=lambda results: orders(results).select("seed", gap=col("rho") + 0.5), sign=-1,
             source="Redman et al. (2025), Fig. 5B", question="Fig. 5B",
             says="at round 0 the score falls with the round of removal (rank correlation from -0.5)"),
        beyond_clone(before, "just before removal more groups are positive"),
        beyond_clone(flips, "more groups turn positive exactly then"),
        beyond_clone(later, "more groups that are removed later are negative"),
        beyond_clone(at_0, "at round 0 more groups have the paper's signs"),
        Gaps(frame=ratio((CLONE,), (NATURAL,), 0.5), sign=-1, control=True, question="noise",
             says="at round 0 the clone's scores are less than half as large as the data's (log of ratio to half)"),
        Gaps(frame=ratio((NATURAL,), (NATURAL, HALF)), sign=0, margin=log(1.25), control=True, question="noise",
             says="the data's scores do not depend on the sample (log of full / half)"),
    ],
)  # fmt: skip

if __name__ == "__main__":
    command.run(FIGURE, __doc__)
