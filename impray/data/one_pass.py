"""Batches of rows of tables on the CPU: every stream of a pack once, in one pass (`impray.kernels.rows`), laid out [input, sample]."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from impray.data.base import distinct
from impray.data.room import OfBlock, Room, flat
from impray.kernels import rows as kernel
from impray.kernels.compiled import lacking


def in_one_pass(inputs: int, dtype: torch.dtype, device: torch.device) -> bool:
    """Whether `impray.kernels.rows` makes batches of rows of so many inputs."""
    return dtype == torch.float32 and device.type == "cpu" and inputs >= kernel.FEWEST and lacking() is None


class Stream(NamedTuple):
    """What one stream reads: a table's rows at an order's places and, where it is blended, a second table's.

    means: of classes with as many rows each, sorted, where they are added too. factors: of row, second row and mean. first: where in the
    table its places are counted from.
    """

    order: int
    table: Float[Tensor, "row input"]
    other: Float[Tensor, "row input"] | None = None
    means: Float[Tensor, "class input"] | None = None
    factors: tuple[float, float, float] = (1.0, 0.0, 0.0)
    first: int = 0


class OnePass:
    """The inputs of all streams of a pack; those that read the same tables in one call."""

    def __init__(self, streams: Sequence[Stream]) -> None:
        self._like, self._streams = streams[0].table, len(streams)
        self._places = OfBlock(flat)
        # A stream that is not blended goes with those of its table that are: it leaves the second table alone.
        blended = {stream.table.data_ptr(): stream for stream in streams if stream.other is not None}
        read = [blended.get(one.table.data_ptr(), one) if one.other is None else one for one in streams]
        known, call_of = distinct([(_place(one.table), _place(one.other), _place(one.means)) for one in read])
        self._calls = []
        for call in range(len(known)):
            own = [stream for stream, place in enumerate(call_of) if place == call]
            own.sort(key=lambda stream: _read_by(streams[stream]))
            self._calls.append((_streams_of(own, streams), _tables_of(read[own[0]])))

    def batch(
        self, places: Int[Tensor, "order step sample"], step: int, room: Callable[[int, int, int, Tensor], Room] = Room
    ) -> Float[Tensor, "stream sample input"]:
        """One step's inputs; room: as `impray.data.base.Streams.room`."""
        _, steps, samples = places.shape
        here = room(self._streams, self._like.shape[1], samples, self._like)
        chosen = kernel.Step(self._places(places), steps, step, samples)
        for streams, tables in self._calls:
            kernel.made(chosen, streams, tables, here.numbers, here.apart)
        return here.turned


def _place(table: Tensor | None) -> int | None:
    return None if table is None else table.data_ptr()


def _read_by(stream: Stream) -> tuple[int, int]:
    """Streams of one call in which this is the same read the same rows."""
    return stream.order, stream.first


def _streams_of(own: Sequence[int], streams: Sequence[Stream]) -> kernel.Streams:
    """own: of one call, sorted by the rows that they read."""
    groups, group_of = distinct([_read_by(streams[stream]) for stream in own])
    orders, firsts = np.array(groups).T.copy()
    return kernel.Streams(
        orders,
        firsts,
        np.searchsorted(group_of, np.arange(len(groups) + 1)),
        np.array(own),
        np.array([streams[stream].factors for stream in own], np.float32),
    )


def _tables_of(stream: Stream) -> kernel.Tables:
    row, other, means = (None if one is None else one.numpy() for one in (stream.table, stream.other, stream.means))
    assert row is not None
    return kernel.Tables(row, other, means)
