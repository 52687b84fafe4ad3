"""Fields of two-layer networks with both layers trained, on Kur inputs of either sign.  Lufkin et al. (2024), Fig. 7.

The paper shows four of ten sigmoid units on Kur(4) and four of ten ReLU units on Kur(30), at a training of their own
each; a sweep has both stimuli for one of the two networks, the other one is the control. Localised: half of a unit's
squared weight lies within less than an eighth of the ring (see fields.py).

Expect: no unit localises on Kur(4), where fields are oscillations of high frequency (here: their strongest mode has more
than N/10 cycles); some do on Kur(30), and not all. What would count against the paper: units that localise on Kur(4),
seeds without a localised unit on Kur(30).
"""

from __future__ import annotations

import polars as pl
from matplotlib.figure import Figure
from paper import parts
from paper.claims import Claim, counted

from impray.spec.data import Kur
from impray.spec.trial import Trial
from lufkin import units
from lufkin.folder import Folder, is_ring, stimulus

Table = parts.Table[Folder]

TITLE = "Fig. 7  Two-layer networks, both layers trained"
PAPER = (
    "Sigmoid units on Kur(4) (excess kurtosis 3.28 in its sample; infinite) do not localise: their fields are "
    "oscillations of high frequency. Of ReLU units on Kur(30) (-1.17) some localise, less than a single neuron, and "
    "others oscillate at a low frequency."
)
SETTING = {
    "stimuli": "sigmoid: Kur(4); relu: Kur(30) (code: ξ 1/3)",
    "network": "10 units (code: 100 relu units), second layer trained, bias; Glorot normal x 0.0316",
    "training": "sigmoid: lr 80, 5,000 updates, batch 1,000; relu: lr 0.5, 2,000 updates, batch 5,000 (code)",
}
NEEDS = (
    "two-layer networks with one output (net: {hidden: [10], outputs: 1}) on kur inputs, measure course with "
    "weights_every, as sweeps/lufkin2024_two_layer_sigmoid.yaml and sweeps/lufkin2024_two_layer_relu.yaml"
)
THEIRS = {"sigmoid": "Kur(4)", "relu": "Kur(30)"}
SHOWN = 4  # units of a seed
ROWS = 4


def table(of: Folder) -> Table:
    """Frame `units`: a row per unit, with `theirs` where the paper shows this network on this stimulus."""
    trials = sorted(of.first_of_each(of.those(_wanted, NEEDS)), key=lambda id: _place(of.trials[id]))
    found = units.of_nets(of, trials)
    activation = {f"{net.hidden[0]} {net.activation} units": net.activation for net in _nets(of, trials)}
    theirs = [THEIRS.get(activation[model]) == name for model, name in found.select("model", "stimulus").iter_rows()]
    return Table(of, {"units": found.with_columns(pl.Series("theirs", theirs, dtype=pl.Boolean))})


def _nets(of: Folder, trials: list[str]) -> list:
    return [of.trials[id].net for id in trials]


def _wanted(trial: Trial) -> bool:
    net = trial.net
    two_layers = net.readout == "trained" and len(net.hidden) == 1 and net.hidden[0] > 1 and net.outputs == 1
    return two_layers and isinstance(trial.data, Kur) and is_ring(trial)


def _place(trial: Trial) -> tuple[bool, str, float]:
    """What the paper shows first."""
    assert isinstance(trial.data, Kur)
    return THEIRS.get(trial.net.activation) != stimulus(trial.data), trial.net.activation, trial.data.k


# --- claims ----------------------------------------------------------------------------------------------------------


def claims(table: Table) -> list[Claim]:
    """What the paper shows of this network first, then the same of the other stimuli (controls)."""
    found = []
    for (theirs, model, name), part in table.frames["units"].group_by(
        "theirs", "model", "stimulus", maintain_order=True
    ):
        on = f"{model} on {name} ({units.sign(part['excess'][0])})"
        judged = [_some(on, part)] if part["excess"][0] < 0 else [_none(on, part), _fast(on, part)]
        note = "" if theirs else " (control)"
        found += [Claim(f"{one.says}{note}", one.held, one.of, one.shown, one.lacking, one.what) for one in judged]
    return found


def _none(on: str, part: pl.DataFrame) -> Claim:
    return units.localised(f"none of the {on} localises", part, False)


def _fast(on: str, part: pl.DataFrame) -> Claim:
    inputs = len(part["weights"][0])
    low, high = part["cycles"].min(), part["cycles"].max()
    says = f"the fields of the {on} oscillate at a high frequency: more than {inputs / 10:g} cycles"
    held = [cycles > inputs / 10 for cycles in part["cycles"]]
    return counted(says, held, f"{low} to {high} cycles", what="unit")


def _some(on: str, part: pl.DataFrame) -> Claim:
    """Per seed at least one localised unit, and one that is not."""
    seeds = part.group_by("seed").agg(pl.col("local").sum().alias("local"), pl.len().alias("units")).sort("seed")
    held = [0 < local < of for _, local, of in seeds.iter_rows()]
    listed = ", ".join(f"{local}/{of}" for _, local, of in seeds.iter_rows())
    return counted(f"some of the {on} localise, not all", held, f"localised units per seed: {listed}")


def told(table: Table) -> list[str]:
    trials = [id for id in table.of.trials if _wanted(table.of.trials[id])]
    return [*units.summary(table.frames["units"]), *units.learned(table.of, trials)]


def caption(table: Table) -> str:
    frame = table.frames["units"]
    return (
        f"Weights of units 0 to {SHOWN - 1} at the end, of seed {frame['seed'].min()} (left) and of the next seed, each "
        f"on a scale of its own; red: localised. Above each: the arc with half of the squared weight (a wave 0.5, white noise 0.33) "
        f"and the IPR. Counted: all units of {frame['seed'].n_unique()} seeds.{table.of.further(_wanted)} "
        f"{table.of.caption}"
    )


def draw(table: Table) -> Figure:
    """A row per network and stimulus, four units of two seeds each."""
    rows = []
    for (model, name, theirs), part in table.frames["units"].group_by(
        "model", "stimulus", "theirs", maintain_order=True
    ):
        some = part.filter(pl.col("unit") < SHOWN).sort("seed", "unit")
        note = "as in the paper" if theirs else "control"
        rows.append((f"{model}, {name}, {units.sign(part['excess'][0])} ({note})", some))
    return units.drawn(rows[:ROWS], 2 * SHOWN, 1.9)
