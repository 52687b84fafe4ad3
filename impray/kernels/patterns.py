"""Where the kept weights of a sparse matrix are, in the two orders in which products go over them.

By unit: by tile of inputs, then unit, then input. So the samples of a tile's inputs stay in the first-level cache while all units pass over
them, and a sum over many inputs is a sum of short ones. By input: the same of the transposed matrix.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64, Shaped, UInt32

from impray.kernels.compiled import compiled
from impray.kernels.vectors import WIDEST

LANES = 128
"""Samples at a time: 8 registers of 16 for each of two sums."""
AT_ONCE = 96
"""Samples at most of which slopes and gradient are made in one pass: of more, their sums leave no registers for rows of x."""
_TILE_NUMBERS = 8192
"""Of a tile's inputs times lanes: 32 KiB of the first-level cache."""
_LEAST_KEPT = 24
"""Kept weights per unit and tile, on average, at least: shorter ones cost more in sums put away than the cache saves."""


def lined(batch: int) -> int:
    """How far apart rows of samples should lie that are read again and again: then no part of one lies across cache lines."""
    return batch if batch <= WIDEST else -(-batch // WIDEST) * WIDEST


class Order(NamedTuple):
    """Kept weights of a matrix, or of the transposed one, in tiles.

    Attributes:
        tile: inputs in a tile; the last may have fewer.
        begins: of the kept weights of each (tile, unit), and the end of the last.
        inputs: of each kept weight.
    """

    tile: int
    begins: Int64[np.ndarray, " segment"]
    inputs: UInt32[np.ndarray, " kept"]


class Pattern(NamedTuple):
    """The kept weights of one net's matrix [unit, input].

    Attributes:
        turned: whether they lie in memory by input.
        by_unit, by_input: both orders; `inputs` of the second are units.
        places: of each in the order in which they do not lie, where it lies, counted from the first of its tiles' (in both orders).
        flat: of each as they lie, the place in the matrix, row by row.
    """

    turned: bool
    by_unit: Order
    by_input: Order
    places: UInt32[np.ndarray, " kept"]
    flat: Int64[np.ndarray, " kept"]


def pattern(mask: Shaped[np.ndarray, "unit input"], batch: int, slopes: bool = True) -> Pattern:
    """The pattern of a mask (what is not 0 is kept), for so many samples. Ordered by counting: about 20 ms for 1,024 x 3,072.

    slopes: whether those of the inputs will be asked for. If so, weights lie by input where they and the gradient can be had in one pass.
    """
    units, inputs = mask.shape
    kept, turned = int(np.count_nonzero(mask)), slopes and batch <= AT_ONCE
    by_unit, by_input = _empty(kept, units, inputs, batch), _empty(kept, inputs, units, batch)
    places, flat = np.empty(kept, np.uint32), np.empty(kept, np.int64)
    _order()(np.ascontiguousarray(mask), turned, *by_unit, *by_input, places, flat)
    return Pattern(turned, by_unit, by_input, places, flat)


def _empty(kept: int, units: int, inputs: int, batch: int) -> Order:
    tile = _tile(kept, units, inputs, batch)
    return Order(tile, np.zeros(-(-inputs // tile) * units + 1, np.int64), np.empty(kept, np.uint32))


def _tile(kept: int, units: int, inputs: int, batch: int) -> int:
    """Inputs per tile: as many as the cache holds, more where the matrix is so sparse that tiles would be nearly empty."""
    cached = max(1, _TILE_NUMBERS // min(batch, LANES))
    filled = -(-_LEAST_KEPT * units * inputs // max(kept, 1))
    return max(min(max(cached, filled), inputs), 1)


@cache
def _order() -> Callable[..., None]:
    """Fills a pattern: counts the kept weights of every segment, then puts each where the next of its segment goes."""

    @compiled
    def order(mask, turned, tile, begins, inputs, turned_tile, turned_begins, turned_units, places, flat):
        units, width = mask.shape
        # A tile's inputs in a loop of their own: without divisions in the inner one.
        for unit in range(units):
            other = unit // turned_tile * width + 1
            for first in range(0, width, tile):
                found = 0
                for place in range(first, min(first + tile, width)):
                    there = np.int64(mask[unit, place] != 0)
                    found += there
                    turned_begins[other + place] += there
                begins[first // tile * units + unit + 1] = found
        for segment in range(1, len(begins)):
            begins[segment] += begins[segment - 1]
        for segment in range(1, len(turned_begins)):
            turned_begins[segment] += turned_begins[segment - 1]
        following = turned_begins[:-1].copy()
        for unit in range(units):
            group = unit // turned_tile
            other = group * width
            for first in range(0, width, tile):
                segments = first // tile * units
                at = begins[segments + unit]
                here_first, there_first = begins[segments + group * turned_tile], turned_begins[other + first]
                for place in range(first, min(first + tile, width)):
                    if mask[unit, place] != 0:
                        there = following[other + place]
                        inputs[at], turned_units[there] = place, unit
                        if turned:
                            places[at], flat[there] = there - there_first, unit * width + place
                        else:
                            places[there], flat[at] = at - here_first, unit * width + place
                        following[other + place] = there + 1
                        at += 1

    return order
