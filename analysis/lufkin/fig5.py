"""IPR of a single neuron's weights against the excess kurtosis of its inputs, NLGP and Kur.  Lufkin et al. (2024), Fig. 5.

Localised is an IPR above 5 times that of white noise (0.357 of 40 inputs), not localised below 2 times (0.143). The excess kurtosis is
exact; of Kur(k) it is infinite for k <= 4. Steady: no stimulus has a seed further than STEADY from its mean, about the size of the
paper's marks. NLGP and Kur coincide, and our seeds with the authors' own code, within SAME. Beside the mean stands the share of seeds
above HIGH, because where a stimulus has localised seeds and others no seed is at the mean.

Counts against the paper: positive excess kurtosis that localises; negative that does not, in whatever seed; seeds that differ; NLGP and
Kur apart at one excess kurtosis. Blind spot: the IPR of a field as wide as a length scale is small; at xi = 1/3 none comes near 1.
"""

from functools import partial

import numpy as np
import polars as pl
from polars import col

from impray.figures import Figure, Gaps, NotMeasured, Panel, Share, dots
from impray.results.quantities import IPR, Quantity
from impray.results.tidy import once
from impray.spec.data import Kur, Nlgp
from impray.theory.ring import NOT_LOCAL, local_ipr, noise_ipr
from impray.theory.statistics import share_interval
from lufkin.those import DENSE, is_neuron, those

SAME, STEADY, HIGH = 0.1, 0.05, 0.5  # of IPR
THEIRS: dict[tuple, float] = {  # final IPR by the authors' own code (2,000 steps, batch 1,000), as it was printed
    ("NLGP", 100.0, (0.3, 0.7), 40): 0.987,
    ("NLGP", 0.01, (0.3, 0.7), 40): 0.046,
    ("NLGP", 100.0, (1.0, 3.0), 40): 0.562,
    ("Kur", 5.0, (0.3, 0.7), 40): 0.044,
}
NEEDS = (
    "single ReLU neurons (net: {hidden: [1], activation: relu, bias: false, outputs: 1, readout: mean}) on nlgp or kur inputs "
    "of at least 3 kurtoses, measures ipr and flow, as sweeps/lufkin2024.yaml"
)
FLOW, AGREE = Quantity("ipr_flow_mean", "IPR by eq. 5"), Quantity("peak_agrees_mean", "same peak as by eq. 5")
value, excess = col("value"), col("excess")
negative, sharp = excess < 0, col("xi") == col("xi").min()


def described(results, rows):
    """Rows with their length scales, place on the axis, IPR of a localised field and of one that is not, and that of the authors."""
    names = ["trial", "family", "parameter", "scales", "xi", "local", "quiet", "theirs"]
    kinds = pl.DataFrame([(id, *stimulus(trial.data)) for id, trial in results.trials.items()], names, orient="row")
    rows = rows.drop("family").join(kinds, on="trial", maintain_order="left")
    finite, k = excess.is_finite(), col("parameter")
    beyond = 12.0 * 2.4 ** (k.rank("dense", descending=True) - 1).over(finite)  # the smaller k, the further out
    words = pl.when(finite).then(excess.cast(pl.String)).otherwise(pl.format("inf\nk={}", k.cast(pl.Int64)))
    rows = rows.with_columns(words.alias("words"), pl.when(finite).then(excess).otherwise(beyond).alias("at"))
    return rows.sort("xi", "kind", descending=[False, True], maintain_order=True)


def stimulus(data):
    family, parameter = ("NLGP", data.gain) if isinstance(data, Nlgp) else ("Kur", data.k)
    scales = f"ξ {'/'.join(f'{xi:g}' for xi in data.xi)}{f', N = {data.inputs}' * (data.inputs != 40)}"
    bounds = (local_ipr(data.inputs), NOT_LOCAL * noise_ipr(data.inputs))
    return family, parameter, scales, data.xi[0], *bounds, THEIRS.get((family, parameter, data.xi, data.inputs))


def wanted(results):
    results = results.at_base(but=[path for path in results.axes if path.startswith("data")])
    neurons = those(results, lambda trial: is_neuron(trial) and isinstance(trial.data, (Nlgp, Kur)), NEEDS)
    kinds = described(neurons, neurons.lineages).filter(excess.n_unique().over("scales") >= 3)
    return neurons.where(col("trial").is_in(some(kinds, NEEDS)["trial"].unique().to_list()))


def some(rows, what):
    if rows.is_empty():
        raise NotMeasured(f"needs {what}")
    return rows


@once
def nets(results):
    """A row per net; `away`: how far its IPR is from the mean over seeds."""
    rows = measured(results, IPR).drop_nulls("value")
    return rows.with_columns((value - value.mean().over("trial")).abs().alias("away"))


def fields(results):
    """The nets, and what eq. 5 makes of the same initial weights."""
    simulated = nets(results).with_columns(pl.lit("simulated").alias("by"))
    try:
        return pl.concat([simulated, measured(results, FLOW).with_columns(pl.lit("eq. 5").alias("by"))], how="diagonal")
    except NotMeasured:
        return simulated


def measured(results, quantity):
    return described(results, results.values(quantity, DENSE))


def shares(rows):
    """A row per stimulus: in what share of the seeds a value is above HIGH, with the exact interval."""
    keys = ["scales", "family", "words", "at", "excess", "name"]
    counts = rows.group_by(keys, maintain_order=True).agg((value > HIGH).sum().alias("held"), pl.len().alias("of"))
    ends = [share_interval(*row) for row in counts.select("held", "of").iter_rows()]
    share = col("held") / col("of")
    counts = counts.with_columns(share.alias("value"), share.alias("mean"), pl.lit("simulated").alias("by"))
    return counts.hstack(pl.DataFrame(ends, ["left", "right"], orient="row"))


def beside_nlgp(results):
    """Kur's IPR minus that of NLGP at the same excess kurtosis, by a straight line between two NLGP stimuli, seed by seed."""
    parts = []
    for _, part in nets(results).filter(excess.is_finite()).group_by("scales", "seed", maintain_order=True):
        nlgp, kur = (part.filter(col("family") == name).sort("excess") for name in ("NLGP", "Kur"))
        kur = kur.filter(excess.is_between(nlgp["excess"].min(), nlgp["excess"].max()))
        if len(nlgp) > 1 and len(kur):
            parts.append(kur.with_columns(value - np.interp(kur["excess"], nlgp["excess"], nlgp["value"])))
    return some(pl.concat(parts or [nets(results).clear()]), "Kur stimuli between two NLGP stimuli").rename(
        {"value": "gap"}
    )


def of_seeds(gap, key, where):
    """A gap per seed and value of the key, of the nets that are wanted."""

    def made(results):
        rows = some(nets(results).filter(where), "such stimuli")
        return rows.group_by(key, "seed", maintain_order=True).agg(gap.alias("gap"))

    return made


def notes(results):
    rows = nets(results).filter(excess > 0)
    return [
        f"Positive excess kurtosis: {(rows['value'] < rows['quiet']).sum()} of {len(rows)} nets are below 2 times white noise.",
        "2,000 updates, as in the paper, are too few where seeds differ: after 10,000 (ξ 0.3/0.7) all 30 seeds are above 0.5 on "
        "NLGP(0.5), Kur(7), Kur(10), Kur(30) and Kur(100) (mean 0.69, 0.71, 0.82, 0.87, 0.87, standard deviation at most 0.04), none on "
        "NLGP(0.3) and Kur(6) (mean 0.17, 0.12). Kur(7) and NLGP(0.3), of nearly one excess kurtosis, are then further apart.",
        "Not to be reproduced: the paper's excess kurtoses of 7.66 (Kur(3)), 3.28 (Kur(4)) and 0.86 (Kur(5)) are those of finite "
        "samples; the exact ones are infinite, infinite and 1.285.",
    ]


def panel(rows, label, height=1.3, **more):
    where = {"x": "words", "scale": "symlog", "xlabel": "excess kurtosis of the inputs (exact)", "columns": "scales"}
    return Panel(of=rows, mark=dots, colour="family", dash="by", label=label, height=height, **where, **more)


SOURCE = "Lufkin et al. (2024), Fig. 5"
claim = partial(Gaps, source=SOURCE)
CLAIMS = [
    claim(says="{each}, of the most negative excess kurtosis, localises", question="sign", each="name",
          frame=of_seeds((value - col("local")).first(), "name", negative & (excess == excess.min().over("scales")))),
    claim(says="no positive excess kurtosis localises ({each})", question="sign", each="scales",
          frame=of_seeds((col("quiet") - value).min(), "scales", excess > 0)),
    # Only where fields are sharp: at longer length scales the IPR of every field is small.
    claim(says="every negative excess kurtosis localises, not only large ones ({each})", question="sign", each="scales",
          frame=of_seeds((value - col("local")).min(), "scales", negative & sharp)),
    Share(says=f"on {{each}} most seeds localise (IPR above {HIGH})", source=SOURCE, question="share", each="name",
          frame=lambda results: some(nets(results).filter(negative & sharp), "negative excess kurtosis"), holds=value > HIGH),
    claim(says="the IPR is consistent over initial weights at every stimulus ({each})", question="steady", each="scales",
          frame=of_seeds(STEADY - col("away").max(), "scales", value.is_not_null())),
    claim(says="{each} has the IPR of NLGP at its excess kurtosis", question="family", each="name",
          frame=beside_nlgp, sign=0, margin=SAME),
    claim(says="on {each} the IPR is that of the authors' own code", question="theirs", each="name", sign=0, margin=SAME, control=True,
          frame=of_seeds((value - col("theirs")).first(), "name", col("theirs").is_not_null())),
]  # fmt: skip

FIGURE = Figure(
    name="lufkin2024_fig5",
    title="Fig. 5  Localization against the excess kurtosis of the inputs",
    question="Does a single neuron's receptive field localise exactly where the inputs' excess kurtosis is negative?",
    source=SOURCE,
    paper="With negative excess kurtosis the IPR is close to its maximum of 1, with positive it is nearly zero; it is extremely "
    "consistent over 30 initial conditions, and the trend is very similar for NLGP and Kur.",
    wanted=wanted,
    panels=[
        panel(fields, "IPR of the weights\n(dotted: white noise)", 2.6, reference=noise_ipr(40)),
        panel(lambda results: shares(nets(results)), f"share of seeds\nwith IPR above {HIGH}"),
        panel(lambda results: shares(measured(results, AGREE)), "same peak as\nby eq. 5 (share)"),
    ],
    claims=CLAIMS,
    notes=notes,
)
