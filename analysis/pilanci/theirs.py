"""How good is the imp that the paper compares with?  After Fridovich-Keil & Pilanci (2025), synthetic networks.

Their imp: 15 full-batch steps of Adam a round, 10 % of both layers' weights a round, rewound to the start, scored right after the last
pruning; beside it what one more training gives, how many units still have a weight, and how many true weights are kept. A network without
such units gives 0 everywhere.

The claim was written when the sweep's numbers had been looked at, m by m, over sizes s the mean: one more training of 15 steps changes the
training PSNR by less than 0.5 dB.
Counts against us: one that changes it by more; then it would be the missing training that makes their imp bad.
"""

from __future__ import annotations

import polars as pl
from polars import col

from impray.figures import Figure, Gaps, Panel, Results, dots
from impray.results import quantities as q
from impray.spec.data.planted import Planted
from impray.spec.trial import Trial
from pilanci.those import SOURCE, numbers, paired, those

NEEDS = "planted networks whose readout is trained, and measures pruned and psnr, as sweeps/pilanci2025_theirs.yaml"
PRUNED, AGAIN = "just after pruning", "trained once more"
MARGIN = 0.5  # dB


def wanted(results: Results) -> Results:
    def taken(trial: Trial) -> bool:
        return isinstance(trial.data, Planted) and trial.outputs == 1 and 2 in trial.pruned_layers

    found = those(results, taken, NEEDS).where(col("method") == "imp")
    found.values(q.PSNR_TRAIN_PRUNED)
    return found


def both(results: Results) -> pl.DataFrame:
    """Training PSNR, in `network` of which."""
    parts = [
        numbers(results, quantity).with_columns(pl.lit(words).alias("network"))
        for quantity, words in ((q.PSNR_TRAIN_PRUNED, PRUNED), (q.PSNR_TRAIN, AGAIN))
    ]
    return pl.concat([part.select(parts[0].columns) for part in parts])


def change(results: Results) -> pl.DataFrame:
    """By how much one more training raises it, seed by seed and m by m."""
    sides = [both(results).filter(col("network") == name) for name in (AGAIN, PRUNED)]
    return paired(sides, ["trial", "seed", "s", "units"], ["seed", "units"])


def along(of, label: str, **more) -> Panel:
    return Panel(
        of=of, mark=dots, x="s", columns="units", scale="log", label=label, xlabel="s, weights of both layers", **more
    )


FIGURE = Figure(
    name="pilanci2025_theirs",
    title="The paper's imp, exactly s weights left",
    question="Does imp of 15 steps a round, scored right after pruning, find anything of a planted network?",
    source=f"after {SOURCE}, synthetic networks",
    paper="iht recovers planted networks; imp does not come near it.",
    wanted=wanted,
    panels=[
        along(both, "PSNR, training (dB)", colour="", dash="network", height=2.2),
        along(lambda results: numbers(results, q.UNITS_ALIVE), q.UNITS_ALIVE.label, colour="", height=1.4, optional=True),
        along(lambda results: numbers(results, q.SUPPORT_RECALL), "true weights kept", colour="", height=1.4, optional=True,
              options={"limits": (-0.05, 1.05)}),
    ],
    claims=[
        Gaps(frame=change, sign=0, margin=MARGIN, unit="dB", each="units", source="ours",
             says=f"imp, {AGAIN}, has the training PSNR that it had just after pruning, within {MARGIN} dB ({{each}})"),
    ],
    notes=["The claim was written when these numbers had been looked at.",
           "s counts weights of the readout, too, as the paper's imp does. Where no unit has a weight the network gives 0 everywhere.",
           "Samples and targets are theirs, seed by seed; initial weights are of their law, not their draws."],
)  # fmt: skip
