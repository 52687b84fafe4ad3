"""The Optuna study of a sweep with goals: a view of its tables for optuna-dashboard and for Optuna itself.

    number, params   impray's number of the trial, and its values under the axes' own names (a list travels as JSON)
    COMPLETE         done, with all goals; also diverged, where all goals were read before that
    PRUNED, FAIL     stopped early; failed, or a goal is undefined
    RUNNING          not over: still running, or interrupted, and `impray sweep` goes on with it
    user attributes  the trial's id, its data in words, status, rounds; of each goal its mean (of a stopped trial, too), its standard
                     error over seeds and its density
    values by round  with one goal: what it reads, in each round

The tables are the truth: a file that says something else is made anew, with the notes that were taken in the dashboard.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl
from pydantic import ValidationError

from impray.results import goals, leaderboard, outcomes, tables
from impray.results.paths import Paths, set_aside
from impray.results.provenance import read_provenance, read_sweep
from impray.results.store import File, Place, opened
from impray.service.as_optuna import Space, contains, covering, ending
from impray.service.listener import Listener, Report
from impray.spec.errors import DataError
from impray.spec.sweep import Sweep
from impray.spec.trial import Trial

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial, TrialState

    from impray.service.journal import Written


class Keeping(Listener):
    """Keeps the study of a search that asks Optuna beside its tables."""

    part = "study"

    def whole(self, paths: Paths, report: Report) -> None:
        report.study = write(paths.store)


def write(folder: Place, to: Place | None = None) -> File:
    """Write the study of a sweep's folder, unless it is there and says what the tables say.

    Args:    folder: the sweep's own; it may still run. to: another folder or bucket; None: the sweep's own.
    Returns: its file.
    Raises:  DataError: the sweep has no goals, a table is damaged, or something of somebody else's lies in the file's place.
    """
    from impray.service import journal  # here: whoever imports this need not wait for Optuna

    paths = Paths(folder)
    file = paths.study if to is None else opened(to).file(paths.study.name)
    wanted = _wanted(paths)
    content = file.read() if file.is_file() else None
    there = None if content is None else journal.from_bytes(content)
    own = there is not None and there.attrs.get("id") == wanted.attrs["id"]
    if file.exists() and not own:
        if to is not None:
            raise DataError(f"{file}: is not the study of this sweep; move it away, or choose another place with --to")
        set_aside(file)
    if there is None or not own:
        file.write(journal.to_bytes(wanted))
    elif not there.same(wanted):
        file.write(journal.to_bytes(replace(wanted, extras=there.extras)))
    return file


def _wanted(paths: Paths) -> Written:
    """The study as the tables have it."""
    from impray.service.journal import Written

    sweep, described = read_sweep(paths), read_provenance(paths)
    if not sweep.search.goals:
        right = "has no search.goals, so there is nothing that an Optuna study would make small or large"
        raise DataError(f"{paths.folder}: this sweep {right}; csv and parquet have all that was measured")
    name = described.get("sweep") or paths.store.name
    named = {goals.label(goal): goal.direction == "max" for goal in sweep.search.goals}
    attrs = {"id": described.get("id", name), "question": sweep.question}
    return Written(name, named, list(_numbered(_trials(sweep, paths))), attrs)


def _numbered(trials: Sequence[FrozenTrial]) -> Iterator[FrozenTrial]:
    """Optuna counts trials in the order in which they come, so that a number whose row was lost has to have a trial."""
    from optuna.trial import TrialState

    expected = 0
    for trial in sorted(trials, key=lambda trial: trial.number):
        while expected < trial.number:
            yield _frozen(expected, TrialState.FAIL, trial.datetime_start, {"status": "no row in the table trials"})
            expected += 1
        yield trial
        expected += 1


def _trials(sweep: Sweep, paths: Paths) -> list[FrozenTrial]:
    board = {row.names["number"]: row.means for row in leaderboard.by_goals(sweep, paths.store).rows}
    rows = outcomes.trials(paths.store)
    params, distributions = _params(sweep, rows)
    times, courses = _times(paths, rows), _courses(sweep, paths, rows)
    return [
        _trial(row, board.get(row["number"], {}), params[place], distributions, times[place], courses[place])
        for place, row in enumerate(rows.iter_rows(named=True))
    ]


def _trial(
    row: Mapping[str, Any],
    means: Mapping[str, leaderboard.Mean],
    params: Mapping[str, Any],
    distributions: Mapping[str, Any],
    times: tuple[datetime, datetime],
    course: Mapping[int, float],
) -> FrozenTrial:
    from optuna.trial import TrialState

    values = [math.nan if mean.mean is None else mean.mean for mean in means.values()]
    state, told = (TrialState.RUNNING, None) if row["status"] == "running" else ending(row["status"], values)
    attrs = {name: row[name] for name in ("trial", "name", "status", "rounds", "diverged") if row[name] is not None}
    for name, mean in means.items():
        parts = {"mean": mean.mean, "standard error": mean.standard_error, "density": mean.density}
        attrs |= {f"{name}: {part}": value for part, value in parts.items() if value is not None}
    own = {path: distributions[path] for path in params}
    return _frozen(row["number"], state, times[0], attrs, times[1], params, own, course, told)


def _frozen(
    number: int,
    state: TrialState,
    begun: datetime | None,
    attrs: Mapping[str, Any],
    ended: datetime | None = None,
    params: Mapping[str, Any] | None = None,
    distributions: Mapping[str, Any] | None = None,
    course: Mapping[int, float] | None = None,
    values: list[float] | None = None,
) -> FrozenTrial:
    from optuna.trial import FrozenTrial

    return FrozenTrial(
        number=number,
        state=state,
        value=None,
        values=values,
        datetime_start=begun,
        datetime_complete=(ended or begun) if state.is_finished() else None,
        params=dict(params or {}),
        distributions=dict(distributions or {}),
        user_attrs=dict(attrs),
        system_attrs={},
        intermediate_values=dict(course or {}),
        trial_id=number,
    )


def _params(sweep: Sweep, rows: pl.DataFrame) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Each trial's params, and a distribution per axis that holds all of them. A trial lacks an axis that its kind has no field for."""
    space = Space(sweep)
    of = space.distributions
    params = [
        {
            path: value
            for path, value in _described(space, text).items()
            if value is not None or contains(of[path], None)
        }
        for text in rows["description"]
    ]
    wide = {
        path: covering(of_path, [of_trial[path] for of_trial in params if path in of_trial])
        for path, of_path in space.distributions.items()
    }
    return params, wide


def _described(space: Space, description: str) -> dict[str, Any]:
    try:
        return space.params(space.on_axes(Trial.model_validate_json(description)))
    except ValidationError:  # of another version of impray, with words that this one does not know
        return {}


def _times(paths: Paths, rows: pl.DataFrame) -> list[tuple[datetime, datetime]]:
    """When each trial began, about (its first row, less the time that its first round took), and when its last row was written."""
    listed = rows.select("trial", pl.col("lineages").alias("lineage"), "written_at").explode("lineage")
    at, first = pl.col("written_at"), pl.col("round") == pl.col("round").min()
    found = (
        tables.scan("rounds", paths.store)
        .drop("trial")
        .join(listed.lazy().select("trial", "lineage"), on="lineage")
        .group_by("trial")
        .agg(at.min().alias("first"), at.max().alias("last"), pl.col("wall_s").filter(first).sum().alias("took"))
        .collect()
    )
    known = {row["trial"]: row for row in found.iter_rows(named=True)}
    return [_span(known.get(row["trial"]), row["written_at"]) for row in rows.iter_rows(named=True)]


def _span(found: Mapping[str, Any] | None, written: datetime) -> tuple[datetime, datetime]:
    first, last = (written, written) if found is None else (found["first"], found["last"])
    took = 0.0 if found is None or not math.isfinite(found["took"]) else found["took"]
    return _local(first - timedelta(seconds=took)), _local(last)


def _local(time: datetime) -> datetime:
    """As Optuna has times: local, and without saying so."""
    aware = time if time.tzinfo is not None else time.replace(tzinfo=UTC)
    return aware.astimezone().replace(tzinfo=None)


def _courses(sweep: Sweep, paths: Paths, rows: pl.DataFrame) -> list[dict[int, float]]:
    """What the one goal reads, by round, where it is a number: Optuna knows no values by round of several goals."""
    if len(sweep.search.goals) != 1 or rows.is_empty():
        return [{} for _ in range(rows.height)]
    goal = sweep.search.goals[0].model_copy(update={"at": "last"})
    lineages = dict(rows.select("trial", "lineages").iter_rows())
    found = goals.by_round(goal, paths.store, lineages)
    return [{n: value for n, value in found.get(trial, {}).items() if math.isfinite(value)} for trial in rows["trial"]]
