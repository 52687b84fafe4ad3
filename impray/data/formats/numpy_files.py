""".npz and .npy files: headers are read without their arrays, and inputs in portions.

Limits: compressed or not, a .npz is read in portions, unless its inputs are stored in Fortran's order.
"""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.npyio import NpzFile

from impray.data.formats.files import File, Place
from impray.data.formats.opened import FormatRequest, Names, OpenedData, check, naming
from impray.data.formats.plan import portions
from impray.spec.errors import DataError
from impray.spec.text import cut

_ZIP = b"PK\x03\x04"
Header = tuple[tuple[int, ...], bool, np.dtype]  # shape, whether in Fortran's order, type


def npy(asked: FormatRequest, files: Sequence[File]) -> OpenedData:
    inputs, of_labels = files
    for file in files:
        with naming(file.shown), file.path.open("rb") as opened:
            header_of(opened, file.path.stat().st_size, whole=file is of_labels)
    array = np.load(inputs.path, mmap_mode="r", allow_pickle=False)
    check(asked, array.shape, array.dtype, inputs.shown)
    with naming(of_labels.shown):
        labels = np.load(of_labels.path, allow_pickle=False)
    return OpenedData(labels, len(array), _parts(asked, array))


def look_at_npy(names: Names, places: Sequence[Place]) -> tuple[tuple[int, ...], object]:
    """Shape of all inputs, and the labels."""
    inputs, of_labels = places
    with naming(inputs.shown), inputs.opened() as file:
        shape, _, _ = header_of(file, file.size())
    with naming(of_labels.shown), of_labels.opened() as file:
        header_of(file, file.size(), whole=True)
        file.seek(0)
        return shape, np.lib.format.read_array(file, allow_pickle=False)


def _parts(asked: FormatRequest, array: np.ndarray) -> Iterator[np.ndarray]:
    for part in portions(len(array), asked.inputs):
        yield np.asarray(array[part]).reshape(-1, asked.inputs)


def npz(asked: FormatRequest, files: Sequence[File]) -> OpenedData:
    (file,) = files
    names = asked.names
    with archive(file, [name for name in names.all if name != names.inputs]) as opened:
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
        with _members(file) as opened:
            _all_there([name.removesuffix(".npy") for name in opened.namelist()], names, place.shown)
            header_in(opened, names.labels, whole=True)
            with opened.open(f"{names.labels}.npy") as member:
                labels = np.lib.format.read_array(member, allow_pickle=False)
        return _member_header(file, names.inputs)[0], labels


def _all_there(held: Sequence[str], names: Names, shown: str) -> None:
    absent = [name for name in names.all if name not in held]
    if absent:
        raise DataError(f"{shown}: has no array {' and no '.join(absent)}; it holds {cut(', '.join(held))}")


def _member_header(file: Path | Any, name: str) -> Header:
    with zipfile.ZipFile(file) as opened:
        return header_in(opened, name)


@contextmanager
def archive(file: File, names: Sequence[str]) -> Iterator[NpzFile]:
    """A .npz file of which these arrays are read whole, those of them that it has; arrays of objects are not read from it.

    Raises: DataError: it is none, or damaged, or its arrays are larger than they may be.
    """
    with naming(file.shown):
        with file.path.open("rb") as content, _members(content) as members:
            for name in {f"{name}.npy" for name in names} & set(members.namelist()):
                header_in(members, name.removesuffix(".npy"), whole=True)
        with np.load(file.path, allow_pickle=False) as opened:
            yield opened


def _members(file: Any) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except zipfile.BadZipFile:
        file.seek(0)
        if file.read(len(np.lib.format.MAGIC_PREFIX)) == np.lib.format.MAGIC_PREFIX:
            raise ValueError("it is one array without a name; call it .npy") from None
        raise


def header_in(opened: zipfile.ZipFile, name: str, *, whole: bool = False) -> Header:
    """As `header_of`, of an array of a .npz file; its size is what the archive says, beyond which zipfile reads nothing."""
    with opened.open(f"{name}.npy") as member:
        try:
            return header_of(member, opened.getinfo(f"{name}.npy").file_size, whole=whole)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error


def header_of(file: Any, size: int, *, whole: bool = False) -> Header:
    """The header of an array, held against the bytes that are there: before any of them are read, and memory is asked for.

    Args:    file: at its beginning; size: in bytes. whole: whether all of it is to be in memory at once.
    Raises:  ValueError: it is no header, or says more or less than there is; or more than half of this machine's memory.
    """
    shape, fortran, dtype = _header(file)
    if dtype.hasobject:
        raise ValueError("it holds objects, which are not read; must be numbers")
    said, there = math.prod(shape) * dtype.itemsize, size - file.tell()
    if said != there:
        raise ValueError(f"its header says {said} bytes of numbers, and it has {there}")
    if whole and said > memory() // 2:
        raise ValueError(f"it would take {said} bytes of memory, and this machine has {memory()}")
    return shape, fortran, dtype


def memory() -> int:
    """Bytes of this machine."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _header(member: Any) -> Header:
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        version = np.lib.format.read_magic(member)
    except ValueError:
        member.seek(0)
        if member.read(len(_ZIP)) == _ZIP:
            raise ValueError("it holds several arrays; call it .npz") from None
        raise
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
    with archive(file, [asked.names.inputs]) as opened:
        array = opened[asked.names.inputs]
    yield from _parts(asked, array)
