"""CIFAR-10 and CIFAR-100, as distributed for Python (pickles) and as binary records.

    cifar-10-batches-py   data_batch_1 to 5, test_batch           `data` uint8 [image, 3072], `labels`
    cifar-10-batches-bin  the same with .bin                      records: label, 3072 pixels
    cifar-100-python      train, test                             `data`, `fine_labels`, `coarse_labels`
    cifar-100-binary      train.bin, test.bin                     records: coarse label, fine label, 3072 pixels

3072 pixels are the planes R, G, B of 32 x 32. Any number of images is taken; every record must be whole.

Source: Krizhevsky (2009), www.cs.toronto.edu/~kriz/cifar.html.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from impray.data.formats.files import File, Layout, Place, located
from impray.data.formats.imagenet32 import contents, image_problems
from impray.data.formats.plan import Part, Plan, Rows, labels_from, portions, refuse
from impray.spec.data import Cifar10, Cifar100

_TEN = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")
_HUNDRED = ("train", "test")
_ORIGIN = "They are published at www.cs.toronto.edu/~kriz/cifar.html"


def _layouts(ten: bool) -> tuple[Layout, Layout]:
    names = _TEN if ten else _HUNDRED
    folders = ("cifar-10-batches-py", "cifar-10-batches-bin") if ten else ("cifar-100-python", "cifar-100-binary")
    words = "data_batch_1 to data_batch_5 and test_batch" if ten else "train and test"
    return (
        Layout(("", folders[0]), tuple((name,) for name in names), f"{words} in the folder {folders[0]}"),
        Layout(("", folders[1]), tuple((f"{name}.bin",) for name in names), f"the same as .bin in {folders[1]}"),
    )


def plan(spec: Cifar10 | Cifar100) -> Plan:
    """The training files in order, then the held-out ones.

    Raises: DataError: files are missing.
    """
    layouts = _layouts(isinstance(spec, Cifar10))
    layout, files = located(Place.at(spec.path), layouts, spec.kind, _ORIGIN)
    rows = _pickled if layout is layouts[0] else _binary
    parts = [Part((file,), at == len(files) - 1, partial(rows, spec)) for at, file in enumerate(files)]
    asked = {"labels": spec.labels} if isinstance(spec, Cifar100) else {}
    return Plan(spec.kind, spec.inputs, spec.stored_classes, tuple(parts), asked)


def _pickled(spec: Cifar10 | Cifar100, files: Sequence[File]) -> Iterator[Rows]:
    (file,) = files
    name = f"{spec.labels}_labels" if isinstance(spec, Cifar100) else "labels"
    content = contents(file, ("data", name))
    yield from _checked(spec, content["data"], content[name], f"{file.shown}: {name}", file.shown)


def _binary(spec: Cifar10 | Cifar100, files: Sequence[File]) -> Iterator[Rows]:
    (file,) = files
    before = 2 if isinstance(spec, Cifar100) else 1  # labels ahead of the pixels
    record, size = before + spec.inputs, file.path.stat().st_size
    if size == 0 or size % record:
        whole = f"{size // record} records and {size % record} bytes"
        refuse([f"{file.shown}: has {size} bytes, {whole}; must be whole records of {record} bytes"])
    records = np.memmap(file.path, np.uint8, "r").reshape(-1, record)
    fine = isinstance(spec, Cifar100) and spec.labels == "fine"
    yield from _checked(spec, records[:, before:], records[:, int(fine)], f"{file.shown}: labels", file.shown)


def _checked(spec: Cifar10 | Cifar100, data: object, given: object, place: str, shown: str) -> Iterator[Rows]:
    labels, problems = labels_from(given, place, first=0, classes=spec.stored_classes)
    refuse([*problems, *image_problems(data, spec.inputs, labels, shown)])
    assert labels is not None and isinstance(data, np.ndarray)
    for part in portions(len(data), spec.inputs):
        yield Rows(np.asarray(data[part]), labels[part])
