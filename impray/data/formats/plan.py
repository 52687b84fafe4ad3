"""What a format tells of a data set: its files, in order, and how they give rows.

Rows come in portions, so that a data set larger than memory can be converted. All checks of values are here.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8
from numpy.lib.npyio import NpzFile

from impray.data.formats.files import File, Place
from impray.spec.errors import DataError

NUMBERS = 2**22  # inputs in one portion: 4 MiB of bytes, 16 MiB of float32
MOST_ROWS = 2**16  # of one portion: so many squares of bytes have a sum below 2^32


@dataclass(frozen=True)
class Rows:
    """A portion of the rows of a part."""

    inputs: UInt8[np.ndarray, "row input"] | Float32[np.ndarray, "row input"]
    labels: Int64[np.ndarray, " row"]  # from 0
    mean: Float32[np.ndarray, " input"] | None = None  # a mean image that comes with the data
    held_out: Bool[np.ndarray, " row"] | None = None  # where one file holds both: which rows are held out


@dataclass(frozen=True)
class Part:
    """Files that are read together."""

    files: tuple[Place, ...]
    held_out: bool
    rows: Callable[[Sequence[File]], Iterator[Rows]]


@dataclass(frozen=True)
class Plan:
    """All that is needed to convert a data set."""

    kind: str
    inputs: int
    classes: int
    parts: tuple[Part, ...]
    asked: Mapping[str, Any]  # what else decides the converted numbers

    @property
    def files(self) -> list[Place]:
        return [file for part in self.parts for file in part.files]


@contextmanager
def archive(file: File) -> Iterator[NpzFile]:
    """A .npz file; arrays of objects are not read from it.

    Raises: DataError: it is none, or damaged.
    """
    try:
        opened = np.load(file.path, allow_pickle=False)
        if not isinstance(opened, NpzFile):
            raise ValueError("it is one array without a name")
        with opened:
            yield opened
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{file.shown}: is no readable .npz file (truncated?): {error}") from error


def portions(count: int, inputs: int) -> Iterator[slice]:
    """Slices of `count` rows with about NUMBERS inputs each."""
    step = min(max(1, NUMBERS // inputs), MOST_ROWS)
    return (slice(first, min(first + step, count)) for first in range(0, count, step))


def labels_from(
    values: object, place: str, *, first: int, classes: int
) -> tuple[Int64[np.ndarray, " row"] | None, list[str]]:
    """Labels counted from 0, and what is wrong with them.

    Args:    values: a list or array of whole numbers; place: their file and name; first: the label of class 0.
    Returns: None where there are problems.
    """
    right = f"must be whole numbers {first} to {first + classes - 1}"
    try:
        given = np.asarray(values)
    except ValueError:  # a list of lists of several lengths
        return None, [f"{place}: is no list of numbers; {right}"]
    if given.ndim != 1 or given.dtype.kind not in "buif":
        return None, [f"{place}: is {described(given)}; {right}, one per row"]
    right_ones = (given >= first) & (given < first + classes)
    if given.dtype.kind == "f":
        right_ones &= given == np.round(given)
    wrong = np.flatnonzero(~right_ones)
    if wrong.size:
        example = f"row {wrong[0]} has {given[wrong[0]]}"
        return None, [f"{place}: {example} ({wrong.size} of {given.size} rows are wrong); {right}"]
    return given.astype(np.int64) - first, []


def described(value: object) -> str:
    """`uint8 (100, 3072)`, or the type of what is no array."""
    return f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else f"a {type(value).__name__}"


def refuse(problems: Sequence[str]) -> None:
    """Raises: DataError: there are problems; with all of them."""
    if problems:
        raise DataError("\n".join(problems))
