"""Stored bits and floats as pictures: (row, col, rgb) between 0 and 1, side by side in a mosaic."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from matplotlib import colormaps

from redman.slice import NotMeasured

GAP = 0.45  # grey of the lines between tiles
FLAT = "needs inputs that are images (this sweep's are flat)"


def mask(bits: bytes, shape: Sequence[int]) -> np.ndarray:
    """A stored mask as booleans (channel, row, col); one channel where the inputs are grey."""
    kept = np.unpackbits(np.frombuffer(bits, dtype=np.uint8))[: int(np.prod(shape))]
    return kept.astype(bool).reshape((1, *shape)[-3:])


def image(values: bytes, shape: Sequence[int]) -> np.ndarray:
    """A stored image as floats (channel, row, col)."""
    return np.frombuffer(values, dtype="<f4").astype(np.float64).reshape((1, *shape)[-3:])


def laid_out(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows that are images.

    Raises:  NotMeasured: none is.
    """
    found = frame.filter(pl.col("shape").list.len() >= 2)
    if found.is_empty():
        raise NotMeasured(FLAT)
    return found


def of_mask(kept: np.ndarray) -> np.ndarray:
    """Pruned is black; what is kept has the colour of its channel, or is white where there are not three of them."""
    channels = kept if len(kept) == 3 else np.repeat(kept.any(axis=0, keepdims=True), 3, axis=0)
    return channels.transpose(1, 2, 0).astype(float)


def of_floats(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Three channels as colours, else their mean as grey; `low` is black and `high` white."""
    channels = values if len(values) == 3 else np.repeat(values.mean(axis=0, keepdims=True), 3, axis=0)
    return np.clip((channels - low) / max(high - low, 1e-12), 0, 1).transpose(1, 2, 0)


def of_component(values: np.ndarray) -> np.ndarray:
    """A component, whose sign and size mean nothing: 0 is grey, its largest value black or white."""
    most = float(np.abs(values).max())
    return of_floats(values, -most, most)


def of_map(values: np.ndarray, most: float) -> np.ndarray:
    """A map of counts: 0 is black, `most` and more is bright yellow."""
    return colormaps["inferno"](np.clip(values / max(most, 1e-12), 0, 1))[..., :3]


def off_centre(values: np.ndarray) -> float:
    """The largest value beside the centre: S(0), the number of inputs, would outshine all others."""
    rows, cols = values.shape
    others = values.copy()
    others[rows // 2, cols // 2] = -np.inf
    return float(others.max()) if others.size > 1 else float(values.max())


def mosaic(tiles: Sequence[np.ndarray], per_line: int) -> np.ndarray:
    """Tiles of one size, line by line, grey between them and where the last line ends."""
    rows, cols, _ = tiles[0].shape
    columns = min(per_line, len(tiles))
    lines = -(-len(tiles) // columns)
    found = np.full((lines * (rows + 1) + 1, columns * (cols + 1) + 1, 3), GAP)
    for place, tile in enumerate(tiles):
        top, left = (place // columns) * (rows + 1) + 1, (place % columns) * (cols + 1) + 1
        found[top : top + rows, left : left + cols] = tile
    return found


def per_line(tiles: int, width_to_height: float) -> int:
    """Tiles in a line, so that the mosaic of square tiles has about this form."""
    return max(1, round((tiles * width_to_height) ** 0.5))
