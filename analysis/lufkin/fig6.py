"""Fields of soft committee machines on Kur inputs, and ICA components of the same inputs.  Lufkin et al. (2024), Fig. 6.

A committee: sigmoid units, their mean the output. Localised: see units.py; the IPR stands beside it. Components of equal sets of inputs
count once, and the set is the unit of replication: components of one set say nothing of the next.

Counts against the paper: units that localise on Kur(4), or do not on Kur(10); ICA that does not localise. Blind spot: the arc sees one
field only, a unit with two far bumps is not localised.
"""

from functools import partial

import numpy as np
import polars as pl
from polars import col

from impray.figures import Figure, Gaps, NotMeasured
from impray.results.tidy import once
from impray.spec.data import Kur
from impray.theory.ring import LOCAL_ARC
from lufkin.those import first_of_each, is_ring, those
from lufkin.units import EVERY, ICA, NONE, SHARE, WHOLE, WIDE, by_seed, counted, described, gaps, lines, units

NEEDS = (
    "soft committee machines (net.readout: mean, several hidden units) on kur inputs, measures course with weights_every and "
    "components, as sweeps/lufkin2024_committee.yaml"
)
THEIRS = ("Kur(10)", "Kur(4)")
negative, positive = col("excess") < 0, col("excess") > 0


def is_committee(trial):
    net = trial.net
    return (
        net.readout == "mean"
        and len(net.hidden) == 1
        and net.hidden[0] > 1
        and isinstance(trial.data, Kur)
        and is_ring(trial)
    )


def wanted(results):
    return first_of_each(those(results, is_committee, NEEDS), key=lambda trial: -trial.data.k)


@once
def components(results):
    """ICA's components, as `units`; sets that several seeds share once, with the lowest of these; `theirs`: of the smallest k."""
    try:
        rows = results.rows("images", ["number", "values"], round=0, name="ica").sort("seed", "image_number")
    except NotMeasured as missing:
        raise NotMeasured("needs measure components") from missing
    rows = rows.unique(["trial", "image_number", "values"], keep="first", maintain_order=True)
    w = pl.Series("weights", [np.frombuffer(values, "<f4").astype(float).tolist() for values in rows["values"]])
    icas = described(results, rows.drop("values").with_columns(w, pl.lit(ICA).alias("model")))
    return icas.with_columns((col("trial") == list(results.trials)[-1]).alias("theirs"))


def both(results):
    nets = units(results).with_columns(pl.lit(False).alias("theirs"))
    try:
        return pl.concat([nets, components(results)], how="diagonal")
    except NotMeasured:
        return nets


def shown(results):
    """The paper's two committees (else the first and the last) and ICA of the smallest k, of the lowest seed each."""
    names = units(results)["name"].unique(maintain_order=True).to_list()
    names = [name for name in names if name in THEIRS] or [names[0], names[-1]]
    rows = both(results).filter(pl.when(col("model") == ICA).then("theirs").otherwise(col("name").is_in(names)))
    return rows.filter(col("seed") == col("seed").min().over("title"))


def higher(results):
    """Mean IPR over units: the smallest on inputs of negative excess kurtosis minus the largest on the others, seed by seed."""
    means = units(results).group_by("seed", "name", "excess", maintain_order=True).agg(col("ipr").mean())
    sides = [means.filter(side).group_by("seed", maintain_order=True).agg(end) for side, end in
             ((negative, col("ipr").min()), (positive, col("ipr").max()))]  # fmt: skip
    return sides[0].join(sides[1], on="seed").select("seed", (col("ipr") - col("ipr_right")).alias("gap"))


SOURCE = "Lufkin et al. (2024), Fig. 6"
net = partial(Gaps, source=SOURCE, question="committee")
ica = partial(
    Gaps, source=SOURCE, question="ICA", each="name", what="set", says="every component of ICA on {each} is localised"
)
CLAIMS = [
    net(
        says="most units of a committee localise with negative excess kurtosis",
        frame=gaps(units, SHARE - 0.5, negative),
    ),
    net(says="every unit of a committee does", frame=gaps(units, EVERY, negative)),
    net(says="units on positive excess kurtosis are wide: mean arc above an eighth", frame=gaps(units, WIDE, positive)),
    net(says="no unit localises with positive excess kurtosis", frame=gaps(units, NONE, positive)),
    net(says="the mean IPR is higher with negative than with positive excess kurtosis", frame=higher),
    ica(frame=gaps(components, EVERY, col("theirs"), "name")),
    ica(frame=gaps(components, EVERY, ~col("theirs"), "name"), control=True),
]

FIGURE = Figure(
    name="lufkin2024_fig6",
    title="Fig. 6  Many neurons, and ICA",
    question="Do many neurons localise where a single one does, and does ICA whatever the sign?",
    source=SOURCE,
    paper="A soft committee machine of ten sigmoid units learns sharply localised fields on Kur(10) (excess kurtosis -0.93) and "
    "low-frequency oscillations on Kur(4) (3.28 in its sample; infinite); FastICA learns localised components on Kur(3).",
    wanted=wanted,
    panels=[
        *lines(shown, 10)[:3],
        by_seed(both, SHARE, "share of\nlocalised fields", options=WHOLE),
        by_seed(both, col("arc").mean(), "arc with half of the\nsquared weight, mean", reference=LOCAL_ARC),
        by_seed(both, col("ipr").mean(), "IPR, mean"),
    ],
    claims=CLAIMS,
    notes=lambda results: [counted(both(results)), "Fields: ten of the lowest seed, each on a scale of its own."],
    per_line=3,
)
