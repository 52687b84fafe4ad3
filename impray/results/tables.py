"""Tables on disk: many small Parquet files while a sweep runs, one per table when it is done.

`scan("rounds", out)` gives a polars LazyFrame at any time; `out` is the sweep's own folder.

Every file is sealed (`impray.seal`) and its pages carry Parquet's checksums. The seal of each file is compared before the
file is read, once per process: a damaged file is named, never read. `impray sweep` sets it aside and computes its rows again.
Files are known by their names (`Paths.row_files`); what else lies in `tables/` is let alone.
"""

from __future__ import annotations

import io
import os
import platform
import subprocess
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

import impray
from impray.results.paths import Paths, set_aside
from impray.results.provenance import axes_of, mends, wrong_with_provenance, wrong_with_sweep
from impray.results.schema import GROUPS, KEYS, TABLES, VERSION, columns, schema
from impray.results.store import File, Place, Store, within
from impray.seal import BLANK, intact, sealed
from impray.spec.errors import DataError
from impray.spec.wording import near

COMPACTED = "all-"  # names of compacted files start like this


def scan(table: str, folder: Place, packs: Sequence[str] | None = None) -> pl.LazyFrame:
    """Every row of a table, the latest of each key, sorted by key.

    Args:    table: a name in `impray tables`. folder: the sweep's own folder. packs: read only the files of these packs
             (and compacted ones): an actor that wants its own rows need not open those of all others.
    Raises:  DataError: no such table or folder.
    """
    if table not in TABLES:
        raise DataError(f"no table {table!r}; there are {', '.join(TABLES)}")
    paths = Paths(folder)
    # Where axes are known there is a folder: one question less for a bucket.
    expected = schema(table, axes_of(paths))
    starts = ("",) if packs is None else (COMPACTED, *(f"{pack}-" for pack in packs))
    _, sources = _opened(paths, table, starts)
    if not sources and not paths.store.exists():
        raise DataError(f"{folder}: no such folder; give a sweep's own folder, such as runs/quickstart")
    return _latest(table, sources, expected)


def _opened(paths: Paths, table: str, starts: Sequence[str] = ("",)) -> tuple[list[File], list[Path] | list[bytes]]:
    """Files of a table, none of them damaged, and what they are read from."""
    files = paths.row_files(table, starts)
    while (sources := paths.store.sources(files)) is None:  # merged meanwhile, at the end of a sweep
        files = paths.row_files(table, starts)
    _refuse_damaged(paths, files)
    return files, sources


def _latest(table: str, sources: list[Path] | list[bytes], expected: Mapping[str, pl.DataType]) -> pl.LazyFrame:
    if not sources:
        return pl.LazyFrame(schema=expected)
    # glob=False: a folder may be called `o[lab]`, which as a pattern is another one.
    rows = pl.scan_parquet(sources, schema=expected, missing_columns="insert", extra_columns="ignore", glob=False)
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
    paths.rows(table, file).write(parquet(table, frame))


def parquet(table: str, frame: pl.DataFrame) -> bytes:
    """Rows of a table as the bytes of a sealed Parquet file whose pages carry checksums."""
    buffer = io.BytesIO()
    metadata = {_VERSION: str(VERSION), _TABLE: table, "impray.seal": BLANK}
    pq.write_table(
        frame.to_arrow().replace_schema_metadata(metadata), buffer, compression="zstd", write_page_checksum=True
    )
    return sealed(buffer.getvalue())


def compact(folder: Place, axes: Mapping[str, str] | None = None, still: Callable[[], None] = lambda: None) -> None:
    """Merge each table's files into one. A crash in between leaves both, and `scan` counts each key once.

    Nothing is deleted unless every key (of the tables in GROUPS: every group) that went in has come out, with all its columns.

    Args:    axes: of the sweep that is running, beside those that the folder tells of. still: asked before anything is deleted; raises
             where this process may not do so any more.
    Raises:  DataError: a file is damaged, or something would be lost. Then everything stays as it is.
    """
    paths = Paths(folder)
    axes = {**axes_of(paths), **(axes or {})}
    for table in TABLES:
        # A figure's findings are one file, written again whenever it is drawn, which may be now.
        if table == "findings" or len(paths.row_files(table)) < 2:
            continue
        merged, sources = _opened(paths, table)
        expected = schema(table, axes)
        target = paths.rows(table, f"{COMPACTED}{datetime.now(UTC):%Y%m%dT%H%M%S%f}")
        whole = parquet(table, _latest(table, sources, expected).collect())
        target.write(whole)
        lost = _lost(table, sources, target.read() or b"", expected)
        if lost:
            target.delete()
            raise DataError(f"{paths.table(table)}: merging its files would lose {lost}; they are kept as they are")
        still()
        paths.store.delete_all(merged)


def _lost(table: str, merged: list[Path] | list[bytes], target: bytes, expected: Mapping[str, pl.DataType]) -> str:
    """What of `merged` is not in `target`, each read by itself; empty if nothing is missing."""
    columns = {name for source in merged for name in pq.read_schema(_readable(source)).names}
    absent = sorted(name for name in columns if "." in name and name not in expected)
    if absent:
        return f"the axes {', '.join(absent)}"
    key = list(GROUPS.get(table, KEYS[table]))
    inner = pl.concat([pl.read_parquet(source, columns=key, glob=False) for source in merged], how="vertical_relaxed")
    kept = pl.read_parquet(target, columns=key, glob=False)
    missing = inner.unique().join(kept, on=key, how="anti", nulls_equal=True)
    return f"{missing.height} keys, such as {missing.row(0)}" if missing.height else ""


_VERSION, _TABLE = "impray.schema", "impray.table"  # in the metadata of each file
_whole: dict[File, Hashable] = {}  # files whose seals were compared, and their stamps then


def damage(file: File) -> str | None:
    """What is wrong with a file of rows; None if it is what was written."""
    try:
        stamp = file.stamp
        if stamp is not None and _whole.get(file) == stamp:
            return None
        content = file.read()
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    wrong = "cannot be read (No such file or directory)" if content is None else _damage(content, file.folder)
    if wrong is None:
        _whole[file] = stamp
    return wrong


def _readable(source: Path | bytes) -> Path | io.BytesIO:
    """For pyarrow."""
    return io.BytesIO(source) if isinstance(source, bytes) else source


def _damage(content: bytes, table: str) -> str | None:
    whole = intact(content)
    if whole is False:
        return "is damaged: its bytes are not those that were written"
    try:
        footer = pq.read_metadata(io.BytesIO(content))
        names = set(footer.schema.to_arrow_schema().names)
    except Exception as error:  # pyarrow raises several kinds for a file that is no whole Parquet file
        return f"cannot be read as Parquet ({str(error).splitlines()[0]})"
    metadata = footer.metadata or {}
    version = metadata.get(_VERSION.encode())
    if whole is None and version != b"1":  # those of version 1 have no seal
        return "is damaged: its seal is gone" if version else "is a Parquet file, but not one of impray's"
    if metadata.get(_TABLE.encode(), table.encode()) != table.encode() or not set(KEYS[table]) <= names:
        return f"is a file of impray's, but not of the table {table}"
    return None


def _refuse_damaged(paths: Paths, files: Sequence[File]) -> None:
    told = [f"{path}: {wrong}" for path in files if (wrong := damage(path))]
    if told:
        raise DataError("\n".join(told) + f"; {mends(paths)}")


def set_damaged_aside(folder: Place) -> list[tuple[File, str]]:
    """Move damaged files of rows out of the way, before anything runs.

    Returns: each file that was moved, and what is wrong with it.
    """
    paths = Paths(folder)
    told = []
    for table in TABLES:
        files = paths.row_files(table)
        paths.store.sources(files)  # of a bucket many at once, and then known
        told += [(file, wrong) for file in files if (wrong := damage(file))]
    for file, _ in told:
        set_aside(file)
    return told


@contextmanager
def reading(folder: Place) -> Iterator[Paths]:
    """What a command that reads a sweep's folder stands in.

    Raises:  DataError: no such folder, or not a sweep's; or what it says of itself is damaged.
    """
    paths = Paths(folder)
    if not paths.sweep.is_file():
        raise DataError(f"{folder}: {_no_sweep(paths.store)}")
    for path, wrong in ((paths.sweep, wrong_with_sweep(paths)), (paths.provenance, wrong_with_provenance(paths))):
        if wrong:
            raise DataError(f"{path}: {wrong}; {mends(paths)}")
    yield paths


def _no_sweep(folder: Store) -> str:
    """Why this is no sweep's folder, and which is meant."""
    why = "is not a sweep's folder (there is no sweep.yaml in it)" if folder.exists() else "there is no such folder"
    below = [place for name in folder.folders() if _is_sweep(place := within(folder, name))]
    beside = [place for place in folder.beside() if _is_sweep(place)]
    if below:
        return f"{why}; the sweeps in it are {', '.join(map(str, below))}"
    return f"{why}; give a sweep's own folder, such as runs/quickstart{near(str(folder), beside)}"


def _is_sweep(place: Place) -> bool:
    return Paths(place).sweep.is_file()


@cache
def _static_provenance() -> dict[str, str | None]:
    return {"version": impray.__version__, "git_sha": git_sha(), "host": platform.node()}


def provenance() -> dict:
    """Version, commit, host, device and time, as columns."""
    return {**_static_provenance(), "device": device_name(), "written_at": datetime.now(UTC)}


@cache
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
