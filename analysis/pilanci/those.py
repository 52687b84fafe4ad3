"""Which trials the figures of Fridovich-Keil & Pilanci (2025) are of, and what their networks are; shared by the files beside this one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import polars as pl
from polars import col

from impray.figures import NotMeasured, Results
from impray.results.quantities import EXACT_DB, Quantity
from impray.results.tidy import EVERY, LAST, At
from impray.spec.data.coordinates import ImageCoordinates
from impray.spec.data.digits import Digits
from impray.spec.data.planted import Planted
from impray.spec.trial import Trial

LINE, DENSE = "linear omp", "dense"  # beside the methods
SOURCE = "Fridovich-Keil and Pilanci (2025)"
READOUTS = {"sum": "+1", "signed": "±1"}
LOSSES = {"mse": "squared error", "cross_entropy": "cross-entropy"}


def those(results: Results, wanted: Callable[[Trial], bool], needs: str) -> Results:
    """The trials that are wanted.

    Raises:  NotMeasured: there is none; `needs` says what is wanted.
    """
    ids = [id for id, trial in results.trials.items() if wanted(trial)]
    if not ids:
        raise NotMeasured(f"needs {needs}")
    return results.where(col("trial").is_in(ids))


def is_fused(trial: Trial) -> bool:
    """Whether it is a planted network whose readout is that of its truth."""
    return isinstance(trial.data, Planted) and getattr(trial.net, "readout", "") == trial.data.readout


def beside(frame: pl.DataFrame, results: Results) -> pl.DataFrame:
    """Adds what each network is, of its trial: `m`, `units`, `s` (weights left), `steps`, `loss`, `readout`; of digits `task`, `draw`."""
    described = [
        {"trial": id, "m": trial.net.hidden[0], "units": f"m = {trial.net.hidden[0]}", "steps": trial.train.length,  # type: ignore[union-attr]
         "loss": trial.train.loss, "size": sum(trial.scope_sizes), "readout": getattr(trial.net, "readout", ""),
         "task": getattr(trial.data, "task", ""), "draw": getattr(trial.data, "draw", 0)}
        for id, trial in results.trials.items() if isinstance(trial.data, Planted | Digits | ImageCoordinates)
    ]  # fmt: skip
    networks = pl.DataFrame(described, infer_schema_length=None)
    joined = frame.join(networks, on="trial", how="left", maintain_order="left")
    left = (col("density") * col("size")).round().cast(pl.Int64)
    return joined.with_columns(left.alias("s")).sort("m", "s", "steps", maintain_order=True)


def numbers(results: Results, quantity: Quantity, at: At = LAST) -> pl.DataFrame:
    """A quantity with what each network is; decibels up to `EXACT_DB`, where nothing but rounding is left."""
    frame = beside(results.values(quantity, at), results)
    return frame.with_columns(col("value").clip(upper_bound=EXACT_DB)) if quantity.unit == "dB" else frame


def pruned(results: Results, quantity: Quantity) -> pl.DataFrame:
    """`numbers` at every s, without the dense networks of round 0."""
    return numbers(results, quantity, EVERY).filter(col("round") > 0)


def with_dense(frame: pl.DataFrame, results: Results, quantity: Quantity) -> pl.DataFrame:
    """Adds, as a method by itself, the dense network that imp starts from, at every s of `frame`; nothing where round 0 has no rows."""
    dense = numbers(results, quantity, EVERY).filter((col("round") == 0) & (col("method") == "imp")).drop("s")
    sizes = frame.select("trial", "seed", "s").unique(maintain_order=True)
    line = dense.join(sizes, on=["trial", "seed"], maintain_order="right").with_columns(pl.lit(DENSE).alias("method"))
    return pl.concat([frame, line.select(frame.columns)])


def with_line(frame: pl.DataFrame, results: Results, linear: Quantity, at: At = EVERY) -> pl.DataFrame:
    """Adds, as a method by itself, linear OMP with as many weights: the same whatever the method, so taken from one of them."""
    try:
        line = numbers(results, linear, at).filter(col("round") > 0)
    except NotMeasured:
        return frame
    line = line.filter(col("method") == line["method"][0]).with_columns(pl.lit(LINE).alias("method"))
    return pl.concat([frame, line.select(frame.columns)])


def gaps(quantity: Quantity, left: str, than: str, by: Sequence[str], at: At = LAST, over: str = "seed"):
    """Rows with `gap`: by how much `left` exceeds `than`, per seed and column of `by`; over sizes s the mean."""

    def rows(results: Results) -> pl.DataFrame:
        frame = pruned(results, quantity) if at == EVERY else numbers(results, quantity, at)
        keys = list(dict.fromkeys(["trial", "seed", "round", "s", over, *by]))
        sides = [frame.filter(col("method") == name) for name in (left, than)]
        found = paired(sides, keys, list(dict.fromkeys([over, *by])))
        if found.is_empty():
            raise NotMeasured(f"needs the methods {left} and {than}")
        return found

    return rows


def paired(sides: Sequence[pl.DataFrame], keys: Sequence[str], by: Sequence[str]) -> pl.DataFrame:
    """Rows of two sides that meet in `keys`: as `gap`, how much the first exceeds the second, its mean for each combination of `by`."""
    left, than = (side.select(*keys, "value") for side in sides)
    both = left.join(than, on=keys, suffix="_than", maintain_order="left")
    return both.group_by(by, maintain_order=True).agg((col("value") - col("value_than")).mean().alias("gap"))


def largest(quantity: Quantity):
    """`numbers` of the trials with the most steps: solvers know none, and have the same numbers in all of them."""

    def rows(results: Results) -> pl.DataFrame:
        frame = numbers(results, quantity)
        return frame.filter(col("steps") == col("steps").max())

    return rows
