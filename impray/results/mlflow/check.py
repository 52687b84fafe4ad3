"""Whether the folder's own sqlite file holds what the tables say, read with sqlite3 and not through MLflow.

SQLite's own check finds a damaged page, not a number with one bit flipped; a comparison with what is wanted does.
Timestamps are not compared: rows written again with the same numbers keep those that were logged first.
"""

from __future__ import annotations

import math
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from impray.results.mlflow import charts
from impray.results.mlflow.points import DIGITS
from impray.results.mlflow.store import damages, words
from impray.results.mlflow.wanted import WantedRun, title
from impray.results.paths import Paths

_ACTIVE = "select run_uuid from runs where lifecycle_stage = 'active' and experiment_id = ?"
_SHARED = "select value from experiment_tags where experiment_id = ? and key = ?"
_TOLERANCE = 10.0 ** (2 - DIGITS)  # a mean over threads may round either way in its last digit


def broken(file: Path) -> str | None:
    """Why there is no store in this place; None if there is one, or nothing at all, or it cannot be told."""
    if not file.exists():
        return None
    if not file.is_file():
        return "not a file"
    try:
        with closing(_connect(file)) as database:
            if not database.execute("select version_num from alembic_version").fetchall():
                return "its schema has no version"
            (integrity,) = database.execute("pragma integrity_check(1)").fetchone()
            dangling = database.execute("pragma foreign_key_check").fetchone()
    except (sqlite3.Error, ValueError) as error:
        return words(error) if damages(error) else None
    if integrity != "ok":
        return integrity.strip().splitlines()[-1]
    return f"a row of {dangling[0]} belongs to nothing" if dangling else None


def moved(paths: Paths, sweep: str) -> bool:
    """Whether the folder was moved, copied or renamed since the sync: MLflow keeps absolute places of artifacts."""
    here = (title(paths), paths.mlflow_artifacts.resolve().as_uri(), sweep)
    query = (
        "select name, artifact_location, value from experiments natural join experiment_tags where key = 'impray.sweep'"
    )
    with closing(_connect(paths.mlflow)) as database:
        return any(row != here for row in database.execute(query))


def differs(paths: Paths, experiment: str, sweep: str, wanted: Iterable[WantedRun], view: str | None) -> str | None:
    """What the store holds that is not wanted, or the other way round, after a sync; None if all is as wanted.

    Args:    view: the page's charts, None where they have no tag.
    Tags, runs and experiments that someone else added are left alone.
    """
    try:
        with closing(_connect(paths.mlflow)) as database:
            runs = _runs(database, experiment)
            tables = [_table(database, name, experiment) for name in ("params", "metrics", "latest_metrics")]
            shared = database.execute(_SHARED, [experiment, charts.TAG + charts.key(sweep)]).fetchone()
    except (sqlite3.Error, ValueError) as error:
        if not damages(error):
            raise
        return words(error)
    mine = {id: tags for id, (_, tags) in runs.items() if any(key.startswith("impray.") for key in tags)}
    count = Counter(tags.get("impray.trial") for tags in mine.values())
    expected = {run.trial: run for run in wanted}
    if count != Counter(expected.keys()) or any(tags.get("impray.sweep") != sweep for tags in mine.values()):
        return f"{len(mine)} runs where {len(expected)} are wanted"
    if view is not None and (shared is None or not charts.same(shared[0], view)):
        return "the charts of the sweep's page not as synced"
    for id, tags in mine.items():
        run = expected[tags.get("impray.trial")]
        wrong = _wrong(run, runs[id][0], tags, *(table[id] for table in tables))
        if wrong:
            return f"{wrong} of run {run.tags['mlflow.runName']!r} not as synced"
    return None


def _connect(file: Path) -> sqlite3.Connection:
    # Not `mode=ro`: after a kill the journal has to be rolled back first. `rw` makes no file.
    return sqlite3.connect(f"{file.resolve().as_uri()}?mode=rw", uri=True, timeout=20)


def _runs(database: sqlite3.Connection, experiment: str) -> dict[str, tuple[tuple[Any, ...], dict[str, str]]]:
    columns = "select run_uuid, status, end_time from runs where lifecycle_stage = 'active' and experiment_id = ?"
    runs: dict[str, tuple[tuple[Any, ...], dict[str, str]]] = {
        id: ((status, end), {}) for id, status, end in database.execute(columns, [experiment])
    }
    for id, key, value in database.execute(
        f"select run_uuid, key, value from tags where run_uuid in ({_ACTIVE})", [experiment]
    ):
        runs[id][1][key] = value
    return runs


def _table(database: sqlite3.Connection, name: str, experiment: str) -> dict[str, list[tuple[Any, ...]]]:
    columns = "key, value" if name == "params" else "key, step, value, is_nan"
    rows: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for id, *row in database.execute(
        f"select run_uuid, {columns} from {name} where run_uuid in ({_ACTIVE})", [experiment]
    ):
        rows[id].append(tuple(row))
    return rows


def _wrong(
    run: WantedRun,
    info: tuple[Any, ...],
    tags: dict[str, str],
    params: list[tuple[Any, ...]],
    metrics: list[tuple[Any, ...]],
    latest: list[tuple[Any, ...]],
) -> str | None:
    last: dict[str, tuple[int, float]] = {}
    for (key, step), (value, _) in run.points.items():
        last[key] = max((step, value), last.get(key, (step, value)))
    if tuple(info) != (run.status, run.end):
        return "the status"
    if any(tags.get(key) != value for key, value in run.tags.items()):
        return "a tag"
    if dict(params) != run.params:
        return "a parameter"
    if not _equal(metrics, {at: value for at, (value, _) in run.points.items()}):
        return "a metric"
    if not _equal(latest, {(key, step): value for key, (step, value) in last.items()}):
        return "the last value of a metric"
    return None


def _equal(rows: list[tuple[Any, ...]], wanted: dict[tuple[str, int], float]) -> bool:
    stored = {(key, step): value for key, step, value, is_nan in rows if not is_nan}
    if len(stored) != len(rows) or stored.keys() != wanted.keys():
        return False
    return all(_close(stored[at], value) for at, value in wanted.items())


def _close(stored: object, wanted: float) -> bool:
    return isinstance(stored, float | int) and math.isclose(stored, wanted, rel_tol=_TOLERANCE, abs_tol=1e-300)
