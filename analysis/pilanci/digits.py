"""How many weights do digits take?  After Fridovich-Keil & Pilanci (2025), on the digits that come with scikit-learn.

Even against odd, and 3 against 8 (0 against 1 takes five weights and decides nothing): a network with one output and a fixed readout, +1 of
every unit as the paper's or +1 and -1 in turn, with exactly s weights left. Units of replication are splits into training and held-out
digits, each with an initialisation of its own. pursuit has a ridge: without it, it fits these 1,400 (or 270) digits too closely.

Stated beforehand, held-out accuracy, both s together. Even against odd: imp above iht, iht above random, with either readout; iht with a
signed readout above iht with +1. 3 against 8: iht above random. What is known leaves pursuit against iht open: a claim all the same, that
it is above iht on even against odd.
Counts against us: iht above imp; iht above pursuit. Linear OMP with as many weights (and an intercept) is drawn beside, not
judged: what it reaches needs no network; and so is the dense network that imp starts from.
"""

from __future__ import annotations

import polars as pl
from polars import col

from impray.figures import EVERY, Figure, Gaps, NotMeasured, Panel, Results, means
from impray.results import quantities as q
from impray.spec.data.digits import Digits
from pilanci.those import READOUTS, SOURCE, gaps, pruned, those, with_dense, with_line

NEEDS = "digits, a single output and measure accuracy, as sweeps/pilanci2025_digits.yaml"
TASKS = {"even_odd": "even or odd", "three_eight": "3 or 8", "zero_one": "0 or 1", "all": "ten classes"}
BY = ("task", "readout")
LINES = {q.ACCURACY.name: q.ACCURACY_LINEAR, q.ACCURACY_TRAIN.name: q.ACCURACY_TRAIN_LINEAR}


def wanted(results: Results) -> Results:
    found = those(results, lambda trial: isinstance(trial.data, Digits) and trial.outputs == 1, NEEDS)
    found.values(q.ACCURACY)
    return found


def splits(quantity: q.Quantity):
    """Split and seed as one unit of replication."""

    def rows(results: Results) -> pl.DataFrame:
        frame = pruned(results, quantity)
        if quantity.name in LINES:
            frame = with_dense(with_line(frame, results, LINES[quantity.name]), results, quantity)
        facet = pl.format("{}, readout {}", col("task").replace(TASKS), col("readout").replace(READOUTS))
        unit = pl.format("{}-{}", "draw", "seed").alias("seed")
        return frame.with_columns(facet.alias("facet of"), unit).sort("task", "readout", descending=[False, True])

    return rows


def panel(quantity: q.Quantity, **more) -> Panel:
    return Panel(
        of=splits(quantity),
        mark=means,
        x="s",
        columns="facet of",
        scale="log",
        label=quantity.label,
        xlabel="s, weights",
        **more,
    )


def claim(left: str, than: str, task: str, says: str, **more) -> Gaps:
    made = gaps(q.ACCURACY, left, than, BY, at=EVERY, over="draw")
    words = f"{TASKS[task]}: {says} (readout {{each}})"

    def frame(results: Results) -> pl.DataFrame:
        return made(results).filter(col("task") == task).with_columns(col("readout").replace(READOUTS))

    return Gaps(frame=frame, says=words, each="readout", what="split", **more)


def signed(results: Results) -> pl.DataFrame:
    """iht, even or odd: accuracy with a signed readout minus that with +1."""
    found = pruned(results, q.ACCURACY).filter((col("method") == "iht") & (col("task") == "even_odd"))
    sides = found.pivot("readout", index=["draw", "seed", "s"], values="value", maintain_order=True)
    if not {"sum", "signed"} <= set(sides.columns):
        raise NotMeasured("needs both readouts")
    return sides.group_by("draw", maintain_order=True).agg((col("signed") - col("sum")).mean().alias("gap"))


FIGURE = Figure(
    name="pilanci2025_digits",
    title="Digits with s weights left (a seed is a split and an initialisation)",
    question="How well does a ReLU network of few weights tell digits apart, by iht, pursuit and imp?",
    source=f"after {SOURCE}",
    paper="iht above imp at equal sparsity.",
    wanted=wanted,
    panels=[panel(q.ACCURACY), panel(q.ACCURACY_TRAIN), panel(q.UNITS_ALIVE, optional=True)],
    claims=[
        claim("imp", "iht", "even_odd", "imp is more accurate than iht", question="even or odd", source="ours", against=SOURCE),
        claim("pursuit", "iht", "even_odd", "pursuit is more accurate than iht", question="even or odd", source="ours"),
        Gaps(frame=signed, says="even or odd: iht is more accurate with a signed readout than with +1", what="split", question="readout",
             source="ours"),
        *(claim("iht", "random", task, "iht is more accurate than random", question="random", control=True)
          for task in ("even_odd", "three_eight")),
    ],
    notes=["Drawn and judged over splits into training and held-out digits.",
           "dense: the network of all 640 weights that imp starts from.",
           "linear omp: a linear model of as many weights and an intercept; there are 64 inputs, so at s = 100 it has all of them."],
)  # fmt: skip
