"""What a sweep's folder says of itself: sweep.yaml (as run) and provenance.json (axes, data, versions), both sealed.

The axes are columns of all tables. Where provenance.json is gone they are read off sweep.yaml and the table `trials`, which know
them too, so no row loses its axis values by it.
"""

from __future__ import annotations

import io
import json
import shlex
from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from impray.results.paths import Paths
from impray.results.store import File, above
from impray.seal import BLANK, intact, sealed
from impray.spec import axes as of_axes
from impray.spec.errors import DataError, ImprayError, Problem, StorageError, SweepError
from impray.spec.load import read
from impray.spec.plugins.joined import describe
from impray.spec.sweep import Sweep

_COMMENT = "# Sealed by impray: a change by hand is refused. Copy it and change the copy.  "


def write_sweep(paths: Paths, text: str) -> None:
    """Write sweep.yaml, sealed, if it would change."""
    _write_if_new(paths.sweep, f"{text}{_COMMENT}{BLANK}\n")


def write_provenance(paths: Paths, description: Mapping[str, Any]) -> None:
    """Write provenance.json, sealed, if it would change."""
    _write_if_new(paths.provenance, json.dumps({**description, "seal": BLANK}, indent=2) + "\n")


def read_provenance(paths: Paths) -> dict[str, Any]:
    """What provenance.json says; empty where there is none.

    Raises:  DataError: it cannot be read, or was changed.
    """
    wrong, content = _looked_at(paths.provenance, _check_provenance)
    if wrong:
        raise DataError(f"{paths.provenance}: {wrong}; {mends(paths)}")
    return json.loads(content or b"{}")


def read_sweep(paths: Paths) -> Sweep:
    """The sweep whose results lie here, as it was run. Its plugins are not: their members are known as provenance.json tells of them.

    Raises:  SweepError: there is none, or it is none.
    """
    content = paths.sweep.read()
    if content is None:
        raise SweepError(str(paths.sweep), [Problem("file", None, "there is no such file")])
    if wrong_with_provenance(paths) is None:
        describe(read_provenance(paths).get("plugins", {}))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SweepError(str(paths.sweep), [Problem("file", None, "it is not text in UTF-8")]) from None
    return read(text, str(paths.sweep))


def mends(paths: Paths) -> str:
    """What to do about something broken in a folder: the one command that sets it aside and makes it again."""
    whole = paths.sweep.is_file() and wrong_with_sweep(paths) is None
    file = str(paths.sweep) if whole else "FILE"
    command = shlex.join(["impray", "sweep", file, "--out", above(paths.store)])
    return f"{command} sets it aside and makes it again{'' if whole else ', FILE being the YAML of this sweep'}"


def wrong_with_sweep(paths: Paths) -> str | None:
    """What is wrong with sweep.yaml; None if nothing is, or it is not there."""

    def check(content: bytes) -> None:
        read_sweep(paths)
        if _COMMENT[:18].encode() in content and not intact(content):
            raise ValueError("its seal is gone")

    return _wrong(paths.sweep, check)


def wrong_with_provenance(paths: Paths) -> str | None:
    """What is wrong with provenance.json; None if nothing is, or it is not there."""
    return _wrong(paths.provenance, _check_provenance)


def _check_provenance(content: bytes) -> None:
    document = json.loads(content)
    axes = document["axes"]
    if not isinstance(axes, dict) or not set(axes.values()) <= {"float", "int", "str", "bool", "json"}:
        raise ValueError("its axes are no names with types")
    if "id" in document and not intact(content):  # versions before 0.4.0 wrote neither
        raise ValueError("its seal is gone")


def axes_of(paths: Paths) -> dict[str, str]:
    """Axis paths and their column types, of the sweep that lies in this folder and of earlier ones in it.

    Raises:  DataError: provenance.json cannot be read.
    """
    document = read_provenance(paths)
    describe(document.get("plugins", {}))  # nothing of theirs is run
    return document["axes"] if document else recovered_axes(paths)


def recovered_axes(paths: Paths) -> dict[str, str]:
    """As `axes_of`, without provenance.json: a list or a mixture (`json`) of an earlier sweep's axis is told as text."""
    return {**_axes_in_rows(paths), **_axes_in_sweep(paths)}


def _axes_in_sweep(paths: Paths) -> dict[str, str]:
    try:
        sweep = read_sweep(paths)
    except SweepError:
        return {}
    return {path: of_axes.axis_type(sweep, path) for path in sweep.search.space}


def _axes_in_rows(paths: Paths) -> dict[str, str]:
    """Columns with a dot in their name, of the files of `trials`: what was an axis when they were written."""
    axes: dict[str, str] = {}
    for file in paths.row_files("trials"):
        try:
            columns = pq.read_schema(io.BytesIO(file.read() or b""))
        except (OSError, pa.ArrowException):
            continue  # a damaged file is told where rows are read
        axes |= {field.name: _kind(field.type) for field in columns if "." in field.name}
    return axes


def _kind(of_column: pa.DataType) -> str:
    if pa.types.is_floating(of_column):
        return "float"
    if pa.types.is_integer(of_column):
        return "int"
    return "bool" if pa.types.is_boolean(of_column) else "str"


def _wrong(file: File, check: Callable[[bytes], object]) -> str | None:
    return _looked_at(file, check)[0]


def _looked_at(file: File, check: Callable[[bytes], object]) -> tuple[str | None, bytes | None]:
    """What is wrong with a file, and its bytes; read once, for a bucket is asked for it with every look at a table."""
    content = None
    try:
        content = file.read()
        if content is None:
            return ("is not a file" if file.exists() else None), None
        if intact(content) is False:
            return "was changed since impray wrote it", content
        check(content)
    except IsADirectoryError:
        return "is not a file", content
    except StorageError:
        raise  # the store is silent: nothing is known of the file
    except ImprayError as error:
        return f"cannot be read ({str(error).splitlines()[-1].strip()})", content
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        return f"cannot be read ({error})", content
    return None, content


def _write_if_new(file: File, text: str) -> None:
    content = sealed(text.encode())
    if file.read() != content:
        file.write(content)
