"""What the stimuli of a pack are to the rest of the package: blocks of random numbers in, batches out.

A net's numbers depend on its own data spec, seed, batch size and dtype only, bit for bit on one kind of CPU:
never on its neighbours, the size of the pack or the way `draw` is called. Nets that share a seed share the
drawn numbers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Protocol, TypeVar, cast, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from impray.data.room import Room
from impray.data.streams import Steps, whole_numbers
from impray.nets import layout
from impray.spec.training import GRAPH_STEPS
from impray.spec.trial import stream_seed

Raw = dict[str, Tensor]
Targets = Int[Tensor, "*net sample"] | Float[Tensor, "*net sample output"]
"""Labels, int64 from 0 to classes - 1; or numbers, where the spec says `targets: real`."""
Selection = Int[Tensor, " place"] | int | None
"""What `select` selects by."""
Item = TypeVar("Item")
Function = TypeVar("Function", bound=Callable[..., Any])
_GATHERED = 2**24  # inputs gathered at once


@runtime_checkable
class PackData(Protocol):
    """Training batches and held-out samples for the nets of a pack; net i has its own data spec and seed.

    Attributes: nets; inputs: length of one flattened input; classes: or how many numbers a target is; block:
    steps drawn at once, decided by the data spec and the batch size only.
    """

    nets: int
    inputs: int
    classes: int
    block: int

    def start(self, round: int) -> None:
        """Seeds the streams of every net anew: from its seed, the stream's name and the round."""
        ...

    def draw(self, steps: int) -> Raw:
        """Draws the random numbers of the next `steps` steps, 1 or more; call `start` first.

        Returns: tensors with the leading axes [seed, step]. draw(4), draw(4) have the numbers of draw(8).
        """
        ...

    def batch(self, raw: Raw, step: int) -> tuple[Float[Tensor, "net sample input"], Targets]:
        """One batch per net, from the numbers of one step (0 to steps - 1) of `raw`.

        Tensor operations on `raw` and constant buffers only, without host synchronisation: it can be captured
        in a CUDA graph with `raw` as a static buffer.

        Returns: inputs of the pack's dtype, variance near 1; targets [net, sample] or [net, sample, output].
        """
        ...

    def held_out(self, net: int) -> tuple[Float[Tensor, "sample input"], Targets]:
        """Samples training never sees, `held_out` per class, sorted by class; the same in every round."""
        ...

    def whole(self, net: int) -> tuple[Float[Tensor, "sample input"], Targets]:
        """Every training sample once, as batches have it, in the order of the data set; where the spec offers `whole`.

        Made anew in every call; the caller may overwrite it.
        """
        ...

    def truth(self, net: int) -> Mapping[str, Tensor]:
        """The weights that made the net's targets, by the names of the network's parameters; where the spec offers `truth`."""
        ...


class Streams(ABC):
    """Data that make each stream of samples once, where several nets have it; a part of a `PackData`.

    Attributes: stream_of_net: as `view_selection` has it: which of the streams is each net's.
    """

    stream_of_net: Selection
    _room: Room | None = None

    @abstractmethod
    def streams(self, raw: Raw, step: int) -> tuple[Float[Tensor, "stream sample input"], Targets]:
        """As `batch`, inputs [stream, ...]: `select(x, stream_of_net)` is those of each net. Targets are of each net.

        Inputs may be the same memory in every call, so they are good until the next one.
        """

    def room(self, streams: int, rows: int, columns: int, like: Tensor) -> Room:
        """For the inputs of `streams`: the same from call to call, while batches have one shape."""
        if self._room is None or self._room.x.shape != (streams, rows, columns):
            self._room = Room(streams, rows, columns, like)
        return self._room

    def lent(self, raw: Raw, step: int) -> tuple[Float[Tensor, "net sample input"], Targets]:
        """As `batch`, good until the next call."""
        x, targets = self.streams(raw, step)
        return selected(x, self.stream_of_net), targets

    def batch(self, raw: Raw, step: int) -> tuple[Float[Tensor, "net sample input"], Targets]:
        """See `PackData.batch`."""
        kept, self._room = self._room, None  # not in memory that streams are made in
        try:
            return self.lent(raw, step)
        finally:
            self._room = kept


class Fresh:
    """What data without a fixed training set do not offer; validation lets no training come here that needs it."""

    def whole(self, net: int) -> tuple[Float[Tensor, "sample input"], Targets]:
        """See `PackData.whole`."""
        raise NotImplementedError

    def truth(self, net: int) -> Mapping[str, Tensor]:
        """See `PackData.truth`."""
        raise NotImplementedError


class Blocks(Fresh, ABC):
    """Random numbers drawn in whole blocks of steps, and handed out in any portions.

    One long call of torch's `normal_` gives other numbers than two short ones (on the CPU when the length is
    no multiple of 16, on CUDA always), so a block is always drawn whole: then a stream does not depend on the
    portions.
    """

    block: int
    _left = 0
    _drawn: Raw | None = None

    @abstractmethod
    def _fill(self) -> Raw:
        """The next whole block: tensors [seed, step = block, ...]."""

    def _forget(self) -> None:
        self._left, self._drawn = 0, None

    def draw(self, steps: int) -> Raw:
        """The random numbers of the next `steps` steps; see `PackData.draw`."""
        assert steps >= 1, steps
        parts: list[Raw] = []
        while steps > 0:
            if self._left == 0 or self._drawn is None:
                self._drawn, self._left = self._fill(), self.block
            first = self.block - self._left
            taken = min(steps, self._left)
            parts.append({name: numbers[:, first : first + taken] for name, numbers in self._drawn.items()})
            self._left -= taken
            steps -= taken
        if len(parts) == 1:
            return parts[0]
        return {name: torch.cat([part[name] for part in parts], dim=1) for name in parts[0]}


def steps_at_once(wanted: int, longest: int, device: torch.device) -> int:
    """The length of a block: `wanted` steps, from 1 to `longest`; on a GPU whole graphs, one at least: what is left of them runs slowly."""
    steps = max(1, min(longest, wanted))
    return steps if device.type != "cuda" else max(1, steps // GRAPH_STEPS) * GRAPH_STEPS


def gathered(
    pack: PackData,
    samples: int,
    device: torch.device,
    raw: Callable[[Int[Tensor, "order step sample"]], Raw] = lambda places: {"order": places},
) -> tuple[Float[Tensor, "sample input"], Targets]:
    """A pack of one net that chooses its batches by an `order`: all samples in turn, gathered as batches are.

    In portions, so that a blend's parts never lie beside the whole set. raw: what `batch` takes of these places.
    """
    places = torch.arange(samples, device=device).split(max(1, _GATHERED // pack.inputs))
    parts = [pack.batch(raw(some[None, None]), 0) for some in places]
    return torch.cat([x[0] for x, _ in parts]), torch.cat([targets[0] for _, targets in parts])


class Ordered(Fresh):
    """Places in a data set, drawn with replacement, for batches of its samples. Stream: `order`.

    A subclass sets `_orders`: (seed, samples to draw from) of each stream; `_batch` and `_device`.
    """

    _orders: Sequence[tuple[int, int]]
    _batch: int
    _device: torch.device

    def start(self, round: int) -> None:
        """See `PackData.start`."""
        self._keys, self._next = [stream_seed(seed, "order", round) for seed, _ in self._orders], 0

    def draw(self, steps: int) -> Raw:
        """See `PackData.draw`."""
        return {"order": self._chosen(steps, self._device)}

    def _chosen(self, steps: int, device: torch.device) -> Int[Tensor, "order step sample"]:
        assert steps >= 1, steps
        window = Steps(self._next, steps, self._batch)
        self._next += steps
        return whole_numbers(self._keys, window, [samples for _, samples in self._orders], device)


def distinct(items: Sequence[Item]) -> tuple[list[Item], list[int]]:
    """Every different item once, in order of first appearance, and the place of each item among them."""
    place: dict[Item, int] = {}
    places = [place.setdefault(item, len(place)) for item in items]
    return list(place), places


def selection(places: Sequence[int], among: int, device: torch.device) -> Int[Tensor, " place"] | None:
    """Places as a tensor to select by, or None where they are 0, 1, ... among - 1: nothing to select."""
    if list(places) == list(range(among)):
        return None
    return torch.tensor(places, device=device)


def view_selection(places: Sequence[int], among: int, device: torch.device) -> Selection:
    """As `selection`, for what nobody writes to: their number where there is one entry for all places, and nothing to copy."""
    return len(places) if among == 1 and len(places) > 1 else selection(places, among, device)


def select(x: Tensor, places: Selection) -> Tensor:
    """Entries of the leading axis, by `selection`; one for all is a view that repeats it."""
    if isinstance(places, int):
        return x.expand(places, *x.shape[1:])
    return x if places is None else x.index_select(0, places)


def selected(x: Shaped[Tensor, "stream sample *"], places: Selection) -> Shaped[Tensor, "net sample *"]:
    """As `select`; where samples lie side by side in memory (`impray.data.room`), they do so again, and one stream for all stays one."""
    if isinstance(places, Tensor) and x.stride(0) == 0:
        return x[:1].expand(len(places), *x.shape[1:])
    if not isinstance(places, Tensor) or x.ndim != 3 or x.stride(1) != 1 or x.stride(2) != x.shape[1]:
        return select(x, places)
    turned = x.mT
    return torch.index_select(turned, 0, places, out=layout.empty(x, len(places), *turned.shape[1:])).mT


def remembered(size: int) -> Callable[[Function], Function]:
    """`lru_cache` for functions of a spec: their hash comes from pydantic, unseen by type checkers."""
    return lambda function: cast(Function, lru_cache(size)(function))


def generator(device: torch.device, seed: int, stream: str, round: int = 0) -> torch.Generator:
    """A generator on `device` at the start of a named stream."""
    return torch.Generator(device).manual_seed(stream_seed(seed, stream, round))


def numbers(seed: int, stream: str, round: int = 0) -> np.random.Generator:
    """numpy's, float64 and on the CPU, at the start of a named stream."""
    return np.random.default_rng(stream_seed(seed, stream, round))
