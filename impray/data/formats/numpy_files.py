""".npz and .npy files: headers are read without their arrays, and inputs in portions.

Limits: compressed or not, a .npz is read in portions, unless its inputs are stored in Fortran's order.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from impray.data.formats.files import File, Place
from impray.data.formats.opened import FormatRequest, Names, OpenedData, check, naming
from impray.data.formats.plan import archive, portions
from impray.spec.errors import DataError

Header = tuple[tuple[int, ...], bool, np.dtype]  # shape, whether in Fortran's order, type


def npy(asked: FormatRequest, files: Sequence[File]) -> OpenedData:
    inputs, of_labels = files
    array = np.load(inputs.path, mmap_mode="r", allow_pickle=False)
    if not isinstance(array, np.ndarray):
        raise ValueError("it holds several arrays; call it .npz")
    check(asked, array.shape, array.dtype, inputs.shown)
    with naming(of_labels.shown):
        labels = np.load(of_labels.path, allow_pickle=False)
    return OpenedData(labels, len(array), _parts(asked, array))


def look_at_npy(names: Names, places: Sequence[Place]) -> tuple[tuple[int, ...], object]:
    """Shape of all inputs, and the labels."""
    inputs, of_labels = places
    with naming(inputs.shown), inputs.opened() as file:
        shape, _, _ = _header(file)
    with naming(of_labels.shown), of_labels.opened() as file:
        return shape, np.lib.format.read_array(file, allow_pickle=False)


def _parts(asked: FormatRequest, array: np.ndarray) -> Iterator[np.ndarray]:
    for part in portions(len(array), asked.inputs):
        yield np.asarray(array[part]).reshape(-1, asked.inputs)


def npz(asked: FormatRequest, files: Sequence[File]) -> OpenedData:
    (file,) = files
    names = asked.names
    with archive(file) as opened:
        _all_there(opened.files, names, file.shown)
        labels = opened[names.labels]
        held_out_rows = opened[names.held_out_rows] if names.held_out_rows is not None else None
    place = f"{file.shown}: {names.inputs}"
    shape, fortran, dtype = _member_header(file.path, names.inputs)
    check(asked, shape, dtype, place)
    inputs = _streamed(asked, file) if not fortran else _loaded(asked, file)
    return OpenedData(labels, shape[0], inputs, held_out_rows)


def look_at_npz(names: Names, places: Sequence[Place]) -> tuple[tuple[int, ...], object]:
    """Shape of all inputs, and the labels."""
    (place,) = places
    with naming(place.shown), place.opened() as file:
        with zipfile.ZipFile(file) as opened:
            _all_there([name.removesuffix(".npy") for name in opened.namelist()], names, place.shown)
            with opened.open(f"{names.labels}.npy") as member:
                labels = np.lib.format.read_array(member, allow_pickle=False)
        return _member_header(file, names.inputs)[0], labels


def _all_there(held: Sequence[str], names: Names, shown: str) -> None:
    absent = [name for name in names.all if name not in held]
    if absent:
        raise DataError(f"{shown}: has no array {' and no '.join(absent)}; it holds {', '.join(held):.200}")


def _member_header(file: Path | Any, name: str) -> Header:
    with zipfile.ZipFile(file) as opened, opened.open(f"{name}.npy") as member:
        return _header(member)


def _header(member: Any) -> Header:
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    version = np.lib.format.read_magic(member)
    if version not in readers:
        raise ValueError(f"version {version} of the .npy format is for names of fields, and these are numbers")
    return readers[version](member)


def _streamed(asked: FormatRequest, file: File) -> Iterator[np.ndarray]:
    with zipfile.ZipFile(file.path) as opened, opened.open(f"{asked.names.inputs}.npy") as member:
        shape, _, dtype = _header(member)
        for part in portions(shape[0], asked.inputs):
            content = member.read((part.stop - part.start) * asked.inputs * dtype.itemsize)
            yield np.frombuffer(content, dtype).reshape(-1, asked.inputs)
        if member.read(1):  # also makes zipfile compare the sum of all bytes
            raise ValueError("there are more bytes than the array needs")


def _loaded(asked: FormatRequest, file: File) -> Iterator[np.ndarray]:
    with archive(file) as opened:
        array = opened[asked.names.inputs]
    yield from _parts(asked, array)
