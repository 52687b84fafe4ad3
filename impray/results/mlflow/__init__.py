"""The tables as an MLflow experiment: a parent run per sweep, a child run per trial. A view that `rebuild` makes again.

`wanted` is what the tables say, `runs` brings a store to it, `place` and `store` are where it lies and how it is made,
`check` compares the folder's own file with what is wanted, `identity` is what names the sweep in any store.

One sync of a folder at a time, and one to a sqlite file: a second one waits. The folder's own file is a view of
nothing but the tables: where it is damaged or says something else, it is moved aside and made again.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from impray.results.mlflow import charts, check, place, store, wanted
from impray.results.mlflow.chosen import chosen, is_server, problems, shown
from impray.results.mlflow.identity import identity
from impray.results.mlflow.place import store_uri
from impray.results.mlflow.runs import View, experiment_of, log_files, put_charts
from impray.results.paths import Paths
from impray.results.provenance import read_sweep
from impray.results.store import Place
from impray.spec.errors import DataError

__all__ = [
    "Counts",
    "chosen",
    "is_server",
    "prepare",
    "problems",
    "rebuild",
    "shown",
    "store_uri",
    "sync",
    "ui_command",
    "ui_environment",
    "ui_page",
]

Say = Callable[[str], None]
Signature = tuple[int, int, int]


@dataclass(frozen=True)
class Counts:
    """What a sync did: trials in the view, and metric points that this call added."""

    trials: int
    metrics: int


def silent(line: str) -> None:
    """What a sync says where nobody listens."""


def prepare(folder: Place, uri: str | None = None, say: Say = silent) -> str:
    """Make store and experiment, named after the folder.

    A damaged store of the folder's own, or one that was made in another place, is made again with all that was in it.

    Args:    say: is given a line where something was damaged.
    Returns: the experiment's id.
    Raises:  DataError: no such folder, or the store cannot be made or does not answer.
    """
    paths = place.paths_of(folder)
    whole = uri is None and paths.mlflow.is_file()
    with place.exclusive(paths, uri, reading=whole or uri is not None), store.answering(paths, uri):
        if uri is None and _mend(paths, say):
            _sync_now(paths, None, True)
        return experiment_of(store.client_of(paths, uri), paths, uri).experiment_id


def sync(folder: Place, uri: str | None = None, figures: bool = True, say: Say = silent) -> Counts:
    """Sync what is in the tables and not in the store yet. Safe to call at any time, also while the sweep runs.

    Args:    uri: a store or server; None is the sqlite file in the folder. figures: whether to log figures/*.png.
             say: is given a line where something was damaged and has been made again.
    Raises:  DataError: no such folder, or the store does not answer. SweepError: its sweep.yaml cannot be read.
    """
    paths = place.paths_of(folder)
    with place.exclusive(paths, uri), store.answering(paths, uri):
        return _sync(paths, uri, figures, say)


def rebuild(folder: Place, uri: str | None = None, say: Say = silent) -> Counts:
    """Delete what this sweep has in the store, then sync everything. A UI on the sqlite file must be restarted."""
    paths = place.paths_of(folder)
    with place.exclusive(paths, uri), store.answering(paths, uri):
        wanted.runs(paths, read_sweep(paths))  # nothing is deleted where the tables cannot be read
        if uri is None:
            identity(paths)  # as long as the store can still tell it
            store.remove(paths)
        else:
            client = store.client_of(paths, uri)
            View(client, experiment_of(client, paths, uri).experiment_id, identity(paths)).clear()
        return _sync(paths, uri, True, say)


def _sync(paths: Paths, uri: str | None, figures: bool, say: Say) -> Counts:
    if uri is not None:
        return _sync_now(paths, uri, figures)[0]
    # As this process left it, checked and compared: a sweep that runs does not read all of it every time.
    trusted = _signature(paths.mlflow) is not None and _left.get(paths.mlflow.resolve()) == _signature(paths.mlflow)
    if not trusted:
        _mend(paths, say)
    counts = _whole(paths, figures, say, trusted)
    _left[paths.mlflow.resolve()] = _signature(paths.mlflow)
    return counts


def _whole(paths: Paths, figures: bool, say: Say, trusted: bool) -> Counts:
    """Sync to the folder's own store; once more to a new one where it turns out to be damaged."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        counts, wrong = _sync_now(paths, None, figures)
        wrong = None if trusted else wrong()
    except (MlflowException, SQLAlchemyError) as error:
        if not store.damages(error):
            raise
        wrong, counts = store.words(error), None
    if wrong is None and counts is not None:
        return counts
    say(store.put_aside(paths, wrong or "it cannot be read"))
    return _sync_now(paths, None, figures)[0]


def _mend(paths: Paths, say: Say) -> bool:
    """Make way for a new store where the folder's own is damaged or tells of another place; whether it did."""
    name = identity(paths)  # as long as the store can still tell it
    why = check.broken(paths.mlflow)
    if why is not None:
        say(store.put_aside(paths, why))
    elif paths.mlflow.is_file() and check.moved(paths, name):
        store.remove(paths)
    else:
        return False
    return True


def _sync_now(paths: Paths, uri: str | None, figures: bool) -> tuple[Counts, Callable[[], str | None]]:
    """Bring the store to what the tables say; also returns a comparison of the folder's own store with that."""
    sweep = read_sweep(paths)
    parent, *children = wanted.runs(
        paths, sweep
    )  # read with the lock held: an older reading would take back a newer sync
    client, name = store.client_of(paths, uri), identity(paths)
    experiment = experiment_of(client, paths, uri)
    view = View(client, experiment.experiment_id, name)
    run, _ = view.put(parent)
    log_files(client, run, paths, figures)
    added = sum(view.put(child, {"mlflow.parentRunId": run.info.run_id})[1] for child in children)
    metrics = {metric for child in children for metric, _ in child.points}
    page = charts.view(sweep, metrics, run.info.run_id, parent.start) if metrics else None
    put_charts(client, experiment, name, sweep.question, page)
    counts = Counts(len(children), added)
    return counts, lambda: check.differs(paths, experiment.experiment_id, name, [parent, *children], page)


_left: dict[Path, Signature | None] = {}  # an own store -> how this process left it


def _signature(file: Path) -> Signature | None:
    try:
        info = file.stat()
    except OSError:
        return None
    return info.st_ino, info.st_size, info.st_mtime_ns


def ui_command(folder: Place, uri: str | None = None, port: int = 5000) -> list[str]:
    """The command that serves the UI on this machine only; run it with `ui_environment` added to the environment.

    Raises:  DataError: nothing has been synced yet, or `uri` is a server, which has its own UI.
    """
    paths = place.paths_of(folder)
    if uri is None and not paths.mlflow.is_file():
        raise DataError(
            f"{paths.mlflow}: nothing synced yet; make it with impray mlflow sync {shlex.quote(str(folder))}"
        )
    if is_server(uri):
        raise DataError(f"{shown(str(uri))} is a server with its own UI: open it in a browser")
    backend = store_uri(paths, uri)
    # Without a destination the server makes a folder `mlartifacts` wherever it is started.
    stores = ["--artifacts-destination", paths.mlflow_artifacts.resolve().as_uri()]
    if backend == shown(
        backend
    ):  # what holds a login goes by the environment: every user of a machine sees its commands
        stores = ["--backend-store-uri", backend, *stores]
    return [sys.executable, "-m", "mlflow", "ui", *stores, "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]


def ui_page(folder: Place, uri: str | None = None, port: int = 5000, say: Say = silent) -> str:
    """Address of the page that draws the sweep's trials; makes store and experiment where they are not there (`prepare`)."""
    paths = place.paths_of(folder)
    experiment = prepare(folder, uri, say)
    with store.answering(paths, uri):
        tags = store.client_of(paths, uri).get_experiment(experiment).tags
    name = identity(paths)
    # Of an earlier version's sync: sorted by number, as MLflow's own order, by time, folds trials away below the sweep's run.
    query = "compareRunsMode=CHART&orderByKey=tags.%60impray.number%60&orderByAsc=true"
    query = charts.query(name) if charts.TAG + charts.key(name) in tags else query
    server = shown(uri.rstrip("/")) if uri is not None and is_server(uri) else f"http://127.0.0.1:{port}"
    return f"{server}/#/experiments/{experiment}/runs?{query}"


def ui_environment(folder: Place, uri: str | None = None) -> dict[str, str]:
    """Additions to the environment of the UI's command: the store, no telemetry, and no job runners (8 processes, 2 GB)."""
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    return {**quiet, "MLFLOW_BACKEND_STORE_URI": store_uri(place.paths_of(folder), uri)}
