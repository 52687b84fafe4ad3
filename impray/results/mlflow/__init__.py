"""The tables as an MLflow experiment: a parent run per sweep, a child run per trial. A view that `rebuild` makes again.

    metric `accuracy/imp` at step n = mean over the seeds of method imp of the column `accuracy` in round n

A mean leaves out NaN and infinite values, and is not logged where none is finite. `diverged/imp` counts the lineages
that have diverged up to round n, where there are any. A round of a trial's method is logged once each of its lineages
that the trial lists has a row there or has diverged before, and a column once no such row lacks it: a point that is
there does not change any more. Timestamps come from the rows (`written_at`), so exporting again adds nothing.

One process at a time exports a folder (`store.alone`). After an export there is one run per trial and one of the sweep, whatever
was there before. `store` knows where the view lies, `wanted` what the tables say, `runs` what is there.
"""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from impray.results.mlflow import store, wanted
from impray.results.mlflow.runs import View, log_files
from impray.results.mlflow.store import store_uri
from impray.results.paths import Paths
from impray.results.provenance import folder_id
from impray.spec.errors import DataError
from impray.spec.load import load

__all__ = ["Counts", "prepare", "rebuild", "store_uri", "sync", "ui_command", "ui_environment", "ui_page"]


@dataclass(frozen=True)
class Counts:
    """What an export did: trials in the view, and metric points that this call added."""

    trials: int
    metrics: int


def prepare(folder: str | Path, uri: str | None = None) -> str:
    """Make store and experiment, named after the folder: once, in one process, before any other opens the store.

    Returns: the experiment's id.
    Raises:  DataError: no such folder, or the store cannot be made or does not answer.
    """
    paths = _paths(folder)
    with store.answering(paths, uri), store.alone(paths):
        return store.experiment(store.opened(paths, uri), paths, uri).experiment_id


def sync(folder: str | Path, uri: str | None = None, figures: bool = True) -> Counts:
    """Export what is in the tables and not in the store yet. Safe to call at any time, also while the sweep runs.

    Args:    uri: a store or server; None is the sqlite file in the folder. figures: whether to log figures/*.png, and to
             compare every point of an own store with the tables afterwards.
    Raises:  DataError: no such folder, or the store does not answer. SweepError: its sweep.yaml cannot be read.
    """
    paths = _paths(folder)
    with store.answering(paths, uri), store.alone(paths):
        return _exported(paths, uri, figures)


def _exported(paths: Paths, uri: str | None, whole: bool) -> Counts:
    asked = wanted.runs(paths, load(paths.sweep))
    view = _view(paths, uri)
    added = _put(view, asked, paths, whole)
    if uri is None and whole and _altered(view, asked, paths):
        # Someone, or a disk, has changed points behind MLflow's back.
        store.discard(paths, keep=True)
        view = _view(paths, uri)
        added = _put(view, asked, paths, whole)
    return Counts(len(asked) - 1, added)


def _view(paths: Paths, uri: str | None) -> View:
    client = store.opened(paths, uri)
    return View(client, store.experiment(client, paths, uri).experiment_id, folder_id(paths))


def _put(view: View, asked: list[wanted.Wanted], paths: Paths, figures: bool) -> int:
    """Bring all runs to what is wanted; points added."""
    view.keep_only({run.trial for run in asked})
    parent, *children = asked
    own, _ = view.put(parent)
    log_files(view.client, own, paths, figures)
    return sum(view.put(child, {"mlflow.parentRunId": own.info.run_id})[1] for child in children)


def _altered(view: View, asked: list[wanted.Wanted], paths: Paths) -> bool:
    every, last = store.stored_points(paths.mlflow)
    for run in asked:
        there = view.runs[run.trial].info.run_id
        steps: dict[str, int] = {}
        for key, step in run.points:
            steps[key] = max(step, steps.get(key, step))
        newest = {at: value for at, value in run.points.items() if steps[at[0]] == at[1]}
        if store.differs(every.get(there, {}), run.points) or store.differs(last.get(there, {}), newest):
            return True
    return False


def rebuild(folder: str | Path, uri: str | None = None) -> Counts:
    """Delete what this sweep has in the store, then export everything. A UI on the sqlite file must be restarted."""
    paths = _paths(folder)
    with store.answering(paths, uri), store.alone(paths):
        if uri is None:
            store.discard(paths, keep=False)
        else:
            _view(paths, uri).clear()
        return _exported(paths, uri, True)


def ui_command(folder: str | Path, uri: str | None = None, port: int = 5000) -> list[str]:
    """The command that serves the UI on this machine only; run it with `ui_environment()` added to the environment.

    Raises:  DataError: nothing has been exported yet, or `uri` is a server, which has its own UI.
    """
    paths = _paths(folder)
    if uri is None and not paths.mlflow.is_file():
        raise DataError(
            f"{paths.mlflow}: nothing exported yet; make it with impray mlflow sync {shlex.quote(str(folder))}"
        )
    if store.is_server(uri):
        raise DataError(f"{store.shown(uri or '')} is a server with its own UI: open it in a browser")
    # Without a destination the server makes a folder `mlartifacts` wherever it is started.
    stores = [
        "--backend-store-uri",
        store_uri(paths, uri),
        "--artifacts-destination",
        str(paths.mlflow_artifacts.resolve()),
    ]
    return [sys.executable, "-m", "mlflow", "ui", *stores, "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]


def ui_page(experiment: str, port: int = 5000) -> str:
    """Address of the page that draws all trials of an experiment (`prepare` gives its id) as lines over the rounds.

    Sorted by number: in MLflow's own order, by time, trials are folded away below the sweep's run and nothing is drawn.
    """
    query = "workflowType=machine_learning&compareRunsMode=CHART&orderByKey=tags.%60impray.number%60&orderByAsc=true"
    return f"http://127.0.0.1:{port}/#/experiments/{experiment}/runs?{query}"


def ui_environment() -> dict[str, str]:
    """Additions to the environment of the UI's command: no telemetry, and no job runners (8 processes, 2 GB)."""
    return {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}


def _paths(folder: str | Path) -> Paths:
    if not Path(folder).is_dir():
        raise DataError(f"{folder}: no such folder; give a sweep's own folder, such as runs/quickstart")
    return Paths(Path(folder))
