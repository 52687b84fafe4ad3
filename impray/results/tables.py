"""Tables on disk: many small Parquet files while a sweep runs, one per table when it is done.

`scan("rounds", out)` gives a polars LazyFrame at any time; `out` is the sweep's own folder.
"""

from __future__ import annotations

import io
import json
import os
import platform
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

import impray
from impray.results import files
from impray.results.paths import UNFINISHED, Paths
from impray.results.schema import GROUPS, KEYS, TABLES, VERSION, columns, schema
from impray.spec.errors import DataError, Problem, SweepError
from impray.spec.wording import near

COMPACTED = "all-"  # names of compacted files start like this


def scan(table: str, folder: str | Path, packs: Sequence[str] | None = None) -> pl.LazyFrame:
    """Every row of a table, the latest of each key, sorted by key.

    Args:    table: a name in `impray tables`. folder: the sweep's own folder. packs: read only the files of these packs
             (and compacted ones): an actor that wants its own rows need not open those of all others.
    Raises:  DataError: no such table or folder.
    """
    if table not in TABLES:
        raise DataError(f"no table {table!r}; there are {', '.join(TABLES)}")
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; give a sweep's own folder, such as runs/quickstart")
    paths = Paths(folder)
    expected = schema(table, axes_of(paths))
    names = ["*"] if packs is None else [f"{COMPACTED}*", *(f"{pack}-*" for pack in packs)]
    found = sorted(str(path) for name in names for path in paths.table(table).glob(f"{name}.parquet"))
    if not found:
        return pl.LazyFrame(schema=expected)
    rows = pl.scan_parquet(found, schema=expected, missing_columns="insert", extra_columns="ignore")
    if table in GROUPS:
        rows = rows.filter(pl.col("written_at") == pl.col("written_at").max().over(GROUPS[table]))
    key = list(KEYS[table])
    return rows.sort([*key, "written_at"]).unique(subset=key, keep="last", maintain_order=True)


def write(paths: Paths, table: str, file: str, rows: Sequence[Mapping], axes: Mapping[str, str]) -> None:
    """Write rows as one file; a file of the same name is replaced. Provenance is added here."""
    if not rows:
        return
    shared = provenance()
    frame = pl.DataFrame([{**shared, **row} for row in rows], schema=schema(table, axes), strict=True)
    files.write(paths.rows(table, file), parquet(frame))


def parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer, metadata={"impray.schema": str(VERSION)})
    return buffer.getvalue()


def compact(folder: str | Path) -> None:
    """Merge each table's files into one. A crash in between leaves both, and `scan` counts each key once."""
    paths = Paths(Path(folder))
    for table in TABLES:
        merged = sorted(paths.table(table).glob("*.parquet"))
        if len(merged) < 2:
            continue
        frame = scan(table, folder).collect()
        target = paths.rows(table, f"{COMPACTED}{datetime.now(UTC):%Y%m%dT%H%M%S%f}")
        files.write(target, parquet(frame))
        for path in merged:
            path.unlink()


def check(folder: str | Path) -> None:
    """Refuse a folder whose tables hold files that are not ours, before anything runs; left-overs of a kill are removed.

    Raises:  SweepError: names every foreign or unreadable file.
    """
    paths = Paths(Path(folder))
    problems = _foreign_files(paths)
    if problems:
        raise SweepError(str(paths.folder), problems)
    for path in paths.tables.rglob(f"*{UNFINISHED}"):
        path.unlink()


@contextmanager
def reading(folder: str | Path) -> Iterator[Paths]:
    """What a command that reads a sweep's folder stands in.

    Raises:  DataError: no such folder, or not a sweep's. SweepError: its tables hold files that are not ours.
    """
    paths = Paths(Path(folder))
    if not paths.sweep.is_file():
        raise DataError(f"{folder}: {_no_sweep(paths.folder)}")
    try:
        yield paths
    except pl.exceptions.PolarsError:  # the footers are looked at only now: there may be thousands of them
        problems = _foreign_files(paths)
        if problems:
            raise SweepError(str(paths.folder), problems) from None
        raise


def _no_sweep(folder: Path) -> str:
    """Why this is no sweep's folder, and which is meant."""
    why = "is not a sweep's folder (there is no sweep.yaml in it)" if folder.exists() else "there is no such folder"
    below = sorted(str(path.parent) for path in folder.glob("*/sweep.yaml"))
    beside = [str(path.parent) for path in folder.parent.glob("*/sweep.yaml")]
    if below:
        return f"{why}; the sweeps in it are {', '.join(below)}"
    return f"{why}; give a sweep's own folder, such as runs/quickstart{near(folder, beside)}"


def _foreign_files(paths: Paths) -> list[Problem]:
    """Files in tables/ that are not ours, or not whole; what is being written does not count."""
    found = sorted(path for path in paths.tables.rglob("*") if not path.is_dir() and path.suffix != UNFINISHED)
    told = [(path.relative_to(paths.folder), _foreign(path)) for path in found]
    return [Problem(str(path), None, wrong) for path, wrong in told if wrong]


def _foreign(path: Path) -> str | None:
    table = path.parent.name
    if table not in TABLES or path.parent.parent.name != "tables" or path.suffix != ".parquet":
        return "is not a file of impray's; move it out of tables/"
    try:
        footer = pq.read_metadata(path)
    except Exception as error:  # pyarrow raises several kinds for a file that is no whole Parquet file
        return f"cannot be read as Parquet ({str(error).splitlines()[0]}); move it out of tables/"
    names = set(footer.schema.to_arrow_schema().names)
    if b"impray.schema" not in (footer.metadata or {}) or not set(KEYS[table]) <= names:
        return f"is a Parquet file, but not of the table {table}; move it out of tables/"
    return None


def axes_of(paths: Paths) -> dict[str, str]:
    """Axis paths and their column types, of the sweep that lies in this folder."""
    if not paths.provenance.is_file():
        return {}
    try:
        return json.loads(paths.provenance.read_text())["axes"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise DataError(
            f"{paths.provenance}: cannot be read ({error}); delete it, and impray sweep makes it again"
        ) from None


@cache
def _static_provenance() -> dict[str, str | None]:
    return {"version": impray.__version__, "git_sha": git_sha(), "host": platform.node()}


def provenance() -> dict:
    """Version, commit, host, device and time, as columns."""
    return {**_static_provenance(), "device": device_name(), "written_at": datetime.now(UTC)}


def git_sha() -> str | None:
    """Commit of the source tree, with `+` if it has changes; None where there is none (an installed wheel)."""
    source = Path(impray.__file__).parent
    if not (source.parent / ".git").exists():
        return None
    try:
        answers = [
            subprocess.run(
                ["git", "-C", str(source), *words], capture_output=True, text=True, timeout=10, check=True
            ).stdout
            for words in (["rev-parse", "HEAD"], ["status", "--porcelain", "--", "."])
        ]
    except (OSError, subprocess.SubprocessError):
        return None
    return answers[0].strip() + ("+" if answers[1].strip() else "")


def device_name() -> str:
    """`cpu`, or the accelerator's name: what IMPRAY_DEVICE says, set by the process that owns the device."""
    return os.environ.get("IMPRAY_DEVICE", "cpu")


def dictionary(axes: Mapping[str, str] | None = None) -> list[dict[str, str]]:
    """The data dictionary: one entry per table and column."""
    return [
        {"table": table, "column": c.name, "type": c.type, "unit": c.unit, "sentence": c.sentence}
        for table in TABLES
        for c in columns(table, axes)
    ]
