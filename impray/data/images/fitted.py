"""What the Gaussian clone is fitted to, and draws from it."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from impray.data.base import remembered
from impray.data.blend import gaussian_clone
from impray.data.images.kept import Images, class_list, files_key, kept_images
from impray.data.images.mapped import PORTION
from impray.spec.data import FileData
from impray.spec.errors import DataError
from impray.spec.trial import stream_seed

_DRAWN = 2**24  # inputs of clones drawn at once: 64 MiB; the numbers depend on it
_FITTED = 2**25  # inputs of images a Gaussian is fitted to at once: 128 MiB; the numbers depend on it


def fit_size(key: FileData, images: Images) -> int:
    return min(key.clone_images or len(images.labels), len(images.labels))


@remembered(2)
def fitted_rows(key: FileData) -> list[Int[np.ndarray, " image"]]:
    """Rows of the images that each class's Gaussian is fitted to: as many as a random draw from all gives it.

    Raises: DataError: fewer than two for some class.
    """
    images = kept_images(files_key(key))
    size = fit_size(key, images)
    places = np.arange(len(images.labels))
    if size < len(places):
        random = np.random.default_rng(stream_seed(key.draw, "clone_images"))
        places = np.sort(random.choice(places, size, replace=False, shuffle=False))
    labels = images.labels[places]
    counts = np.bincount(labels, minlength=key.classes)
    if counts.min() < 2:
        few = class_list(np.flatnonzero(counts < 2))
        raise DataError(
            f"{key.path}: the Gaussian clone is fitted to 2 images or more of each class, but the {size} drawn from "
            f"{len(images.labels)} have fewer of {few}; raise clone_images (null: all), or leave such classes out by "
            f"keep_classes"
        )
    by_class = images.rows(places)[np.argsort(labels, kind="stable")]
    return np.split(by_class, np.cumsum(counts)[:-1])


def drawn_clones(
    key: FileData, images: Images, rows: Int[np.ndarray, " image"], label: int, count: int, random: torch.Generator
) -> Iterator[Float[Tensor, "clone input"]]:
    """`count` clones of a class, as (clone - mu_c) / unit, in portions."""
    fitted = _fit(key, images, rows, label)
    portion = max(1, _DRAWN // key.inputs)
    for first in range(0, count, portion):
        part = min(portion, count - first)
        yield gaussian_clone(fitted[None], part, random, key.clone).view(part, -1)


def _fit(
    key: FileData, images: Images, rows: Int[np.ndarray, " image"], label: int
) -> Float[Tensor, "sample channel pixel"]:
    """(image - mu_c) / unit of the rows, or fewer samples with the same mean and covariance where they are many."""
    most = max(2, _FITTED // key.inputs)
    portions = [rows[first : first + most] for first in range(0, len(rows), most)]
    channels = key.input_shape[0] if len(key.input_shape) == 3 else 1
    if len(portions) == 1:
        return _deviations(images, rows, label).unflatten(1, (channels, -1))
    sums = torch.stack([_deviations(images, part, label).sum(dim=0, dtype=torch.float64) for part in portions])
    mean = (sums.sum(dim=0) / len(rows)).float()
    groups = channels if key.clone == "channel" else 1
    factor = torch.empty(groups, 0, key.inputs // groups)
    for part in portions:
        centred = _deviations(images, part, label).sub_(mean).unflatten(1, (groups, -1)).transpose(0, 1)
        factor = torch.linalg.qr(torch.cat([factor, centred], dim=1), mode="r").R
    # R^T R / (n - 1) is the covariance; so is that of the 2 k samples +-a R's k rows, with a^2 (n - 1) = k - 1/2.
    spread = factor.transpose(0, 1).flatten(1) * math.sqrt((factor.shape[1] - 0.5) / (len(rows) - 1))
    return torch.cat([mean + spread, mean - spread]).unflatten(1, (channels, -1))


def _deviations(images: Images, rows: Int[np.ndarray, " image"], label: int) -> Float[Tensor, "sample input"]:
    """(image - mu_c) / unit; computed in float64, for mu_c may be large beside it."""
    inputs = images.mean.shape[1]
    deviations = torch.empty(len(rows), inputs)
    portion = max(1, PORTION // inputs)
    for first in range(0, len(rows), portion):
        raw = images.stored.train.inputs[rows[first : first + portion]]
        deviations[first : first + portion] = torch.from_numpy((raw - images.mean[label]) / images.unit)
    return deviations
