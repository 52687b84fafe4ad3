"""One grey image as a function of its coordinates: an implicit neural representation.

    phi(p) = [sin(2 pi B p), cos(2 pi B p)], B [features / 2, 2] ~ N(0, sigma^2)        target: the pixel's grey level in [0, 1]

p = (row, col): 0 to 1, the first and the last pixel included (`unit`), or 0 to side - 1 (`integer`). Whole pixels alias: B and B + 1 give
the same features, so that with sigma = 2 they are spread nearly evenly and hardly any is smooth. A seed draws B (stream `design`), so
sigma scales one draw. The held-out pixels are chosen by `draw` (stream `held_out_rows`), the same for every seed.

The image is a photograph that comes with a package (`impray.data.photographs`), or a file that scikit-image reads: colours by
Rec. 709 luminance, an opacity left out; its central square is averaged over blocks of whole pixels. Features are float64.

Source: the Fourier features are Tancik et al. (2020)'s; Fridovich-Keil & Pilanci (2025) represent images so, in whole pixels.
Blind spot: held-out pixels have their neighbours in the training set: they test interpolation, nothing else.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from impray.data.base import numbers
from impray.data.formats.files import File, Place
from impray.data.matrices import content_of
from impray.data.one_thread import one_thread
from impray.data.photographs import LUMINANCE, PHOTOGRAPHS, photograph
from impray.data.recent import Recent
from impray.data.rows import RowsPack
from impray.scratch import scratch
from impray.spec.counts import share
from impray.spec.data import ImageCoordinates
from impray.spec.errors import DataError
from impray.spec.wording import near


class _Features(NamedTuple):
    training: Float[np.ndarray, "sample input"]
    held_out: Float[np.ndarray, "held_out_sample input"]


_FEATURES: Recent[_Features] = Recent(2**28)


def picture(data: ImageCoordinates) -> Float[np.ndarray, "row col"]:
    """The image of `side` x `side` pixels, grey levels in [0, 1].

    Raises:  DataError: there is no such photograph or file, it is no picture, or it is smaller than that.
    """
    return _averaged(data.image, data.side)


@lru_cache(maxsize=8)
def _averaged(image: str, side: int) -> Float[np.ndarray, "row col"]:
    grey = photograph(image, colour=False, reduce=1)[0] if image in PHOTOGRAPHS else _read(image)
    block = min(grey.shape) // side
    if block == 0:
        raise DataError(
            f"{image}: has {grey.shape[0]} x {grey.shape[1]} pixels; data.side = {side} takes {side} x {side} or more"
        )
    top, left = ((length - block * side) // 2 for length in grey.shape)
    square = grey[top : top + block * side, left : left + block * side]
    return square.reshape(side, block, side, block).mean(axis=(1, 3))


def _read(path: str) -> Float[np.ndarray, "row col"]:
    with scratch("source") as folder, Place.at(path).here(folder) as file:
        return _opened(file)


def _opened(file: File) -> Float[np.ndarray, "row col"]:
    # Imported here: it takes a second, and photographs need other parts of it.
    from skimage.io import imread
    from skimage.util import img_as_float64

    if not file.path.is_file():
        options = near(file.shown, PHOTOGRAPHS)
        raise DataError(f"{file.shown}: is no file, nor a picture that comes with the packages{options}")
    try:
        pixels: np.ndarray = img_as_float64(imread(file.path))
    except (OSError, ValueError, SyntaxError) as error:  # SyntaxError: Pillow's word for a damaged PNG
        raise DataError(f"{file.shown}: cannot be read as a picture: {error}") from error
    channels = list(pixels.shape[2:])
    if channels in ([1], [2]):  # grey, with an opacity
        return pixels[..., 0]
    if channels in ([3], [4]):
        return pixels[..., :3] @ LUMINANCE
    if pixels.ndim != 2:
        shape = list(pixels.shape)
        raise DataError(f"{file.shown}: holds an array of shape {shape}; must be one picture, grey or colour")
    return pixels


def content(data: ImageCoordinates) -> str | None:
    """Names what is in the image's file; None where the image comes with a package.

    Raises:  DataError: as `picture`.
    """
    picture(data)
    return None if data.path is None else content_of(data.path)


def places(data: ImageCoordinates) -> Float[np.ndarray, "pixel 2"]:
    """(row, col) of each pixel, row by row."""
    along = np.arange(data.side) / (data.side - 1 if data.coordinates == "unit" else 1)
    return np.stack(np.meshgrid(along, along, indexing="ij"), axis=-1).reshape(-1, 2)


def fourier_features(data: ImageCoordinates, seed: int) -> Float[np.ndarray, "pixel input"]:
    """phi(p) of every pixel: sines first, then cosines."""
    frequencies = data.sigma * numbers(seed, "design").standard_normal((data.features // 2, 2))
    with one_thread():
        phases = 2 * np.pi * places(data) @ frequencies.T
    return np.concatenate([np.sin(phases), np.cos(phases)], axis=1)


def division(data: ImageCoordinates) -> Bool[np.ndarray, " pixel"]:
    """Which pixels are held out: at least one, and not all."""
    pixels = data.side**2
    held_out = np.zeros(pixels, dtype=bool)
    count = min(max(1, share(data.held_out_fraction, pixels)), pixels - 1)
    held_out[numbers(data.draw, "held_out_rows").permutation(pixels)[:count]] = True
    return held_out


def _features(data: ImageCoordinates, seed: int) -> _Features:
    held_out, every = division(data), fourier_features(data, seed)
    return _Features(every[~held_out], every[held_out])


class CoordinatesPack(RowsPack):
    """The data of a pack, as `PackData`."""

    def __init__(
        self,
        specs: Sequence[ImageCoordinates],
        seeds: Sequence[int],
        *,
        batch: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        samples = [int((~division(spec)).sum()) for spec in specs]
        super().__init__(specs[0].inputs, 1, samples, seeds, batch=batch, dtype=dtype, device=device)
        self._specs, self._seeds = specs, seeds

    def training(self, net: int) -> tuple[Float[Tensor, "sample input"], Float[Tensor, "sample output"]]:
        """See `RowsPack.training`: the pixels that are not held out, row by row."""
        return self._part(net, held_out=False)

    def held_out(self, net: int) -> tuple[Float[Tensor, "sample input"], Float[Tensor, "sample output"]]:
        """See `PackData.held_out`."""
        return self._part(net, held_out=True)

    def _part(
        self, net: int, *, held_out: bool
    ) -> tuple[Float[Tensor, "sample input"], Float[Tensor, "sample output"]]:
        spec, seed = self._specs[net], self._seeds[net]
        features = _FEATURES.of((spec, seed), lambda: _features(spec, seed))
        levels = picture(spec).reshape(-1, 1)[division(spec) == held_out]
        return self._tensor(features.held_out if held_out else features.training), self._tensor(levels)

    def known_by(self, net: int) -> tuple[Hashable, Hashable]:
        """See `RowsPack.known_by`: the seed draws the features alone."""
        spec = self._specs[net]
        return (spec, self._seeds[net]), (spec.image, spec.side, spec.held_out_fraction, spec.draw)


def draw_samples(
    data: ImageCoordinates, per_class: int, seed: int
) -> tuple[Float[Tensor, "sample input"], Int[Tensor, " sample"]]:
    """Features of pixels chosen at random, for `impray data`; there are no classes, so all are of class 0."""
    chosen = numbers(seed, "sample").permutation(data.side**2)[:per_class]
    x = torch.tensor(fourier_features(data, seed)[chosen], dtype=torch.float32)
    return x, torch.zeros(len(x), dtype=torch.int64)
