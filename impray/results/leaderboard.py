"""The leaderboard: trials, best first, with their goals; or, where a sweep has none, every method's means side by side.

Each mean stands with its standard error over seeds, the number of seeds and the density it was read at: rounds step over a goal's
density, and trials that prune by other fractions are read at other densities. The best of a column is marked, and so is what
cannot be told from it (`impray.results.spread` says how that is judged).
"""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

import polars as pl

from impray.results import goals, outcomes, quantities, tables
from impray.results.ledger import Measured
from impray.results.paths import Paths
from impray.results.spread import standard_error, told_apart
from impray.results.store import Place
from impray.spec import families
from impray.spec.errors import DataError
from impray.spec.measure import MeasureSpec
from impray.spec.pack import measure_hash
from impray.spec.search import Goal
from impray.spec.sweep import Sweep
from impray.spec.wording import near
from impray.theory.statistics import front

# Columns of `rounds` that are shown where a sweep has no goals, if they were measured, and the end of each that counts as best.
SHOWN: dict[str, Literal["min", "max"]] = {
    quantity.name: "min" if quantity.better == "lower" else "max" for quantity in quantities.SHOWN
}
OVER = ("done", "diverged", "stopped")  # statuses of trials that have goals


@dataclass(frozen=True)
class Mean:
    """A number of one row over its seeds. `rank` is None where it is not compared: undefined, stopped early, or without a rival."""

    mean: float | None  # None: undefined
    standard_error: float | None  # None with fewer than two seeds
    seeds: int  # with a number
    of_seeds: int  # that there are
    density: float | None  # where it was read
    rank: Literal["best", "not told from the best", "worse"] | None = None


@dataclass(frozen=True)
class Row:
    """A trial, or a trial's method: what it is (`number`, axes, `status` ...) and its means by name."""

    names: dict[str, Any]
    means: dict[str, Mean]


@dataclass(frozen=True)
class Board:
    """Rows, best first, and what else there is to know of them, a sentence each."""

    rows: list[Row]
    notes: list[str] = field(default_factory=list)
    better: Mapping[str, Literal["min", "max"]] = field(default_factory=dict)  # of columns that have a better end

    @property
    def columns(self) -> list[str]:
        """What rows can be sorted by: what they are, and their means."""
        return [*self.rows[0].names, *self.rows[0].means] if self.rows else []

    def sorted(self, column: str, descending: bool | None = None) -> Board:
        """The rows by one column, in the order that they had where it does not tell them apart; what is undefined comes last.

        Args:    descending: None: the best first where a mean has a better end, else ascending.
        Raises:  DataError: there is no such column.
        """
        if not self.rows:
            return self
        if column not in self.columns:
            raise DataError(f"--sort {column}: not one of {', '.join(self.columns)}{near(column, self.columns)}")
        down = self.better.get(column) == "max" if descending is None else descending
        values = [(_value(row, column), row) for row in self.rows]
        known = [(value, row) for value, row in values if value is not None]
        numbers = all(isinstance(value, (int, float)) for value, _ in known)
        known.sort(key=lambda pair: pair[0] if numbers else str(pair[0]), reverse=down)
        return replace(self, rows=[row for _, row in known] + [row for value, row in values if value is None])

    def csv(self) -> str:
        """A line per row: what it is, and of each mean its parts, `accuracy`, `accuracy_standard_error` and so on."""
        parts = [part.name for part in fields(Mean) if part.name != "mean"]
        rows = [
            {name: json.dumps(value) if isinstance(value, (list, dict)) else value for name, value in row.names.items()}
            | {
                f"{name}_{part}" if part else name: getattr(mean, part or "mean")
                for name, mean in row.means.items()
                for part in ("", *parts)
            }
            for row in self.rows
        ]
        return pl.DataFrame(rows, infer_schema_length=None).write_csv() if rows else ""

    def document(self) -> dict[str, Any]:
        """Ready for JSON: numbers in full, NaN as null."""
        return {
            "rows": [
                {**row.names, "means": {name: vars(mean) for name, mean in row.means.items()}} for row in self.rows
            ],
            "notes": self.notes,
        }


def _value(row: Row, column: str) -> Any:
    value = row.means[column].mean if column in row.means else row.names[column]
    return None if isinstance(value, float) and math.isnan(value) else value


def of(sweep: Sweep, folder: Place) -> Board:
    """A sweep's leaderboard: by its goals, or by method where it has none."""
    return by_goals(sweep, folder) if sweep.search.goals else by_method(folder)


# -- by goals ---------------------------------------------------------------------------------------------------------


def by_goals(sweep: Sweep, folder: Place) -> Board:
    """One row per trial that is over, sorted by the first goal; `front` marks trials that no other beats in every goal.

    A trial that was stopped early is no rival in a goal that is read at the last round: it has not got there.
    """
    asked = sweep.search.goals
    names = [goals.label(goal) for goal in asked]
    listed = outcomes.trials(folder)
    over, trials = listed.filter(pl.col("status").is_in(OVER)), compared(asked, listed)
    read = [goals.of_trials(goal, folder, trials) for goal in asked]
    statuses = trials["status"].to_list()
    means = [
        _ranked(
            [_finite(trial_read.of_seeds) for trial_read in of_goal],
            [mean_of(trial_read) for trial_read in of_goal],
            goal.direction,
            rivals,
        )
        for goal, of_goal in zip(asked, read, strict=True)
        for rivals in [[is_rival(status, goal) for status in statuses]]
    ]
    unbeaten = _front(asked, [list(of_trial) for of_trial in zip(*means, strict=True)], statuses)
    axes = list(tables.axes_of(Paths(folder)))
    rows = []
    for place, trial in enumerate(trials.iter_rows(named=True)):
        told = {name: trial[name] for name in ("number", *axes, "status", "rounds", "diverged")}
        told |= {"lineages": len(trial["lineages"]), "front": unbeaten[place]}
        rows.append(Row(told, {name: of_goal[place] for name, of_goal in zip(names, means, strict=True)}))
    rows.sort(key=lambda row: (_order(row, names[0], asked[0]), row.names["number"]))
    notes = [*_notes(rows, folder), *_left_out(listed, over.height - trials.height)]
    return Board(rows, notes, {"front": "max", **{goals.label(goal): goal.direction for goal in asked}})


def compared(asked: Sequence[Goal], listed: pl.DataFrame) -> pl.DataFrame:
    """Those of the trials in `listed` that are over and were read for these goals, not for those of an earlier form of the sweep."""
    over = listed.filter(pl.col("status").is_in(OVER))
    named = [[label(goal) for goal in asked] for label in (goals.label, goals.former_label)]
    return over.filter(pl.any_horizontal(pl.col("goal_names") == pl.lit(n, dtype=pl.List(pl.String)) for n in named))


def mean_of(read: goals.Read) -> Mean:
    """A goal's value: undefined where one seed is, since the others are then no fair sample."""
    numbers = _finite(read.of_seeds)
    whole = len(numbers) == len(read.of_seeds) and bool(numbers)
    error = standard_error(list(numbers.values())) if whole else None
    return Mean(read.value if whole else None, error, len(numbers), len(read.of_seeds), read.density)


def _finite(of_seeds: Mapping[int, float]) -> dict[int, float]:
    return {seed: number for seed, number in of_seeds.items() if math.isfinite(number)}


def _ranked(
    of_seeds: Sequence[Mapping[int, float]], means: list[Mean], direction: str, rivals: Sequence[bool]
) -> list[Mean]:
    """Adds `rank` among the means that are defined, of `rivals`; nothing where there are fewer than two."""
    sign = 1 if direction == "min" else -1
    compared = [place for place, mean in enumerate(means) if mean.mean is not None and rivals[place]]
    if len(compared) < 2:
        return means
    best = min(compared, key=lambda place: sign * (means[place].mean or 0.0))
    ranked = list(means)
    for place in compared:
        worse = told_apart(of_seeds[best], of_seeds[place])
        rank = "best" if place == best else "worse" if worse else "not told from the best"
        ranked[place] = replace(means[place], rank=rank)
    return ranked


def _order(row: Row, name: str, goal: Goal) -> float:
    """Best first; what is undefined or no rival comes last."""
    mean = row.means[name].mean
    if mean is None or not is_rival(row.names["status"], goal):
        return math.inf
    return mean if goal.direction == "min" else -mean


def is_rival(status: str, goal: Goal) -> bool:
    """Whether a trial of this status is compared in this goal: one that was stopped has not got to the last round."""
    return status != "stopped" or goal.at != "last"


def _front(asked: Sequence[Goal], points: Sequence[Sequence[Mean]], statuses: Sequence[str]) -> list[bool]:
    """Which done trials no other one beats: no worse in every goal, better in one."""
    signs = [1 if goal.direction == "min" else -1 for goal in asked]
    return front(
        [
            [
                sign * mean.mean if mean.mean is not None and status == "done" else None
                for sign, mean in zip(signs, point, strict=True)
            ]
            for point, status in zip(points, statuses, strict=True)
        ]
    )


def _left_out(listed: pl.DataFrame, others: int) -> list[str]:
    counts = {status: listed.filter(pl.col("status") == status).height for status in ("failed", "running")}
    words = {"failed": "failed", "running": "not over"}
    parts = [f"{count} {words[status]}" for status, count in counts.items() if count]
    parts += [f"{others} read for other goals (impray sweep reads them again)"] if others else []
    return [f"trials that are not shown: {', '.join(parts)}"] if parts else []


# -- by method --------------------------------------------------------------------------------------------------------


def by_method(folder: Place) -> Board:
    """One row per trial and method: means over seeds in the last round that some lineage of it reached without diverging.

    Where all diverged there is no mean, and the row says in which round the last one ended. A seed without a number is left out,
    and counted. Rows are compared at equal density only.
    """
    axes = list(tables.axes_of(Paths(folder)))
    rounds = tables.scan("rounds", folder).collect()
    shown = [name for name in SHOWN if rounds[name].is_not_null().any()]
    numbers = dict(tables.scan("trials", folder).select("trial", "number").collect().iter_rows())
    keys: list[dict[str, Any]] = []
    values: list[dict[str, dict[int, float]]] = []
    for (trial, method), part in rounds.partition_by("trial", "method", as_dict=True, maintain_order=True).items():
        gone = part.filter(pl.col("status") == "diverged")["lineage"]
        alive = part.filter(~pl.col("lineage").is_in(gone.to_list()))
        last = part.filter(pl.col("round") == (part if alive.is_empty() else alive)["round"].max())
        done = last.filter(pl.col("status") == "done")
        told = {"number": numbers.get(trial), **{path: part[path][0] for path in axes}, "method": method}
        told |= {"round": last["round"][0], "density": last["density"].mean()}
        keys.append(told | {"diverged": gone.n_unique(), "lineages": part["lineage"].n_unique()})
        values.append({name: _finite(dict(done.select("seed", _float(name)).iter_rows())) for name in shown})
    board = _by_method(keys, values, shown, folder)
    return replace(board, notes=[*board.notes, *_outdated(rounds)])


def _outdated(rounds: pl.DataFrame) -> list[str]:
    """Measures whose rows here are of an earlier version of impray: without the column that is shown now, or with another number in it."""
    sentences = []
    for kind in (kind for kind in families.measures.specs if kind.first_number_since):
        name, column = kind.model_fields["name"].default, kind.first_number()
        column = column if any(own.name == column for own in kind.lineage_columns) else f"{column}_median"
        lacking = rounds.filter(pl.col(column).is_null())["measured"].unique()
        if any(name in Measured.parse(text).digests for text in lacking):
            sentences.append(
                f"{name}: rows of an earlier version lack {column}; impray sweep measures them again, untrained"
            )
        elif any(Measured.parse(text).digests.get(name) in _former(kind) for text in rounds["measured"].unique()):
            sentences.append(
                f"{name}: rows of an earlier version have another {column}; impray sweep measures them again, untrained"
            )
    return sentences


def _former(kind: type[MeasureSpec]) -> set[str]:
    """Hashes, of default parameters, that rows had before the first number came to be what it is."""
    return {measure_hash(kind(), revision) for revision in range(kind.first_number_since)}


def _float(name: str) -> pl.Expr:
    return pl.col(name).cast(pl.Float64).fill_null(math.nan)


def _by_method(
    keys: list[dict[str, Any]], values: list[dict[str, dict[int, float]]], shown: Sequence[str], folder: Place
) -> Board:
    means = [
        {
            name: Mean(
                pl.Series(list(numbers.values())).mean() if numbers else None,  # type: ignore[arg-type]
                standard_error(list(numbers.values())),
                len(numbers),
                key["lineages"],
                key["density"],
            )
            for name, numbers in of_row.items()
        }
        for key, of_row in zip(keys, values, strict=True)
    ]
    equal: dict[float, list[int]] = {}
    for place, key in enumerate(keys):
        equal.setdefault(round(key["density"] or math.nan, 6), []).append(place)
    for places in equal.values():
        for name in shown:
            of_name = [means[place][name] for place in places]
            ranked = _ranked([values[p][name] for p in places], of_name, SHOWN[name], [True] * len(places))
            for place, mean in zip(places, ranked, strict=True):
                means[place][name] = mean
    rows = [Row(key, of_row) for key, of_row in zip(keys, means, strict=True)]
    rows.sort(key=lambda row: (math.inf if row.names["number"] is None else row.names["number"], row.names["method"]))
    empty = [] if rows else ["no round is finished yet"]
    notes = [*_notes(rows, folder, "its best at equal density, "), *empty]
    return Board(rows, notes, {name: SHOWN[name] for name in shown})


# -- what else there is to know ---------------------------------------------------------------------------------------


def _notes(rows: Sequence[Row], folder: Place, which: str = "the best, ") -> list[str]:
    means = [mean for row in rows for mean in row.means.values()]
    legend = []
    if any(mean.standard_error is not None for mean in means):
        legend.append("+-: standard error over seeds")
    if any(mean.rank for mean in means):
        legend.append(f"*: {which}~: not told from it (the 95 % t interval of the difference, paired by seed, holds 0)")
    notes = ["; ".join(legend)] if legend else []
    if means and all(mean.of_seeds < 2 for mean in means):
        notes.append("one seed: how much seeds differ is not known, and no difference can be told from chance")
    for name in rows[0].means if rows else ():
        if all(row.means[name].mean is None for row in rows):
            notes.append(f"{name}: no trial has this number (undefined, diverged, or never read there)")
    gone = outcomes.warning(folder)
    return [*notes, *([f"{gone}; impray failures {shlex.quote(str(folder))} names them"] if gone else [])]
