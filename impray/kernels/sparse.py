"""Products with sparse matrices whose kept weights lie in one row of memory, for every net of a stack.

    forward    z = W h + b                backward    d = W^T g                gradient    W's own, g h^T, at kept places only, added

h [input, sample], z and g [unit, sample], d [input, sample]; samples are lanes, up to `LANES` at a time. Kept weights are in tiles of
inputs: by tile, then unit, then input. So the samples of a tile's inputs stay in the first-level cache while all units pass over them,
and a sum over many inputs is a sum of short ones. backward is forward of the transposed matrix, whose weights are found through the
places that they have in the first order.

`Pattern` is where the kept weights are: it follows from one net's own mask and batch, and so do its products, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Int64, Shaped, UInt32

from impray.kernels.compiled import compiled
from impray.kernels.sums import dot, dots
from impray.kernels.vectors import element, fma, load, splat, store

LANES = 128
"""Samples at a time: 8 registers of 16 for each of two sums."""
_TILE_NUMBERS = 8192
"""Of a tile's inputs times lanes: 32 KiB of the first-level cache."""
_LEAST_KEPT = 24
"""Kept weights per unit and tile, on average, at least: shorter ones cost more in sums put away than the cache saves."""
_CHAIN = 64
"""Products that are added up, in two sums, before they join the sum in memory."""

Flat = Float32[np.ndarray, " number"]


class Pattern(NamedTuple):
    """The kept places of one net's matrix [unit, input], in tiles of its inputs; and of the transposed one, in tiles of its units.

    Attributes:
        begins: of the kept weights of each (tile, unit), and the end of the last.
        inputs: of each kept weight.
        flat: its place in the matrix, row by row.
        turned_begins, turned_units: the same of the transposed matrix.
        turned_places: of each of its kept weights, the place among `inputs`.
    """

    begins: Int64[np.ndarray, " segment"]
    inputs: UInt32[np.ndarray, " kept"]
    flat: Int64[np.ndarray, " kept"]
    turned_begins: Int64[np.ndarray, " turned_segment"]
    turned_units: UInt32[np.ndarray, " kept"]
    turned_places: UInt32[np.ndarray, " kept"]


def pattern(mask: Shaped[np.ndarray, "unit input"], batch: int) -> Pattern:
    """The pattern of a mask (what is not 0 is kept), for so many samples. Ordered by counting: 25 ms for 1,024 x 3,072."""
    units, inputs = mask.shape
    kept = int(np.count_nonzero(mask))
    tile, turned = _tile(kept, units, inputs, batch), _tile(kept, inputs, units, batch)
    made = Pattern(
        np.zeros(-(-inputs // tile) * units + 1, np.int64),
        np.empty(kept, np.uint32),
        np.empty(kept, np.int64),
        np.zeros(-(-units // turned) * inputs + 1, np.int64),
        np.empty(kept, np.uint32),
        np.empty(kept, np.uint32),
    )
    _order()(np.ascontiguousarray(mask), tile, turned, *made)
    return made


def _tile(kept: int, units: int, inputs: int, batch: int) -> int:
    """Inputs per tile: as many as the cache holds, more where the matrix is so sparse that tiles would be nearly empty."""
    cached = max(1, _TILE_NUMBERS // min(batch, LANES))
    filled = -(-_LEAST_KEPT * units * inputs // max(kept, 1))
    return max(min(max(cached, filled), inputs), 1)


@cache
def _order() -> Callable[..., None]:
    """Fills a pattern: counts the kept weights of every segment, then puts each where the next of its segment goes."""

    @compiled
    def order(mask, tile, turned, begins, inputs, flat, turned_begins, turned_units, turned_places):
        units, width = mask.shape
        # A tile's inputs in a loop of their own: without divisions in the inner one.
        for unit in range(units):
            other = unit // turned * width + 1
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
            other = unit // turned * width
            for first in range(0, width, tile):
                at = begins[first // tile * units + unit]
                for place in range(first, min(first + tile, width)):
                    if mask[unit, place] != 0:
                        there = following[other + place]
                        inputs[at], flat[at] = place, unit * width + place
                        turned_units[there], turned_places[there] = unit, at
                        following[other + place] = there + 1
                        at += 1

    return order


class Rows(NamedTuple):
    """Numbers of a stack of nets in flat memory: `apart` is how far from one net to the next; 0: one for all."""

    numbers: Flat
    apart: int


class _Side:
    """One order of all nets' kept weights, as kernels read it: nets one after another, `room` apart."""

    def __init__(
        self, begins: Sequence[np.ndarray], places: Sequence[np.ndarray], rows: int, batch: int, room: int
    ) -> None:
        """rows: units of a segment. places: of what is multiplied, whose samples lie `batch` apart."""
        self.rows = rows
        self.segments = np.concatenate([[0], np.cumsum([len(one) for one in begins])])
        self.begins = np.concatenate(begins)
        self.offsets = np.zeros(len(begins) * room, np.uint32)
        for net, one in enumerate(places):
            self.offsets[net * room : net * room + len(one)] = one * np.uint32(batch)


class Products:
    """The three products of a stack of nets, whose kept weights lie `room` apart, for one size of batch."""

    def __init__(self, patterns: Sequence[Pattern], shape: tuple[int, int], batch: int, room: int) -> None:
        """shape: units and inputs of the matrices."""
        units, inputs = shape
        self._batch, self._room = batch, room
        self._first = _Side([one.begins for one in patterns], [one.inputs for one in patterns], units, batch, room)
        turned = [one.turned_units for one in patterns]
        self._turned = _Side([one.turned_begins for one in patterns], turned, inputs, batch, room)
        self._places = np.zeros(len(patterns) * room, np.uint32)
        for net, one in enumerate(patterns):
            self._places[net * room : net * room + len(one.turned_places)] = one.turned_places
        self._nothing = Rows(np.zeros(max(shape), np.float32), 0)

    def forward(self, weights: Flat, bias: Rows | None, h: Rows, z: Rows) -> None:
        """z = W h + b; weights [net, room]."""
        self._multiply(self._first, False, weights, bias or self._nothing, h, z)

    def backward(self, weights: Flat, g: Rows, d: Rows) -> None:
        """d = W^T g."""
        self._multiply(self._turned, True, weights, self._nothing, g, d)

    def _multiply(self, side: _Side, turned: bool, weights: Flat, start: Rows, x: Rows, out: Rows) -> None:
        for column, lanes in _columns(self._batch):
            _product(lanes, turned)(
                *(side.segments, side.begins, side.offsets, self._places, weights, self._room),
                *(*start, *x, *out, side.rows, self._batch, column),
            )

    def gradient(self, sink: Flat, h: Rows, g: Rows) -> None:
        """Adds g h^T at the kept places to the sink [net, room]."""
        side = self._first
        for column, lanes in _columns(self._batch):
            _gradient(lanes)(
                side.segments, side.begins, side.offsets, sink, self._room, *h, *g, side.rows, self._batch, column
            )


def _columns(batch: int) -> Iterator[tuple[int, int]]:
    """(first sample, how many) of each portion of a batch."""
    for column in range(0, batch, LANES):
        yield column, min(LANES, batch - column)


@cache
def _product(lanes: int, turned: bool) -> Callable[..., Any]:
    """The kernel of `forward` and, `turned`, of `backward`."""
    chain = _CHAIN

    @compiled
    def product(
        segments,
        begins,
        offsets,
        places,
        weights,
        room,
        start,
        start_net,
        x,
        x_net,
        out,
        out_net,
        rows,
        batch,
        column,
    ):
        for net in range(len(segments) - 1):
            kept, here, there = net * room, net * x_net + column, net * out_net + column
            for row in range(rows):
                store(out, there + row * batch, splat(element(start, net * start_net + row), lanes))
            row = 0
            for at in range(segments[net], segments[net + 1] - 1):
                for first in range(begins[at], begins[at + 1], chain):
                    last = min(first + chain, begins[at + 1])
                    even = splat(np.float32(0), lanes)
                    odd = splat(np.float32(0), lanes)
                    for pair in range(kept + first, kept + last - 1, 2):
                        one = element(weights, kept + element(places, pair) if turned else pair)
                        even = fma(one, load(x, here + element(offsets, pair), lanes), even)
                        two = element(weights, kept + element(places, pair + 1) if turned else pair + 1)
                        odd = fma(two, load(x, here + element(offsets, pair + 1), lanes), odd)
                    if (last - first) % 2:
                        end = kept + last - 1
                        one = element(weights, kept + element(places, end) if turned else end)
                        even = fma(one, load(x, here + element(offsets, end), lanes), even)
                    place = there + row * batch
                    store(out, place, load(out, place, lanes) + (even + odd))
                row = 0 if row + 1 == rows else row + 1

    return product


@cache
def _gradient(lanes: int) -> Callable[..., Any]:
    """The kernel of `gradient`: the sums over samples of four weights at once."""

    @compiled
    def add(segments, begins, offsets, sink, room, h, h_net, g, g_net, rows, batch, column):
        for net in range(len(segments) - 1):
            kept, here = net * room, net * h_net + column
            row = 0
            for at in range(segments[net], segments[net + 1] - 1):
                slope = load(g, net * g_net + row * batch + column, lanes)
                first, last = kept + begins[at], kept + begins[at + 1]
                fours = first + (last - first) // 4 * 4
                for place in range(first, fours, 4):
                    a = load(h, here + element(offsets, place), lanes)
                    b = load(h, here + element(offsets, place + 1), lanes)
                    c = load(h, here + element(offsets, place + 2), lanes)
                    d = load(h, here + element(offsets, place + 3), lanes)
                    store(sink, place, load(sink, place, 4) + dots(slope, a, b, c, d))
                for place in range(fours, last):
                    sink[place] += dot(slope, load(h, here + element(offsets, place), lanes))
                row = 0 if row + 1 == rows else row + 1

    return add
