"""How many weights do ten classes take, and what does choosing them cost?  After Fridovich-Keil & Pilanci (2025), several outputs.

Ten digits, 50 units, both layers pruned together to exactly s weights. iht chooses weights by their changes summed over all steps, exactly
(a number per weight) or in a count sketch of five rows of 10 s numbers: counted beforehand, that is more than the 3,700 sums themselves
where s is above 74. Memory is the solver's own count. Seeds are initialisations, on one split into training and held-out digits.

Known before the sweep was run: iht with exact sums has .63 (standard deviation .10) at s = 200 and .92 (.02) at s = 500 over eight splits;
one run of a prototype had .858 and .945. With cross-entropy, which the sweep got later, iht has .876 (.016) and .94 over five splits; imp
had not been run with it. Stated beforehand, held-out accuracy, each loss and s by itself: imp above iht; iht above random; iht with exact
sums above iht with the sketch. And iht is more accurate with cross-entropy than with squared error.
Counts against us: iht above imp; the sketch above exact sums.
"""

from __future__ import annotations

from collections.abc import Callable

import polars as pl
from polars import col

from impray.figures import EVERY, Figure, Gaps, NotMeasured, Panel, Results, means
from impray.results import quantities as q
from impray.spec.data.digits import Digits
from impray.spec.trial import Trial
from pilanci.those import LOSSES, SOURCE, gaps, paired, pruned, those, with_dense

NEEDS = "digits, several outputs and measure accuracy, as sweeps/pilanci2025_ten_classes.yaml"
SUMS = {"exact": "", "sketch": "count sketch"}  # the first is what iht does where nothing is said


def has_classes(trial: Trial) -> bool:
    return isinstance(trial.data, Digits) and trial.outputs > 1


def wanted(results: Results) -> Results:
    found = those(results, has_classes, NEEDS)
    found.values(q.ACCURACY)
    return found


def with_sums(results: Results, sums: str) -> Results:
    """The trials whose iht sums so."""
    return those(results, lambda trial: trial.prune.iht.accumulate == sums, f"prune.iht.accumulate: {sums}")


def named_loss() -> pl.Expr:
    return col("loss").replace(LOSSES)


def every(quantity: q.Quantity) -> Callable[[Results], pl.DataFrame]:
    """At every s, by loss; iht by what it sums with, the others once. Of accuracy also that of the dense network."""

    def rows(results: Results) -> pl.DataFrame:
        sums = {id: SUMS[trial.prune.iht.accumulate] for id, trial in results.trials.items()}
        words = pl.when(col("method") == "iht").then(col("trial").replace(sums)).otherwise(pl.lit(""))
        found = pruned(results, quantity)
        found = with_dense(found, results, quantity) if quantity is q.ACCURACY else found
        found = found.with_columns(words.alias("sums"), named_loss()).sort("sums", maintain_order=True)
        once = found.unique(["method", "sums", "loss", "seed", "s"], keep="first", maintain_order=True)
        return once.sort("loss", descending=True, maintain_order=True)

    return rows


def megabytes(results: Results) -> pl.DataFrame:
    """imp and iht: random is trained as imp is."""
    shown = every(q.OPTIMIZER_BYTES)(results).filter(col("method").is_in(["imp", "iht"]))
    return shown.with_columns(col("value") / 1e6)


def panel(of, label: str, **more) -> Panel:
    return Panel(
        of=of,
        mark=means,
        x="s",
        columns="loss",
        dash="sums",
        scale="log",
        label=label,
        xlabel="s, weights",
        height=2.2,
        **more,
    )


def claim(left: str, than: str, says: str, **more) -> Gaps:
    made = gaps(q.ACCURACY, left, than, ("s", "loss"), at=EVERY)
    return of_each(lambda results: made(with_sums(results, "exact")), says, **more)


def of_each(frame: Callable[[Results], pl.DataFrame], says: str, **more) -> Gaps:
    """Each loss and s by itself."""

    def rows(results: Results) -> pl.DataFrame:
        found = frame(results).sort("loss", descending=True, maintain_order=True)
        return found.with_columns(pl.format("{}, s = {}", named_loss(), "s").alias("which"))

    return Gaps(frame=rows, says=says + " ({each})", each="which", **more)


def exact(results: Results) -> pl.DataFrame:
    """iht: accuracy with exact sums minus that with the sketch."""
    sides = [pruned(with_sums(results, sums), q.ACCURACY).filter(col("method") == "iht") for sums in SUMS]
    found = paired(sides, ["seed", "s", "loss"], ["seed", "s", "loss"])
    if found.is_empty():
        raise NotMeasured("needs the method iht")
    return found


def of_losses(results: Results) -> pl.DataFrame:
    """iht with exact sums: accuracy with cross-entropy minus that with squared error."""
    iht = pruned(with_sums(results, "exact"), q.ACCURACY).filter(col("method") == "iht")
    found = paired([iht.filter(col("loss") == loss) for loss in ("cross_entropy", "mse")], ["seed", "s"], ["seed", "s"])
    if found.is_empty():
        raise NotMeasured("needs both losses")
    return found


FIGURE = Figure(
    name="pilanci2025_ten_classes",
    title="Ten classes of digits with s weights left (a seed is an initialisation)",
    question="How well do s weights tell ten digits apart, and what memory does iht need to choose them?",
    source=f"after {SOURCE}, several outputs",
    paper="iht above imp at equal sparsity; a count sketch keeps its memory O(s).",
    wanted=wanted,
    panels=[panel(every(q.ACCURACY), q.ACCURACY.label), panel(megabytes, "memory beside the data\nMB", options={"limits": (0.0, None)})],
    claims=[
        claim("imp", "iht", "imp is more accurate than iht", question="imp", source="ours", against=SOURCE),
        claim("iht", "random", "iht is more accurate than random", question="random", control=True),
        of_each(exact, "iht is more accurate with exact sums than with a count sketch", question="sums", source="ours"),
        Gaps(frame=of_losses, says="iht is more accurate with cross-entropy than with squared error (s = {each})", each="s",
             question="loss", source="ours", optional=True),
    ],
    notes=["iht without further words: exact sums, one per weight. Bytes are counted, not measured.",
           "Most of the memory is a block of rows at the gates of the units; sums or sketch come on top.",
           "dense: the network of all 3,700 weights that imp starts from.",
           "Every seed is an initialisation; the split into training and held-out digits is one."],
)  # fmt: skip
