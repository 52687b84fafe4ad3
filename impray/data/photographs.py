"""Random crops of ten real photographs: natural images without a download.

    x = (crop - mean image) / s        s: one number, so that the variance of the training inputs is 1

The photographs come inside the packages scikit-learn (china, flower) and scikit-image (astronaut, camera,
chelsea, coffee, rocket, motorcycle, coins, moon); seven of them are in colour. `images` names others of
scikit-image's instead (textures, a retina, cells, a page ...), or some of the ten. Grey is the luminance of Rec.
709. Each is block-averaged by `reduce`, then its longer axis is split: the right or lower end is held out,
the rest is for training, so no pixel is in both. The label is the photograph, in the order of PHOTOGRAPHS.
The mean image is each class's own (`center: class`) or one for all (`center: global`), always that of the
training crops; from held-out crops it is removed by their label.

`gaussian_blend` and `clone` are those of `impray.data.blend`, with as many clones as crops, held-out ones
too; all are drawn from the Gaussian of the training crops. The data set is a function of the spec: `draw`
chooses crops and clones, a lineage's seed only the order, with replacement. Specs that differ in blend and
clone only share one set of crops in a process.

Source: ours (see the quickstart); no paper uses these photographs. jpeg decoders may differ by a grey level
between machines.
Blind spot: ten scenes are ten classes: a claim about natural images needs several sets (`images`), not seeds
alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from impray.data.base import (
    Ordered,
    Raw,
    Streams,
    distinct,
    gathered,
    generator,
    remembered,
    select,
    selection,
    steps_at_once,
    view_selection,
)
from impray.data.blend import blend, gaussian_clone, weights
from impray.data.one_pass import OnePass, Stream, in_one_pass
from impray.data.room import OfBlock
from impray.spec.data import Photographs
from impray.spec.errors import DataError
from impray.spec.trial import stream_seed

PHOTOGRAPHS = {
    "china": "china.jpg",
    "flower": "flower.jpg",
    "astronaut": "astronaut.png",
    "camera": "camera.png",
    "chelsea": "chelsea.png",
    "coffee": "coffee.png",
    "rocket": "rocket.jpg",
    "motorcycle": "motorcycle_left.png",
    "coins": "coins.png",
    "moon": "moon.png",
    "brick": "brick.png",
    "cell": "cell.png",
    "clock": "clock_motion.png",
    "grass": "grass.png",
    "gravel": "gravel.png",
    "hubble": "hubble_deep_field.jpg",
    "ihc": "ihc.png",
    "microaneurysms": "microaneurysms.png",
    "page": "page.png",
    "retina": "retina.jpg",
}
_FROM_SKLEARN = ("china", "flower")
LUMINANCE = np.array([0.2125, 0.7154, 0.0721])  # Rec. 709
_CPU = torch.device("cpu")
_NUMBERS = 2**14  # places drawn per seed and call
_LONGEST_BLOCK = 256


@lru_cache(maxsize=1)
def _folders() -> tuple[Path, Path]:
    # Imported here: the packages take a second to import and are needed for nothing else.
    import skimage
    import sklearn

    return Path(sklearn.__path__[0], "datasets", "images"), Path(skimage.__path__[0], "data")


@lru_cache(maxsize=len(PHOTOGRAPHS))
def _read(name: str) -> Float[np.ndarray, "row col colour"]:
    """Grey levels 0 to 1; from the package's own folder, as skimage.data could download."""
    from skimage.io import imread

    of_sklearn, of_skimage = _folders()
    path = (of_sklearn if name in _FROM_SKLEARN else of_skimage) / PHOTOGRAPHS[name]
    if not path.exists():
        package = "scikit-learn" if name in _FROM_SKLEARN else "scikit-image"
        raise DataError(f"photograph {name}: the installed {package} has no file {path.name}; reinstall the package")
    pixels = imread(path) / 255.0
    return pixels[..., None] if pixels.ndim == 2 else pixels[..., :3]


def photograph(name: str, colour: bool, reduce: int) -> Float[np.ndarray, "channel row col"]:
    """One photograph, block-averaged; rows and columns beyond the last whole block are left out."""
    pixels = _read(name)
    if not colour and pixels.shape[2] == 3:
        pixels = (pixels @ LUMINANCE)[..., None]
    rows, cols = (side // reduce for side in pixels.shape[:2])
    blocks = pixels[: rows * reduce, : cols * reduce].reshape(rows, reduce, cols, reduce, -1)
    return blocks.mean(axis=(1, 3)).transpose(2, 0, 1)


def split(
    pixels: Float[np.ndarray, "channel row col"], shape: tuple[int, int], name: str
) -> tuple[Float[np.ndarray, "channel train_row train_col"], Float[np.ndarray, "channel held_row held_col"]]:
    """Training and held-out parts: the last quarter of the longer axis is held out, or 5/4 of a crop where
    that is more.

    Raises: DataError: a crop does not fit into both parts of the photograph `name`.
    """
    rows, cols = pixels.shape[1:]
    axis = 1 if rows > cols else 2
    side = shape[axis - 1]
    cut = pixels.shape[axis] - max(pixels.shape[axis] // 4, side + side // 4)
    parts = np.split(pixels, [max(cut, 0)], axis=axis)
    if any(part.shape[1] < shape[0] or part.shape[2] < shape[1] for part in parts):
        raise DataError(
            f"photograph {name} is {rows} x {cols} px after reduce: crops of {shape[0]} x {shape[1]} px "
            f"do not fit into separate training and held-out parts; take a smaller data.shape or data.reduce"
        )
    return parts[0], parts[1]


def crops(
    part: Float[np.ndarray, "channel row col"], shape: tuple[int, int], count: int, flips: bool, seed: int
) -> Float[np.ndarray, "crop channel crop_row crop_col"]:
    """Crops at random places, float32; every second one is flipped left-right if `flips`."""
    windows = np.lib.stride_tricks.sliding_window_view(part.astype(np.float32), shape, axis=(1, 2))
    random = np.random.default_rng(seed)
    rows, cols = (random.integers(places, size=count) for places in windows.shape[1:3])
    chosen = windows[:, rows, cols].swapaxes(0, 1).copy()
    if flips:
        chosen[1::2] = chosen[1::2, ..., ::-1]
    return chosen


@dataclass(frozen=True)
class Crops:
    """Crops of all classes after centring and scaling, and each class's training mean after that."""

    train: Float[Tensor, "class sample channel pixel"]
    held_out: Float[Tensor, "class held_out_sample channel pixel"]
    mean: Float[Tensor, "class 1 channel pixel"]
    removed: Float[Tensor, "class 1 channel pixel"]  # mean image(s) taken from the raw crops
    scale: float  # what the centred crops were divided by


def _raw_crops(spec: Photographs, count: int, held_out: bool, seed: int, stream: str) -> Float[Tensor, "class ..."]:
    of_classes = []
    for label, name in enumerate(spec.names):
        part = split(photograph(name, spec.colour, spec.reduce), spec.shape, name)[held_out]
        # The label takes the round's place: every class has a stream of its own.
        of_classes.append(crops(part, spec.shape, count, spec.flips, stream_seed(seed, stream, label)))
    return torch.from_numpy(np.stack(of_classes)).flatten(3)


def _natural_key(spec: Photographs) -> Photographs:
    """The spec without what leaves the crops as they are."""
    return spec.model_copy(update={"gaussian_blend": 0.0, "clone": "channel"})


def _training_key(spec: Photographs) -> Photographs:
    """The spec without what leaves its batches as they are."""
    return spec if spec.gaussian_blend > 0 else _natural_key(spec)


def _clone_of(spec: Photographs) -> tuple[Photographs, str] | None:
    """The table of clones that is blended in, if any."""
    return (_natural_key(spec), spec.clone) if spec.gaussian_blend > 0 else None


@remembered(4)
def _natural(key: Photographs) -> Crops:
    train = _raw_crops(key, key.crops, False, key.draw, "crops")
    held_out = _raw_crops(key, key.held_out, True, key.draw, "held_out_crops")
    removed = train.mean(dim=(0, 1) if key.center == "global" else 1, keepdim=True).expand(len(train), -1, -1, -1)
    train, held_out = train.sub_(removed), held_out.sub_(removed)
    scale = _standard_deviation(train)
    train, held_out = train.div_(scale), held_out.div_(scale)
    return Crops(train, held_out, train.mean(dim=1, keepdim=True), removed, scale)


def _standard_deviation(x: Tensor) -> float:
    # Class by class in float64: single precision would lose digits over 1e7 inputs, a whole copy in double is
    # large.
    mean = float(np.mean([part.double().mean() for part in x]))
    return float(np.sqrt(np.mean([(part.double() - mean).square().mean() for part in x])))


@remembered(4)
def _clones(key: Photographs, joint: bool) -> tuple[Tensor, Tensor]:
    """Clones of the training crops, as many as training and held-out crops: two independent draws."""
    natural, kind = _natural(key), "joint" if joint else "channel"
    drawn = (
        gaussian_clone(natural.train, len(crops[0]), generator(_CPU, key.draw, stream), kind)
        for crops, stream in ((natural.train, "clone"), (natural.held_out, "held_out_clone"))
    )
    train, held_out = drawn
    return train, held_out


@remembered(8)
def _table(key: Photographs, kind: str, dtype: torch.dtype, device: torch.device) -> Float[Tensor, "row input"]:
    """Training crops (`natural`) or their clones (`channel`, `joint`), sorted by class; shared by packs."""
    x = _natural(key).train if kind == "natural" else _clones(key, kind == "joint")[0]
    return _rows(x).to(dtype=dtype, device=device)


def _rows(x: Float[Tensor, "class sample channel pixel"]) -> Float[Tensor, "row input"]:
    return x.flatten(2).flatten(0, 1)


@dataclass(frozen=True)
class _Source:
    """A table and the streams that read it; None: all of them."""

    table: Float[Tensor, "row input"]
    streams: Int[Tensor, " reader"] | None

    def rows(self, places: Int[Tensor, "stream sample"]) -> Float[Tensor, "reader sample input"]:
        read = places if self.streams is None else places.index_select(0, self.streams)
        return self.table.index_select(0, read.flatten()).view(*read.shape, -1)


class PhotographsPack(Streams, Ordered):
    """Batches drawn with replacement from a fixed set of crops. Stream: `order`.

    Nets of one seed and blend have the same batches, made once. Crops and clones are blended as they are gathered: as fast as gathering
    from one stored table per blend, in a third of the memory for five blends. In float32 on a CPU that can, all are made in one pass.
    """

    def __init__(
        self,
        specs: Sequence[Photographs],
        seeds: Sequence[int],
        *,
        batch: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self.nets, self.inputs, self.classes = len(specs), specs[0].inputs, specs[0].classes
        self.block = steps_at_once(_NUMBERS // batch, _LONGEST_BLOCK, device)
        self._specs, self._batch, self._dtype, self._device = specs, batch, dtype, device
        self._held_out: dict[Photographs, tuple[Tensor, Tensor]] = {}
        # Lineages of one seed see the same crops at the same step.
        sizes = [s.classes * s.crops for s in specs]
        self._orders, order_of_net = distinct(list(zip(seeds, sizes, strict=True)))
        self._labels_of_net = view_selection(order_of_net, len(self._orders), device)
        crops = torch.tensor([[[samples // self.classes]] for _, samples in self._orders], device=device)
        self._labels = OfBlock(lambda places: (places // crops).unbind(1))
        made, stream_of_net = distinct(list(zip(order_of_net, map(_training_key, specs), strict=True)))
        self.stream_of_net = view_selection(stream_of_net, len(made), device)
        orders = [order for order, _ in made]
        self._order_of_stream = selection(orders, len(self._orders), device)
        self._recipes = [key for _, key in made]
        self._natural = self._sources([(_natural_key(s), "natural") for s in self._recipes])
        readers = [source.streams for source in self._natural if source.streams is not None]
        self._place = torch.cat(readers).argsort() if readers else None
        self._clones = self._sources([_clone_of(s) for s in self._recipes])
        factors = torch.tensor([weights(s.gaussian_blend) for s in self._recipes], dtype=torch.float64)
        self._factors = factors.to(dtype=dtype, device=device).T[:, :, None, None]
        self._means = self._mean_images() if self._clones and specs[0].center == "global" else None
        self._one_pass = None
        if in_one_pass(self.inputs, dtype, device):
            self._one_pass = OnePass([self._stream(order, key) for order, key in made])

    def _stream(self, order: int, key: Photographs) -> Stream:
        table, clone = _table(_natural_key(key), "natural", self._dtype, self._device), _clone_of(key)
        if clone is None:
            return Stream(order, table)
        other, means = _table(*clone, self._dtype, self._device), None
        if key.center == "global":
            means = _natural(_natural_key(key)).mean.flatten(1)
        return Stream(order, table, other, means, weights(key.gaussian_blend))

    def _sources(self, wanted: Sequence[tuple[Photographs, str] | None]) -> list[_Source]:
        sources = []
        for pair in distinct([pair for pair in wanted if pair is not None])[0]:
            streams = [stream for stream, other in enumerate(wanted) if other == pair]
            readers = None if len(streams) == len(wanted) else torch.tensor(streams, device=self._device)
            sources.append(_Source(_table(*pair, self._dtype, self._device), readers))
        return sources

    def _mean_images(self) -> Float[Tensor, "stream class input"]:
        """Only for `center: global`: else the class means are 0, and so is their share in a blend."""
        means = torch.stack([_natural(_natural_key(key)).mean.flatten(1) for key in self._recipes])
        return means.to(dtype=self._dtype, device=self._device) * self._factors[2]

    def streams(self, raw: Raw, step: int) -> tuple[Float[Tensor, "stream sample input"], Int[Tensor, "net sample"]]:
        labels = self._labels(raw["order"])[step]
        of_nets = select(labels, self._labels_of_net)
        if self._one_pass is not None:
            return self._one_pass.batch(raw["order"], step, self.room), of_nets
        places, labels = (select(of_order, self._order_of_stream) for of_order in (raw["order"][:, step], labels))
        return self._gathered(places, labels), of_nets

    def _gathered(
        self, places: Int[Tensor, "stream sample"], labels: Int[Tensor, "stream sample"]
    ) -> Float[Tensor, "stream sample input"]:
        """In torch's passes; see `blend`. Where b = 0, x exactly as it was."""
        x = self._natural[0].rows(places)
        if self._place is not None:
            x = torch.cat([x, *(source.rows(places) for source in self._natural[1:])]).index_select(0, self._place)
        if not self._clones:
            return x
        of_natural, of_clone, _ = self._factors
        x.mul_(of_natural)
        for source in self._clones:
            # A product, then a sum, in both branches: a fused one would round otherwise, and a net would see
            # its neighbours.
            if source.streams is None:
                x.add_(source.rows(places).mul_(of_clone))
            else:
                x.index_add_(0, source.streams, source.rows(places).mul_(of_clone.index_select(0, source.streams)))
        if self._means is not None:
            x.add_(self._means.gather(1, labels[:, :, None].expand(-1, -1, self.inputs)))
        return x

    def held_out(self, net: int) -> tuple[Float[Tensor, "sample input"], Int[Tensor, " sample"]]:
        spec = self._specs[net]
        if spec not in self._held_out:
            key = _natural_key(spec)
            natural, b = _natural(key), spec.gaussian_blend
            clone = _clones(key, spec.clone == "joint")[1] if b > 0 else natural.held_out
            x = _rows(blend(natural.held_out, clone, natural.mean, b)).to(dtype=self._dtype, device=self._device)
            self._held_out[spec] = x, _labels(spec, spec.held_out).to(self._device)
        return self._held_out[spec]

    def whole(self, net: int) -> tuple[Float[Tensor, "sample input"], Int[Tensor, " sample"]]:
        spec = self._specs[net]
        alone = PhotographsPack([spec], [0], batch=1, dtype=self._dtype, device=self._device)
        return gathered(alone, spec.classes * spec.crops, self._device)


def _labels(spec: Photographs, per_class: int) -> Int[Tensor, " sample"]:
    return torch.arange(spec.classes).repeat_interleave(per_class)


def draw_samples(
    spec: Photographs, per_class: int, seed: int
) -> tuple[Float[Tensor, "sample input"], Int[Tensor, " sample"]]:
    """Fresh crops of the training parts, treated like the training crops; sorted by class, float32."""
    natural = _natural(_natural_key(spec))
    x = _raw_crops(spec, per_class, False, seed, "sample").sub_(natural.removed).div_(natural.scale)
    if spec.gaussian_blend > 0:
        clone = gaussian_clone(natural.train, per_class, generator(_CPU, seed, "sample_clone"), spec.clone)
        x = blend(x, clone, natural.mean, spec.gaussian_blend)
    return _rows(x), _labels(spec, per_class)
