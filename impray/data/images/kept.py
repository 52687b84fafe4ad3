"""The images of the classes kept, and what of a spec decides them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from impray.data.base import remembered
from impray.data.stored import ConvertedData, open_stored
from impray.spec.data import FileData
from impray.spec.errors import DataError


@dataclass(frozen=True)
class Images:
    """The images of the classes kept, in the units of the files."""

    stored: ConvertedData
    kept: Int[np.ndarray, " image"] | None  # rows of the training images kept; None: all
    labels: Int[np.ndarray, " image"]  # of the training images kept, in the order of the files
    held_out: Int[np.ndarray, " held_out_image"]  # rows of the held-out images kept, sorted by class
    held_out_labels: Int[np.ndarray, " held_out_image"]
    count: Int[np.ndarray, " class"]  # training images
    mean: Float[np.ndarray, "class input"]  # mu_c, float64; 0 for a class without images

    def rows(self, places: Int[np.ndarray, " place"]) -> Int[np.ndarray, " place"]:
        """Rows in the file of training images, from their places among those kept."""
        return places if self.kept is None else self.kept[places]

    @cached_property
    def clone_rows(self) -> Int[np.ndarray, " image"]:
        """Row of each training image's clone: clones are sorted by class, and like their images within it."""
        rows = np.empty(len(self.labels), dtype=np.int64)
        rows[np.argsort(self.labels, kind="stable")] = np.arange(len(self.labels))
        return rows

    @cached_property
    def unit(self) -> Float[np.ndarray, " input"]:
        """Of the clone's file: the power of two next to each input's standard deviation within classes, 1 for 0."""
        sums, squares = self.sums
        within = (squares - sums * self.mean).sum(axis=0) / self.count.sum()
        return np.exp2(np.round(0.5 * np.log2(np.where(within > 0, within, 1.0))))

    @property
    def sums(self) -> tuple[Float[np.ndarray, "class input"], Float[np.ndarray, "class input"]]:
        """Sums of the training inputs and of their squares, per class."""
        classes = len(self.count)
        return self.stored.class_sum[:classes], self.stored.class_square_sum[:classes]


def files_key(spec: FileData) -> FileData:
    """The spec without what leaves the rows as they are."""
    return natural_key(spec).model_copy(update={"center": "image", "scale": "pixel"})


def clone_key(spec: FileData) -> FileData:
    """The spec without what leaves the clone as it is."""
    return spec.model_copy(update={"gaussian_blend": 0.0, "center": "image", "scale": "pixel", "held_out": None})


def natural_key(spec: FileData) -> FileData:
    """The spec without what leaves the batches as they are where nothing is blended."""
    unused = {"gaussian_blend": 0.0, "clone": "channel", "clone_images": None, "held_out": None}
    return spec.model_copy(update=unused)


def training_key(spec: FileData) -> FileData:
    """The spec without what leaves its batches as they are."""
    return spec.model_copy(update={"held_out": None}) if spec.gaussian_blend > 0 else natural_key(spec)


@remembered(2)
def kept_images(key: FileData) -> Images:
    stored, classes = open_stored(key), key.classes
    labels, held_out = stored.train.labels, stored.held_out.labels
    kept = np.flatnonzero(labels < classes)
    order = np.argsort(held_out, kind="stable")
    order = order[held_out[order] < classes]
    count = np.asarray(stored.class_count[:classes])
    return Images(
        stored=stored,
        kept=None if len(kept) == len(labels) else kept,
        labels=np.asarray(labels) if len(kept) == len(labels) else labels[kept],
        held_out=order,
        held_out_labels=held_out[order],
        count=count,
        mean=stored.class_sum[:classes] / np.maximum(count, 1)[:, None],
    )


def opened_images(spec: FileData) -> Images:
    """Raises: DataError: there is not what the spec asks for."""
    images = kept_images(files_key(spec))
    for what, labels in (("training", images.labels), ("held-out", images.held_out_labels)):
        if len(labels) == 0:
            raise DataError(f"{spec.path}: there is no {what} image of the classes kept (0 to {spec.classes - 1})")
    if (spec.center == "class" or spec.gaussian_blend > 0) and not images.count.all():
        what = "center: class" if spec.center == "class" else "a Gaussian blend"
        absent = class_list(np.flatnonzero(images.count == 0))
        raise DataError(f"{spec.path}: {what} needs training images of every class; there is none of {absent}")
    held_out = np.bincount(images.held_out_labels, minlength=spec.classes)
    if spec.held_out is not None and held_out.min() < spec.held_out:
        fewer = class_list(np.flatnonzero(held_out < spec.held_out))
        raise DataError(
            f"{spec.path}: held_out = {spec.held_out} per class is more than there are of {fewer}; take {held_out.min()} "
            f"at most, or null for all"
        )
    return images


def class_list(labels: Int[np.ndarray, " class"]) -> str:
    """The first few classes, and how many more."""
    more = f" and {len(labels) - 5} more" if len(labels) > 5 else ""
    return f"class{'es' if len(labels) > 1 else ''} {', '.join(map(str, labels[:5]))}{more}"
