"""One number of a trial: a column, for one method, reduced over units, averaged over seeds, at a round or a density."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from impray.results import tables
from impray.spec.measure import MEASURE_KINDS
from impray.spec.search import AtDensity, Goal, Reading


def column_of(measure: str) -> tuple[str, bool]:
    """(column, whether it is one per unit) of a measure's name (its first column) or a column's name."""
    for kind in MEASURE_KINDS:
        of_lineage = [column.name for column in kind.lineage_columns]
        of_unit = [column.name for column in kind.unit_columns]
        if measure == kind.model_fields["name"].default:
            return (of_lineage[0], False) if of_lineage else (of_unit[0], True)
        if measure in of_lineage or measure in of_unit:
            return measure, measure in of_unit
    return measure, False


def label(reading: Reading) -> str:
    """How the reading is called in a leaderboard: `median rf_width_px of imp at density 0.1`."""
    column, per_unit = column_of(reading.measure)
    reduced = f"{reading.reduce} " if per_unit else ""
    layer = f" in layer {reading.layer}" if reading.layer != 1 else ""
    where = f" at {_at(reading.at)}" if isinstance(reading, Goal) and reading.at != "last" else ""
    return f"{reduced}{column} of {reading.method}{layer}{where}"


def _at(at: int | str | AtDensity) -> str:
    return f"density {at.density:g}" if isinstance(at, AtDensity) else f"round {at}"


def value(
    reading: Reading, folder: str | Path, lineages: Sequence[str], round: int, packs: Sequence[str] | None = None
) -> float:
    """The mean over seeds in `round` (for a `Goal` that names a density: in the round that first reaches it, up to `round`).

    Args:    packs: ids of the packs whose files hold the lineages' rows, where that is known: thousands need not be opened.
    Returns: NaN if some of the method's lineages has no number there: diverged, undefined or not measured.
    """
    column, per_unit = column_of(reading.measure)
    of_method = (
        tables.scan("rounds", folder, packs)
        .filter(pl.col("lineage").is_in(list(lineages)), pl.col("method") == reading.method, pl.col("round") <= round)
        .collect()
    )
    if isinstance(reading, Goal) and isinstance(reading.at, AtDensity):
        reached = of_method.filter(pl.col("density") <= reading.at.density)
        if reached.is_empty():
            return math.nan
        round = reached["round"].min()  # type: ignore[assignment]
    elif isinstance(reading, Goal) and isinstance(reading.at, int):
        round = reading.at
    if not per_unit:
        per_seed = of_method.filter(pl.col("round") == round)[column]
    elif reading.layer == 1:
        per_seed = of_method.filter(pl.col("round") == round)[f"{column}_{reading.reduce}"]
    else:
        per_seed = _of_layer(reading, column, folder, of_method["lineage"].unique().to_list(), round, packs)
    expected = of_method["lineage"].n_unique()
    numbers = per_seed.drop_nulls()
    return float(numbers.mean()) if len(numbers) == expected and expected else math.nan  # type: ignore[arg-type]


def _of_layer(
    reading: Reading,
    column: str,
    folder: str | Path,
    lineages: list[str],
    round: int,
    packs: Sequence[str] | None,
) -> pl.Series:
    values = pl.col(column).drop_nans().drop_nulls()
    return (
        tables.scan("units", folder, packs)
        .filter(pl.col("lineage").is_in(lineages), pl.col("round") == round, pl.col("layer") == reading.layer)
        .group_by("lineage")
        .agg((values.median() if reading.reduce == "median" else values.mean()).alias(column))
        .collect()[column]
    )
