"""Preactivations of a round's held-out or training inputs, made once for all measures that read the same network on the same inputs.

A measure says which these are (`MeasureSpec.passes`). The first one that reads a network makes the layers that any of them reads, and the
last one lets go of them. No more than `SHARED_BYTES` wait at once, which estimates of memory count (`impray.service.sizes`: preactivations
of every network's held-out inputs); what is beyond is made anew by each. The numbers are the same either way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from jaxtyping import Float
from torch import Tensor

from impray.measures.forward import preactivations

if TYPE_CHECKING:
    from impray.measures.state import RoundState

SHARED_BYTES = 64 << 20


class _Group(NamedTuple):
    """What makes two passes of a network the same."""

    inputs: Literal["held_out", "whole"]
    at: Literal["start", "end"]
    batch_norm: Literal["affine", "network"]


class Passes:
    """Of one round."""

    def __init__(self) -> None:
        self._kept: dict[tuple[int, _Group], dict[int, Tensor]] = {}
        self._read: Counter[tuple[int, _Group]] = Counter()  # how many measures have
        self._bytes = 0
        self._plain: bool | None = None

    def __len__(self) -> int:
        """How many networks' wait."""
        return len(self._kept)

    def read(
        self,
        state: RoundState,
        net: int,
        layers: Sequence[int],
        inputs: Literal["held_out", "whole"] = "held_out",
        at: Literal["start", "end"] = "end",
        batch_norm: Literal["affine", "network"] = "network",
    ) -> list[Float[Tensor, "sample unit"]]:
        """Of one net and these layers (dense ones), in that order; not to be written to.

        Args:    batch_norm: affine: gamma x + beta alone; network: at its end the statistics of evaluation, else those of the inputs.
        """
        group = self._same(state, _Group(inputs, at, batch_norm))
        key, (readers, wanted) = (net, group), self._readers(state, group)
        self._read[key] += 1
        others = self._read[key] < readers  # are still to come
        if key in self._kept and self._kept[key].keys() >= set(layers):
            found = [self._kept[key][layer] for layer in layers]
            if not others:
                self._drop(key)
            return found
        params, stats = state.one(net, at)
        if group.batch_norm == "affine":
            stats = state.network.affine(params)
        x = _inputs(state, net, inputs)
        width = sum(state.layers[layer - 1].units for layer in wanted)
        size = len(x) * width * x.element_size()
        if not others or not set(layers) <= wanted or key in self._kept or self._bytes + size > SHARED_BYTES:
            return preactivations(state.network, params, x, stats, layers)
        made = dict(zip(sorted(wanted), preactivations(state.network, params, x, stats, sorted(wanted)), strict=True))
        self._kept[key] = made
        self._bytes += size
        return [made[layer] for layer in layers]

    def clear(self) -> None:
        """Let go of what no measure has come for."""
        for key in list(self._kept):
            self._drop(key)

    def _drop(self, key: tuple[int, _Group]) -> None:
        self._bytes -= sum(values.numel() * values.element_size() for values in self._kept.pop(key).values())

    def _same(self, state: RoundState, group: _Group) -> _Group:
        """Without batch norm, one of the two names for what is the same."""
        if self._plain is None:
            self._plain = not state.end_stats and state.network.affine(state.start) is None
        return group._replace(batch_norm="network") if self._plain else group

    def _readers(self, state: RoundState, group: _Group) -> tuple[int, set[int]]:
        """How many measures read a network so, and which layers."""
        readers: Counter[_Group] = Counter()
        layers: set[int] = set()
        for measure in state.measures:
            passes = measure.passes(len(state.layers))
            groups = {read: self._same(state, _Group(read.inputs, read.at, read.batch_norm)) for read in passes}
            readers.update(set(groups.values()))
            layers |= {read.layer for read, of in groups.items() if of == group and state.layers[read.layer - 1].dense}
        return readers[group], layers


def _inputs(state: RoundState, net: int, inputs: Literal["held_out", "whole"]) -> Float[Tensor, "sample input"]:
    if inputs == "held_out":
        return state.held_out(net)[0]
    assert state.whole is not None, "a measure that reads `whole` is of data that offer it"
    return state.whole(net)[0]
