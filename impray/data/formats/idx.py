"""The idx format of MNIST, Fashion-MNIST and EMNIST, plain or compressed with gzip.

    train-images-idx3-ubyte, t10k-images-idx3-ubyte     magic 2051, images, rows, cols; then a byte per pixel
    train-labels-idx1-ubyte, t10k-labels-idx1-ubyte     magic 2049, labels; then a byte per label

Header numbers are big-endian and 4 bytes long. Also known with a dot (train-images.idx3-ubyte) and with .gz. Other names before
-images and -labels, as EMNIST's, are asked for by `train_name` and `held_out_name`. torchvision has them in MNIST/raw.

Source: LeCun, Cortes & Burges, "The MNIST database", which says what idx is. EMNIST (Cohen et al. 2017) stores
its images transposed, which nothing in its files tells.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Iterator, Sequence
from functools import partial
from io import BufferedReader
from typing import Any

import numpy as np
from pyarrow import NativeFile

from impray.data.formats.files import File, Layout, Place, located
from impray.data.formats.plan import Part, Plan, Rows, Sizes, class_count_from, labels_from, portions, refuse
from impray.spec.data import Idx
from impray.spec.errors import DataError

_FOLDERS = ("", "raw", *(f"{name}/raw" for name in ("MNIST", "FashionMNIST", "KMNIST", "EMNIST", "QMNIST")))


def _layout(spec: Idx) -> Layout:
    kinds = [
        (prefix, *kind) for prefix in (spec.train_name, spec.held_out_name) for kind in (("images", 3), ("labels", 1))
    ]
    names = [(f"{prefix}-{what}-idx{axes}-ubyte", f"{prefix}-{what}.idx{axes}-ubyte") for prefix, what, axes in kinds]
    return Layout(
        folders=_FOLDERS,
        files=tuple((*both, *(f"{name}.gz" for name in both)) for both in names),
        words=f"{', '.join(both[0] for both in names[:3])} and {names[3][0]} (plain or .gz)",
        many=True,
    )


_ORIGIN = "MNIST and Fashion-MNIST are published in this format (github.com/zalandoresearch/fashion-mnist)"
_Opened = gzip.GzipFile | BufferedReader | NativeFile
_PORTION = 2**22  # bytes
_MAGIC = {"images": 2051, "labels": 2049}


def plan(spec: Idx) -> Plan:
    """Training images and labels, then the held-out ones.

    Raises: DataError: files are missing.
    """
    pairs = _pairs(spec)
    parts = [Part(pair, held_out, partial(_rows, spec)) for held_out, pair in zip((False, True), pairs, strict=True)]
    asked: dict[str, Any] = {"shape": list(spec.shape), "class_count": spec.class_count}
    asked |= {"first_label": spec.first_label} if spec.first_label else {}
    return Plan(spec.kind, spec.inputs, spec.class_count, tuple(parts), asked)


def _pairs(spec: Idx) -> tuple[tuple[Place, Place], tuple[Place, Place]]:
    _, files = located(Place.at(spec.path), [_layout(spec)], "idx", _ORIGIN)
    return (files[0], files[1]), (files[2], files[3])


def sizes(spec: Idx) -> Sizes:
    """What the header of the training images and the labels of both parts say; the spec's own sizes are not read.

    Raises: DataError: files are missing or damaged; there is no number of classes that follows from the labels.
    """
    pairs = _pairs(spec)
    labels = [(_labels_at(of_labels), of_labels.shown) for _, of_labels in pairs]
    with pairs[0][0].opened() as raw:
        _, *sides = _header(_unpacked(raw, pairs[0][0]), pairs[0][0], "images")
    return Sizes(tuple(sides), class_count_from(labels, spec.first_label))


def _labels_at(place: Place) -> np.ndarray:
    with place.opened() as raw:
        opened = _unpacked(raw, place)
        (count,) = _header(opened, place, "labels")
        return np.frombuffer(_exactly(opened, count, place), np.uint8)


def _unpacked(raw: NativeFile, place: Place) -> _Opened:
    return gzip.GzipFile(fileobj=raw) if place.path.endswith(".gz") else raw


def _rows(spec: Idx, files: Sequence[File]) -> Iterator[Rows]:
    of_images, of_labels = files
    with _open(of_images) as images, _open(of_labels) as labels:
        count, *sides = _header(images, of_images, "images")
        (labelled,) = _header(labels, of_labels, "labels")
        refuse(_header_problems(spec, of_images, count, sides, of_labels, labelled))
        given = np.frombuffer(_exactly(labels, labelled, of_labels), np.uint8)
        _at_end(labels, of_labels)
        checked, problems = labels_from(given, of_labels.shown, first=spec.first_label, classes=spec.class_count)
        refuse(problems)
        assert checked is not None
        for part in portions(count, spec.inputs):
            length = part.stop - part.start
            pixels = np.frombuffer(_exactly(images, length * spec.inputs, of_images), np.uint8)
            yield Rows(pixels.reshape(length, spec.inputs), checked[part])
        _at_end(images, of_images)


def _open(file: File) -> _Opened:
    return gzip.open(file.path) if file.path.name.endswith(".gz") else file.path.open("rb")


def _header(opened: _Opened, file: File | Place, what: str) -> tuple[int, ...]:
    (magic,) = struct.unpack(">I", _exactly(opened, 4, file))
    if magic != _MAGIC[what]:
        others = [f", which stands for {other}" for other, number in _MAGIC.items() if number == magic]
        raise DataError(
            f"{file.shown}: begins with {magic}{''.join(others)}; {what} of unsigned bytes begin with {_MAGIC[what]}"
        )
    return struct.unpack(">III" if what == "images" else ">I", _exactly(opened, 12 if what == "images" else 4, file))


def _header_problems(
    spec: Idx, of_images: File, count: int, sides: Sequence[int], of_labels: File, labelled: int
) -> list[str]:
    problems = []
    if tuple(sides) != spec.shape:
        rows, cols = spec.shape
        problems.append(f"{of_images.shown}: images of {sides[0]} x {sides[1]} px; data.shape asks for {rows} x {cols}")
    if count != labelled:
        problems.append(
            f"{of_labels.shown}: {labelled} labels for {count} images of {of_images.shown}; must be as many"
        )
    return problems if count else [*problems, f"{of_images.shown}: holds no images"]


def _exactly(opened: _Opened, count: int, file: File | Place) -> bytes:
    content = _read(opened, count, file)
    if len(content) < count:
        raise DataError(f"{file.shown}: is truncated: it ends {count - len(content)} bytes before its header says")
    return content


def _at_end(opened: _Opened, file: File) -> None:
    if _read(opened, 1, file):
        raise DataError(f"{file.shown}: is longer than its header says")


def _read(opened: _Opened, count: int, file: File | Place) -> bytes:
    try:
        content = bytearray()  # in portions: a header may say 4 GiB of a file that has ten bytes
        while len(content) < count and (part := opened.read(min(count - len(content), _PORTION))):
            content += part
        return bytes(content)
    except (EOFError, OSError, zlib.error) as error:
        what = "is no readable gzip file (truncated?)" if isinstance(opened, gzip.GzipFile) else "cannot be read"
        raise DataError(f"{file.shown}: {what}: {error}") from error
