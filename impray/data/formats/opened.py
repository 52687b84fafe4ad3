"""What is asked of a file of arrays, and what it gives: shared by .npz, .npy and Parquet."""

from __future__ import annotations

import lzma
import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from impray.data.formats.plan import refuse
from impray.spec.errors import DataError
from impray.spec.text import cut

# What numpy, zipfile and pyarrow raise over damaged files: the headers of .npy are Python text, and members of .zip may be encrypted.
UNREADABLE = (
    OSError, ValueError, EOFError, LookupError, ArithmeticError, MemoryError, SyntaxError, RecursionError, TypeError, AttributeError,
    RuntimeError, struct.error, tokenize.TokenError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, pa.ArrowException,
)  # fmt: skip
_CHANNELS = (1, 3, 4)


@dataclass(frozen=True)
class Names:
    """Of the arrays or columns of one part; a .npy file has none."""

    inputs: str
    labels: str
    held_out_rows: str | None = None  # says of each row whether it is held out

    @property
    def all(self) -> list[str]:
        return [name for name in (self.inputs, self.labels, self.held_out_rows) if name is not None]


@dataclass(frozen=True)
class FormatRequest:
    """What one part asks of its file."""

    names: Names
    shape: tuple[int, ...]  # of one input

    @property
    def inputs(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True)
class OpenedData:
    """One file's labels, and its inputs in portions of any size."""

    labels: object
    count: int
    inputs: Iterator[np.ndarray]  # [row, input], of the file's own type
    held_out_rows: object = None


@contextmanager
def naming(shown: str) -> Iterator[None]:
    """What a library says of a file becomes an error that names it."""
    try:
        yield
    except UNREADABLE as error:
        reason = cut(str(error).partition("\n")[0]) or type(error).__name__
        raise DataError(f"{shown}: cannot be read (truncated?): {reason}") from error


def check(asked: FormatRequest, shape: Sequence[int], dtype: np.dtype, place: str) -> None:
    """Raises: DataError: the inputs have another shape or are no real numbers."""
    wanted = ", ".join(map(str, ("rows", *asked.shape)))
    flat = f" or (rows, {asked.inputs})" if len(asked.shape) > 1 else ""
    problems = []
    if tuple(shape[1:]) not in (asked.shape, (asked.inputs,)) or not shape:
        last = "; channels come first, yours seem to be last: transpose" if _channels_last(asked, shape) else ""
        problems.append(f"{place}: has the shape {tuple(shape)}; must be ({wanted}){flat}{last}")
    if dtype.kind not in "buif":
        problems.append(f"{place}: is of type {dtype}; must be real numbers")
    refuse(problems)


def _channels_last(asked: FormatRequest, shape: Sequence[int]) -> bool:
    return len(asked.shape) == 3 and tuple(shape[1:]) == (*asked.shape[1:], asked.shape[0])


def shape_of_one(shape: Sequence[int], place: str) -> tuple[int, ...]:
    """The shape of one input, from that of all.

    Raises: DataError: it is none that a spec can have, or its channels seem to be last: only the user can know.
    """
    input_shape = tuple(shape[1:])
    if not 1 <= len(input_shape) <= 3 or 0 in input_shape:
        right = "must be (rows, unit), (rows, row, col) or (rows, channel, row, col)"
        raise DataError(f"{place}: has the shape {tuple(shape)}; {right}")
    if len(input_shape) == 3 and input_shape[2] in _CHANNELS and input_shape[0] not in _CHANNELS:
        right = "channels come first and seem to be last here: transpose the file, or say shape if they are not"
        raise DataError(f"{place}: has the shape {tuple(shape)}; {right}")
    return input_shape
