"""The tables as an MLflow experiment: a parent run per sweep, a child run per trial. A view that `rebuild` makes again.

    metric `accuracy/imp` at step n = mean over the seeds of method imp of the column `accuracy` in round n

A mean leaves out NaN and infinite values, and is not logged where none is finite. `diverged/imp` counts the lineages
that have diverged up to round n, where there are any. A round of a trial's method is logged once each of its lineages
that the trial lists has a row there or has diverged before, and a column once no such row lacks it: a point that is
there does not change any more. Timestamps come from the rows (`written_at`), so exporting again adds nothing.

MLflow can neither delete a point nor change a parameter. Where the tables now say something else (more seeds or rounds
were asked for), the run is deleted and made again; runs are found by the tags `impray.sweep` and `impray.trial`, not by
their MLflow ids. One process at a time: several that open a fresh sqlite store at once crash in its migration.
"""

from __future__ import annotations

import colorsys
import hashlib
import json
import logging
import math
import os
import shutil
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
from pydantic import ValidationError

from impray.results import files, schema, tables
from impray.results.paths import UNFINISHED, Paths
from impray.spec.errors import DataError
from impray.spec.load import load
from impray.spec.sweep import Sweep
from impray.spec.trial import Trial

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment, Run

STATUS = {"done": "FINISHED", "diverged": "FAILED", "stopped": "KILLED", "failed": "FAILED"}  # all else is RUNNING
PARAM_LENGTH = 500
DIGITS = 12  # of a mean
_NO_METRICS = {"round", "seed", "wall_s"}

# Set for this process unless the user has set them. A server that does not answer is told within 20 s, not minutes.
_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}

Point = tuple[str, int]  # metric, step


@dataclass(frozen=True)
class Counts:
    """What an export did: trials in the view, and metric points that this call added."""

    trials: int
    metrics: int


@dataclass(frozen=True)
class Wanted:
    """One run as it should be; times in ms. `trial` is None for the sweep's own run."""

    trial: str | None
    start: int
    end: int | None
    status: str
    params: dict[str, str]
    tags: dict[str, str]
    points: dict[Point, tuple[float, int]] = field(default_factory=dict)  # -> value, timestamp


# -- what others call ------------------------------------------------------------------------------------------------


def store_uri(paths: Paths, uri: str | None) -> str:
    """The sqlite file in the sweep's folder, unless a store or server is given."""
    return uri or f"sqlite:///{paths.mlflow.resolve()}"


def prepare(folder: str | Path, uri: str | None = None) -> str:
    """Make store and experiment, named after the folder: once, in one process, before any other opens the store.

    Returns: the experiment's id.
    Raises:  DataError: no such folder, or the store cannot be made or does not answer.
    """
    paths = _paths(folder)
    with _answering(paths, uri):
        return _experiment(_open(paths, uri), paths, uri).experiment_id


def sync(folder: str | Path, uri: str | None = None, figures: bool = True) -> Counts:
    """Export what is in the tables and not in the store yet. Safe to call at any time, also while the sweep runs.

    Args:    uri: a store or server; None is the sqlite file in the folder. figures: whether to log figures/*.png.
    Raises:  DataError: no such folder, or the store does not answer. SweepError: its sweep.yaml cannot be read.
    """
    paths = _paths(folder)
    sweep = load(paths.sweep)
    children = _children(paths, sweep)
    with _answering(paths, uri):
        client = _open(paths, uri)
        view = _View(client, _experiment(client, paths, uri).experiment_id, _identity(paths))
        parent, _ = view.put(_parent(paths, sweep, children))
        _log_files(client, parent, paths, figures)
        added = sum(view.put(child, {"mlflow.parentRunId": parent.info.run_id})[1] for child in children)
    return Counts(len(children), added)


def rebuild(folder: str | Path, uri: str | None = None) -> Counts:
    """Delete what this sweep has in the store, then export everything. A UI on the sqlite file must be restarted."""
    paths = _paths(folder)
    with _answering(paths, uri):
        if uri is None:
            _remove(paths)
        else:
            client = _client(uri)
            view = _View(client, _experiment(client, paths, uri).experiment_id, _identity(paths))
            for run in view.runs.values():
                client.delete_run(run.info.run_id)
    return sync(folder, uri)


def ui_command(folder: str | Path, uri: str | None = None, port: int = 5000) -> list[str]:
    """The command that serves the UI on this machine only; run it with `ui_environment()` added to the environment.

    Raises:  DataError: nothing has been exported yet, or `uri` is a server, which has its own UI.
    """
    paths = _paths(folder)
    if uri is None and not paths.mlflow.is_file():
        raise DataError(f"{paths.mlflow}: nothing exported yet; make it with impray mlflow sync {folder}")
    if uri is not None and uri.startswith(("http:", "https:")):
        raise DataError(f"{_shown(uri)} is a server with its own UI: open it in a browser")
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


# -- the store -------------------------------------------------------------------------------------------------------


def _paths(folder: str | Path) -> Paths:
    if not Path(folder).is_dir():
        raise DataError(f"{folder}: no such folder; give a sweep's own folder, such as runs/quickstart")
    return Paths(Path(folder))


def _open(paths: Paths, uri: str | None) -> MlflowClient:
    """A client of the store; the folder's own is made first if it is not there."""
    _quieten()
    if uri is None and not paths.mlflow.is_file():
        _make(paths)
    return _client(store_uri(paths, uri))


def _make(paths: Paths) -> None:
    """Make the folder's own store aside and move it into place: a kill amid MLflow's migrations leaves a file it cannot mend."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    for left in paths.folder.glob(f"{paths.mlflow.name}.*{UNFINISHED}*"):
        left.unlink(missing_ok=True)
    aside = paths.mlflow.with_name(f"{paths.mlflow.name}.{os.getpid()}{UNFINISHED}")
    uri = f"sqlite:///{aside.resolve()}"
    SqlAlchemyStore(uri, paths.mlflow_artifacts.resolve().as_uri())
    engine = SqlAlchemyStore._engine_map.get(uri)
    if engine is not None:
        engine.dispose()
    os.replace(aside, paths.mlflow)


def _client(uri: str) -> MlflowClient:
    from mlflow import MlflowClient

    _quieten()
    return MlflowClient(tracking_uri=uri)


def _quieten() -> None:
    from mlflow.store.db import utils

    # After the import, which sets levels itself. What goes wrong is raised, so the store need not print it as well.
    for name, level in {
        "mlflow": logging.WARNING,
        "alembic": logging.WARNING,
        utils.__name__: logging.CRITICAL,
    }.items():
        logging.getLogger(name).setLevel(level)
    utils.MAX_RETRY_COUNT = 3  # it waits 0.1 (2^n - 1) s before the n-th retry: 15, as set there, are nearly two hours


@contextmanager
def _answering(paths: Paths, given: str | None) -> Iterator[None]:
    """What MLflow and its database say, as an error of ours that names the store."""
    uri = store_uri(paths, given)
    for name, value in _QUIET.items():  # before the import, which reads them
        os.environ.setdefault(name, value)
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, ModuleNotFoundError, OSError) as error:
        lines = [line for line in str(error).strip().splitlines() if not line.startswith("(raised as a result of")]
        said = next(iter(lines), type(error).__name__)[:300].replace(uri, _shown(uri))
        broken = "delete it: it is made again from the tables"
        if isinstance(error, OSError) or any(word in said for word in ("disk is full", "readonly", "unable to open")):
            broken = f"mend that, then run impray mlflow sync {paths.folder}"  # nothing is wrong with the file itself
        how = "is it running, and the URI right?" if given else broken
        raise DataError(f"{_shown(uri)}: the MLflow store does not answer as it should ({said}); {how}") from error


def _shown(uri: str) -> str:
    """The URI without user and password."""
    scheme, mark, rest = uri.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{mark}{host.rpartition('@')[2]}{slash}{path}"


def _identity(paths: Paths) -> str:
    """What names this sweep in any store; it stays with the folder when that is moved."""
    path = paths.mlflow.with_suffix(".id")
    if not path.is_file():
        files.write(path, f"{paths.folder.resolve().name}-{uuid.uuid4().hex[:8]}".encode())
    return path.read_text()


def _experiment(client: MlflowClient, paths: Paths, uri: str | None) -> Experiment:
    """The sweep's experiment, made if it is not there."""
    name, server = paths.folder.resolve().name, uri is not None and uri.startswith(("http:", "https:"))
    artifacts = None if server else paths.mlflow_artifacts.resolve().as_uri()
    mine = {"impray.sweep": _identity(paths), "mlflow.experimentKind": "custom_model_development"}
    if uri is None:
        before = client.search_experiments(filter_string=f"tags.`impray.sweep` = '{mine['impray.sweep']}'")
        # The folder was moved, copied or renamed: MLflow keeps absolute places of artifacts, so its file is made anew.
        if any((found.name, found.artifact_location) != (name, artifacts) for found in before):
            _remove(paths)
    found = client.get_experiment_by_name(name)
    if found is not None and found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return found or client.get_experiment(client.create_experiment(name, artifacts, mine))


def _remove(paths: Paths) -> None:
    """An empty sqlite store and no artifacts."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    # MLflow keeps stores and engines for the life of the process. Disposed of, an engine opens the new file.
    engine = SqlAlchemyStore._engine_map.get(store_uri(paths, None))
    if engine is not None:
        engine.dispose()
    for suffix in ("", "-wal", "-shm", "-journal"):
        paths.mlflow.with_name(paths.mlflow.name + suffix).unlink(missing_ok=True)
    if paths.mlflow_artifacts.is_dir():
        shutil.rmtree(paths.mlflow_artifacts)
    _quieten()
    _make(paths)


class _View:
    """The sweep's runs in the store, by trial."""

    def __init__(self, client: MlflowClient, experiment: str, sweep: str) -> None:
        self.client, self.experiment, self.sweep = client, experiment, sweep
        self.runs: dict[str | None, Run] = {}
        token = None
        while True:
            page = client.search_runs(
                [experiment], f"tags.`impray.sweep` = '{sweep}'", max_results=1000, page_token=token
            )
            self.runs |= {run.data.tags.get("impray.trial"): run for run in page}
            token = page.token
            if not token:
                return

    def put(self, wanted: Wanted, tags: Mapping[str, str] | None = None) -> tuple[Run, int]:
        """Bring a run to what is wanted; the run as it was found or made, and the number of points added."""
        tags = {**wanted.tags, **(tags or {}), "impray.sweep": self.sweep}
        run, news = self.runs.get(wanted.trial), wanted.points
        if run is not None:
            lacking = self._lacking(run, wanted)
            if lacking is None:
                self.client.delete_run(run.info.run_id)
                run = None
            else:
                news = lacking
        if run is None:
            run = self.client.create_run(self.experiment, wanted.start, tags, tags["mlflow.runName"])
        self._log(run, wanted, tags, news)
        return run, len(news)

    def _log(self, run: Run, wanted: Wanted, tags: Mapping[str, str], news: Mapping[Point, tuple[float, int]]) -> None:
        from mlflow.entities import Metric, Param, RunTag

        id, tags = run.info.run_id, {**tags, "impray.exported": _exported(wanted.points)}
        metrics = [Metric(key, value, ms, step) for (key, step), (value, ms) in news.items()]
        params = [Param(key, value) for key, value in wanted.params.items() if key not in run.data.params]
        self.client.log_batch(id, metrics, params)
        # After the points it tells of: a kill in between logs the same points again, which adds nothing.
        changed = [RunTag(key, value) for key, value in tags.items() if run.data.tags.get(key) != value]
        self.client.log_batch(id, tags=changed)
        if wanted.end is not None and (run.info.status, run.info.end_time) != (wanted.status, wanted.end):
            self.client.set_terminated(id, wanted.status, wanted.end)
        elif wanted.end is None and run.info.status != wanted.status:
            self.client.update_run(id, wanted.status)

    def _lacking(self, run: Run, wanted: Wanted) -> dict[Point, tuple[float, int]] | None:
        """Points that the run does not have yet; None if it has something that cannot be changed and is not wanted."""
        if any(run.data.params.get(key, value) != value for key, value in wanted.params.items()):
            return None
        known = {
            method: (int(last), digest) for method, last, digest in _parts(run.data.tags.get("impray.exported", ""))
        }
        if all(_digest(wanted.points, method, last) == digest for method, (last, digest) in known.items()):
            last = {method: last for method, (last, _) in known.items()}
            return {at: value for at, value in wanted.points.items() if at[1] > last.get(_method(at[0]), -1)}
        # A column was measured later, or a point has changed: ask for every point, which takes some ms per metric.
        there = {
            (metric.key, metric.step): metric.value
            for key in run.data.metrics
            for metric in self.client.get_metric_history(run.info.run_id, key)
        }
        if any(at not in wanted.points or not _same(wanted.points[at][0], value) for at, value in there.items()):
            return None
        return {at: value for at, value in wanted.points.items() if at not in there}


# -- what was exported, in one tag: last round and digest of each method, `imp:9:5e0f36aa random:7:c1d2e3f4` -----------


def _exported(points: Mapping[Point, tuple[float, int]]) -> str:
    last: dict[str, int] = {}
    for key, step in points:
        last[_method(key)] = max(step, last.get(_method(key), -1))
    return " ".join(f"{method}:{step}:{_digest(points, method, step)}" for method, step in sorted(last.items()))


def _parts(exported: str) -> list[list[str]]:
    return [part.split(":") for part in exported.split()]


def _digest(points: Mapping[Point, tuple[float, int]], method: str, last: int) -> str:
    # Fewer digits than `_mean` keeps, where a last bit could round either way. Without timestamps: rows that were
    # written again with the same numbers are nothing new.
    mine = sorted((at, value) for at, (value, _) in points.items() if at[1] <= last and _method(at[0]) == method)
    text = " ".join(f"{key}@{step}={value:.9g}" for (key, step), value in mine)
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()


def _same(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-8, abs_tol=1e-300)


def _method(key: str) -> str:
    return key.rpartition("/")[2]


# -- what is wanted, from the tables -----------------------------------------------------------------------------------


def _parent(paths: Paths, sweep: Sweep, children: list[Wanted]) -> Wanted:
    ends = [child.end for child in children if child.end is not None]
    over = bool(children) and len(ends) == len(children)
    found = [child.tags["impray.status"] for child in children]
    start = min((child.start for child in children), default=int(paths.sweep.stat().st_mtime * 1000))
    tags = {
        "mlflow.runName": paths.folder.resolve().name,
        "mlflow.note.content": sweep.question,
        "impray.question": sweep.question,
        "impray.trials": ", ".join(f"{found.count(status)} {status}" for status in sorted(set(found))) or "none yet",
    }
    params = {"measures": _text([measure.name for measure in sweep.measures]), "search": sweep.search.algorithm}
    params |= {
        f"space.{path}": _text(json.loads(sweep.search.model_dump_json())["space"][path]) for path in sweep.search.space
    }
    status = ("FAILED" if "failed" in found else "FINISHED") if over else "RUNNING"
    return Wanted(None, start, max(ends) if over else None, status, {**_shared_params(sweep), **params}, tags)


def _shared_params(sweep: Sweep) -> dict[str, str]:
    return {"rounds": _text(sweep.rounds), "methods": _text(sweep.methods), "seeds": _seeds(sweep)}


def _seeds(sweep: Sweep) -> str:
    """How many, or a list, as in the YAML."""
    counted = list(sweep.seeds) == list(range(len(sweep.seeds)))
    return _text(len(sweep.seeds) if counted else sweep.seeds)


def _children(paths: Paths, sweep: Sweep) -> list[Wanted]:
    """One run per row of the table `trials`, in the order of their numbers."""
    axes = tables.axes_of(paths)
    points, first = _points(paths, sweep)
    wanted = []
    for row in tables.scan("trials", paths.folder).sort("number").collect().iter_rows(named=True):
        written = int(row["written_at"].timestamp() * 1000)
        tags = {
            "mlflow.runName": _name(row, axes),
            "mlflow.note.content": sweep.question,
            "impray.trial": row["trial"],
            "impray.number": f"{row['number']:05d}",  # MLflow sorts tags as text
            "mlflow.runColor": _colour(row["number"]),
            "impray.status": row["status"],
            **{f"impray.{name}": row[name] for name in ("version", "host", "device") if row[name]},
            **({"mlflow.source.git.commit": row["git_sha"]} if row["git_sha"] else {}),
        }
        status = STATUS.get(row["status"], "RUNNING")
        start, end = min(written, first.get(row["trial"], written)), None if status == "RUNNING" else written
        params = {**_trial_params(row, axes), **_shared_params(sweep)}
        wanted.append(Wanted(row["trial"], start, end, status, params, tags, points.get(row["trial"], {})))
    return wanted


def _name(row: Mapping[str, Any], axes: Mapping[str, str]) -> str:
    """`gain=1 fraction=0.2`; whole paths where two axes end alike; the trial's id where there is no axis."""
    given = [path for path in axes if row[path] is not None]
    last = [path.rpartition(".")[2] for path in given]
    words = given if len(set(last)) < len(last) else last
    shown = [f"{row[path]:.4g}" if isinstance(row[path], float) else str(row[path]) for path in given]
    return " ".join(f"{word}={value}" for word, value in zip(words, shown, strict=True))[:200] or row["trial"]


def _colour(number: int) -> str:
    """Of a trial's lines: the golden ratio keeps hues apart however many there are. MLflow's own, by run id, repeat."""
    hue = (0.6 + number * 0.618034) % 1
    red, green, blue = (round(255 * part) for part in colorsys.hls_to_rgb(hue, 0.4 + 0.15 * (number % 2), 0.65))
    return f"#{red:02x}{green:02x}{blue:02x}"


def _trial_params(row: Mapping[str, Any], axes: Mapping[str, str]) -> dict[str, str]:
    """Every field of the trial by its dotted path, defaults included."""
    description = json.loads(row["description"])
    try:
        description = Trial.model_validate(description).model_dump(mode="json")
    except ValidationError:
        pass  # written by another version of impray: its fields without the defaults are still right
    return {**{path: _text(row[path]) for path in axes if row[path] is not None}, **_flat(description)}


def _flat(value: Any, path: str = "") -> dict[str, str]:
    if not isinstance(value, dict):
        return {path: _text(value)}
    found: dict[str, str] = {}
    for name, part in value.items():
        found |= _flat(part, f"{path}.{name}" if path else name)
    return found


def _text(value: object) -> str:
    return (value if isinstance(value, str) else json.dumps(value))[:PARAM_LENGTH]


def _metric_columns() -> list[str]:
    return [c.name for c in schema.columns("rounds") if c.type in ("int", "float") and c.name not in _NO_METRICS]


def _points(paths: Paths, sweep: Sweep) -> tuple[dict[str, dict[Point, tuple[float, int]]], dict[str, int]]:
    """trial -> its metric points, and trial -> when its first row was written, in ms."""
    listed = tables.scan("trials", paths.folder).select("trial", pl.col("lineages").alias("lineage")).explode("lineage")
    rows = tables.scan("rounds", paths.folder).join(listed, on=["trial", "lineage"], how="semi")
    ms, diverged = pl.col("written_at").dt.epoch("ms"), pl.col("status") == "diverged"
    means = rows.group_by("trial", "method", "round").agg(
        ms.max().alias("ms"), ms.min().alias("first"), *(_mean(name, diverged) for name in _metric_columns())
    )
    ends = rows.group_by("trial", "method", "lineage").agg(
        pl.col("round").max().alias("last"), pl.col("round").filter(diverged).min().alias("diverged")
    )
    found, lineages = pl.collect_all([means, ends])
    complete, gone = _complete(paths, sweep, lineages)
    points: dict[str, dict[Point, tuple[float, int]]] = {}
    first: dict[str, int] = {}
    for row in found.sort("trial", "method", "round").iter_rows(named=True):
        trial, method, round = row["trial"], row["method"], row["round"]
        first[trial] = min(row["first"], first.get(trial, row["first"]))
        if round > complete.get((trial, method), -1):
            continue
        values = {name: row[name] for name in _metric_columns() if row[name] is not None}
        count = sum(at <= round for at in gone.get((trial, method), []))
        for name, value in {**values, **({"diverged": float(count)} if count else {})}.items():
            points.setdefault(trial, {})[f"{name}/{method}", round] = (value, row["ms"])
    return points, first


def _mean(column: str, diverged: pl.Expr) -> pl.Expr:
    """Over finite values; null where a row of a lineage that has not diverged was written without the column."""
    numbers = pl.col(column).cast(pl.Float64)
    lacks = (numbers.is_null() & ~diverged).any()
    # A mean's last bits depend on the order in which threads add: a flat line would be drawn as a step of 1e-16.
    mean = numbers.filter(numbers.is_finite()).mean().round_sig_figs(DIGITS)
    return pl.when(lacks).then(None).otherwise(mean).alias(column)


def _complete(
    paths: Paths, sweep: Sweep, lineages: pl.DataFrame
) -> tuple[dict[tuple[str, str], float], dict[tuple[str, str], list[int]]]:
    """(trial, method) -> the last round that no lineage is missing from, and -> the rounds in which some diverged."""
    heard = {row["lineage"]: row for row in lineages.iter_rows(named=True)}
    complete: dict[tuple[str, str], float] = {}
    gone: dict[tuple[str, str], list[int]] = {}
    for row in lineages.iter_rows(named=True):
        at = (row["trial"], row["method"])
        settled = math.inf if row["diverged"] is not None else row["last"]
        complete[at] = min(settled, complete.get(at, math.inf))
        if row["diverged"] is not None:
            gone.setdefault(at, []).append(row["diverged"])
    trials = tables.scan("trials", paths.folder).select("trial", "lineages", "description").collect()
    for trial, listed, description in trials.iter_rows():
        silent = [id for id in listed or [] if id not in heard]
        for method in _methods_of(silent, description, sweep):
            complete[trial, method] = -1  # a lineage without any row
    return complete, gone


def _methods_of(lineages: list[str], description: str, sweep: Sweep) -> set[str]:
    """Methods of lineages that have no row yet; all methods if that cannot be told."""
    if not lineages:
        return set()
    try:
        described = Trial.model_validate_json(description).lineages(sweep.methods, sweep.seeds)
    except ValidationError:
        return set(sweep.methods)
    methods = {lineage.id: lineage.method for lineage in described}
    return {methods[id] for id in lineages} if set(lineages) <= set(methods) else set(sweep.methods)


def _log_files(client: MlflowClient, run: Run, paths: Paths, figures: bool) -> None:
    """sweep.yaml and the figures, each when its content is new."""
    drawn = sorted([*paths.figures.glob("*.png"), *paths.figures.glob("*.html")]) if figures else []
    wanted = {paths.sweep: None} | {path: "figures" for path in drawn}
    for path, folder in wanted.items():
        tag, digest = f"impray.file.{path.name}", hashlib.blake2b(path.read_bytes(), digest_size=8).hexdigest()
        if run.data.tags.get(tag) != digest:
            client.log_artifact(run.info.run_id, str(path), folder)
            client.set_tag(run.info.run_id, tag, digest)
