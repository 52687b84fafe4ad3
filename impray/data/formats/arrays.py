"""Arrays of your own: .npz, .npy and Parquet.

    .npz       `inputs` [row, ...] and `labels` [row] or [row, 1]; the names can be chosen, also those of held-out arrays in one file
    .npy       inputs in one file, labels in another
    .parquet   a column `inputs` of lists and a column `labels`; or, without `inputs`, every numeric column but `labels`, in order

Inputs have the asked shape, or are flat. Unsigned bytes stay so; all other real numbers become float32, in which whole numbers beyond
2^24 are rounded, and must be finite. Labels are whole numbers from `first_label`. Arrays of objects are not read.

Held out are a file or arrays of their own, the rows that a column marks, or a random share of the rows: round(fraction x rows)
of them, at least 1, chosen by `draw`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8

from impray.data.formats.files import File, Place, infos, is_file
from impray.data.formats.numpy_files import look_at_npy, look_at_npz, npy, npz
from impray.data.formats.opened import FormatRequest, Names, OpenedData, naming, shape_of_one
from impray.data.formats.parquet import look_at_parquet, parquet
from impray.data.formats.plan import Part, Plan, Rows, Sizes, class_count_from, labels_from, refuse
from impray.spec.counts import share
from impray.spec.data import Arrays
from impray.spec.errors import DataError
from impray.spec.trial import stream_seed

_OPEN: dict[str, Callable[[FormatRequest, Sequence[File]], OpenedData]] = {
    ".npz": npz,
    ".npy": npy,
    ".parquet": parquet,
}
_LOOK: dict[str, Callable[[Names, Sequence[Place]], tuple[tuple[int, ...], object]]] = {
    ".npz": look_at_npz,
    ".npy": look_at_npy,
    ".parquet": look_at_parquet,
}


def plan(spec: Arrays) -> Plan:
    """The training file, whose rows are divided unless there are held-out arrays.

    Raises: DataError: files are missing.
    """
    parts = [Part(places, held_out, partial(_rows, spec, names)) for places, names, held_out in _parts(spec)]
    asked: dict[str, Any] = {"shape": list(spec.shape), "class_count": spec.class_count}
    asked |= {"inputs": spec.inputs_name, "labels": spec.labels_name}
    drawn = spec.one_file and spec.held_out_rows_name is None
    asked |= {"fraction": spec.held_out_fraction, "draw": spec.draw} if drawn else {}
    newer = ("held_out_inputs_name", "held_out_labels_name", "held_out_rows_name", "first_label")
    asked |= {name: value for name in newer if (value := getattr(spec, name))}
    return Plan(spec.kind, spec.inputs, spec.class_count, tuple(parts), asked)


def sizes(spec: Arrays) -> Sizes:
    """What the training inputs and the labels of both parts say; the spec's own sizes are not read.

    Raises: DataError: files are missing or damaged; there is no shape or no number of classes that follows from them.
    """
    shapes, labels = [], []
    for places, names, _ in _parts(spec):
        shape, of_part = _LOOK[_suffix(places[0])](names, places)
        shapes.append((shape, places[0].shown if len(places) == 2 else f"{places[0].shown}: {names.inputs}"))
        labels.append((of_part, places[-1].shown if len(places) == 2 else f"{places[0].shown}: {names.labels}"))
    return Sizes(shape_of_one(*shapes[0]), class_count_from(labels, spec.first_label))


def _parts(spec: Arrays) -> list[tuple[tuple[Place, ...], Names, bool]]:
    """Files, names and whether they are held out.

    Raises: DataError: files are missing.
    """
    named = [((spec.path, spec.labels_path), Names(*spec.names(held_out=False), spec.held_out_rows_name), False)]
    if not spec.one_file:
        held_out = (spec.held_out_path or spec.path, spec.held_out_labels_path)
        named.append((held_out, Names(*spec.names(held_out=True)), True))
    parts = [
        (tuple(Place.at(path) for path in paths if path is not None), names, held_out)
        for paths, names, held_out in named
    ]
    absent = [file for files, *_ in parts for file in files if not is_file(infos([file])[0])]
    refuse(
        [
            f"{shown}: there is no such file{seen}"
            for shown, seen in {file.shown: file.seen_from for file in absent}.items()
        ]
    )
    return parts


def _suffix(file: File | Place) -> str:
    return f".{str(file.path).rpartition('.')[2]}"


def _rows(spec: Arrays, names: Names, files: Sequence[File]) -> Iterator[Rows]:
    shown = files[0].shown
    with naming(shown):
        opened = _OPEN[_suffix(files[0])](FormatRequest(names, spec.shape), files)
    of_labels = files[-1].shown if len(files) == 2 else f"{shown}: {names.labels}"
    labels, problems = labels_from(opened.labels, of_labels, first=spec.first_label, classes=spec.class_count)
    if labels is not None and len(labels) != opened.count:
        problems.append(f"{of_labels}: {len(labels)} labels for {opened.count} inputs; must be as many")
    if opened.count < (2 if spec.one_file else 1):
        problems.append(f"{shown}: holds {opened.count or 'no'} inputs; there must be some for both parts")
    refuse(problems)
    assert labels is not None
    yield from _numbered(opened, labels, _held_out_rows(spec, names, opened, shown), shown)


def _held_out_rows(spec: Arrays, names: Names, opened: OpenedData, shown: str) -> Bool[np.ndarray, " row"] | None:
    """Which rows are held out; None: the part says it for all of them."""
    if names.held_out_rows is not None:
        return _marked(opened.held_out_rows, opened.count, f"{shown}: {names.held_out_rows}")
    return _division(opened.count, spec.held_out_fraction, spec.draw) if spec.one_file else None


def _marked(given: object, count: int, place: str) -> Bool[np.ndarray, " row"]:
    """Raises: DataError: it is no mark of each row, or leaves one part without rows."""
    marks, problems = labels_from(given, place, first=0, classes=2)
    if marks is None:
        wrong = problems[0].partition("; must be")[0]
        raise DataError(f"{wrong}; must be true or 1 for a row that is held out, and false or 0 for the others")
    if len(marks) != count:
        raise DataError(f"{place}: {len(marks)} marks for {count} inputs; must be as many")
    if marks.all() or not marks.any():
        raise DataError(f"{place}: marks {'every' if marks.all() else 'no'} row; there must be some for both parts")
    return marks == 1


def _numbered(
    opened: OpenedData, labels: Int64[np.ndarray, " all"], held_out: Bool[np.ndarray, " all"] | None, shown: str
) -> Iterator[Rows]:
    first = 0
    with naming(shown):
        for inputs in opened.inputs:
            part = slice(first, first + len(inputs))
            of_part = None if held_out is None else held_out[part]
            yield Rows(_numbers(inputs, first, shown), labels[part], None, of_part)
            first += len(inputs)
    if first != opened.count:
        raise DataError(f"{shown}: is truncated: it ends after {first} of {opened.count} rows")


def _division(count: int, fraction: float, draw: int) -> Bool[np.ndarray, " row"]:
    """Which rows are held out."""
    random = np.random.default_rng(stream_seed(draw, "held_out_rows"))
    chosen = random.permutation(count)[: min(max(1, share(fraction, count)), count - 1)]
    mask = np.zeros(count, bool)
    mask[chosen] = True
    return mask


def _numbers(
    inputs: np.ndarray, first: int, shown: str
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
        raise DataError(f"{shown}: the inputs of row {first + bad[0]} are not all finite (as float32)")
    return numbers
