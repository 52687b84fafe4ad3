"""When eq. 5 stops describing a single neuron: IPR and weights over time, simulated and by eq. 5.  Lufkin et al. (2024), Fig. 8.

Time is updates x learning rate. A column per initialisation on the most binary NLGP stimulus, and one on the most Gaussian. Eq. 5 has the
exact amplifier and starts at the recorded weights. Snapshots: before (two fifths of the time at which the simulated IPR first passes 0.1),
during (that time) and after (the end); where the IPR never passes it, at 0.4, 0.6 and 1 of the training. Curves end at four times
the time at which the IPR rises. The distance is |w - w by eq. 5|, relative: over |w|.

Counts against the paper: a distance that passes half of its largest before the IPR rises; fields on the binary stimulus that are not
sharp (IPR of at least 5 times that of white noise), or on the Gaussian one above 2 times; a relative distance above 10 % before the IPR
rises, or on the Gaussian stimulus at the end; peaks at eq. 5's input no more often than by chance (1 of 100 inputs; the paper: 3 of 4).
Blind spot: the noise of training, which falls with the batch, is in the distance too, from the start.
"""

import polars as pl
from polars import col

from impray.figures import Figure, Gaps, Panel, Share, curves, dots
from impray.results.tidy import NotMeasured, Results, once
from impray.spec.data import Nlgp
from lufkin.those import SIMULATED, chosen, data_of, first_of_each, gaps, held_against, is_neuron, those, with_theory

NEEDS = (
    "single ReLU neurons on nlgp inputs of a gain of 1 or more (and a small one) and measure course with weights_every, as "
    "sweeps/lufkin2024_breakdown.yaml"
)
RISES = 0.1  # of IPR: the top of the paper's zoomed panels
UNTIL = 4  # times that: how long curves are drawn
MOST_SEEDS = 4  # initialisations of the binary stimulus that are drawn
CLOSE = 0.1  # |w - w by eq. 5| / |w|: the two are one
THEORY = "eq. 5"


def wanted(results: Results) -> Results:
    def is_wanted(trial) -> bool:
        return is_neuron(trial) and isinstance(trial.data, Nlgp) and trial.data.gaussian_blend == 0

    neurons = first_of_each(those(results, is_wanted, NEEDS), lambda trial: -trial.data.gain)
    (first, data), *others = data_of(neurons).items()
    if data.gain < 1:
        raise NotMeasured(f"needs {NEEDS}")
    return chosen(neurons, [first, *(id for id, _ in others[-1:])])


@once
def fields(results: Results) -> pl.DataFrame:
    """Rows of `with_theory`; binary: of the more binary stimulus; net: in words, of those that are drawn."""
    rows = with_theory(results, {THEORY: "exact"}, None).with_columns(
        (col("trial") == next(iter(results.trials))).alias("binary")
    )
    rank = col("seed").rank("dense").over("trial")
    drawn = rank <= pl.when("binary").then(MOST_SEEDS).otherwise(1)
    return rows.with_columns(pl.when(drawn).then(pl.format("{}\nseed {}", "name", "seed")).alias("net"))


@once
def courses(results: Results) -> pl.DataFrame:
    """Eq. 5 against the simulated field at every record, with the times of its net: `moment`, at which the IPR rises, `apart_at`, at
    which the distance passes half of its largest, and those of the snapshots.
    """
    net, time = ("trial", "seed"), col("time")
    rows = held_against(fields(results)).with_columns(
        time.filter(col("ipr_simulated") > RISES).first().over(net).alias("moment"),
        time.filter(col("distance") > col("distance").max() / 2).first().over(net).alias("apart_at"),
        time.max().over(net).alias("after"),
    )
    rises = pl.when(col("moment") > 0).then("moment")
    shares = pl.coalesce(rises, "after"), pl.coalesce(rises, 0.6 * col("after"))
    return rows.with_columns((0.4 * shares[0]).alias("before"), shares[1].alias("during"))


@once
def snapshots(results: Results) -> pl.DataFrame:
    """The first record of every net at or after each of its three times."""
    rows, by = courses(results), ["trial", "seed"]
    parts = [rows.filter(col("time") >= col(when)).group_by(by, maintain_order=True).first() for when in WHEN]
    return pl.concat(part.with_columns(pl.lit(when).alias("when")) for part, when in zip(parts, WHEN, strict=True))


def drawn(results: Results) -> pl.DataFrame:
    """Both fields' IPR over time of the nets that are drawn, until nothing more happens."""
    times = courses(results).select("trial", "seed", "step", "distance", "moment", "after")
    rows = (
        fields(results)
        .filter(col("net").is_not_null())
        .join(times, on=["trial", "seed", "step"], maintain_order="left")
    )
    near = pl.when(col("ipr") <= RISES).then("ipr").alias("ipr_near_0")
    happens = col("time") <= pl.coalesce(pl.when(col("moment") > 0).then(UNTIL * col("moment")), "after")
    return rows.filter(happens).drop("weights", "seed").with_columns(near)


def weights(when: str):
    """Both fields of the nets that are drawn, an input a row."""

    def rows(results: Results) -> pl.DataFrame:
        snapshot = snapshots(results).filter(col("net").is_not_null(), col("when") == when)
        time = col("time").round(2).cast(pl.String).str.strip_suffix(".0")
        net = pl.format("{}, t = {}", "net", time).alias("net")
        sides = [
            snapshot.select(net, pl.lit(field).alias("field"), col(w).alias("weight")) for field, w in SIDES.items()
        ]
        inputs = pl.int_range(pl.len()).over("net", "field").alias("input")
        return pl.concat(sides).explode("weight").with_columns(inputs)

    return rows


WHEN = ("before", "during", "after")
SIDES = {SIMULATED: "weights_simulated", THEORY: "weights"}
SOURCE = "Lufkin et al. (2024), Fig. 8"
binary, before, after = col("binary"), col("when") == "before", col("when") == "after"


def beside(**more) -> Panel:
    return Panel(mark=curves, columns="net", scale="linear", height=1.1, **more)


def over_time(y: str, label: str, **more) -> Panel:
    options = {"order": [*SIDES], "moment": f"IPR passes {RISES}"}
    return beside(of=drawn, x="time", y=y, label=label, xlabel="time", options=options, **more)


def claim(frame, gap, where, sign, says, question) -> Gaps:
    return Gaps(
        frame=gaps(frame, gap), where=where, sign=sign, each="name", source=SOURCE, says=says, question=question
    )


FIGURE = Figure(
    name="lufkin2024_fig8",
    title="Fig. 8  Where eq. 5 breaks down",
    question="When does eq. 5 stop describing a single neuron?",
    source=SOURCE,
    paper="On NLGP(100) the field localises in all four initialisations; eq. 5 is near-exact until the IPR rises, its error grows shortly "
    "after, and it predicts the place in three of four. On NLGP(0.01) the field does not localise and eq. 5 holds throughout.",
    wanted=wanted,
    panels=[
        over_time("ipr", "IPR", colour="field"),
        over_time("ipr_near_0", "IPR near 0", colour="field"),
        over_time("distance", "distance", where=col("field") == THEORY),
        *(beside(of=weights(when), x="input", y="weight", label=f"{when}:\nweight", xlabel="input", colour="field") for when in WHEN),
        Panel(of=snapshots, mark=dots, x="when", y="relative", columns="name", colour="", label="distance\nover |w|", xlabel=" ",
              reference=CLOSE, height=1.2),
    ],
    claims=[
        claim(snapshots, col("apart_at") - col("moment"), binary & after, 1, "on {each} inputs the distance from eq. 5 grows (past half of "
              f"its largest) after the IPR does (past {RISES})", "order"),
        claim(snapshots, col("ipr_simulated") - col("local"), binary & after, 1,
              "on {each} inputs the field localises: IPR above 5 times that of white noise", "local"),
        claim(snapshots, col("relative") - CLOSE, binary & before, -1,
              "on {each} inputs eq. 5 is near-exact before the IPR rises: within 10 % of |w|", "exact"),
        Share(frame=snapshots, holds=col("apart") == 0, where=binary & after, chance=1 / 100, each="name", source=f"{SOURCE} (3 of 4)",
              question="place", says="on {each} inputs eq. 5 has its peak at the same input in the end, more often than by chance"),
        claim(snapshots, col("ipr_simulated") - col("quiet"), ~binary & after, -1,
              "on {each} inputs the field does not localise: IPR below 2 times that of white noise", "local"),
        claim(snapshots, col("relative") - CLOSE, ~binary & after, -1,
              "on {each} inputs eq. 5 is near-exact to the end: within 10 % of |w|", "exact"),
    ],
)  # fmt: skip
