"""The most pairs of near inputs that a mask of k inputs can have on an image: how compact a field of this size can be.

    most(k) = max over masks of k of the pixels:  pairs of kept pixels at 0 < |d| <= radius

The densest k points of a grid: no formula is known but for radius 1, where it is 2 k - ceil(2 sqrt(k)) on a large image (Harary &
Harborth 1976). So it is searched for, and what is found is a mask's own count, never more than the maximum: discs of growing size
about the middle (the centre of a pixel, of a side, or of a corner) in norms from 1.25 to infinity, and, up to 256 pixels, greedy
growth, which adds the pixel with the most kept neighbours, the nearest of equals.

How good it is: exact on every grid up to 4 x 5 and 3 x 6, for radii 1 to 3 and all k (brute force); equal to a beam search up to 40
pixels on 16 x 16; beyond, exchanges of pixels improve it by at most 0.5 %. On 16 x 16 within 2 px: 21 pairs of 8 pixels, 97 of 24,
179 of 40.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float, Int

Counts = Int[np.ndarray, " kept"]  # by number of kept pixels, from 0 on

_CENTRES = tuple((row, col) for row in (0.0, 0.5) for col in (0.0, 0.5))  # beside the image's middle
_NORMS = (1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0, math.inf)
_NORMS_OF_GROWTH = (1.5, 2.0, 4.0, math.inf)
_LARGEST_GROWTH = 256  # pixels: each step looks at the whole image


def most_pairs(kept: int, shape: tuple[int, ...], radius_px: float) -> int:
    """Largest number of pairs within the radius that `kept` inputs can have; pairs of different channels do not count.

    Channels are filled one after another: two fields in two channels have no more pairs than both in one.

    Args:    kept: 0 to all inputs. shape: (row, col) or (channel, row, col). radius_px: inclusive.
    """
    most = most_pairs_of_pixels(shape[-2], shape[-1], radius_px)
    full, rest = divmod(kept, len(most) - 1)
    return int(full * most[-1] + most[rest])


@lru_cache(64)
def most_pairs_of_pixels(rows: int, cols: int, radius_px: float) -> Counts:
    """`most_pairs` of one channel for every number of kept pixels, 0 to rows x cols; not to be written to."""
    steps = half_steps(rows, cols, radius_px)
    most = np.zeros(rows * cols + 1, dtype=np.int64)
    for norm in _NORMS:
        for distance in _distances(rows, cols, norm):
            np.maximum(
                most, _pairs_in_order(np.argsort(distance, axis=None, kind="stable"), rows, cols, steps), out=most
            )
    for norm in _NORMS_OF_GROWTH:
        for distance in _distances(rows, cols, norm):
            grown = _pairs_of_growth(distance, steps)
            np.maximum(most[: len(grown)], grown, out=most[: len(grown)])
    return most


def half_steps(rows: int, cols: int, radius_px: float) -> list[tuple[int, int]]:
    """Displacements (row, col) with 0 < |d| <= radius that the image has, one of d and -d."""
    down, right = (min(int(radius_px), side - 1) for side in (rows, cols))
    near = [(y, x) for y in range(down + 1) for x in range(-right, right + 1) if y * y + x * x <= radius_px**2]
    return [(y, x) for y, x in near if (y, x) > (0, 0)]


def _distances(rows: int, cols: int, norm: float) -> Iterator[Float[np.ndarray, "row col"]]:
    """Of every pixel from a centre, equal ones told apart: by |d|, then by angle, so that rings fill side by side."""
    for row, col in _CENTRES:
        y, x = np.meshgrid(
            np.arange(rows) - (rows - 1) / 2 - row, np.arange(cols) - (cols - 1) / 2 - col, indexing="ij"
        )
        size = np.stack([np.abs(y), np.abs(x)])
        plain = size.max(axis=0) if math.isinf(norm) else (size**norm).sum(axis=0) ** (1 / norm)
        yield plain + 1e-6 * np.hypot(y, x) + 1e-9 * (np.arctan2(y, x) + 4)


def _pairs_in_order(order: Int[np.ndarray, " pixel"], rows: int, cols: int, steps: list[tuple[int, int]]) -> Counts:
    """Pairs among the first 0, 1, 2 ... pixels of an order."""
    rank = np.empty(rows * cols, dtype=np.int64)
    rank[order] = np.arange(rows * cols)
    rank = rank.reshape(rows, cols)
    later = [
        np.maximum(start, end).ravel() for start, end in (ends(rank, step) for step in steps)
    ]  # completes the pair
    added = np.bincount(np.concatenate([np.empty(0, dtype=np.int64), *later]), minlength=rows * cols)
    return np.concatenate([[0], np.cumsum(added)])


def _pairs_of_growth(distance: Float[np.ndarray, "row col"], steps: list[tuple[int, int]]) -> Counts:
    """Pairs among the first pixels of the greedy order: the most kept neighbours, then the smallest distance."""
    rows, cols = distance.shape
    score = -distance / (distance.max() + 1)  # above -1: neighbours come first
    pairs = [0]
    for _ in range(min(_LARGEST_GROWTH, rows * cols)):
        row, col = divmod(int(score.argmax()), cols)
        pairs.append(pairs[-1] + math.ceil(score[row, col]))
        score[row, col] = -math.inf
        for y, x in steps:
            for to_row, to_col in ((row + y, col + x), (row - y, col - x)):
                if 0 <= to_row < rows and 0 <= to_col < cols:
                    score[to_row, to_col] += 1
    return np.array(pairs)


Images = TypeVar("Images", bound=Any)  # an array of numpy, or a tensor of those who have torch


def ends(images: Images, step: tuple[int, int]) -> tuple[Images, Images]:
    """Views of images [..., row, col] that hold both ends of every pair at a displacement (row from 0 on)."""
    y, x = step
    rows, cols = images.shape[-2:]
    start = images[..., : rows - y, max(0, -x) : cols - max(0, x)]
    return start, images[..., y:, max(0, x) : cols - max(0, -x)]
