"""Where an MLflow view lies: made once, by one process at a time, and never outside its place.

Several processes that open a fresh sqlite store at once crash in MLflow's migrations and leave a file that it cannot mend: a store
whose file is not there is made aside, under a lock, and moved into place. The sqlite file in a sweep's folder (the own store) is a
view: if it is damaged it is set aside and made again from the tables.
"""

from __future__ import annotations

import logging
import math
import os
import shlex
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from impray.results import files
from impray.results.mlflow.wanted import Point
from impray.results.paths import UNFINISHED, Paths
from impray.results.provenance import folder_id
from impray.spec.errors import DataError, StorageError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

# Set for this process unless the user has set them. A server that does not answer is told within 20 s, not minutes.
_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}


def store_uri(paths: Paths, uri: str | None) -> str:
    """The sqlite file in the sweep's folder, unless a store or server is given."""
    return uri or _sqlite(paths.mlflow)


def is_server(uri: str | None) -> bool:
    return uri is not None and uri.startswith(("http:", "https:"))


def _sqlite(path: Path) -> str:
    """A URI of a sqlite file that SQLAlchemy and MLflow read alike.

    SQLAlchemy ends the path at a `?` and decodes `%20`, and MLflow makes folders for the path before decoding. Where one of these
    is in it, the path goes through a link with a plain name, which lives as long as this process.
    """
    place = path.resolve()
    return f"sqlite:///{_plain(place.parent) / place.name if set(str(place)) & set('?%') else place}"


_links = ExitStack()  # removed when this process ends


@cache
def _plain(folder: Path) -> Path:
    import atexit

    if not _links._exit_callbacks:  # type: ignore[attr-defined]  # ExitStack has no other way to say that it is empty
        atexit.register(_links.close)
    link = Path(_links.enter_context(tempfile.TemporaryDirectory(prefix="impray-"))) / "folder"
    link.symlink_to(folder, target_is_directory=True)
    return link


@contextmanager
def alone(paths: Paths) -> Iterator[None]:
    """Hold the lock of exports of this folder; on a disk that cannot be written nothing is locked."""
    with ExitStack() as stack:
        with suppress(StorageError):
            stack.enter_context(files.locked(paths.folder / "mlflow.lock"))
        yield


def opened(paths: Paths, uri: str | None) -> MlflowClient:
    """A client of the store; a sqlite store is made first if it is not there, an own one that is damaged is made again."""
    _quieten()
    if uri is None and (wrong := damage(paths.mlflow)):
        discard(paths, keep=True, why=wrong)
    path = paths.mlflow if uri is None else _file_of(uri)
    if path is not None and not path.is_file():
        with files.locked(path.with_name(f"{path.name}.lock")) if uri is not None else ExitStack():
            if not path.is_file():  # another process may have made it meanwhile
                _make(path, paths.mlflow_artifacts if uri is None else path.parent / "mlartifacts")
    return client(store_uri(paths, uri))


def _file_of(uri: str) -> Path | None:
    """The file of a sqlite store; None for a server, another database, or one in memory."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    if not uri.startswith("sqlite:"):
        return None
    try:
        name = make_url(uri).database
    except ArgumentError:
        return None
    return Path(name) if name and name != ":memory:" and not name.startswith("file:") else None


def _make(path: Path, artifacts: Path) -> None:
    """Make a store aside and move it into place: a kill amid MLflow's migrations leaves a file it cannot mend."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.iterdir():
        if left.name.startswith(f"{path.name}.") and UNFINISHED in left.name:
            left.unlink(missing_ok=True)
    aside = path.with_name(f"{path.name}.{os.getpid()}{UNFINISHED}")
    uri = _sqlite(aside)
    SqlAlchemyStore(uri, artifacts.resolve().as_uri())
    _dispose(uri)
    os.replace(aside, path)


def _dispose(uri: str) -> None:
    """MLflow keeps stores and engines for the life of the process. Disposed of, an engine opens the new file."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    engine = SqlAlchemyStore._engine_map.get(uri)
    if engine is not None:
        engine.dispose()


def client(uri: str) -> MlflowClient:
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
def answering(paths: Paths, given: str | None) -> Iterator[None]:
    """What MLflow and its database say, as an error of ours that names the store."""
    for name, value in _QUIET.items():  # before the import, which reads them
        os.environ.setdefault(name, value)
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, sqlite3.Error, ModuleNotFoundError, OSError) as error:
        uri = store_uri(paths, given)
        lines = [line for line in str(error).strip().splitlines() if not line.startswith("(raised as a result of")]
        said = next(iter(lines), type(error).__name__)[:300].replace(uri, shown(uri))
        broken = "delete it: it is made again from the tables"
        if isinstance(error, OSError) or any(word in said for word in ("disk is full", "readonly", "unable to open")):
            broken = f"mend that, then run impray mlflow sync {shlex.quote(str(paths.folder))}"  # nothing is wrong with the file itself
        how = "is it running, and the URI right?" if given else broken
        place = shown(uri) if given else f"sqlite:///{paths.mlflow.resolve()}"
        raise DataError(f"{place}: the MLflow store does not answer as it should ({said}); {how}") from error


def shown(uri: str) -> str:
    """The URI without user and password."""
    scheme, mark, rest = uri.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{mark}{host.rpartition('@')[2]}{slash}{path}"


def experiment(client: MlflowClient, paths: Paths, uri: str | None) -> Experiment:
    """The sweep's experiment, made if it is not there."""
    from mlflow.exceptions import MlflowException

    name = paths.folder.resolve().name
    artifacts = None if is_server(uri) else paths.mlflow_artifacts.resolve().as_uri()
    mine = {"impray.sweep": folder_id(paths), "mlflow.experimentKind": "custom_model_development"}
    if uri is None:
        before = [e for e in client.search_experiments() if e.tags.get("impray.sweep") == mine["impray.sweep"]]
        # The folder was moved, copied or renamed: MLflow keeps absolute places of artifacts, so its file is made anew.
        if any((found.name, found.artifact_location) != (name, artifacts) for found in before):
            discard(paths, keep=False)
            opened(paths, uri)
    found = client.get_experiment_by_name(name)
    if found is not None and found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    if found is not None:
        return found
    try:
        return client.get_experiment(client.create_experiment(name, artifacts, mine))
    except MlflowException:
        found = client.get_experiment_by_name(name)  # another process has made it meanwhile
        if found is None:
            raise
        return found


def discard(paths: Paths, *, keep: bool, why: str = "") -> None:
    """Take the own store and its artifacts away. Kept, they go into `damaged/`: someone may have written notes into them."""
    _dispose(_sqlite(paths.mlflow))
    for suffix in ("", "-wal", "-shm", "-journal"):
        path = paths.mlflow.with_name(paths.mlflow.name + suffix)
        if keep and path.exists():
            files.set_aside(path, paths)
        else:
            path.unlink(missing_ok=True)
    if paths.mlflow_artifacts.is_dir():
        shutil.rmtree(paths.mlflow_artifacts)


# -- whether an own store is whole -------------------------------------------------------------------------------------


def damage(path: Path) -> str | None:
    """What is wrong with a sqlite file; None if it is whole, is not there, or is only busy."""
    if not path.exists():
        return None
    if not path.is_file():
        return "is not a file"
    try:
        with closing(_read_only(path)) as there:
            said = there.execute("PRAGMA integrity_check(1)").fetchone()[0]
            # `version_num` is the last thing that MLflow's migrations write into a fresh store.
            made = there.execute("SELECT count(*) FROM alembic_version").fetchone()[0]
    except sqlite3.OperationalError as error:
        return "is no store of MLflow's" if "no such table" in str(error) else None
    except sqlite3.DatabaseError as error:
        return str(error)
    return None if said == "ok" and made else f"integrity check: {said}"


def stored_points(path: Path) -> tuple[dict[str, dict[Point, float]], dict[str, dict[Point, float]]]:
    """Run id -> metric points, all of them and the last of each metric, read past MLflow: its client takes ms per metric."""
    found: list[dict[str, dict[Point, float]]] = []
    with closing(_read_only(path)) as there:
        for table in ("metrics", "latest_metrics"):
            points: dict[str, dict[Point, float]] = {}
            for run, key, step, value, is_nan in there.execute(
                f"SELECT run_uuid, key, step, value, is_nan FROM {table}"
            ):
                points.setdefault(run, {})[key, step] = math.nan if is_nan else value
            found.append(points)
    return found[0], found[1]


def differs(stored: Mapping[Point, float], wanted: Mapping[Point, tuple[float, int]]) -> bool:
    """Whether a point of a run is not what it should be, or is missing."""
    return stored.keys() != wanted.keys() or any(
        not isinstance(value, (int, float)) or not math.isclose(value, wanted[at][0], rel_tol=1e-8, abs_tol=1e-300)
        for at, value in stored.items()
    )


def _read_only(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(path.resolve()))}?mode=ro", uri=True, timeout=1)
