"""The flat tables of a sweep as files for other programs: CSV or Parquet, with their columns in words beside them.

A file that this sweep's export did not write is never overwritten: export.json lists what it wrote, by digest, before it is written.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from impray.results import flat, tables
from impray.results.paths import Paths
from impray.results.provenance import read_provenance
from impray.results.store import File, Place, Store, opened
from impray.spec.errors import DataError

Format = Literal["csv", "parquet"]
FORMATS: tuple[Format, ...] = ("csv", "parquet")
_MANIFEST = "export.json"


@dataclass(frozen=True)
class Written:
    """A file of an export and its rows."""

    file: File
    rows: int


def export(folder: Place, to: Place, format: Format = "csv", names: Sequence[str] = ()) -> list[Written]:
    """Write flat tables, and `columns.csv`, which says what each column of each of them is.

    Args:    folder: the sweep's own; it may still run. to: a folder or a bucket. names: of `flat.names()`; by default all that have
             rows, but those with a row per input or bin (`flat.LONG`).
    Raises:  DataError: no such table, a damaged file, or something of somebody else's lies in a file's place: nothing is written.
    """
    axes = tables.axes_of(Paths(folder))
    wanted = dict.fromkeys(names or [name for name in flat.names() if name not in flat.LONG])
    made = {name: flat.flat(name, folder) for name in wanted}
    frames = {name: frame for name, frame in made.items() if name in names or frame.height}
    described = pl.DataFrame(
        [
            {"table": name, "column": c.name, "type": c.type, "unit": c.unit, "sentence": c.sentence}
            for name in flat.names()
            for c in flat.columns(name, axes)
        ]
    )
    contents = {f"{name}.{format}": _content(frame, format) for name, frame in frames.items()}
    contents["columns.csv"] = _content(described, "csv")
    _write(opened(to), contents, _identity(folder))
    rows = {**{f"{name}.{format}": frame.height for name, frame in frames.items()}, "columns.csv": described.height}
    return [Written(opened(to).file(name), count) for name, count in rows.items()]


def _content(frame: pl.DataFrame, format: Format) -> bytes:
    buffer = io.BytesIO()
    if format == "csv":
        frame.write_csv(buffer)
    else:
        frame.write_parquet(buffer)
    return buffer.getvalue()


def _identity(folder: Place) -> str:
    """Whose export it is: the sweep's name in any store; before 0.4.0 there was none."""
    paths = Paths(folder)
    return read_provenance(paths).get("id", paths.store.name)


def _write(to: Store, contents: dict[str, bytes], identity: str) -> None:
    """Raises:  DataError: with every file that is somebody else's; nothing is written then."""
    own = _own(to, identity)
    theirs = [name for name in contents if not _is_free(to.file(name), own.get(name, []))]
    if theirs:
        what = "is not" if len(theirs) == 1 else "are not"
        right = (
            "what this sweep's export wrote, or has been changed since; move it away, or choose another place with --to"
        )
        raise DataError(f"{', '.join(str(to.file(name)) for name in theirs)}: {what} {right}")
    digests = {name: _digest(content) for name, content in contents.items()}
    # Both digests while files are written: a kill in between leaves nothing that the next export takes for somebody else's.
    both: dict[str, list[str]] = {name: list(known) for name, known in own.items()}
    for name, digest in digests.items():
        both[name] = list(dict.fromkeys([*both.get(name, []), digest]))
    _note(to, identity, both)
    for name, content in contents.items():
        to.write(name, content)
    _note(to, identity, {**both, **{name: [digest] for name, digest in digests.items()}})


def _own(to: Store, identity: str) -> dict[str, list[str]]:
    """File -> digests of what this sweep's exports wrote there.

    Raises:  DataError: the place is another sweep's.
    """
    content = to.read(_MANIFEST)
    if content is None:
        return {}
    try:
        document = json.loads(content)
        sweep, files = document["sweep"], dict(document["files"])
    except (ValueError, LookupError, TypeError):
        raise DataError(
            f"{to.file(_MANIFEST)}: is no list of an export's files; choose another place with --to"
        ) from None
    if sweep != identity:
        raise DataError(f"{to}: has the export of another sweep; choose another place with --to")
    return files


def _is_free(file: File, own: list[str]) -> bool:
    if not file.exists():
        return True
    content = file.read() if file.is_file() else None
    return content is not None and _digest(content) in own


def _note(to: Store, identity: str, files: Mapping[str, list[str]]) -> None:
    document = {"sweep": identity, "files": dict(sorted(files.items()))}
    to.write(_MANIFEST, json.dumps(document, indent=2).encode() + b"\n")


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()
