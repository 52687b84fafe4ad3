"""What a format tells of a data set: its files, in order, and how they give rows.

Rows come in portions, so that a data set larger than memory can be converted. All checks of values are here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8

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


@dataclass(frozen=True)
class Sizes:
    """What files say of a data set before it is converted."""

    shape: tuple[int, ...]  # of one input
    class_count: int


def portions(count: int, inputs: int) -> Iterator[slice]:
    """Slices of `count` rows with about NUMBERS inputs each."""
    step = min(max(1, NUMBERS // inputs), MOST_ROWS)
    return (slice(first, min(first + step, count)) for first in range(0, count, step))


_MOST_CLASSES = 2**31


def labels_from(
    values: object, place: str, *, first: int, classes: int | None
) -> tuple[Int64[np.ndarray, " row"] | None, list[str]]:
    """Labels counted from 0, and what is wrong with them.

    Args:    values: a list or array of whole numbers, [row] or [row, 1]; place: their file and name; first: the label of
             class 0; classes: None where any number of them is right.
    Returns: None where there are problems.
    """
    right = (
        f"must be whole numbers {first} to {first + classes - 1}" if classes else f"must be whole numbers from {first}"
    )
    if isinstance(values, (list, tuple)) and any(isinstance(value, (list, tuple, dict)) for value in values):
        return None, [f"{place}: is no list of numbers; {right}"]  # also of lists that a pickle repeats without end
    try:
        given = np.asarray(values)
    except (ValueError, OverflowError):
        return None, [f"{place}: is no list of numbers; {right}"]
    if given.ndim == 2 and given.shape[1] == 1:  # as Keras and MedMNIST have them
        given = given[:, 0]
    if given.ndim != 1 or given.dtype.kind not in "buif":
        return None, [f"{place}: is {described(given)}; {right}, one per row"]
    right_ones = (given >= first) & (given < first + (classes or _MOST_CLASSES))
    if given.dtype.kind == "f":
        right_ones &= given == np.round(given)
    wrong = np.flatnonzero(~right_ones)
    if wrong.size:
        example = f"row {wrong[0]} has {given[wrong[0]]}"
        return None, [f"{place}: {example} ({wrong.size} of {given.size} rows are wrong); {right}"]
    return given.astype(np.int64) - first, []


def class_count_from(of_parts: Sequence[tuple[object, str]], first: int) -> int:
    """How many classes there are, where every one of them has rows.

    Args:    of_parts: labels of each part and their place, as for `labels_from`.
    Raises:  DataError: they are no labels, of fewer than two classes, or leave some classes out: then only the user can know.
    """
    read = [labels_from(values, place, first=first, classes=None) for values, place in of_parts]
    refuse([problem for _, problems in read for problem in problems])
    present = np.unique(np.concatenate([labels for labels, _ in read if labels is not None]))
    place = of_parts[0][1]
    if len(present) < 2:
        raise DataError(f"{place}: must have at least two classes; has {len(present)}")
    if len(present) == present[-1] + 1:
        return len(present)
    highest, lowest = int(present[-1]) + first, int(present[0]) + first
    if len(present) == present[-1] - present[0] + 1:
        mend = f"say first_label: {lowest}, or class_count: {highest - first + 1} if classes without rows are meant"
        raise DataError(f"{place}: the labels are {lowest} to {highest}; {mend}")
    absent = next(label for label, label_present in enumerate(present) if label != label_present) + first
    raise DataError(
        f"{place}: the labels go up to {highest}, but there is none of {absent}; say class_count: {highest - first + 1}, or "
        "count the classes without gaps"
    )


def described(value: object) -> str:
    """`uint8 (100, 3072)`, or the type of what is no array."""
    return f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else f"a {type(value).__name__}"


def refuse(problems: Sequence[str]) -> None:
    """Raises: DataError: there are problems; with all of them."""
    if problems:
        raise DataError("\n".join(problems))
