"""Downsampled ImageNet, 32 x 32: ten training batches and one of held-out images, pickled or as .npz.

    train_data_batch_1 ... train_data_batch_10, val_data      each also with .npz at its end, in any mixture

Each holds `data` uint8 [image, 3072] (the planes R, G, B of 32 x 32 pixels), `labels` 1 to 1000, and the first batch `mean` [3072], the
mean image that the papers remove. Python 2 and 3 pickles, keys as text or bytes.

Source: Chrabaszcz, Loshchilov & Hutter (2017), image-net.org; 1,281,167 and 50,000 images, of which any number is taken here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float32

from impray.data.formats.files import File, Layout, Place, located
from impray.data.formats.numpy_files import archive
from impray.data.formats.plan import Part, Plan, Rows, described, labels_from, portions, refuse
from impray.data.formats.unpickle import load
from impray.spec.data import Imagenet32
from impray.spec.errors import DataError
from impray.spec.text import cut

_TRAIN = tuple(f"train_data_batch_{number}" for number in range(1, 11))
_LAYOUT = Layout(
    folders=("",),
    files=tuple((name, f"{name}.npz") for name in (*_TRAIN, "val_data")),
    words="train_data_batch_1 to train_data_batch_10 and val_data (pickled, or each as .npz)",
)
_ORIGIN = "They are published as 'Downsampled ImageNet' (32x32) at image-net.org, after signing in"


def plan(spec: Imagenet32) -> Plan:
    """The ten batches in order, then the held-out images.

    Raises: DataError: files are missing.
    """
    _, files = located(Place.at(spec.path), [_LAYOUT], "imagenet32", _ORIGIN)
    parts = [Part((file,), at == 10, partial(_rows, spec, needs_mean=at == 0)) for at, file in enumerate(files)]
    return Plan(spec.kind, spec.inputs, spec.stored_classes, tuple(parts), {})


def _rows(spec: Imagenet32, files: Sequence[File], needs_mean: bool) -> Iterator[Rows]:
    (file,) = files
    content = contents(file, ("data", "labels", *(("mean",) if needs_mean else ())))
    data, of_labels = content["data"], content["labels"]
    labels, problems = labels_from(of_labels, f"{file.shown}: labels", first=1, classes=spec.stored_classes)
    problems += image_problems(data, spec.inputs, labels, file.shown)
    mean, wrong = _mean(content["mean"], spec.inputs, file.shown) if needs_mean else (None, [])
    refuse([*problems, *wrong])
    assert labels is not None
    for part in portions(len(data), spec.inputs):
        yield Rows(data[part], labels[part], mean if part.start == 0 else None)


def contents(file: File, names: Sequence[str]) -> Mapping[str, Any]:
    """The named entries of a pickled dictionary or .npz file.

    Raises: DataError: it cannot be read, or has no such entry.
    """
    content = _archive(file, names) if file.path.name.endswith(".npz") else _dictionary(load(file.path, file.shown))
    if content is None:
        raise DataError(f"{file.shown}: holds no dictionary; must be one with {', '.join(names)}")
    absent = [name for name in names if name not in content]
    if absent:
        listed = ", ".join(sorted(map(str, content))) or "nothing"
        raise DataError(f"{file.shown}: has no {' and no '.join(absent)}; it holds {cut(listed)}")
    return content


def _dictionary(content: object) -> dict[Any, Any] | None:
    if not isinstance(content, dict):
        return None
    return {key.decode("latin-1") if isinstance(key, bytes) else key: value for key, value in content.items()}


def _archive(file: File, names: Sequence[str]) -> dict[Any, Any]:
    with archive(file, names) as opened:
        return {name: opened[name] if name in names else None for name in opened.files}


def image_problems(data: object, inputs: int, labels: np.ndarray | None, shown: str) -> list[str]:
    """What is wrong with images of bytes and the number of their labels."""
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != inputs:
        return [f"{shown}: data is {described(data)}; must be uint8 (images, {inputs}): 3 planes of 32 x 32 pixels"]
    if labels is not None and len(labels) != len(data):
        return [f"{shown}: {len(labels)} labels for {len(data)} images; must be as many"]
    return [] if len(data) else [f"{shown}: holds no images"]


def _mean(given: object, inputs: int, shown: str) -> tuple[Float32[np.ndarray, " input"] | None, list[str]]:
    if not isinstance(given, np.ndarray) or given.shape != (inputs,) or given.dtype.kind not in "uif":
        return None, [f"{shown}: mean is {described(given)}; must be numbers ({inputs},)"]
    if not np.isfinite(given).all():
        return None, [f"{shown}: mean is not finite"]
    return given.astype(np.float32), []
