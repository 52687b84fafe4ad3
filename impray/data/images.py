"""Images from files: ImageNet32, CIFAR, idx files and arrays of your own, read from a memory map as training goes.

    x = (image - m) / s
    m: the mean image (`center: image`), the mean mu_c of the image's class (`class`) or 0 (`none`)
    s: 255 (`scale: pixel`), the standard deviation of all centred training inputs (`deviation`) or 1 (`none`)

    x = mu' + sqrt(1 - b) (image' - mu') + sqrt(b) (clone' - mu')        ' : after (. - m) / s;  mu = mu_c

mu_c is the mean of all training images of class c, also where held-out images are blended. Images stay in the
type of the file (uint8) until they are in a batch, in memory that all processes of a machine share.

The Gaussian clone is a data set of its own, as ImageNet32-GP is: one clone per training image with the label
of that image, and one per held-out image, both drawn from the Gaussian (`impray.data.blend`) of up to
`clone_images` training images, which `draw` chooses at random among those of the classes kept. It is made once
per machine, beside the converted files, and not cut off at 0 and 255.

At b = 1 a class has the mean mu_f and the covariance of its n_f fitted images, as in the paper. In between its mean
is mu_c + sqrt(b) (mu_f - mu_c), off mu_c by some sqrt(b / n_f) standard deviations, and its covariance (1 - b) times
that of all its images plus b times that of the fitted ones; with `clone_images: null` both stay as they are. With
`clone: channel` the clone has no covariance between channels, so that of x is (1 - b) times the images'. Where n_f is
at most the number of inputs (of a channel), clones lie in n_f - 1 dimensions.

The file holds (clone - mu_c) / u as float16, u_i being the power of two next to input i's standard deviation within
classes. Rounding is unbiased and at most 2^-11 of each value (2^-25 u at least): it adds less than 2^-22 E[(clone -
mu_c)^2] to each variance and nothing to covariances; dimensions that the clone does not span hold that alone.

Batches are drawn with replacement: a lineage's seed chooses the order, from all images of the classes kept, so
classes are as frequent as in the files. Stream: `order`.

Source: Redman, Wang, Ingrosso & Goldt (2025), ImageNet32 and ImageNet32-GP; the blend is ours.
Limits: a machine whose free memory is less than the files (ImageNet32 3.9 GB, its clone 7.9 GB more) reads from disk
in every step. Sums of squares are uncentred: with `scale: deviation`, float inputs whose offset is a million times
their spread have 4 good digits of s. Clones of one spec differ in the last bits between kinds of processor.
Blind spot: the Gaussian of few images is theirs, not their class's. At ImageNet32-GP's some 100 images per class for 1,024
pixels its covariance has few and too large eigenvalues, so a difference between images and clone need not come from
higher cumulants alone; and held-out clones share with the training clones what is peculiar to the fitted images, so
that accuracy rises with b even where the images have nothing to learn.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from impray.data import digests
from impray.data.base import Blocks, Raw, distinct, generator, remembered, select, selection
from impray.data.blend import gaussian_clone
from impray.data.stored import Stored, locked, open_stored, sync, writing
from impray.spec.data import FileData, Imagenet32
from impray.spec.errors import DataError
from impray.spec.trial import stream_seed

_CPU = torch.device("cpu")
_NUMBERS = 2**14  # places drawn per seed and call
_LONGEST_BLOCK = 256
_PORTION = 2**22  # inputs treated at once where a whole data set passes through
_DRAWN = 2**24  # inputs of clones drawn at once: 64 MiB; the numbers depend on it
_FITTED = 2**25  # inputs of images a Gaussian is fitted to at once: 128 MiB; the numbers depend on it
_HELD_OUT_BYTES = 2**30  # held-out inputs that a pack keeps; more are made again when asked for
_FORMAT = 1  # of the clone's files and of all that decides their numbers


# -- what is read -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Images:
    """The images of the classes kept, in the units of the files."""

    stored: Stored
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


def _files_key(spec: FileData) -> FileData:
    """The spec without what leaves the rows as they are."""
    return _natural_key(spec).model_copy(update={"center": "image", "scale": "pixel"})


def _clone_key(spec: FileData) -> FileData:
    """The spec without what leaves the clone as it is."""
    return spec.model_copy(update={"gaussian_blend": 0.0, "center": "image", "scale": "pixel", "held_out": None})


def _natural_key(spec: FileData) -> FileData:
    """The spec without what leaves the batches as they are where nothing is blended."""
    unused = {"gaussian_blend": 0.0, "clone": "channel", "clone_images": None, "held_out": None}
    return spec.model_copy(update=unused)


def _training_key(spec: FileData) -> FileData:
    """The spec without what leaves its batches as they are."""
    return spec.model_copy(update={"held_out": None}) if spec.gaussian_blend > 0 else _natural_key(spec)


@remembered(2)
def _images(key: FileData) -> Images:
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


def _opened(spec: FileData) -> Images:
    """Raises: DataError: there is not what the spec asks for."""
    images = _images(_files_key(spec))
    for what, labels in (("training", images.labels), ("held-out", images.held_out_labels)):
        if len(labels) == 0:
            raise DataError(f"{spec.path}: there is no {what} image of the classes kept (0 to {spec.classes - 1})")
    if (spec.center == "class" or spec.gaussian_blend > 0) and not images.count.all():
        what = "center: class" if spec.center == "class" else "a Gaussian blend"
        absent = _listed(np.flatnonzero(images.count == 0))
        raise DataError(f"{spec.path}: {what} needs training images of every class; there is none of {absent}")
    held_out = np.bincount(images.held_out_labels, minlength=spec.classes)
    if spec.held_out is not None and held_out.min() < spec.held_out:
        fewer = _listed(np.flatnonzero(held_out < spec.held_out))
        raise DataError(
            f"{spec.path}: held_out = {spec.held_out} per class is more than there are of {fewer}; take {held_out.min()} "
            f"at most, or null for all"
        )
    return images


def _listed(labels: Int[np.ndarray, " class"]) -> str:
    """The first few classes, and how many more."""
    more = f" and {len(labels) - 5} more" if len(labels) > 5 else ""
    return f"class{'es' if len(labels) > 1 else ''} {', '.join(map(str, labels[:5]))}{more}"


def _shared(array: np.ndarray) -> Tensor:
    """The array's memory as a tensor that no one may write to."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(np.asarray(array))


# -- centre and scale ---------------------------------------------------------------------------------------------------


def _removed(spec: FileData, images: Images) -> Float[np.ndarray, "group input"] | None:
    """m, float64: one for all or one per class; None: nothing."""
    if spec.center == "none":
        return None
    if spec.center == "class":
        return images.mean
    if isinstance(spec, Imagenet32):  # the `mean` array of the files, as in the papers
        return np.asarray(images.stored.mean, dtype=np.float64)[None]
    return images.sums[0].sum(axis=0, keepdims=True) / images.count.sum()


def _scale(spec: FileData, images: Images, removed: Float[np.ndarray, "group input"] | None) -> float:
    """s.

    Raises: DataError: all centred inputs are equal.
    """
    if spec.scale != "deviation":
        return 255.0 if spec.scale == "pixel" else 1.0
    sums, squares = images.sums
    m, count = 0.0 if removed is None else removed, images.count[:, None]
    total = images.count.sum() * spec.inputs
    square = (squares - 2 * m * sums + count * np.square(m)).sum() / total
    variance = square - ((sums - count * m).sum() / total) ** 2
    # Rounding of the sums leaves as much where there is no spread at all.
    if not variance > 1e-14 * squares.sum() / total:
        raise DataError(
            f"{spec.path}: all training inputs are equal after centring; scale: deviation would divide by 0"
        )
    return float(np.sqrt(variance))


class _Units:
    """From the units of the files to those of the nets."""

    def __init__(self, spec: FileData, images: Images, dtype: torch.dtype, device: torch.device) -> None:
        self.dtype, self._device = dtype, device
        self._m = _removed(spec, images)
        self._scale = _scale(spec, images, self._m)
        self._removed = None if self._m is None else self._on_device(self._m)

    def rows(
        self, stored: Shaped[Tensor, "sample input"], labels: Int[Tensor, " sample"]
    ) -> Float[Tensor, "sample input"]:
        """x, from rows of the files that are on the device already; may overwrite them."""
        x = stored.to(self.dtype)
        if self._removed is not None:
            x.sub_(self._removed if len(self._removed) == 1 else self._removed.index_select(0, labels))
        return x if self._scale == 1 else x.div_(self._scale)

    def points(self, given: Float[np.ndarray, "place input"]) -> Float[Tensor, "place input"]:
        """mu', from mu."""
        return self._on_device((given - (0.0 if self._m is None else self._m)) / self._scale)

    def lengths(self, given: Float[np.ndarray, " input"]) -> Float[Tensor, " input"]:
        return self._on_device(given / self._scale)

    def _on_device(self, numbers: np.ndarray) -> Tensor:
        return torch.from_numpy(numbers).to(dtype=self.dtype, device=self._device)


# -- the clone's files --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Clones:
    """Clones of the training and held-out images of the classes kept, each sorted by class: (clone - mu_c) / unit."""

    train: Float[np.ndarray, "image input"]  # memory maps of float16
    held_out: Float[np.ndarray, "held_out_image input"]
    unit: Float[np.ndarray, " input"]


def clone_table(spec: FileData) -> Clones:
    """The clone of a spec; made if its files are not there yet, by one process while others wait.

    Raises: DataError: a class has fewer than two images to fit a Gaussian to; the disk is full or cannot be written.
    """
    return _clone_table(_clone_key(spec))


@remembered(2)
def _clone_table(key: FileData) -> Clones:
    images, fitted = _images(_files_key(key)), _fitted(key)
    folder = images.stored.folder / f"clone-{_clone_name(key, images)}"
    if not folder.exists():
        with locked(folder.with_suffix(".lock")):
            if not folder.exists():  # another process may have made it meanwhile
                with writing(folder):
                    _make_clones(key, images, fitted, folder)
    train, held_out = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("train", "held_out"))
    return Clones(train, held_out, np.load(folder / "unit.npy"))


def _clone_name(key: FileData, images: Images) -> str:
    asked = {
        "format": _FORMAT,
        "files": images.stored.fingerprint,
        "clone": key.clone,
        "clone_images": _fit_size(key, images),
        "draw": key.draw,
        "classes": key.classes,
        "shape": key.input_shape,
    }
    return hashlib.blake2b(json.dumps(asked, sort_keys=True).encode(), digest_size=8).hexdigest()


def _make_clones(key: FileData, images: Images, fitted: Sequence[np.ndarray], folder: Path) -> None:
    """Writes them aside, class after class, and moves the folder into place."""
    # One name for all makers: under the lock, what is there was left by one that died.
    aside = folder.with_suffix(".unfinished")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    held_out = np.bincount(images.held_out_labels, minlength=key.classes)
    try:
        np.save(aside / "unit.npy", images.unit)
        for name, stream, counts in (("train", "clone", images.count), ("held_out", "held_out_clone", held_out)):
            _write_clones(key, images, fitted, counts, stream, aside / f"{name}.npy")
        for file in aside.iterdir():
            sync(file)
        digests.write(aside)
        os.replace(aside, folder)
        sync(folder.parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _write_clones(
    key: FileData,
    images: Images,
    fitted: Sequence[np.ndarray],
    counts: Int[np.ndarray, " class"],
    stream: str,
    path: Path,
) -> None:
    """One file from its first byte to its last: the disk sees each page once."""
    header = {"descr": "<f2", "fortran_order": False, "shape": (int(counts.sum()), key.inputs)}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for label, count in enumerate(counts):
            # The label takes the round's place: every class has a stream of its own.
            random = generator(_CPU, key.draw, stream, label)
            for drawn in _drawn(key, images, fitted[label], label, int(count), random):
                file.write(drawn.half().numpy().data)


# -- what the clone is fitted to ----------------------------------------------------------------------------------------


def _fit_size(key: FileData, images: Images) -> int:
    return min(key.clone_images or len(images.labels), len(images.labels))


@remembered(2)
def _fitted(key: FileData) -> list[Int[np.ndarray, " image"]]:
    """Rows of the images that each class's Gaussian is fitted to: as many as a random draw from all gives it.

    Raises: DataError: fewer than two for some class.
    """
    images = _images(_files_key(key))
    size = _fit_size(key, images)
    places = np.arange(len(images.labels))
    if size < len(places):
        random = np.random.default_rng(stream_seed(key.draw, "clone_images"))
        places = np.sort(random.choice(places, size, replace=False, shuffle=False))
    labels = images.labels[places]
    counts = np.bincount(labels, minlength=key.classes)
    if counts.min() < 2:
        few = _listed(np.flatnonzero(counts < 2))
        raise DataError(
            f"{key.path}: the Gaussian clone is fitted to 2 images or more of each class, but the {size} drawn from "
            f"{len(images.labels)} have fewer of {few}; raise clone_images (null: all), or leave such classes out by "
            f"keep_classes"
        )
    by_class = images.rows(places)[np.argsort(labels, kind="stable")]
    return np.split(by_class, np.cumsum(counts)[:-1])


def _drawn(
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
    found = torch.empty(len(rows), inputs)
    portion = max(1, _PORTION // inputs)
    for first in range(0, len(rows), portion):
        raw = images.stored.train.inputs[rows[first : first + portion]]
        found[first : first + portion] = torch.from_numpy((raw - images.mean[label]) / images.unit)
    return found


# -- batches ------------------------------------------------------------------------------------------------------------


@remembered(2)
def _pixels(key: FileData, device: torch.device) -> Shaped[Tensor, "row input"]:
    """The training images: on the CPU the whole memory map, elsewhere a copy of those kept."""
    images = _images(key)
    inputs = np.asarray(images.stored.train.inputs)
    if device.type == "cpu":
        return _shared(inputs)
    return _copied(inputs, images.rows(np.arange(len(images.labels))), device)


@remembered(2)
def _clone_rows(key: FileData, device: torch.device) -> Float[Tensor, "row input"]:
    clones = clone_table(key).train
    return _shared(clones) if device.type == "cpu" else _copied(clones, np.arange(len(clones)), device)


def _copied(
    table: Shaped[np.ndarray, "all input"], rows: Int[np.ndarray, " row"], device: torch.device
) -> Shaped[Tensor, "row input"]:
    """Rows on the device, in portions: a second whole copy in the machine's memory might not fit."""
    x = torch.empty(len(rows), table.shape[1], dtype=_shared(table[:1]).dtype, device=device)
    portion = max(1, _PORTION // table.shape[1])
    for first in range(0, len(rows), portion):
        x[first : first + portion] = _rows_on(device, table, rows[first : first + portion])
    return x


def _rows_on(
    device: torch.device, table: Shaped[np.ndarray, "all input"], rows: Int[np.ndarray, " row"]
) -> Shaped[Tensor, "row input"]:
    return torch.from_numpy(np.asarray(table)[rows]).to(device)


class _Table:
    """The training images of a spec, without its blend."""

    def __init__(self, spec: FileData, dtype: torch.dtype, device: torch.device) -> None:
        images = _opened(spec)
        self.units = _Units(spec, images, dtype, device)
        self._pixels = _pixels(_files_key(spec), device)
        self._labels = _shared(images.labels).to(device)
        self._kept = None if images.kept is None or device.type != "cpu" else _shared(images.kept)

    def labels(self, places: Int[Tensor, "order sample"]) -> Int[Tensor, "order sample"]:
        return self._labels.index_select(0, places.flatten()).view(places.shape)

    def rows(
        self, places: Int[Tensor, "order sample"], labels: Int[Tensor, "order sample"]
    ) -> Float[Tensor, "order sample input"]:
        rows = places.flatten() if self._kept is None else self._kept.index_select(0, places.flatten())
        return self.units.rows(self._pixels.index_select(0, rows), labels.flatten()).view(*places.shape, -1)


class _Gaussian:
    """What a blend is made of besides x, in the units of the nets."""

    def __init__(self, spec: FileData, images: Images, units: _Units, unit: Float[np.ndarray, " input"]) -> None:
        """unit: that of the clones."""
        self._units = units
        self._lengths = units.lengths(unit)
        self._means = None if spec.center == "class" else units.points(images.mean)

    def clones(self, stored: Float[Tensor, "sample input"]) -> Float[Tensor, "sample input"]:
        """(clone - mu_c) / s; may overwrite `stored`."""
        return stored.to(self._units.dtype).mul_(self._lengths)

    def means(self, labels: Int[Tensor, " sample"]) -> Float[Tensor, "sample input"] | None:
        """mu'; None: 0."""
        return None if self._means is None else self._means.index_select(0, labels)


class _CloneTable:
    """The clones of a spec's training images."""

    def __init__(self, spec: FileData, units: _Units, device: torch.device) -> None:
        images = _opened(spec)
        self._clones = _clone_rows(_clone_key(spec), device)
        self._rows = _shared(images.clone_rows).to(device)
        self._gaussian = _Gaussian(spec, images, units, clone_table(spec).unit)

    def rows(
        self, places: Int[Tensor, "order sample"], labels: Int[Tensor, "order sample"]
    ) -> tuple[Float[Tensor, "order sample input"], Float[Tensor, "order sample input"] | None]:
        """Clones and means; see `_Gaussian`."""
        stored = self._clones.index_select(0, self._rows.index_select(0, places.flatten()))
        clones, means = self._gaussian.clones(stored), self._gaussian.means(labels.flatten())
        return clones.view(*places.shape, -1), None if means is None else means.view(*places.shape, -1)


def _weights(b: float) -> tuple[float, float, float]:
    """Factors of x, (clone - mu_c) / s and mu' in a blend."""
    return math.sqrt(1 - b), math.sqrt(b), 1 - math.sqrt(1 - b)


def _added(
    clones: Float[Tensor, "*sample input"],
    means: Float[Tensor, "*sample input"] | None,
    of_clone: Tensor | float,
    of_mean: Tensor | float,
) -> Float[Tensor, "*sample input"]:
    """What is added to sqrt(1 - b) x. Products, then a sum: a fused one would round as its place in memory has it."""
    added = clones * of_clone
    return added if means is None else added.add_(means * of_mean)


@dataclass(frozen=True)
class _Share:
    """What one clone adds to those readings of a part that have it."""

    table: _CloneTable
    readings: Int[Tensor, " own"] | None  # which of the part; None: all
    order: Int[Tensor, " own"] | None  # the order of each, among the part's; None: in turn
    factors: tuple[Float[Tensor, "own 1 1"], Float[Tensor, "own 1 1"]]

    def add_to(
        self,
        x: Float[Tensor, "reading sample input"],
        places: Int[Tensor, "order sample"],
        labels: Int[Tensor, "order sample"],
    ) -> None:
        clones, means = self.table.rows(places, labels)
        means = None if means is None else select(means, self.order)
        added = _added(select(clones, self.order), means, *self.factors)
        if self.readings is None:
            x.add_(added)
        else:
            x.index_add_(0, self.readings, added)


@dataclass(frozen=True)
class _Part:
    """Readings that are made together."""

    table: _Table
    orders: Int[Tensor, " order"]  # among all
    order: Int[Tensor, " reading"] | None  # of each reading, among the part's; None: in turn
    factor: Float[Tensor, "reading 1 1"]
    shares: tuple[_Share, ...]

    def read(
        self, order: Int[Tensor, "all_orders sample"]
    ) -> tuple[Float[Tensor, "reading sample input"], Int[Tensor, "reading sample"]]:
        """See `_added`; where b = 0, x exactly as it was."""
        places = order.index_select(0, self.orders)
        labels = self.table.labels(places)
        x = select(self.table.rows(places, labels), self.order)
        if self.shares:
            x.mul_(self.factor)
        for share in self.shares:
            share.add_to(x, places, labels)
        return x, select(labels, self.order)


Reading = tuple[int, FileData]
"""An order and a training key: nets that share both have the same batches, made once."""


class ImagesPack(Blocks):
    """Batches drawn with replacement from the training images of the classes kept. Stream: `order`."""

    def __init__(
        self,
        specs: Sequence[FileData],
        seeds: Sequence[int],
        *,
        batch: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self.nets, self.inputs, self.classes = len(specs), specs[0].inputs, specs[0].classes
        self.block = max(1, min(_LONGEST_BLOCK, _NUMBERS // batch))
        self._specs, self._batch, self._dtype, self._device = specs, batch, dtype, device
        self._held_out: dict[FileData, tuple[Tensor, Tensor]] = {}
        # Lineages of one seed see the same images at the same step.
        sizes = {spec: len(_opened(spec).labels) for spec in set(specs)}
        self._orders, order_of_net = distinct([(seed, sizes[s]) for s, seed in zip(specs, seeds, strict=True)])
        keys = [_training_key(spec) for spec in specs]
        readings, reading_of_net = distinct(list(zip(order_of_net, keys, strict=True)))
        groups = self._groups(readings)
        self._tables: dict[FileData, _Table] = {}
        self._clone_tables: dict[FileData, _CloneTable] = {}
        self._parts = [self._part([readings[place] for place in group]) for group in groups]
        made = [place for group in groups for place in group]
        self._places = [made.index(reading) for reading in reading_of_net]
        self._of_one_part = selection(self._places, len(made), device)

    def _groups(self, readings: Sequence[Reading]) -> list[list[int]]:
        """On the CPU the readings of one order: few enough for its cache. On CUDA all of a table: few launches."""
        by = [(_natural_key(key), order if self._device.type == "cpu" else 0) for order, key in readings]
        kinds, kind_of = distinct(by)
        return [[place for place, kind in enumerate(kind_of) if kind == wanted] for wanted in range(len(kinds))]

    def _part(self, readings: Sequence[Reading]) -> _Part:
        natural = _natural_key(readings[0][1])
        if natural not in self._tables:
            self._tables[natural] = _Table(natural, self._dtype, self._device)
        table = self._tables[natural]
        orders, order_of = distinct([order for order, _ in readings])
        clones = distinct([_clone_key(key) for _, key in readings if key.gaussian_blend > 0])[0]
        factor, _, _ = self._factors([key for _, key in readings])
        return _Part(
            table=table,
            orders=torch.tensor(orders, device=self._device),
            order=selection(order_of, len(orders), self._device),
            factor=factor,
            shares=tuple(self._share(clone, readings, order_of, table) for clone in clones),
        )

    def _share(self, clone: FileData, readings: Sequence[Reading], order_of: Sequence[int], table: _Table) -> _Share:
        blended = [key.gaussian_blend > 0 and _clone_key(key) == clone for _, key in readings]
        own = [place for place, is_own in enumerate(blended) if is_own]
        keys = [readings[place][1] for place in own]
        _, of_clone, of_mean = self._factors(keys)
        asked = keys[0].model_copy(update={"gaussian_blend": 1.0})  # of all blends
        if asked not in self._clone_tables:
            self._clone_tables[asked] = _CloneTable(asked, table.units, self._device)
        return _Share(
            table=self._clone_tables[asked],
            readings=selection(own, len(readings), self._device),
            order=selection([order_of[place] for place in own], len(set(order_of)), self._device),
            factors=(of_clone, of_mean),
        )

    def _factors(self, keys: Sequence[FileData]) -> Float[Tensor, "3 reading 1 1"]:
        factors = torch.tensor([_weights(key.gaussian_blend) for key in keys], dtype=torch.float64)
        return factors.to(dtype=self._dtype, device=self._device).T[:, :, None, None]

    def start(self, round: int) -> None:
        self._forget()
        self._streams = [generator(self._device, seed, "order", round) for seed, _ in self._orders]

    def _fill(self) -> Raw:
        order = torch.empty(len(self._orders), self.block, self._batch, dtype=torch.int64, device=self._device)
        for row, stream, (_, size) in zip(order, self._streams, self._orders, strict=True):
            row.random_(0, size, generator=stream)
        return {"order": order}

    def batch(self, raw: Raw, step: int) -> tuple[Float[Tensor, "net sample input"], Int[Tensor, "net sample"]]:
        parts = [part.read(raw["order"][:, step]) for part in self._parts]
        if len(parts) == 1:
            x, labels = parts[0]
            return select(x, self._of_one_part), select(labels, self._of_one_part)
        read = [reading for x, labels in parts for reading in zip(x, labels, strict=True)]
        x, labels = (torch.stack(of_nets) for of_nets in zip(*(read[place] for place in self._places), strict=True))
        return x, labels

    def held_out(self, net: int) -> tuple[Float[Tensor, "sample input"], Int[Tensor, " sample"]]:
        spec = self._specs[net]
        if spec not in self._held_out:
            if sum(x.nbytes for x, _ in self._held_out.values()) > _HELD_OUT_BYTES / 2:
                self._held_out.clear()
            self._held_out[spec] = held_out(spec, self._dtype, self._device)
        return self._held_out[spec]


# -- held-out images and samples ----------------------------------------------------------------------------------------


def held_out(
    spec: FileData, dtype: torch.dtype, device: torch.device
) -> tuple[Float[Tensor, "sample input"], Int[Tensor, " sample"]]:
    """The held-out images of the classes kept, blended, sorted by class: the first `held_out` of each in the files.

    Treated in portions, so that there is never a second copy of them all.
    """
    images = _opened(spec)
    units = _Units(spec, images, dtype, device)
    clones = clone_table(spec) if spec.gaussian_blend > 0 else None
    gaussian = None if clones is None else _Gaussian(spec, images, units, clones.unit)
    chosen = _first_of_each(images.held_out_labels, spec.held_out)
    labels = torch.from_numpy(images.held_out_labels[chosen]).to(device)
    x = torch.empty(len(chosen), spec.inputs, dtype=dtype, device=device)
    portion = max(1, _PORTION // spec.inputs)
    for first in range(0, len(chosen), portion):
        part = slice(first, first + portion)
        stored = _rows_on(device, images.stored.held_out.inputs, images.held_out[chosen[part]])
        x[part] = units.rows(stored, labels[part])
        if clones is not None and gaussian is not None:
            _blend(x[part], _rows_on(device, clones.held_out, chosen[part]), labels[part], spec, gaussian)
    return x, labels


def _first_of_each(labels: Int[np.ndarray, " sample"], per_class: int | None) -> Int[np.ndarray, " chosen"]:
    """Places of the first so many of each class in sorted labels."""
    begins = np.searchsorted(labels, labels)
    places = np.arange(len(labels))
    return places if per_class is None else places[places - begins < per_class]


def _blend(
    x: Float[Tensor, "sample input"],
    clones: Float[Tensor, "sample input"],
    labels: Int[Tensor, " sample"],
    spec: FileData,
    gaussian: _Gaussian,
) -> None:
    """Blends `x` with clones in the units of their file, in place."""
    of_x, of_clone, of_mean = _weights(spec.gaussian_blend)
    x.mul_(of_x).add_(_added(gaussian.clones(clones), gaussian.means(labels), of_clone, of_mean))


def each_class(spec: FileData, per_class: int, seed: int) -> Iterator[Float[Tensor, "sample input"]]:
    """Samples of one class after the other, float32: training images at random, and fresh clones.

    None is drawn twice: a class with fewer than `per_class` images gives them all.

    Raises: DataError: a class has none.
    """
    images, key = _opened(spec), _clone_key(spec)
    if not images.count.all():
        absent = _listed(np.flatnonzero(images.count == 0))
        raise DataError(f"{spec.path}: there is no training image of {absent}; leave such classes out by keep_classes")
    units = _Units(spec, images, torch.float32, _CPU)
    gaussian = _Gaussian(spec, images, units, images.unit) if spec.gaussian_blend > 0 else None
    for label in range(spec.classes):
        random = np.random.default_rng(stream_seed(seed, "sample", label))
        rows = images.rows(random.permutation(np.flatnonzero(images.labels == label))[:per_class])
        labels = torch.full((len(rows),), label)
        x = units.rows(_rows_on(_CPU, images.stored.train.inputs, rows), labels)
        if gaussian is not None:
            stream = generator(_CPU, seed, "sample_clone", label)
            clones = torch.cat(list(_drawn(key, images, _fitted(key)[label], label, len(rows), stream)))
            _blend(x, clones, labels, spec, gaussian)
        yield x


def draw_samples(
    spec: FileData, per_class: int, seed: int
) -> tuple[Float[Tensor, "sample input"], Int[Tensor, " sample"]]:
    """See `each_class`; sorted by class."""
    drawn = list(each_class(spec, per_class, seed))
    labels = torch.arange(spec.classes).repeat_interleave(torch.tensor([len(x) for x in drawn]))
    return torch.cat(drawn), labels
