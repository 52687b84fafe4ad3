"""How good is the imp that the paper compares with?  After Fridovich-Keil & Pilanci (2025), synthetic networks.

Their imp: 15 full-batch steps of Adam a round, 10 % of both layers' weights a round, rewound to the start, scored right after the last
pruning. Beside it stands the network that gives 0 everywhere, PSNR 20 log10 max|y| - 10 log10 mean y^2, whose targets are made again here
from each trial's description; and what one more training gives.

Known before the sweep was run: at one seed, all six settings, their imp is within 0.1 dB of 0 everywhere. The claims were written when
its five seeds had been looked at, m by m, over sizes s the mean: it is within 0.5 dB of 0 everywhere, trained once more or not.
Counts against us: an imp of theirs that is better than 0 by more.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import polars as pl
from polars import col

from impray.data.planted import training_set
from impray.figures import Figure, Gaps, NotMeasured, Panel, Results, dots
from impray.results import quantities as q
from impray.spec.data.planted import Planted
from impray.spec.trial import Trial
from pilanci.those import SOURCE, numbers, paired, those

NEEDS = "planted networks whose readout is trained, and measures pruned and psnr, as sweeps/pilanci2025_theirs.yaml"
PRUNED, AGAIN, ZERO = "just after pruning", "trained once more", "0 everywhere"
MARGIN = 0.5  # dB


def wanted(results: Results) -> Results:
    def taken(trial: Trial) -> bool:
        return isinstance(trial.data, Planted) and trial.outputs == 1 and 2 in trial.pruned_layers

    found = those(results, taken, NEEDS).where(col("method") == "imp")
    found.values(q.PSNR_TRAIN_PRUNED)
    return found


@lru_cache(maxsize=1_000)
def of_zero(data: Planted, seed: int) -> float:
    """Training PSNR of the network that gives 0 everywhere, in dB."""
    _, y = training_set(data, seed)
    return float(20 * np.log10(np.abs(y).max()) - 10 * np.log10(np.mean(y**2)))


def networks(results: Results) -> pl.DataFrame:
    """Training PSNR, in `network` of whom."""
    pruned = numbers(results, q.PSNR_TRAIN_PRUNED).with_columns(pl.lit(PRUNED).alias("network"))
    again = numbers(results, q.PSNR_TRAIN).with_columns(pl.lit(AGAIN).alias("network"))
    by_seed = pruned.sort("seed", maintain_order=True)  # trials of a seed share their inputs
    levels = [of_zero(results.trials[id].data, seed) for id, seed in by_seed.select("trial", "seed").iter_rows()]  # type: ignore[arg-type]
    zero = by_seed.with_columns(pl.Series("value", levels, dtype=pl.Float64), pl.lit(ZERO).alias("network"))
    return pl.concat([pruned, again.select(pruned.columns), zero]).sort("m", "s", maintain_order=True)


def above(left: str, than: str, says: str) -> Gaps:
    """Seed by seed, m by m."""

    def frame(results: Results) -> pl.DataFrame:
        found = networks(results)
        sides = [found.filter(col("network") == name) for name in (left, than)]
        gaps = paired(sides, ["trial", "seed", "s", "units"], ["seed", "units"])
        if gaps.is_empty():
            raise NotMeasured(f"needs {NEEDS}")
        return gaps

    return Gaps(
        frame=frame,
        sign=0,
        margin=MARGIN,
        unit="dB",
        each="units",
        question="zero",
        source="ours",
        says=says + " ({each})",
    )


FIGURE = Figure(
    name="pilanci2025_theirs",
    title="The paper's imp beside a network that gives 0 everywhere, s weights left",
    question="Does imp of 15 steps a round, scored right after pruning, find anything of a planted network?",
    source=f"after {SOURCE}, synthetic networks",
    paper="iht recovers planted networks; imp does not come near it.",
    wanted=wanted,
    panels=[
        Panel(of=networks, mark=dots, x="s", columns="units", colour="network", scale="log", label="PSNR, training (dB)",
              xlabel="s, weights of both layers", height=2.2, options={"order": [PRUNED, AGAIN, ZERO]}),
        Panel(of=lambda results: numbers(results, q.SUPPORT_RECALL).with_columns(pl.lit(AGAIN).alias("network")), mark=dots, x="s",
              columns="units", colour="network", scale="log", label="true weights kept", xlabel="s, weights of both layers", height=1.4,
              optional=True, options={"order": [PRUNED, AGAIN, ZERO], "limits": (-0.05, 1.05)}),
    ],
    claims=[
        above(PRUNED, ZERO, f"imp, {PRUNED}, has the training PSNR of 0 everywhere, within {MARGIN} dB"),
        above(AGAIN, ZERO, f"imp, {AGAIN}, has the training PSNR of 0 everywhere, within {MARGIN} dB"),
    ],
    notes=["The claims were written when these numbers had been looked at: they describe, and test nothing.",
           "s counts weights of the readout, too, as the paper's imp does.",
           "Samples and targets are theirs, seed by seed; initial weights are of their law, not their draws."],
)  # fmt: skip
