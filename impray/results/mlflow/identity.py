"""The name of a sweep in any store: one file in its folder, which stays with the folder when that is moved."""

from __future__ import annotations

import re
import sqlite3
import uuid
from contextlib import closing, suppress
from pathlib import Path

from impray.results.mlflow import wanted
from impray.results.paths import Paths, set_aside
from impray.results.provenance import read_provenance, wrong_with_provenance
from impray.results.store import File

# A name of at most 255 bytes, a hyphen and 8 digits: what is something else is damaged.
_FORM = re.compile(r"[^\x00-\x1f\x7f\ufffd]{1,255}-[0-9a-f]{8}")
_UNFIT = re.compile(r"[\x00-\x1f\x7f\ufffd]|^\s|\s$")  # the text is read without white space around it


def identity(paths: Paths) -> str:
    """What names this sweep in any store, made once.

    A file that is lost or damaged is made again with the name in the folder's own store, or in provenance.json, which has a
    copy, so that no run is doubled.
    Raises:  StorageError: it is not there and cannot be written.
    """
    path = paths.mlflow_id
    damaged = path.exists()  # asked first: what another machine writes from now on is whole
    name = _read(path)
    if name is None:
        name = (
            _stored(paths.mlflow)
            or _described(paths)
            or f"{_UNFIT.sub('_', wanted.title(paths))}-{uuid.uuid4().hex[:8]}"
        )
        if damaged:
            set_aside(path)
        if not path.store.create(path.key, name.encode()):
            return _read(path) or name  # another machine was quicker
    return name


def _read(path: File) -> str | None:
    try:
        text = (path.read() or b"").decode("utf-8")
    except (IsADirectoryError, UnicodeDecodeError):
        return None
    return text.strip() if _FORM.fullmatch(text.strip()) else None


def _stored(database: Path) -> str | None:
    """The name on the experiment in the folder's own store, as far as that can be read."""
    query = "select value from experiment_tags where key = 'impray.sweep' order by experiment_id"
    if not database.is_file():
        return None
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=rw", uri=True)) as open:
        return next((value for (value,) in open.execute(query) if _FORM.fullmatch(str(value))), None)
    return None


def _described(paths: Paths) -> str | None:
    """The copy in provenance.json."""
    if wrong_with_provenance(paths):
        return None
    name = read_provenance(paths).get("id")
    return name if isinstance(name, str) and _FORM.fullmatch(name) else None
