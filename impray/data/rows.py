"""Packs of data whose training sets are finite and fit into memory: batches are their rows, drawn with replacement. Stream: `order`.

Nets that have the same inputs, or the same targets, share one table of them, and where they have one order too, what is gathered.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Hashable, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from impray.data.base import (
    Ordered,
    Raw,
    Streams,
    Targets,
    distinct,
    select,
    selected,
    selection,
    steps_at_once,
    view_selection,
)
from impray.data.one_pass import OnePass, Stream, in_one_pass
from impray.data.room import Room

_NUMBERS, _LONGEST_BLOCK = 2**14, 256  # places drawn per seed and call, and the most steps that they are for


class _Table:
    """Rows of several training sets below one another; nets of one set and one order read the same ones, gathered once."""

    def __init__(self, rows: Tensor, firsts: Sequence[int], orders: Sequence[int], among: int) -> None:
        """firsts, orders: where each net's rows begin, and which of `among` orders it has."""
        self.rows, self._firsts = rows, firsts
        streams, stream_of_net = distinct(list(zip(orders, firsts, strict=True)))
        self.of_net = view_selection(stream_of_net, len(streams), rows.device)
        self._order = selection([order for order, _ in streams], among, rows.device)
        self._first = torch.tensor([[first] for _, first in streams], device=rows.device)
        self._one_pass = None
        if rows.ndim == 2 and in_one_pass(rows.shape[1], rows.dtype, rows.device):
            self._one_pass = OnePass([Stream(order, rows, first=first) for order, first in streams])

    def of(self, net: int, samples: int) -> Tensor:
        """A copy of one net's rows."""
        return self.rows[self._firsts[net] : self._firsts[net] + samples].clone()

    def at(
        self, order: Int[Tensor, "order step sample"], step: int, room: Callable[..., Room] = Room
    ) -> Shaped[Tensor, "stream sample *"]:
        """The rows of a step, once for nets that read the same; room: as `impray.data.base.Streams.room`."""
        if self._one_pass is not None:
            return self._one_pass.batch(order, step, room)
        places = select(order[:, step], self._order) + self._first
        rows = self.rows.index_select(0, places.flatten())
        return rows.view(*places.shape, *self.rows.shape[1:])


class RowsPack(Streams, Ordered):
    """The data of a pack, as `PackData`; a subclass says what `training`, `held_out` and where it has one `truth` are.

    Args:    samples: of each net's training set. streams: what seeds each net's order of rows; nets with equal ones see the same places.
    """

    def __init__(
        self,
        inputs: int,
        classes: int,
        samples: Sequence[int],
        streams: Sequence[int],
        *,
        batch: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self.nets, self.inputs, self.classes = len(samples), inputs, classes
        self.block = steps_at_once(_NUMBERS // batch, _LONGEST_BLOCK, device)
        self._samples, self._batch, self._dtype, self._device = samples, batch, dtype, device
        self._orders, self._order_of_net = distinct(list(zip(streams, samples, strict=True)))
        self._tables: tuple[_Table, _Table] | None = None

    @abstractmethod
    def training(self, net: int) -> tuple[Float[Tensor, "sample input"], Targets]:
        """As `whole`, made from the spec and the seed."""

    @abstractmethod
    def held_out(self, net: int) -> tuple[Float[Tensor, "sample input"], Targets]:
        """See `PackData.held_out`."""

    @abstractmethod
    def known_by(self, net: int) -> tuple[Hashable, Hashable]:
        """What a net's training inputs and its targets are known by: nets with equal ones have the same."""

    def whole(self, net: int) -> tuple[Float[Tensor, "sample input"], Targets]:
        """See `PackData.whole`. Where batches are drawn it is at hand: measures ask for it in every round."""
        if self._tables is None:
            return self.training(net)
        inputs, targets = (table.of(net, self._samples[net]) for table in self._tables)
        return inputs, targets

    def start(self, round: int) -> None:
        """See `PackData.start`."""
        super().start(round)
        # Made when batches are first drawn: who solves needs none.
        if self._tables is None:
            keys = [self.known_by(net) for net in range(self.nets)]
            inputs = self._table([of_inputs for of_inputs, _ in keys], lambda net: self.training(net)[0])
            self._tables = (
                inputs,
                self._table([of_targets for _, of_targets in keys], lambda net: self.training(net)[1]),
            )
            self.stream_of_net = inputs.of_net

    def _table(self, keys: Sequence[Hashable], rows_of: Callable[[int], Tensor]) -> _Table:
        sets, place_of = distinct(keys)
        nets = [place_of.index(place) for place in range(len(sets))]
        ends = np.cumsum([0, *(self._samples[net] for net in nets)])
        table = None
        # One set after the other into its place: joined at the end they would be in memory twice.
        for net, first, end in zip(nets, ends, ends[1:], strict=False):
            rows = rows_of(net)
            table = rows.new_empty(int(ends[-1]), *rows.shape[1:]) if table is None else table
            table[first:end] = rows
        assert table is not None, "a pack has nets"
        return _Table(table, ends[place_of].tolist(), self._order_of_net, len(self._orders))

    def streams(self, raw: Raw, step: int) -> tuple[Float[Tensor, "stream sample input"], Targets]:
        """See `impray.data.base.Streams`."""
        assert self._tables is not None, "call `start` first"
        inputs, targets = self._tables
        return inputs.at(raw["order"], step, self.room), selected(targets.at(raw["order"], step), targets.of_net)

    def _tensor(self, numbers: np.ndarray) -> Tensor:
        """A copy, in the pack's dtype."""
        return torch.tensor(numbers, dtype=self._dtype, device=self._device)
