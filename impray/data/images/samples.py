"""Held-out images, and samples for figures and statistics."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from impray.data.base import generator
from impray.data.images.blended import Gaussian, blend_in_place
from impray.data.images.clones import clone_table
from impray.data.images.fitted import drawn_clones, fitted_rows
from impray.data.images.kept import class_list, clone_key, opened_images
from impray.data.images.mapped import PORTION, rows_on
from impray.data.images.units import Units
from impray.spec.data import FileData
from impray.spec.errors import DataError
from impray.spec.trial import stream_seed

_CPU = torch.device("cpu")


def held_out(
    spec: FileData, dtype: torch.dtype, device: torch.device
) -> tuple[Float[Tensor, "sample input"], Int[Tensor, " sample"]]:
    """The held-out images of the classes kept, blended, sorted by class: the first `held_out` of each in the files.

    Treated in portions, so that there is never a second copy of them all.
    """
    images = opened_images(spec)
    units = Units(spec, images, dtype, device)
    clones = clone_table(spec) if spec.gaussian_blend > 0 else None
    gaussian = None if clones is None else Gaussian(spec, images, units, clones.unit)
    chosen = _first_of_each(images.held_out_labels, spec.held_out)
    labels = torch.from_numpy(images.held_out_labels[chosen]).to(device)
    x = torch.empty(len(chosen), spec.inputs, dtype=dtype, device=device)
    portion = max(1, PORTION // spec.inputs)
    for first in range(0, len(chosen), portion):
        part = slice(first, first + portion)
        stored = rows_on(device, images.stored.held_out.inputs, images.held_out[chosen[part]])
        x[part] = units.rows(stored, labels[part])
        if clones is not None and gaussian is not None:
            blend_in_place(x[part], rows_on(device, clones.held_out, chosen[part]), labels[part], spec, gaussian)
    return x, labels


def _first_of_each(labels: Int[np.ndarray, " sample"], per_class: int | None) -> Int[np.ndarray, " chosen"]:
    """Places of the first so many of each class in sorted labels."""
    begins = np.searchsorted(labels, labels)
    places = np.arange(len(labels))
    return places if per_class is None else places[places - begins < per_class]


def each_class(spec: FileData, per_class: int, seed: int) -> Iterator[Float[Tensor, "sample input"]]:
    """Samples of one class after the other, float32: training images at random, and fresh clones.

    None is drawn twice: a class with fewer than `per_class` images gives them all.

    Raises: DataError: a class has none.
    """
    images, key = opened_images(spec), clone_key(spec)
    if not images.count.all():
        absent = class_list(np.flatnonzero(images.count == 0))
        raise DataError(f"{spec.path}: there is no training image of {absent}; leave such classes out by keep_classes")
    units = Units(spec, images, torch.float32, _CPU)
    gaussian = Gaussian(spec, images, units, images.unit) if spec.gaussian_blend > 0 else None
    for label in range(spec.classes):
        random = np.random.default_rng(stream_seed(seed, "sample", label))
        rows = images.rows(random.permutation(np.flatnonzero(images.labels == label))[:per_class])
        labels = torch.full((len(rows),), label)
        x = units.rows(rows_on(_CPU, images.stored.train.inputs, rows), labels)
        if gaussian is not None:
            stream = generator(_CPU, seed, "sample_clone", label)
            clones = torch.cat(list(drawn_clones(key, images, fitted_rows(key)[label], label, len(rows), stream)))
            blend_in_place(x, clones, labels, spec, gaussian)
        yield x


def draw_samples(
    spec: FileData, per_class: int, seed: int
) -> tuple[Float[Tensor, "sample input"], Int[Tensor, " sample"]]:
    """See `each_class`; sorted by class."""
    drawn = list(each_class(spec, per_class, seed))
    labels = torch.arange(spec.classes).repeat_interleave(torch.tensor([len(x) for x in drawn]))
    return torch.cat(drawn), labels
