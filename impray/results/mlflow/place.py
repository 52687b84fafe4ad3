"""Where a store lies, how its URI is spelled, and who may write to it.

SQLAlchemy takes `?` in `sqlite:///path` for the start of options and, since 2.1, decodes `%20`; MLflow makes the parent
folder of the text as it stands there. A path with such characters is therefore given to them as `sqlite+pysqlite:///`,
percent-encoded: MLflow makes no folders for that spelling. Whether it is read back as the same file is asked, not known.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from impray.results import files
from impray.results.mlflow.chosen import masked, shown
from impray.results.paths import Paths
from impray.results.store import Place
from impray.results.store.folder import NO_LOCKS
from impray.results.store.lease import lease
from impray.spec.errors import DataError, StorageError

_PLAIN = re.compile(r"[\w./+-]+", re.ASCII)  # read alike by SQLAlchemy, MLflow and people


def paths_of(folder: Place) -> Paths:
    """The places of a sweep's folder.

    Raises:  DataError: no such folder, or its path is no UTF-8, which no store takes.
    """
    paths = Paths(folder)
    if not paths.store.exists():
        raise DataError(f"{folder}: no such folder; give a sweep's own folder, such as runs/quickstart")
    try:
        paths.store.absolute.encode()
    except UnicodeEncodeError as error:
        readable = os.fsencode(str(folder)).decode("utf-8", "replace")
        raise DataError(f"{readable}: MLflow needs a path in UTF-8; rename the folder") from error
    return paths


def store_uri(paths: Paths, uri: str | None) -> str:
    """What MLflow is given: the sqlite file in the sweep's folder, unless a store or server is given."""
    if uri is None:
        return spelled(paths.mlflow.resolve())
    # With options it is left as it was typed: they are the user's, and part of it.
    path = None if "?" in uri else file_of(uri)
    return uri if path is None or _PLAIN.fullmatch(uri.partition("://")[2]) else spelled(path)


def spelled(path: Path) -> str:
    """A URI under which SQLAlchemy and MLflow open this file, and make no other."""
    text = str(path)
    if _PLAIN.fullmatch(text):
        return f"sqlite:///{text}"
    from sqlalchemy.engine import URL, make_url

    uri = URL.create("sqlite+pysqlite", database=text).render_as_string()
    if make_url(uri).database == text:
        return uri
    # SQLAlchemy before 2.1 decodes nothing, but hands SQLite's own kind of URI on.
    return f"sqlite+pysqlite:///file:{quote(text)}?uri=true"


def file_of(uri: str) -> Path | None:
    """The sqlite file that a URI names; None for a server, another database or one in memory.

    Raises:  DataError: SQLAlchemy cannot read the URI, or it cuts a path at its `?`.
    """
    if not uri.startswith(("sqlite:", "sqlite+")):
        return None
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(uri)
        name = url.database
        if url.host or url.username:
            raise ArgumentError("a path begins with a third slash")
    except (ArgumentError, ValueError) as error:
        right = "must be like sqlite:///mlflow.db or sqlite:////home/me/mlflow.db"
        raise DataError(f"--mlflow = {shown(uri)!r}    {right} ({masked(str(error).splitlines()[0], uri)})") from error
    if "/" in uri.partition("?")[2]:
        raise DataError(f"--mlflow = {shown(uri)!r}    what follows `?` are options; in a path, write it as %3F")
    if not name or ":memory:" in name or url.query.get("mode") == "memory":
        return None
    return Path(unquote(urlsplit(name).path) if name.startswith("file:") else name).absolute()


@contextmanager
def exclusive(paths: Paths, uri: str | None, *, reading: bool = False) -> Iterator[None]:
    """Wait until no other process syncs this folder or writes to the same sqlite file.

    Where other machines reach the folder and no kernel's lock, as in a bucket, syncs to a store that others reach too take turns
    by a lease. Not to the folder's own file: that is a file of this machine.

    Args:    reading: whether to go on without a lock where none can be taken, as on a read-only disk.
    Raises:  StorageError: a lock cannot be taken.
    """
    file = None if uri is None else file_of(uri)
    # A server takes syncs from a folder that cannot be written; two of them are put right by the next.
    wanted = [(paths.mlflow_lock, uri is None or file is not None)]
    if file is not None:
        wanted.append((file.with_name(f"{file.name}.lock"), True))
    with ExitStack() as held:
        shared = paths.store.local is None
        for path, needed in wanted:
            try:
                held.enter_context(files.locked(path))
            except StorageError:
                if needed and not reading:
                    raise
            except OSError as error:
                if error.errno not in NO_LOCKS:
                    raise
                shared = True
        if shared and uri is not None and not reading:
            with suppress(StorageError):
                held.enter_context(lease(paths.store, "mlflow"))
        yield
