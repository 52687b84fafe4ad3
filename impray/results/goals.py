"""One number of a trial: a column, for one method, reduced over units, averaged over seeds, at a round or a density."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl
from pydantic import ValidationError

from impray.results import tables
from impray.results.store import Place
from impray.spec import families
from impray.spec.search import AtDensity, Criterion, Goal
from impray.spec.trial import Trial


def column_of(measure: str) -> tuple[str, bool]:
    """(column, whether it is one per unit) of a measure's name (its first number) or a column's name."""
    for kind in families.measures.specs:
        if measure == kind.model_fields["name"].default and kind.first_number():
            measure = kind.first_number()
        of_unit = [column.name for column in kind.unit_columns]
        if measure in of_unit or measure in [column.name for column in kind.lineage_columns]:
            return measure, measure in of_unit
    return measure, False


def revision_of(measure: str) -> int:
    """The revision that made the first number of the measure of this name; 0 for a column, which stays what it is."""
    return next(
        (kind.first_number_since for kind in families.measures.specs if measure == kind.model_fields["name"].default), 0
    )


def label(criterion: Criterion) -> str:
    """How the criterion is called: `rf_width_px_median of imp at density 0.1`, the quantity by its name in the catalogue."""
    column, per_unit = column_of(criterion.measure)
    return _of_method(f"{column}_{criterion.reduce}" if per_unit else column, criterion)


def former_label(criterion: Criterion) -> str:
    """How versions before 0.6.0 called it (`median rf_width_px of imp`), in tables that were written then."""
    column, per_unit = column_of(criterion.measure)
    return _of_method(f"{criterion.reduce} {column}" if per_unit else column, criterion)


def _of_method(number: str, criterion: Criterion) -> str:
    layer = f" in layer {criterion.layer}" if criterion.layer != 1 else ""
    where = f" at {_at(criterion.at)}" if isinstance(criterion, Goal) and criterion.at != "last" else ""
    return f"{number} of {criterion.method}{layer}{where}"


def _at(at: int | str | AtDensity) -> str:
    return f"density {at.density:g}" if isinstance(at, AtDensity) else f"round {at}"


def in_round(criterion: Criterion, trial: Trial) -> Criterion | None:
    """A goal at a density as one in the round whose counts are at it; None where the trial has no such round."""
    if not isinstance(criterion, Goal) or not isinstance(criterion.at, AtDensity) or trial.described:
        return criterion  # of a trial that is only described, its densities are all that is known
    round = trial.round_at(criterion.at.density)
    return None if round is None else criterion.model_copy(update={"at": round})


@dataclass(frozen=True)
class Read:
    """What a criterion found in one trial: the round, the density there (None if it never got there), and a number per seed."""

    round: int
    density: float | None
    of_seeds: Mapping[int, float]  # NaN: diverged, undefined or not measured

    @property
    def value(self) -> float:
        """The mean over seeds; NaN if some seed has no number."""
        numbers = pl.Series(list(self.of_seeds.values()), dtype=pl.Float64)
        return float(numbers.mean()) if len(numbers) else math.nan  # type: ignore[arg-type]


def value(
    criterion: Criterion, folder: Place, lineages: Sequence[str], round: int, packs: Sequence[str] | None = None
) -> float:
    """The mean over seeds in `round` (a `Goal` at a density: in the first round at or below it; see `in_round` for exact counts).

    Args:    packs: ids of the packs whose files hold the lineages' rows, where that is known: thousands need not be opened.
    Returns: NaN if some of the method's lineages has no number there: diverged, undefined or not measured.
    """
    rows = tables.scan("rounds", folder, packs).filter(
        pl.col("lineage").is_in(list(lineages)), pl.col("method") == criterion.method, pl.col("round") <= round
    )
    return read(criterion, rows.collect(), round, folder, packs).value


def of_trials(criterion: Criterion, folder: Place, trials: pl.DataFrame) -> list[Read]:
    """What a criterion finds in each row of `trials` (columns trial, lineages, rounds, description), in one look at `rounds`."""
    listed = trials.select("trial", pl.col("lineages").alias("lineage"), pl.col("rounds").alias("until")).explode(
        "lineage"
    )
    rows = (
        tables.scan("rounds", folder)
        .filter(pl.col("method") == criterion.method)
        .drop("trial")
        .join(listed.lazy(), on="lineage")
        .filter(pl.col("round") <= pl.col("until"))
        .sort("trial", "lineage", "round")
        .collect()
    )
    parts = {trial: part for (trial,), part in rows.partition_by("trial", as_dict=True).items()}
    listed_trials = trials.select("trial", pl.col("rounds").fill_null(0), "description").iter_rows()
    return [
        _of_trial(criterion, parts.get(trial, rows.clear()), last, text, folder) for trial, last, text in listed_trials
    ]


def _of_trial(criterion: Criterion, rows: pl.DataFrame, last: int, description: str, folder: Place) -> Read:
    try:
        asked = in_round(criterion, Trial.model_validate_json(description))
    except ValidationError:  # of another version of impray: its densities are all that is known
        asked = criterion
    if asked is None or (isinstance(asked, Goal) and isinstance(asked.at, int) and asked.at > last):
        return Read(last, None, dict.fromkeys(rows["seed"], math.nan))
    return read(asked, rows, last, folder)


def by_round(criterion: Criterion, folder: Place, trials: Mapping[str, Sequence[str]]) -> dict[str, dict[int, float]]:
    """What a criterion is in each round that a trial has rows of, the mean over seeds: NaN where some lineage has no number.

    Args:    trials: id -> ids of its lineages.
    Returns: id -> round -> value, of each trial that has rows.
    """
    listed = [(trial, lineage) for trial, lineages in trials.items() for lineage in lineages]
    of_trials = pl.LazyFrame(listed, {"trial": pl.String, "lineage": pl.String}, orient="row")
    rows = tables.scan("rounds", folder).drop("trial").join(of_trials, on="lineage").sort("lineage", "round").collect()
    values = {}
    for (trial,), part in rows.partition_by("trial", as_dict=True).items():
        own = part.filter(pl.col("method") == criterion.method)
        found = {n: read(criterion, own.filter(pl.col("round") <= n), n, folder) for n in part["round"].unique().sort()}
        values[str(trial)] = {n: of_round.value for n, of_round in found.items()}
    return values


def read(
    criterion: Criterion, rows: pl.DataFrame, round: int, folder: Place, packs: Sequence[str] | None = None
) -> Read:
    """Where and what `criterion` is in these rows of `rounds`: of one trial and the criterion's method, up to `round`."""
    column, per_unit = column_of(criterion.measure)
    nothing = dict.fromkeys(rows["seed"], math.nan)
    if isinstance(criterion, Goal) and isinstance(criterion.at, AtDensity):
        reached = rows.filter(pl.col("density") <= criterion.at.density)
        if reached.is_empty():
            return Read(round, None, nothing)
        round = reached["round"].min()  # type: ignore[assignment]
    elif isinstance(criterion, Goal) and isinstance(criterion.at, int):
        round = criterion.at
    there = rows.filter(pl.col("round") == round)
    if per_unit and criterion.layer != 1:
        there = there.drop(column, strict=False).join(
            _of_layer(criterion, column, folder, there["lineage"].to_list(), round, packs), on="lineage", how="left"
        )
    elif per_unit:
        column = f"{column}_{criterion.reduce}"
    numbers = dict(there.select("seed", pl.col(column).cast(pl.Float64).fill_null(math.nan)).iter_rows())
    return Read(round, there["density"].mean(), nothing | numbers)  # type: ignore[arg-type]


def _of_layer(
    criterion: Criterion,
    column: str,
    folder: Place,
    lineages: list[str],
    round: int,
    packs: Sequence[str] | None,
) -> pl.DataFrame:
    """Lineage -> the units' mean or median; no row where nothing is defined or measured."""
    values = pl.col(column).drop_nans().drop_nulls()
    return (
        tables.scan("units", folder, packs)
        .filter(pl.col("lineage").is_in(lineages), pl.col("round") == round, pl.col("layer") == criterion.layer)
        .group_by("lineage")
        .agg((values.median() if criterion.reduce == "median" else values.mean()).alias(column))
        .collect()
    )
