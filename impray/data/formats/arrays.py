"""Arrays of your own: .npz, .npy and Parquet.

    .npz       `inputs` [row, ...] and `labels` [row]; the names can be chosen
    .npy       inputs in one file, labels in another
    .parquet   a column `inputs` of lists and a column `labels`; or, without `inputs`, every numeric column but `labels`, in order

Inputs have the asked shape, or are flat. Unsigned bytes stay so; all other real numbers become float32, in which whole numbers beyond
2^24 are rounded, and must be finite. Labels are whole numbers from 0. Arrays of objects are not read.

Without a held-out file, a random share of the rows is held out: round(fraction x rows) of them, at least 1, chosen by `draw`.
Limits: compressed or not, a .npz is read in portions, unless its inputs are stored in Fortran's order.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Bool, Float32, Int64, UInt8

from impray.data.formats.files import File, Place, infos, is_file
from impray.data.formats.plan import Part, Plan, Rows, archive, labels_from, portions, refuse
from impray.spec.data import Arrays
from impray.spec.errors import DataError
from impray.spec.trial import stream_seed

_UNREADABLE = (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, pa.ArrowException)


def plan(spec: Arrays) -> Plan:
    """The training file, whose rows are divided unless there is a held-out one.

    Raises: DataError: files are missing.
    """
    groups = [[spec.path, spec.labels_path], [spec.held_out_path, spec.held_out_labels_path]]
    places = [tuple(Place.at(path) for path in group if path is not None) for group in groups]
    refuse([f"{file.shown}: there is no such file" for files in places for file in files if not _is_there(file)])
    divided = not places[1]
    parts = [Part(places[0], False, partial(_rows, spec, divided))]
    if not divided:
        parts.append(Part(places[1], True, partial(_rows, spec, False)))
    asked = {"shape": list(spec.shape), "class_count": spec.class_count}
    asked |= {"inputs": spec.inputs_name, "labels": spec.labels_name}
    asked |= {"fraction": spec.held_out_fraction, "draw": spec.draw} if divided else {}
    return Plan(spec.kind, spec.inputs, spec.class_count, tuple(parts), asked)


def _is_there(file: Place) -> bool:
    return is_file(infos([file])[0])


@dataclass(frozen=True)
class _Opened:
    """One file's labels, and its inputs in portions of any size."""

    labels: object
    count: int
    inputs: Iterator[np.ndarray]  # [row, input], of the file's own type


def _rows(spec: Arrays, divided: bool, files: Sequence[File]) -> Iterator[Rows]:
    with _naming(files[0]):
        opened = _OPEN[files[0].path.suffix](spec, files)
    of_labels = files[-1].shown if len(files) == 2 else f"{files[0].shown}: {spec.labels_name}"
    labels, problems = labels_from(opened.labels, of_labels, first=0, classes=spec.class_count)
    if labels is not None and len(labels) != opened.count:
        problems.append(f"{of_labels}: {len(labels)} labels for {opened.count} inputs; must be as many")
    if opened.count < (2 if divided else 1):
        problems.append(f"{files[0].shown}: holds {opened.count or 'no'} inputs; there must be some for both parts")
    refuse(problems)
    assert labels is not None
    held_out = _division(opened.count, spec.held_out_fraction, spec.draw) if divided else None
    yield from _numbered(opened, labels, held_out, files[0])


def _numbered(
    opened: _Opened, labels: Int64[np.ndarray, " all"], held_out: Bool[np.ndarray, " all"] | None, file: File
) -> Iterator[Rows]:
    first = 0
    with _naming(file):
        for inputs in opened.inputs:
            part = slice(first, first + len(inputs))
            yield Rows(_numbers(inputs, first, file), labels[part], None, None if held_out is None else held_out[part])
            first += len(inputs)
    if first != opened.count:
        raise DataError(f"{file.shown}: is truncated: it ends after {first} of {opened.count} rows")


def _division(count: int, fraction: float, draw: int) -> Bool[np.ndarray, " row"]:
    """Which rows are held out."""
    random = np.random.default_rng(stream_seed(draw, "held_out_rows"))
    chosen = random.permutation(count)[: min(max(1, round(fraction * count)), count - 1)]
    mask = np.zeros(count, bool)
    mask[chosen] = True
    return mask


def _numbers(
    inputs: np.ndarray, first: int, file: File
) -> UInt8[np.ndarray, "row input"] | Float32[np.ndarray, "row input"]:
    """Bytes as they are, all else as float32.

    Raises: DataError: some are not finite; names the first such row, which is `first` or later.
    """
    if inputs.dtype == np.uint8:
        return np.ascontiguousarray(inputs)
    with np.errstate(over="ignore"):  # to infinity, which is told below
        numbers = inputs.astype(np.float32)
    bad = np.flatnonzero(~np.isfinite(numbers).all(axis=1))
    if bad.size:
        raise DataError(f"{file.shown}: the inputs of row {first + bad[0]} are not all finite (as float32)")
    return numbers


@contextmanager
def _naming(file: File) -> Iterator[None]:
    """What a library says of a file becomes an error that names it."""
    try:
        yield
    except _UNREADABLE as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise DataError(f"{file.shown}: cannot be read (truncated?): {reason}") from error


def _check(spec: Arrays, shape: Sequence[int], dtype: np.dtype, place: str) -> None:
    """Raises: DataError: the inputs have another shape or are no real numbers."""
    wanted = ", ".join(map(str, ("rows", *spec.shape)))
    flat = f" or (rows, {spec.inputs})" if len(spec.shape) > 1 else ""
    problems = []
    if tuple(shape[1:]) not in (spec.shape, (spec.inputs,)) or not shape:
        last = "; channels come first, yours seem to be last: transpose" if _channels_last(spec, shape) else ""
        problems.append(f"{place}: has the shape {tuple(shape)}; must be ({wanted}){flat}{last}")
    if dtype.kind not in "buif":
        problems.append(f"{place}: is of type {dtype}; must be real numbers")
    refuse(problems)


def _channels_last(spec: Arrays, shape: Sequence[int]) -> bool:
    return len(spec.shape) == 3 and tuple(shape[1:]) == (*spec.shape[1:], spec.shape[0])


# --- .npy and .npz ---


def _npy(spec: Arrays, files: Sequence[File]) -> _Opened:
    inputs, of_labels = files
    array = np.load(inputs.path, mmap_mode="r", allow_pickle=False)
    if not isinstance(array, np.ndarray):
        raise ValueError("it holds several arrays; call it .npz")
    _check(spec, array.shape, array.dtype, inputs.shown)
    with _naming(of_labels):
        labels = np.load(of_labels.path, allow_pickle=False)
    return _Opened(labels, len(array), _parts(spec, array))


def _parts(spec: Arrays, array: np.ndarray) -> Iterator[np.ndarray]:
    for part in portions(len(array), spec.inputs):
        yield np.asarray(array[part]).reshape(-1, spec.inputs)


def _npz(spec: Arrays, files: Sequence[File]) -> _Opened:
    (file,) = files
    with archive(file) as opened:
        absent = [name for name in (spec.inputs_name, spec.labels_name) if name not in opened.files]
        if absent:
            listed = ", ".join(opened.files)
            raise DataError(f"{file.shown}: has no array {' and no '.join(absent)}; it holds {listed:.200}")
        labels = opened[spec.labels_name]
    place = f"{file.shown}: {spec.inputs_name}"
    shape, fortran, dtype = _header_of(file, spec.inputs_name)
    _check(spec, shape, dtype, place)
    return _Opened(labels, shape[0], _streamed(spec, file) if not fortran else _loaded(spec, file))


def _header_of(file: File, name: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    with zipfile.ZipFile(file.path) as opened, opened.open(f"{name}.npy") as member:
        return _header(member)


def _header(member: Any) -> tuple[tuple[int, ...], bool, np.dtype]:
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    version = np.lib.format.read_magic(member)
    if version not in readers:
        raise ValueError(f"version {version} of the .npy format is for names of fields, and these are numbers")
    return readers[version](member)


def _streamed(spec: Arrays, file: File) -> Iterator[np.ndarray]:
    with zipfile.ZipFile(file.path) as opened, opened.open(f"{spec.inputs_name}.npy") as member:
        shape, _, dtype = _header(member)
        for part in portions(shape[0], spec.inputs):
            content = member.read((part.stop - part.start) * spec.inputs * dtype.itemsize)
            yield np.frombuffer(content, dtype).reshape(-1, spec.inputs)
        if member.read(1):  # also makes zipfile compare the sum of all bytes
            raise ValueError("there are more bytes than the array needs")


def _loaded(spec: Arrays, file: File) -> Iterator[np.ndarray]:
    with archive(file) as opened:
        array = opened[spec.inputs_name]
    yield from _parts(spec, array)


# --- Parquet ---


def _parquet(spec: Arrays, files: Sequence[File]) -> _Opened:
    (file,) = files
    opened = pq.ParquetFile(file.path)
    schema = opened.schema_arrow
    if spec.labels_name not in schema.names:
        raise DataError(f"{file.shown}: has no column {spec.labels_name}; it has {', '.join(schema.names):.200}")
    listed = spec.inputs_name in schema.names
    columns = [spec.inputs_name] if listed else _numeric(schema, spec.labels_name)
    if not listed and len(columns) != spec.inputs:
        has = f"has no column {spec.inputs_name}, and {len(columns)} numeric columns but {spec.labels_name}"
        raise DataError(f"{file.shown}: {has}; {list(spec.shape)} needs {spec.inputs}")
    labels = opened.read([spec.labels_name]).column(0)
    if labels.null_count:
        raise DataError(f"{file.shown}: {spec.labels_name}: row {_first_null(labels)} has none")
    read = _of_lists if listed else _of_columns
    return _Opened(labels.to_numpy(), opened.metadata.num_rows, read(spec, file, opened, columns))


def _numeric(schema: pa.Schema, labels: str) -> list[str]:
    return [field.name for field in schema if _is_number(field.type) and field.name != labels]


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)


def _batches(spec: Arrays, opened: pq.ParquetFile, columns: list[str]) -> Iterator[tuple[int, pa.RecordBatch]]:
    first = 0
    for batch in opened.iter_batches(next(portions(2**62, spec.inputs)).stop, columns=columns, use_threads=False):
        yield first, batch
        first += len(batch)


def _of_columns(spec: Arrays, file: File, opened: pq.ParquetFile, columns: list[str]) -> Iterator[np.ndarray]:
    for first, batch in _batches(spec, opened, columns):
        for column in columns:
            if batch.column(column).null_count:
                row = first + _first_null(batch.column(column))
                raise DataError(f"{file.shown}: {column}: row {row} has none")
        yield np.stack([batch.column(column).to_numpy(zero_copy_only=False) for column in columns], axis=1)


def _of_lists(spec: Arrays, file: File, opened: pq.ParquetFile, columns: list[str]) -> Iterator[np.ndarray]:
    place = f"{file.shown}: {spec.inputs_name}"
    kind = opened.schema_arrow.field(spec.inputs_name).type
    lists = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    if not lists or not _is_number(kind.value_type):
        raise DataError(f"{place}: is of type {kind}; must be lists of {spec.inputs} numbers")
    for first, batch in _batches(spec, opened, columns):
        column = batch.column(0)
        lengths = np.asarray(column.value_lengths().fill_null(-1))
        wrong = np.flatnonzero(lengths != spec.inputs)
        if wrong.size:
            has = "none" if lengths[wrong[0]] < 0 else f"{lengths[wrong[0]]}"
            raise DataError(f"{place}: row {first + wrong[0]} has {has}; must be lists of {spec.inputs} numbers")
        values = column.flatten()
        if values.null_count:
            raise DataError(f"{place}: row {first + _first_null(values) // spec.inputs} has gaps")
        yield values.to_numpy(zero_copy_only=False).reshape(-1, spec.inputs)


def _first_null(values: Any) -> int:
    return int(np.flatnonzero(np.asarray(values.is_null()))[0])


_OPEN: dict[str, Callable[[Arrays, Sequence[File]], _Opened]] = {".npz": _npz, ".npy": _npy, ".parquet": _parquet}
