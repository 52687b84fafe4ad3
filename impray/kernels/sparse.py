"""Products with sparse matrices whose kept weights lie in one row of memory, for every net of a stack.

    forward    z = W h + b                backward    d = W^T g                gradient    W's own, g h^T, at kept places only, added

h [input, sample], z and g [unit, sample], d [input, sample]; samples are lanes, up to `LANES` at a time. There are two passes over kept
weights, each of the matrix or of the transposed one: in the order in which they lie, and in the other one, where each is found through its
place. Where weights lie by input (`impray.kernels.patterns`), backward and gradient are one pass, which reads a row of g once for both.

A `Pattern` follows from one net's own mask and batch, and so do its products, bit for bit; they are the same in either order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Int64, Shaped, UInt32

from impray.kernels.compiled import compiled
from impray.kernels.gathered import rows as gathered
from impray.kernels.patterns import LANES, Order, Pattern, lined
from impray.kernels.vectors import WIDEST, element, expect, fma, load, splat, store

_CHAIN = 64
"""Products that are added up, in two sums, before they join the sum in memory."""

Flat = Float32[np.ndarray, " number"]


class Rows(NamedTuple):
    """Numbers of a stack of nets in flat memory: `apart` is how far from one net to the next; 0: one for all."""

    numbers: Flat
    apart: int


class Placed(NamedTuple):
    """Numbers in flat memory, and where those of each net begin: nets may have the same."""

    numbers: Flat
    begins: Int64[np.ndarray, " net"]


class _Side:
    """One order of all nets' kept weights, as kernels read it: nets one after another, `room` apart."""

    def __init__(self, orders: Sequence[Order], units: int, inputs: int, room: int) -> None:
        """units: segments of a tile. inputs: rows of what is multiplied."""
        self.units, self.inputs = units, inputs
        self.tiles = np.array([one.tile for one in orders])
        self.segments = np.concatenate([[0], np.cumsum([len(one.begins) for one in orders])])
        self.begins = np.concatenate([one.begins for one in orders])
        self.others = _spread([one.inputs for one in orders], room)


def _spread(of_nets: Sequence[UInt32[np.ndarray, " _"]], room: int) -> Shaped[np.ndarray, " number"]:
    """In 16 bits where they fit: what kernels read is much of what they cost."""
    most = max((int(one.max()) for one in of_nets if len(one)), default=0)
    spread = np.zeros(len(of_nets) * room, np.uint16 if most < 2**16 else np.uint32)
    for net, one in enumerate(of_nets):
        spread[net * room : net * room + len(one)] = one
    return spread


class Products:
    """The three products of a stack of nets, whose kept weights lie `room` apart, for one size of batch."""

    def __init__(
        self, patterns: Sequence[Pattern], shape: tuple[int, int], batch: int, room: int, apart: int | None = None
    ) -> None:
        """patterns: all turned, or none. shape: units and inputs. apart: of rows of h, `batch` if None or if the patterns are turned."""
        units, inputs = shape
        self._batch, self._room, self._turned = batch, room, patterns[0].turned
        self._by_unit = _Side([one.by_unit for one in patterns], units, inputs, room)
        self._by_input = _Side([one.by_input for one in patterns], inputs, units, room)
        self._places = _spread([one.places for one in patterns], room)
        self._apart = batch if apart is None else apart
        assert self._apart == batch or not self._turned
        # Rows of g are read for every kept weight: from a copy where their parts would lie across cache lines.
        self._copies = self._turned and lined(batch) != batch
        self._copied = _on_a_line(units * lined(batch) if self._copies else 0)
        self._nothing = Rows(np.zeros(max(shape), np.float32), 0)
        self._nets = np.arange(len(patterns))

    def forward(self, weights: Flat, bias: Rows | None, h: Rows | Placed, z: Rows) -> None:
        """z = W h + b; weights [net, room]."""
        start = bias or self._nothing
        if self._turned:
            self._through_places(self._by_unit, self._by_input, weights, start, h, z)
        else:
            self._as_they_lie(self._by_unit, True, False, weights, weights, self._nothing, h, start, z)

    def backward(self, weights: Flat, g: Rows, d: Rows) -> None:
        """d = W^T g."""
        if self._turned:
            self._as_they_lie(self._by_input, True, False, weights, weights, self._nothing, g, self._nothing, d)
        else:
            self._through_places(self._by_input, self._by_unit, weights, self._nothing, g, d)

    def gradient(self, sink: Flat, h: Rows | Placed, g: Rows) -> None:
        """Adds g h^T at the kept places to the sink [net, room]."""
        side, own, x = (self._by_input, h, g) if self._turned else (self._by_unit, g, h)
        self._as_they_lie(side, False, True, sink, sink, own, x, self._nothing, self._nothing)

    def backward_and_gradient(self, weights: Flat, sink: Flat, h: Rows | Placed, g: Rows, d: Rows) -> None:
        """Both, of the weights as they were; the sink may be the weights."""
        if self._turned:
            self._as_they_lie(self._by_input, True, True, weights, sink, h, g, self._nothing, d)
        else:
            self.backward(weights, g, d)
            self.gradient(sink, h, g)

    def _as_they_lie(
        self,
        side: _Side,
        summed: bool,
        dotted: bool,
        weights: Flat,
        sink: Flat,
        own: Rows | Placed,
        x: Rows | Placed,
        start: Rows,
        out: Rows,
    ) -> None:
        apart = lined(self._batch) if self._copies else self._apart
        own, x = self._placed(own), self._placed(x)
        for column, lanes in _columns(self._batch):
            _as_they_lie(lanes, int(summed), int(dotted), self._copies)(
                *(side.segments, side.begins, side.others, weights, sink, self._room, *own, *x, *start, *out),
                *(self._copied, apart, side.inputs, side.units, self._batch, column),
            )

    def _through_places(
        self, side: _Side, lying: _Side, weights: Flat, start: Rows, x: Rows | Placed, out: Rows
    ) -> None:
        x = self._placed(x)
        for column, lanes in _columns(self._batch):
            _through_places(lanes)(
                *(side.segments, side.begins, side.others, side.tiles, self._places, weights, self._room),
                *(lying.segments, lying.begins, lying.tiles, *start, *x, *out),
                *(side.inputs, side.units, self._batch, column),
            )

    def _placed(self, x: Rows | Placed) -> Placed:
        return Placed(x.numbers, x.apart * self._nets) if isinstance(x, Rows) else x


def _on_a_line(numbers: int) -> Flat:
    """Memory that begins on a cache line."""
    memory = np.empty(numbers + WIDEST, np.float32)
    first = -(memory.ctypes.data // memory.itemsize) % WIDEST
    return memory[first : first + numbers]


def _columns(batch: int) -> Iterator[tuple[int, int]]:
    """(first sample, how many) of each portion of a batch."""
    for column in range(0, batch, LANES):
        yield column, min(LANES, batch - column)


# In the kernels a unit is a row of `out`, an input one of x; of the transposed matrix it is the other way round.


@cache
def _as_they_lie(lanes: int, summed: int, dotted: int, copies: bool) -> Callable[..., Any]:
    """A pass over weights as they lie.

    summed: out is start and the sums over a unit's inputs of weights times rows of x. dotted: to the sink are added the sums over samples
    of own's row of the unit times rows of x. copies: these are read from a copy of a net's.
    """
    chain = _CHAIN

    @compiled
    def pass_over(
        segments, begins, others, weights, sink, room, own, own_begins, x, x_begins, start, start_net, out, out_net, copied, apart, inputs,
        units, batch, column,
    ):  # fmt: skip
        for net in range(len(segments) - 1):
            kept, there = net * room, net * out_net + column
            here, source = own_begins[net] + column, x_begins[net] + column
            read, origin = (copied, 0) if copies else (x, source)
            if copies:
                for place in range(inputs):
                    store(copied, place * apart, load(x, source + place * batch, lanes))
            if summed:
                for unit in range(units):
                    store(out, there + unit * batch, splat(element(start, net * start_net + unit), lanes))
            unit, row = 0, splat(np.float32(0), lanes)
            for at in range(segments[net], segments[net + 1] - 1):
                if dotted:
                    row = load(own, here + unit * batch, lanes)
                for first in range(kept + begins[at], kept + begins[at + 1], chain):
                    last = min(first + chain, kept + begins[at + 1])
                    even, odd = splat(np.float32(0), lanes), splat(np.float32(0), lanes)
                    i = first
                    while i + 8 <= last:
                        even, odd = gathered(row, read, origin, apart, others, i, weights, sink, even, odd, 8, summed, dotted)  # fmt: skip
                        i += 8
                    if i + 4 <= last:
                        even, odd = gathered(row, read, origin, apart, others, i, weights, sink, even, odd, 4, summed, dotted)  # fmt: skip
                        i += 4
                    if i + 2 <= last:
                        even, odd = gathered(row, read, origin, apart, others, i, weights, sink, even, odd, 2, summed, dotted)  # fmt: skip
                        i += 2
                    if i < last:
                        even, odd = gathered(row, read, origin, apart, others, i, weights, sink, even, odd, 1, summed, dotted)  # fmt: skip
                    if summed:
                        place = there + unit * batch
                        store(out, place, load(out, place, lanes) + (even + odd))
                unit = 0 if unit + 1 == units else unit + 1

    return pass_over


@cache
def _through_places(lanes: int) -> Callable[..., Any]:
    """A pass over weights that lie in the other order: out is start and the sums over a unit's inputs of weights times rows of x."""
    chain, line = _CHAIN, WIDEST

    @compiled
    def pass_over(
        segments, begins, others, tiles, places, weights, room, lying_segments, lying_begins, lying_tiles, start, start_net, x, x_begins,
        out, out_net, inputs, units, batch, column,
    ):  # fmt: skip
        for net in range(len(segments) - 1):
            kept, here, there = net * room, x_begins[net] + column, net * out_net + column
            for unit in range(units):
                store(out, there + unit * batch, splat(element(start, net * start_net + unit), lanes))
            tile, lying_tile = tiles[net], lying_tiles[net]
            unit, tile_begin = 0, -tile
            left, begin, ahead, end, share = 0, 0, 0, 0, 0
            for at in range(segments[net], segments[net + 1] - 1):
                if unit == 0:
                    tile_begin, left = tile_begin + tile, 0
                if left == 0:
                    # Another tile of units: where the weights of both tiles lie, and those of this one and the next tile of inputs.
                    left, of_tile = min(lying_tile, units - unit), lying_segments[net] + unit // lying_tile * inputs
                    begin = kept + lying_begins[of_tile + tile_begin]
                    ahead = kept + lying_begins[of_tile + min(tile_begin + tile, inputs)]
                    end = kept + lying_begins[of_tile + min(tile_begin + 2 * tile, inputs)]
                    share = (end - ahead + left - 1) // left
                left -= 1
                # With every unit a share of the next tile's is asked for: the processor cannot tell which come next, and would wait.
                for place in range(ahead, min(ahead + share, end), line):
                    expect(weights, place)
                ahead += share
                for first in range(begins[at], begins[at + 1], chain):
                    last = min(first + chain, begins[at + 1])
                    even, odd = splat(np.float32(0), lanes), splat(np.float32(0), lanes)
                    for pair in range(kept + first, kept + last - 1, 2):
                        one = element(weights, begin + element(places, pair))
                        even = fma(one, load(x, here + element(others, pair) * batch, lanes), even)
                        two = element(weights, begin + element(places, pair + 1))
                        odd = fma(two, load(x, here + element(others, pair + 1) * batch, lanes), odd)
                    if (last - first) % 2:
                        final = kept + last - 1
                        one = element(weights, begin + element(places, final))
                        even = fma(one, load(x, here + element(others, final) * batch, lanes), even)
                    place = there + unit * batch
                    store(out, place, load(out, place, lanes) + (even + odd))
                unit = 0 if unit + 1 == units else unit + 1

    return pass_over
