"""Fields of two-layer networks with both layers trained, on Kur inputs of either sign.  Lufkin et al. (2024), Fig. 7.

The paper shows ten sigmoid units on Kur(4) and ten ReLU units on Kur(30), at a training of their own each; a sweep has both stimuli for
one of the two networks, the other one is the control. Localised: see units.py. A high frequency is a strongest mode of more than N/10
cycles. Some, not all: the smaller of the shares of localised units and of others is above 0; below ONE unit in ten it is none.

Counts against the paper: units that localise on Kur(4), or whose mode is slow there; seeds without a localised unit on Kur(30).
"""

from functools import partial

import polars as pl
from polars import col

from impray.figures import Figure, Gaps
from impray.results.tidy import once
from impray.spec.data import Kur
from impray.theory.ring import LOCAL_ARC
from lufkin.those import first_of_each, is_ring, those
from lufkin.units import NONE, SHARE, WHOLE, WIDE, by_seed, counted, gaps, lines, units

NEEDS = (
    "two-layer networks with one output (net: {hidden: [10], outputs: 1}) on kur inputs, measure course with weights_every, as "
    "sweeps/lufkin2024_two_layer_sigmoid.yaml and sweeps/lufkin2024_two_layer_relu.yaml"
)
THEIRS = {"sigmoid": 4.0, "relu": 30.0}  # k
SHOWN, ONE = 4, 0.1
negative, theirs, FAST = col("excess") < 0, col("theirs"), col("inputs") / 10


def is_two_layered(trial):
    net = trial.net
    both = net.readout == "trained" and len(net.hidden) == 1 and net.hidden[0] > 1 and net.outputs == 1
    return both and isinstance(trial.data, Kur) and is_ring(trial)


def is_theirs(trial):
    return THEIRS.get(trial.net.activation) == trial.data.k


def wanted(results):
    """What the paper shows first."""
    nets = those(results, is_two_layered, NEEDS)
    return first_of_each(nets, key=lambda trial: (not is_theirs(trial), trial.net.activation, trial.data.k))


@once
def fields(results):
    """The units; `theirs` where the paper shows this network on this stimulus."""
    known = {id: is_theirs(trial) for id, trial in results.trials.items()}
    return units(results).with_columns(col("trial").replace_strict(known, return_dtype=pl.Boolean).alias("theirs"))


def shown(results):
    """The first units of the two lowest seeds."""
    return fields(results).filter(col("unit") < SHOWN, col("seed").rank("dense").over("title") <= 2)


def claims(which, **more):
    """Of the stimuli of one kind, the paper's or the control's; a sweep has one network only."""
    claim = partial(Gaps, each="on", source=SOURCE, optional=True, **more)
    return [
        claim(says="some of the {each} localise, not all", question="some", margin=ONE,
              frame=gaps(fields, pl.min_horizontal(SHARE, 1 - SHARE), which & negative, "on")),
        claim(says="the {each} are wide: mean arc above an eighth", question="none", frame=gaps(fields, WIDE, which & ~negative, "on")),
        claim(says="none of the {each} localises", question="none", frame=gaps(fields, NONE, which & ~negative, "on")),
        claim(says="all of the {each} oscillate at a high frequency", question="fast", unit="cycles",
              frame=gaps(fields, (col("cycles") - FAST).min(), which & ~negative, "on")),
    ]  # fmt: skip


SOURCE = "Lufkin et al. (2024), Fig. 7"
FIGURE = Figure(
    name="lufkin2024_fig7",
    title="Fig. 7  Two-layer networks, both layers trained",
    question="What do two-layer networks learn when both layers are trained?",
    source=SOURCE,
    paper="Sigmoid units on Kur(4) (excess kurtosis 3.28 in its sample; infinite) do not localise: their fields are oscillations of "
    "high frequency. Of ReLU units on Kur(30) (-1.17) some localise, others oscillate at a low frequency.",
    wanted=wanted,
    panels=[
        *lines(shown, 2 * SHOWN),
        by_seed(fields, SHARE, "share of\nlocalised fields", options=WHOLE),
        by_seed(fields, col("arc").mean(), "arc with half of the\nsquared weight, mean", reference=LOCAL_ARC),
        by_seed(fields, col("cycles").mean(), "cycles of the\nstrongest mode, mean"),
    ],
    claims=[*claims(theirs), *claims(~theirs, control=True)],
    notes=lambda results: [counted(fields(results)), "Fields: four of each of two seeds, each on a scale of its own."],
    per_line=3,
)
