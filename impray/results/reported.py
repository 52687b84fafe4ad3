"""What a sweep reports: the quantities that it measured, those that it asks about first; and where trials are read so that they compare."""

from __future__ import annotations

import polars as pl

from impray.results.goals import column_of
from impray.results.quantities import QUANTITIES, SHOWN, Quantity, quantity
from impray.results.tidy import LAST, At, Density, Results
from impray.spec.measure import measure_name
from impray.spec.search import AtDensity

_ALIKE = 1.01  # ratio of densities that are told as one: counts are rounded


def reported(results: Results) -> list[Quantity]:
    """Quantities with a number in some round: of the goals, then those of the leaderboard, then of every measure the first number,
    reduced over units as the catalogue does, or by the median."""
    sweep = results.sweep
    goals = (
        [] if sweep is None else [_name(goal.measure, goal.reduce) for goal in sweep.search.goals if goal.layer == 1]
    )
    asked = [] if sweep is None else [_as_in_catalogue(measure_name(spec)) for spec in sweep.measures]
    names = dict.fromkeys([*goals, *(shown.name for shown in SHOWN), *asked])
    return [quantity(name) for name in names if _is_measured(name, results.rounds)]


def _name(measure: str, reduce: str) -> str:
    column, per_unit = column_of(measure)
    return f"{column}_{reduce}" if per_unit else column


def _as_in_catalogue(measure: str) -> str:
    names = [_name(measure, reduce) for reduce in ("mean", "median")]
    return next((name for name in names if name in QUANTITIES), names[-1])


def _is_measured(name: str, rounds: pl.DataFrame) -> bool:
    if name not in rounds.columns or not rounds.schema[name].is_numeric():
        return False
    return bool(rounds[name].cast(pl.Float64).is_finite().any())


def sparsest(results: Results) -> float:
    """The smallest density that every lineage has reached, those that diverged apart; NaN where all did."""
    alive = results.lineages.filter(pl.col("status") != "diverged")["lineage"]
    last = results.rounds.filter(pl.col("lineage").is_in(alive.to_list()), pl.col("status") == "done")
    least = last.group_by("lineage").agg(pl.col("density").min())["density"].max()
    return float("nan") if least is None else float(least)  # type: ignore[arg-type]


def where_alike(results: Results) -> At:
    """Where the first goal is read, if that is a density; the last round, if all trials keep the same share of the weights there;
    else the first round at or below `sparsest`.
    """
    asked = [] if results.sweep is None else [goal.at for goal in results.sweep.search.goals]
    if asked and isinstance(asked[0], AtDensity):
        return Density(asked[0].density)
    rows = results.at(LAST)["density"]
    alike = rows.max() <= _ALIKE * rows.min()  # type: ignore[operator]
    return LAST if alike else Density(sparsest(results))
