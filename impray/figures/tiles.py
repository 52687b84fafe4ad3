"""Stored masks and images as pictures in colour, and pictures side by side: the mark `images`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from matplotlib import colormaps
from matplotlib.artist import Artist
from matplotlib.axes import Axes

from impray.figures.panels import Panel
from impray.theory.masks import unpacked

GAP = 0.45  # grey between pictures


def images(axes: Axes, frame: pl.DataFrame, panel: Panel) -> Mapping[str, Artist]:
    """Options: `as` (mask, image, component, field, map), `per_line`, `lines` (a column that names them), `corner` (a column of words
    that stand in each picture's corner).

    Rows have `bits` or `values`, and `shape`, in the order drawn.
    """
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.grid(False)
    tiles = pictures(frame, str(panel.options.get("as", "mask")))
    rows, cols = tiles[0].shape[:2]
    form = axes.bbox.width / axes.bbox.height * rows / cols  # so that the mosaic fills the axes
    per_line = int(panel.options.get("per_line") or max(1, round((form * len(tiles)) ** 0.5)))  # type: ignore[call-overload]
    axes.imshow(mosaic(tiles, per_line), interpolation="nearest", aspect="equal")
    if "lines" in panel.options:
        names = frame[str(panel.options["lines"])].to_list()[::per_line]
        axes.set_yticks([(rows + 1) * (at + 0.5) for at in range(len(names))], [str(name) for name in names])
        axes.tick_params(length=0)
    if "corner" in panel.options:
        box = {"facecolor": "black", "alpha": 0.65, "linewidth": 0, "pad": 1.2}
        for place, words in enumerate(frame[str(panel.options["corner"])]):
            left, bottom = (cols + 1) * (place % per_line) + 0.03 * cols, (rows + 1) * (place // per_line + 0.97)
            axes.text(left, bottom, words or "", fontsize=6, color="white", va="bottom", bbox=box if words else None)
    return {}


def pictures(frame: pl.DataFrame, kind: str) -> list[np.ndarray]:
    """Rows as (row, col, rgb) in [0, 1], a field from blue to red.

    `image` and `map` share one scale (columns `black`, `white`), others have their own.
    """
    if kind == "mask":
        return [_of_mask(unpacked(bits, tuple(shape))) for bits, shape in frame.select("bits", "shape").iter_rows()]
    arrays = [floats(values, shape) for values, shape in frame.select("values", "shape").iter_rows()]
    if kind == "component":
        return [_of_floats(array, -m, m) for array in arrays for m in [float(np.abs(array).max()) or 1.0]]
    if kind == "field":
        tops = [float(np.abs(array).max()) or 1.0 for array in arrays]
        return [colormaps["RdBu_r"](0.5 + array[0] / top / 2)[..., :3] for array, top in zip(arrays, tops, strict=True)]
    if kind == "map":
        most = max(_off_centre(array[0]) for array in arrays)
        return [colormaps["inferno"](np.clip(array[0] / (most or 1.0), 0, 1))[..., :3] for array in arrays]
    low, high = min(array.min() for array in arrays), max(array.max() for array in arrays)
    if "black" in frame.columns:
        low, high = frame.select("black", "white").row(0)
    return [_of_floats(array, low, high) for array in arrays]


def floats(values: bytes, shape: Sequence[int]) -> np.ndarray:
    """A stored image as floats (channel, row, col)."""
    return np.frombuffer(values, dtype="<f4").astype(np.float64).reshape((1, *shape)[-3:])


def _of_mask(kept: np.ndarray) -> np.ndarray:
    """Pruned is black; what is kept has the colour of its channel, or is white where there are not three of them."""
    channels = kept if len(kept) == 3 else np.repeat(kept.any(axis=0, keepdims=True), 3, axis=0)
    return channels.transpose(1, 2, 0).astype(float)


def _of_floats(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Three channels as colours, else their mean as grey; `low` is black and `high` white."""
    channels = values if len(values) == 3 else np.repeat(values.mean(axis=0, keepdims=True), 3, axis=0)
    return np.clip((channels - low) / max(high - low, 1e-12), 0, 1).transpose(1, 2, 0)


def _off_centre(values: np.ndarray) -> float:
    """The largest value beside the centre: S(0), the number of inputs, would outshine all others."""
    others = values.copy()
    others[values.shape[0] // 2, values.shape[1] // 2] = -np.inf
    return float(others.max()) if others.size > 1 else float(values.max())


def mosaic(tiles: Sequence[np.ndarray], per_line: int) -> np.ndarray:
    """Tiles of one size, line by line, grey between them and where the last line ends."""
    rows, cols, _ = tiles[0].shape
    columns = min(per_line, len(tiles))
    canvas = np.full((-(-len(tiles) // columns) * (rows + 1) + 1, columns * (cols + 1) + 1, 3), GAP)
    for place, tile in enumerate(tiles):
        top, left = (place // columns) * (rows + 1) + 1, (place % columns) * (cols + 1) + 1
        canvas[top : top + rows, left : left + cols] = tile
    return canvas
