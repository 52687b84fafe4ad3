"""Parquet files: a column of lists, or a column for each input.

Where there is no column of inputs, they are all numeric columns but the labels, the column that marks held-out rows, and the index
that pandas writes beside the data: it numbers the rows, which are often sorted by class, and so would give labels away.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from impray.data.formats.files import File, Place
from impray.data.formats.numpy_files import memory
from impray.data.formats.opened import FormatRequest, Names, OpenedData, naming
from impray.data.formats.plan import portions
from impray.spec.errors import DataError
from impray.spec.text import cut

_PANDAS_INDEX = re.compile(r"__index_level_\d+__")


def parquet(asked: FormatRequest, files: Sequence[File]) -> OpenedData:
    (file,) = files
    opened, names, shown = pq.ParquetFile(file.path), asked.names, file.shown
    schema = opened.schema_arrow
    _all_there(schema, names, shown)
    listed = names.inputs in schema.names
    columns = [names.inputs] if listed else _numeric(schema, names)
    if not listed and len(columns) != asked.inputs:
        has = f"has no column {names.inputs}, and {len(columns)} numeric columns but {names.labels}"
        raise DataError(f"{shown}: {has}; {list(asked.shape)} needs {asked.inputs}")
    labels = _one_column(opened, names.labels, shown)
    marks = None if names.held_out_rows is None else _one_column(opened, names.held_out_rows, shown)
    read = _of_lists if listed else _of_columns
    return OpenedData(labels, opened.metadata.num_rows, read(asked, shown, opened, columns), marks)


def look_at_parquet(names: Names, places: Sequence[Place]) -> tuple[tuple[int, ...], object]:
    """Shape of all inputs, and the labels."""
    (place,) = places
    with naming(place.shown), place.opened() as file:
        opened = pq.ParquetFile(file)
        schema = opened.schema_arrow
        _all_there(schema, names, place.shown)
        listed = names.inputs in schema.names
        length = _list_length(opened, names.inputs, place.shown) if listed else len(_numeric(schema, names))
        return (opened.metadata.num_rows, length), _one_column(opened, names.labels, place.shown)


def _all_there(schema: pa.Schema, names: Names, shown: str) -> None:
    for name in (names.labels, names.held_out_rows):
        if name is not None and name not in schema.names:
            raise DataError(f"{shown}: has no column {name}; it has {cut(', '.join(schema.names))}")


def _one_column(opened: pq.ParquetFile, name: str, shown: str) -> np.ndarray:
    """A column of numbers, which may be in lists of one.

    Raises: DataError: a row has none.
    """
    kind = opened.schema_arrow.field(name).type
    if not _is_number(kind) and not (_is_list(kind) and _is_number(kind.value_type)):
        raise DataError(f"{shown}: {name}: is of type {cut(str(kind))}; must be numbers")
    if 8 * opened.metadata.num_rows > memory() // 2:  # a few bytes of a file can say billions of equal numbers
        raise DataError(f"{shown}: {name}: {opened.metadata.num_rows} rows do not fit into memory")
    column = opened.read([name]).column(0)
    if column.null_count:
        raise DataError(f"{shown}: {name}: row {_first_null(column)} has none")
    if _is_list(column.type) and len(column.combine_chunks().flatten()) == len(column):
        lengths = np.asarray(column.combine_chunks().value_lengths())
        column = column.combine_chunks().flatten() if (lengths == 1).all() else column
    return column.to_numpy(zero_copy_only=False) if isinstance(column, pa.Array) else column.to_numpy()


def _numeric(schema: pa.Schema, names: Names) -> list[str]:
    others = {names.labels, names.held_out_rows, *_index_of_pandas(schema)}
    return [field.name for field in schema if _is_number(field.type) and field.name not in others]


def _index_of_pandas(schema: pa.Schema) -> list[str]:
    """Columns that hold the index of a data frame; other programs keep them, but not always what says so."""
    metadata = json.loads((schema.metadata or {}).get(b"pandas", b"{}"))
    if not isinstance(metadata, dict) or not isinstance(metadata.get("index_columns", []), list):
        raise ValueError("what pandas wrote into it is damaged")
    named = [column for column in metadata.get("index_columns", []) if isinstance(column, str)]  # a range is no column
    return [*named, *(name for name in schema.names if _PANDAS_INDEX.fullmatch(name))]


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def _list_length(opened: pq.ParquetFile, name: str, shown: str) -> int:
    """The length of the first list; whether the others are as long is seen when they are converted."""
    if not _is_list(opened.schema_arrow.field(name).type):
        raise DataError(
            f"{shown}: {name}: is of type {cut(str(opened.schema_arrow.field(name).type))}; must be lists of numbers"
        )
    for batch in opened.iter_batches(1, columns=[name], use_threads=False):
        first = batch.column(0)
        if not first.null_count:
            return len(first.flatten())
        break
    raise DataError(f"{shown}: {name}: its first row has no list")


def _batches(asked: FormatRequest, opened: pq.ParquetFile, columns: list[str]) -> Iterator[tuple[int, pa.RecordBatch]]:
    first = 0
    for batch in opened.iter_batches(next(portions(2**62, asked.inputs)).stop, columns=columns, use_threads=False):
        yield first, batch
        first += len(batch)


def _of_columns(asked: FormatRequest, shown: str, opened: pq.ParquetFile, columns: list[str]) -> Iterator[np.ndarray]:
    for first, batch in _batches(asked, opened, columns):
        for column in columns:
            if batch.column(column).null_count:
                row = first + _first_null(batch.column(column))
                raise DataError(f"{shown}: {column}: row {row} has none")
        yield np.stack([batch.column(column).to_numpy(zero_copy_only=False) for column in columns], axis=1)


def _of_lists(asked: FormatRequest, shown: str, opened: pq.ParquetFile, columns: list[str]) -> Iterator[np.ndarray]:
    place = f"{shown}: {asked.names.inputs}"
    kind = opened.schema_arrow.field(asked.names.inputs).type
    if not _is_list(kind) or not _is_number(kind.value_type):
        raise DataError(f"{place}: is of type {cut(str(kind))}; must be lists of {asked.inputs} numbers")
    for first, batch in _batches(asked, opened, columns):
        column = batch.column(0)
        lengths = np.asarray(column.value_lengths().fill_null(-1))
        wrong = np.flatnonzero(lengths != asked.inputs)
        if wrong.size:
            has = "none" if lengths[wrong[0]] < 0 else f"{lengths[wrong[0]]}"
            raise DataError(f"{place}: row {first + wrong[0]} has {has}; must be lists of {asked.inputs} numbers")
        values = column.flatten()
        if values.null_count:
            raise DataError(f"{place}: row {first + _first_null(values) // asked.inputs} has gaps")
        yield values.to_numpy(zero_copy_only=False).reshape(-1, asked.inputs)


def _first_null(values: Any) -> int:
    return int(np.flatnonzero(np.asarray(values.is_null()))[0])
