"""Receptive fields over training on a non-linear Gaussian process and on its Gaussian clone.  Ingrosso & Goldt (2022).

Nothing is pruned: fields are those of round 0 (tables `steps` and `rounds`, measures course and sinusoid), with the IPR of 3/(n + 2)
that n Gaussian random weights have. Far from Gaussian is an excess kurtosis below -NEARLY, as at gain 2.12 and 100.

Expect: on the process the IPR rises and ends above the clone's, whose stays within a factor of NEAR of random weights', as do both where
the process is nearly Gaussian; the clone's fields are nearer to a single wave.
Counts against the paper: the clone's IPR leaving the random value, a process that ends below its clone, or a nearly Gaussian process
whose fields get local (then it is not the higher cumulants). That a wave is nearer does not make the clone's fields waves: see its share
of their power.
"""

from functools import partial
from math import log

import numpy as np
import polars as pl
from lufkin.those import DENSE, those, weights
from polars import col

from impray.figures import CLONE, NATURAL, Figure, Gaps, NotMeasured, Panel, band, command, dots, images
from impray.figures.drawing import shown
from impray.results.quantities import ACCURACY, Quantity
from impray.results.tidy import once
from impray.spec.data import Nlgp
from impray.theory.naming import excess_kurtosis
from impray.theory.ring import noise_ipr

NEAR, NEARLY = 1.5, 0.1
UNITS, STEPS = 8, 6  # drawn
NEEDS = "nlgp at a gaussian_blend of 0 or 1, measures course (weights_every) and sinusoid, as sweeps/ingrosso2022.yaml"
WAVE = Quantity("sinusoid_distance_mean", "distance from the best wave")
far = col("natural_excess") <= -NEARLY


def wanted(results):
    return those(results, lambda trial: isinstance(trial.data, Nlgp) and trial.data.gaussian_blend in (0, 1), NEEDS)


def described(results, rows):
    """Rows with the gain, the excess kurtosis of the process (not of its clone), and the IPR of random weights."""
    kinds = [(id, *stimulus(trial.data)) for id, trial in results.trials.items()]
    kinds = pl.DataFrame(kinds, ["trial", "gain", "at_gain", "natural_excess", "random", "shape"], orient="row")
    rows = rows.with_columns(pl.when(col("side") == CLONE).then(pl.lit(CLONE)).otherwise(pl.lit("")).alias("clone"))
    return rows.join(kinds, on="trial", maintain_order="left").sort("gain", "clone", maintain_order=True)


def stimulus(data):
    excess = excess_kurtosis(data.model_copy(update={"gaussian_blend": 0.0}))
    return data.gain, f"gain {data.gain:.3g}", excess, noise_ipr(data.inputs), list(data.input_shape)


@once
def course(results):
    """A row per net and recorded step: means over units."""
    rows = results.rows("steps", ["step", "ipr", "loss"], round=0).sort("step")
    keys = [name for name in rows.columns if name not in ("ipr", "loss")]
    return described(results, rows.group_by(keys, maintain_order=True).agg(col("ipr", "loss").mean()))


@once
def ends(results):
    """A row per gain and seed: first and last IPR, and distance from a wave, of the process and (with _clone) of its clone."""
    keys = ["at_gain", "natural_excess", "random", "seed"]
    rows = course(results).group_by(*keys, "side", maintain_order=True)
    rows = rows.agg(col("ipr").first().alias("first"), col("ipr").last(), col("lineage").first())
    try:
        wave = results.values(WAVE, DENSE).select("lineage", col("value").alias("wave"))
    except NotMeasured:
        wave = pl.DataFrame(schema={"lineage": pl.String, "wave": pl.Float64})
    rows = rows.join(wave, on="lineage", how="left", maintain_order="left").drop("lineage")
    process, clone = (rows.filter(col("side") == side).drop("side") for side in (NATURAL, CLONE))
    return process.join(clone, on=keys, how="full", suffix="_clone", coalesce=True, maintain_order="left")


def fields(results):
    """Weights of the first units at some steps, at the middle gain, of the first seed that has them of the process and its clone."""
    rows = described(results, weights(results).filter(col("unit") < UNITS))
    gains = rows["gain"].unique().sort().to_list()
    rows = rows.filter(col("gain") == gains[len(gains) // 2])
    rows = rows.filter(col("side").n_unique().over("seed") == rows["side"].n_unique())
    rows = rows.filter(col("seed") == col("seed").min())
    rows = rows.filter(col("step").is_in(shown(rows["step"].unique().sort().to_list(), STEPS)))
    values = pl.Series("values", [np.asarray(w, "<f4").tobytes() for w in rows["weights"]])
    rows = rows.with_columns(values, pl.format("{}, {}, seed {}", "side", "at_gain", "seed").alias("of"))
    return rows.drop("weights").sort("side", "step", "unit", descending=[True, False, False])


def powers(results):
    """The share of a field's power in the best single wave, 1 - d^2 at the mean distance d over units."""
    return described(results, results.values(WAVE, DENSE)).with_columns((1 - col("value") ** 2).alias("value"))


def gaps(gap, where=far):
    """A gap per seed and gain."""

    def made(results):
        rows = ends(results).filter(where).select("seed", "at_gain", gap.alias("gap"))
        if rows["gap"].is_null().all():
            raise NotMeasured(f"needs {NEEDS}")
        return rows

    return made


SOURCE = "Ingrosso & Goldt (2022)"
claim = partial(Gaps, each="at_gain", source=SOURCE)
near = partial(claim, sign=0, margin=log(NEAR), question="random", unit="(ln of the ratio)")
over_time = partial(Panel, mark=band, x="step", colour="at_gain", dash="clone", xlabel="step")
by_gain = partial(Panel, mark=dots, x="side", colour="at_gain", xlabel=" ", height=1.5)
every = pl.lit(True)

FIGURE = Figure(
    name="ingrosso2022",
    title="Receptive fields on a non-linear Gaussian process and on its Gaussian clone",
    question="Do receptive fields become local on a non-linear Gaussian process, and not on its Gaussian clone?",
    source=SOURCE,
    paper="Fields become local on the process, and not on a Gaussian process with the same covariances.",
    wanted=wanted,
    panels=[
        Panel(of=fields, mark=images, x="", columns="of", options={"as": "field", "per_line": UNITS, "lines": "step"}, label="step",
              height=2.3),
        over_time(of=course, y="ipr", label="IPR, mean over units\n(dotted: random weights)", yscale="log", reference=noise_ipr(256)),
        over_time(of=course, y="loss", label="held-out loss", yscale="log"),
        by_gain(of=powers, label="share of power in\nthe best single wave"),
        by_gain(of=lambda results: described(results, results.values(ACCURACY, DENSE)), label="held-out accuracy"),
    ],
    claims=[
        claim(says="at {each} the IPR on the process ends above the clone's", question="above", frame=gaps(col("ipr") - col("ipr_clone"))),
        claim(says="at {each} it rises while training", question="rises", frame=gaps(col("ipr") - col("first"))),
        near(says="at {each} the clone's IPR ends near random weights'", frame=gaps((col("ipr_clone") / col("random")).log(), every)),
        near(says="at {each}, nearly Gaussian, so does the process's", frame=gaps((col("ipr") / col("random")).log(), ~far)),
        claim(says="at {each} the clone's fields are nearer to a wave", question="wave", frame=gaps(col("wave") - col("wave_clone"))),
    ],
    notes=["Fields: the first units, red is positive, each on a scale of its own."],
    per_line=2,
)  # fmt: skip

if __name__ == "__main__":
    command.run(FIGURE, __doc__)
