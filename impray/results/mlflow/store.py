"""The store itself: a client, its file made whole or not at all, and its errors in words of ours."""

from __future__ import annotations

import logging
import os
import re
import shlex
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from impray import processes
from impray.results.files import UNFINISHED
from impray.results.mlflow.chosen import is_server, masked, shown
from impray.results.mlflow.place import file_of, spelled, store_uri
from impray.results.paths import Paths, damaged_name
from impray.spec.errors import DataError

if TYPE_CHECKING:
    from mlflow import MlflowClient

# Set for this process unless the user has set them. A server that does not answer is told within 20 s, not minutes.
_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "9",
}

# Said of a file with which nothing is wrong.
_WHOLE = ("disk is full", "readonly", "read-only", "unable to open", "locked", "disk I/O error")


def client_of(paths: Paths, uri: str | None) -> MlflowClient:
    """A client of the store; a sqlite file is made first if it is not there. Call it with the store's lock held."""
    file = paths.mlflow.resolve() if uri is None else file_of(uri)
    if file is not None:
        if not file.exists() or (uri is not None and file.is_file() and file.stat().st_size == 0):
            _make(file, paths.mlflow_artifacts.resolve() if uri is None else file.with_name("mlruns"))
        # Another process may have moved a new file to this place since this one opened the old one.
        _let_go(store_uri(paths, uri))
    from mlflow import MlflowClient

    _quieten()
    return MlflowClient(tracking_uri=store_uri(paths, uri))


def _make(file: Path, artifacts: Path) -> None:
    """Make a store aside and move it into place.

    A kill amid MLflow's migrations leaves a file it cannot mend, and so do two processes that migrate one file at once.
    """
    start, aside = f"{file.name}.", file.with_name(f"{file.name}.{processes.name()}{UNFINISHED}")
    for left in file.parent.iterdir():  # not glob: the name may hold a pattern's characters
        if left.name.startswith(start) and UNFINISHED in left.name:
            left.unlink(missing_ok=True)
    _migrate(aside, artifacts)
    os.replace(aside, file)


def _migrate(file: Path, artifacts: Path) -> None:
    """MLflow's own way to its tables: some fifty migrations, which take seconds."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    _quieten()
    uri = spelled(file)
    SqlAlchemyStore(uri, artifacts.as_uri())
    _let_go(uri)


def _let_go(uri: str) -> None:
    """MLflow keeps stores and engines for the life of the process. Disposed of, an engine opens the file anew."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    engine = SqlAlchemyStore._engine_map.get(uri)
    if engine is not None:
        engine.dispose()


def remove(paths: Paths) -> None:
    """Neither a file nor artifacts of the folder's own store, so that the next client makes it."""
    _let_go(store_uri(paths, None))
    # The file last: while it is there it says which artifacts were logged, and they are logged again where they lack.
    _delete(paths.mlflow_artifacts)
    for part in _parts(paths):
        _delete(part)


def put_aside(paths: Paths, why: str) -> str:
    """Move the folder's own store away, as it is damaged; a line that says so."""
    _let_go(store_uri(paths, None))
    _delete(paths.mlflow_artifacts)
    moved = [_set_aside(part, paths) for part in _parts(paths) if part.exists()]
    return f"{paths.mlflow} was damaged ({why}); moved to {moved[-1]} and made again from the tables"


def _set_aside(part: Path, paths: Paths) -> Path:
    to = paths.disk / "damaged" / damaged_name(part.name)
    to.parent.mkdir(parents=True, exist_ok=True)
    os.replace(part, to)
    return to


def _parts(paths: Paths) -> list[Path]:
    """The file itself last: a journal without it is nothing, it without its journal is half a change."""
    return [paths.mlflow.with_name(paths.mlflow.name + suffix) for suffix in ("-wal", "-shm", "-journal", "")]


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


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
    try:
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError
    except ModuleNotFoundError as error:
        raise DataError(f"MLflow cannot be loaded ({error}); install impray with all it needs") from error
    try:
        yield
    except (MlflowException, SQLAlchemyError, sqlite3.Error, ModuleNotFoundError, OSError) as error:
        if is_server(given):
            raise DataError(f"{shown(str(given))}: {_refused(masked(str(error), str(given)))}") from error
        text = masked(words(error), store_uri(paths, given))
        raise DataError(f"{_named(given, paths)}: {_told(text, error, paths, given)}") from error


def _named(given: str | None, paths: Paths) -> str:
    return str(paths.mlflow) if given is None else shown(given)


def _told(text: str, error: Exception, paths: Paths, given: str | None) -> str:
    again = f"run impray mlflow sync {shlex.quote(str(paths.folder))}"
    if isinstance(error, ModuleNotFoundError):
        mend = "install what it lacks into impray's environment"
    elif given is not None and file_of(given) is None:
        mend = "is it running, and the URI right?"
    elif given is None or isinstance(error, OSError) or not damages(error):
        mend = f"mend that, then {again}"
    else:
        mend = "move it away, then sync again each sweep that it showed: it is made from the tables"
    return f"the MLflow store does not answer as it should ({text}); {mend}"


# What a server's client says, and what that means to a person. The first that is found in it counts.
_MEANINGS = (
    (r"Invalid Host header|Cross-origin request", "it does not answer to this name (403); add it to the server's "
     "--allowed-hosts, or reach the server as 127.0.0.1 through an ssh tunnel"),
    (r"code 401|UNAUTHENTICATED|not authenticated", "it wants a login (401); "
     "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"),
    (r"code 403|PERMISSION_DENIED", "it does not let this login in (403); ask who runs it, or see its --allowed-hosts"),
    (r"NameResolution|getaddrinfo", "there is no machine of this name; is the URI right?"),
    (r"Connection refused|NewConnectionError", "nothing answers there; is the server running, and the URI right?"),
    (r"[Tt]imed? ?out|TimeoutError", "it does not answer in time; is the server running, and the network open?"),
    (r"SSL|certificate", "no secure connection comes about; http instead of https? MLFLOW_TRACKING_SERVER_CERT_PATH names a certificate"),
    (r"too many (5\d\d) error|code (5\d\d)", "it is in trouble (5xx); its own log says why, then sync again"),
    (r"code 404|not in a valid JSON|code 3\d\d", "what answers there is no MLflow server; is the URI right, its port and path?"),
)  # fmt: skip


def _refused(text: str) -> str:
    meaning = next((meaning for pattern, meaning in _MEANINGS if re.search(pattern, text)), None)
    if meaning is None:
        return f"the MLflow server does not answer as it should ({text.strip().splitlines()[0][:300]})"
    return f"no sync to this MLflow server: {meaning}"


def words(error: Exception) -> str:
    """The first line of what was said."""
    lines = [line for line in str(error).strip().splitlines() if not line.startswith("(raised as a result of")]
    return next(iter(lines), type(error).__name__)[:300]


def damages(error: Exception) -> bool:
    """Whether an answer means that the file is no store any more, rather than full, read-only or in use."""
    return not any(word in str(error) for word in _WHOLE)


def leftovers(artifacts: Path) -> None:
    """Remove what a killed process left of an artifact. Only with the folder's lock held."""
    with suppress(FileNotFoundError):
        for left in artifacts.rglob(".artifact.uploading.*"):
            left.unlink(missing_ok=True)
