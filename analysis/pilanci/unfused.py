"""Is imp better in the fused network, and better than the dense network it came from?  After Fridovich-Keil & Pilanci (2025).

The paper holds its iht, in a network of fixed readouts, against imp in an ordinary one. Here imp has both: readouts fixed at +1 (fused), or
trained with the rest (unfused), with exactly s weights left in the first layer, on the same planted data and budget of steps.

Stated beforehand, m by m, all s together, in held-out PSNR: imp is better fused than unfused. With s weights left it is better than the
dense network of round 0 in either: of 1,000 or 5,000 weights most can only fit noise of the training. imp is above random in either.
Counts against us: unfused above fused (then the comparison with iht in the fused network would flatter imp's rivals); dense above imp.
Linear OMP with as many weights (and an intercept) is drawn beside, not judged: what it reaches needs no network.
"""

from __future__ import annotations

import polars as pl
from polars import col

from impray.figures import EVERY, Figure, Gaps, NotMeasured, Panel, Results, dots
from impray.results import quantities as q
from impray.spec.data.planted import Planted
from impray.spec.trial import Trial
from pilanci.those import LINE, SOURCE, numbers, paired, those, with_line

NEEDS = "planted networks with net.readout trained beside sum and rows of round 0, as sweeps/pilanci2025_unfused.yaml"
READOUTS = {"sum": "fused", "trained": "unfused"}


def wanted(results: Results) -> Results:
    def taken(trial: Trial) -> bool:
        return isinstance(trial.data, Planted) and getattr(trial.net, "readout", "") in READOUTS

    found = those(results, taken, NEEDS)
    if {trial.net.readout for trial in found.trials.values()} != set(READOUTS):  # type: ignore[union-attr]
        raise NotMeasured(f"needs {NEEDS}")
    return found


def networks(quantity: q.Quantity):
    """imp and random where s weights are left, and in `who` dense the network of round 0; `truth` is the s of the data.

    Of held-out PSNR linear OMP, too: it knows no readout, and is that of the fused network's rows.
    """

    def rows(results: Results) -> pl.DataFrame:
        frame = numbers(results, quantity, EVERY)
        if quantity is q.PSNR:
            frame = with_line(frame, results, q.PSNR_LINEAR)
            frame = frame.filter((col("method") != LINE) | (col("readout") == "sum"))
        frame = frame.with_columns(col("readout").replace_strict(READOUTS).alias("readout"))
        truth = {id: trial.data.support for id, trial in results.trials.items()}
        frame = frame.with_columns(col("trial").replace_strict(truth, return_dtype=pl.Int64).alias("truth"))
        dense = frame.filter((col("round") == 0) & (col("method") == "imp")).with_columns(who=pl.lit("dense"))
        left = frame.filter(col("s") == col("truth")).with_columns(who=col("method"))
        return pl.concat([left, dense]).with_columns(col("truth").alias("s"))

    return rows


def gap(left: tuple[str, str], than: tuple[str, str], says: str, **more) -> Gaps:
    """left, than: (who, readout). Held-out PSNR, seed by seed, over sizes s the mean."""

    def frame(results: Results) -> pl.DataFrame:
        found = networks(q.PSNR)(results)
        sides = [
            found.filter((col("who") == who) & (col("readout") == READOUTS[readout])) for who, readout in (left, than)
        ]
        return paired(sides, ["seed", "s", "m", "units"], ["seed", "m", "units"])

    return Gaps(frame=frame, says=says + " ({each})", each="units", unit="dB", **more)


def panel(quantity: q.Quantity, label: str, **more) -> Panel:
    return Panel(of=networks(quantity), mark=dots, x="s", columns="units", colour="who", dash="readout", scale="log", label=label,
                 xlabel="s, weights", options={"apart": True, "order": ["imp", "random", "dense", LINE]}, **more)  # fmt: skip


FIGURE = Figure(
    name="pilanci2025_unfused",
    title="imp with fixed and with trained readouts, and its dense network",
    question="Is imp better in the fused network than in an ordinary one, and better than the dense network it came from?",
    source=f"after {SOURCE}, synthetic networks",
    paper="iht in a fused network is held against imp in an unfused one.",
    wanted=wanted,
    panels=[
        panel(q.PSNR, "PSNR, held out (dB)"),
        panel(q.SUPPORT_RECALL, "true weights kept", where=col("who") != "dense"),
    ],
    claims=[
        gap(("imp", "sum"), ("imp", "trained"), "imp has a higher held-out PSNR fused than unfused", question="fused", source="ours"),
        *(
            gap(("imp", name), ("dense", name), f"imp, {words}, has a higher held-out PSNR than its dense network", question="dense",
                source="ours")
            for name, words in READOUTS.items()
        ),
        *(
            gap(("imp", name), ("random", name), f"imp, {words}, has a higher held-out PSNR than random", question="random", control=True)
            for name, words in READOUTS.items()
        ),
    ],
    notes=["s counts weights of the first layer; the unfused network has m weights of its readout beside them.",
           "linear omp: a linear model of s weights and an intercept, which knows no readout."],
)  # fmt: skip
