"""Small networks: all of a step's gradients in one compiled call (`impray.kernels.small`), of a pack or of one net.

Weights of all layers are one row per net, biases another, and an update is one of each. Of the first layer kept weights alone are held
where there are few enough; other matrices are whole, and masked after every update. Which nets are trained so, and how the first layer is
held, follows from a net's own shape, mask and batch, by constants: never from its neighbours, and never from timing.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped, UInt32
from torch import Tensor

from impray.data.base import Targets
from impray.kernels import small
from impray.kernels.compiled import lacking, wide_registers
from impray.kernels.sparse import Rows
from impray.kernels.vectors import WIDEST
from impray.nets import layout
from impray.nets.base import Network, Params
from impray.nets.mlp import Architecture, parts_of
from impray.spec.errors import ShapeError
from impray.spec.training import StepsSpec
from impray.training.losses import mean_of
from impray.training.memory import bytes_of
from impray.training.mlp import MlpEngine
from impray.training.updates import Optimizer, Parameter
from impray.training.weights import KeptRows, Laid

MOST_OF_FIRST, MOST_OF_OTHERS = 2**16, 2**14
"""Numbers of a matrix: of larger ones products are the library's, or those of kept weights in tiles. Of the first kept weights may lie
alone here too; the others are whole, and cost as much when most is pruned."""
GANG_UNITS = 64
"""Of nets of one stream whose first layers are one product. It pays where nets have few units, of which fours cannot be made: net by net,
steps of nets of 1 unit take 1.6 times as long, of 2 to 10 units 1.1 to 1.25. From 16 units on it costs what it gains, and more than so
many rows leave the cache."""
_WHOLE_VECTORS = 16, 32, 64
"""Batches whose samples stay in registers while the gradients of kept weights are summed up."""

WHOLE, KEPT = "small", "small, kept"
"""What `form_of` says of such a net."""


def kept_below(batch: int) -> float:
    """The share of the first layer's weights below which kept ones are held alone: about where both cost the same."""
    return 0.6 if batch in _WHOLE_VECTORS else 0.35


def form_of(network: Architecture, params: Params, masks: Params, batch: int) -> str | None:
    """Whether one net is trained here, and how its first layer is held; params, masks: its own, without a net axis."""
    weight = params["weight1"]
    if weight.dtype != torch.float32 or weight.device.type != "cpu" or lacking() is not None:
        return None
    if batch < small.LEAST_BATCH or network.batch_norm or (network.depth == 1 and network.readout != "trained"):
        return None
    first, *others = (below * units for below, units in zip(network.sizes, network.sizes[1:], strict=False))
    if first > MOST_OF_FIRST or any(numbers > MOST_OF_OTHERS for numbers in others):
        return None
    mask = masks.get("weight1")
    kept = mask is not None and int(np.count_nonzero(mask.numpy())) < kept_below(batch) * mask.numel()
    return KEPT if kept else WHOLE


class _Kept(KeptRows):
    """The first layer's kept weights, unit by unit.

    Attributes: begins: [net, unit + 1], flat: the first of each unit's, and the end of the last's.
    """

    def __init__(self, masks: Shaped[Tensor, "net unit input"], batch: int) -> None:
        units, inputs = masks.shape[1:]
        kept = [np.flatnonzero(mask.numpy()) for mask in masks]
        super().__init__(kept)
        self.begins = np.concatenate([np.searchsorted(places, inputs * np.arange(units + 1)) for places in kept])
        self._samples = [(places % inputs * batch).astype(np.uint32) for places in kept]

    def spread(self, apart: int) -> UInt32[np.ndarray, " place"]:
        """Where the input's samples of each kept weight begin, `apart` from one net to the next."""
        spread = np.zeros(len(self._samples) * apart, np.uint32)
        for net, begins in enumerate(self._samples):
            spread[net * apart : net * apart + len(begins)] = begins
        return spread


class _Wanted:
    """A batch's targets as float32, samples side by side."""

    def __init__(self, like: Tensor, *shape: int) -> None:
        self._of_all = layout.empty(like, *shape)
        self._of_one, self._flat = self._of_all[:1], layout.flat(self._of_all)

    def put(self, values: Shaped[Tensor, "net ... sample"]) -> Rows:
        """As kernels read them; once where all nets have the same."""
        if values.stride(0) == 0:
            self._of_one.copy_(values[:1])
            return Rows(self._flat, 0)
        self._of_all.copy_(values)
        return Rows(self._flat, self._of_all.stride(0))


class SmallEngine:
    """Nets of one form that are updated by the same arithmetic (an `Engine`)."""

    def __init__(
        self,
        network: Architecture,
        specs: Sequence[StepsSpec],
        optimizer: Optimizer,
        params: Params,
        masks: Params,
        form: str,
    ) -> None:
        """As `MakeEngine`; form: of all of the nets."""
        outputs, loss, batch = network.sizes[-1], specs[0].loss, specs[0].batch
        self._network, self._optimizer, self._names = network, optimizer, list(params)
        self._shape = nets, batch, inputs = len(specs), batch, network.sizes[0]  # of a batch's inputs
        self._share(np.arange(nets), nets)
        like = params["weight1"]
        self._fixed = network.readout != "trained"
        self._kept = _Kept(masks["weight1"], batch) if form == KEPT else None
        self._weights, self._places = self._joined("weight", params, masks)
        self._biases, self._bias_places = self._joined("bias", params, masks) if network.bias else (None, {})
        self._readout = None
        if self._fixed:
            name = f"weight{network.depth}"
            self._readout = layout.copied(params[name]).mul_(masks.get(name, 1))
        self._laid = Laid(like, nets, batch, inputs)
        self._labels, self._numbers = _Wanted(like, nets, batch), _Wanted(like, nets, outputs, batch)
        trained = [parameter for parameter in (self._weights, self._biases) if parameter is not None]
        # What moves parameters at once needs the gradients of one gang only.
        self._at_once = all(parameter.plain for parameter in trained)
        self._gang = 1 if self._kept is not None else min(nets, max(1, GANG_UNITS // network.sizes[1]))
        rows = self._gang if self._at_once else nets
        self._moves = [(parameter, layout.zeros(like, rows, parameter.value.shape[1])) for parameter in trained]
        factor = optimizer.factor(mean_of(loss, batch, outputs))
        self._softmax = loss == "cross_entropy"
        self._kernel = small.gradients(_lanes(batch), small.ACTIVATIONS[network.activation], self._kept is not None)
        self._arrays = self._held_by_kernels(like, layout.flat(factor))

    def _joined(self, kind: str, params: Params, masks: Params) -> tuple[Parameter, dict[str, tuple[int, int]]]:
        """What is trained of a kind, a row per net; and where each tensor begins in it and ends."""
        last = self._network.depth - (kind == "weight" and self._fixed)
        names = [f"{kind}{number}" for number in range(1, last + 1)]
        parts, kept, places, begin = [], [], {}, 0
        for name in names:
            value, mask = params[name], masks.get(name)
            if name == "weight1" and self._kept is not None:
                value, mask = self._kept.taken(value), None
            parts.append(value.flatten(1))
            kept.append(torch.ones_like(parts[-1]) if mask is None else mask.flatten(1))
            places[name] = begin, begin + parts[-1].shape[1]
            begin = places[name][1]
        whole = layout.copied(torch.cat(parts, 1))
        # A pack's masks are of all its nets; kept weights that lie alone need none.
        needed = any(name in masks and not (name == "weight1" and self._kept) for name in names)
        mask = layout.copied(torch.cat(kept, 1)) if needed else None
        return self._optimizer.parameter(whole, mask, decays=kind == "weight"), places

    def _held_by_kernels(self, like: Tensor, factor: np.ndarray) -> tuple[Any, ...]:
        """The kernel's arguments from `biased` on."""
        (_, batch, _), sizes = self._shape, np.array(self._network.sizes)
        w_at, b_at = (
            np.array([0, *(places.get(f"{kind}{number}", (0, 0))[0] for number in range(1, len(sizes)))])
            for kind, places in (("weight", self._places), ("bias", self._bias_places))
        )
        z_at = np.array([0, 0, *np.cumsum(sizes[1:-1] * batch)])
        z, d = (layout.empty(like, self._gang, int(sizes[1:].sum()) * batch) for _ in range(2))
        slopes = layout.empty(like, *(z.shape if self._network.activation == "erf" else (1, 1)))
        weights, nothing = self._weights.value, np.zeros(1, np.float32)
        apart, whole = weights.stride(0), layout.flat(weights)
        if self._readout is None:
            readout = whole, apart, w_at[-1]
        else:
            readout = layout.flat(self._readout), self._readout.stride(0), 0
        biases = (
            (nothing, 0) if self._biases is None else (layout.flat(self._biases.value), self._biases.value.stride(0))
        )
        kept = (np.zeros(1, np.int64), np.zeros(1, np.uint32))
        if self._kept is not None:
            kept = self._kept.begins, self._kept.spread(apart)
        tail = np.zeros(WIDEST, np.uint32)
        tail[: -batch % WIDEST] = 1
        moves = [*(layout.flat(move) for _, move in self._moves), nothing][:2]
        masks = [None if parameter is None else parameter.mask for parameter in (self._weights, self._biases)]
        masked = [part for mask in masks for part in (mask is not None, nothing if mask is None else layout.flat(mask))]
        turned, turned_x = (
            layout.flat(layout.empty(like, 1, size * batch))
            for size in (max([1, *sizes[1:-1].tolist()]), int(sizes[0]))
        )
        rows = [np.zeros(max(self._gang * int(sizes[1]), *sizes[1:].tolist()), np.int64) for _ in range(4)]
        return (
            self._biases is not None, self._fixed, factor, sizes, w_at, b_at, z_at, batch, whole, apart, *readout, *biases, *kept,
            *map(layout.flat, (z, d, slopes)), z.stride(0), *moves, self._at_once, *masked, tail, turned, turned_x, *rows,
        )  # fmt: skip

    def share(self, stream_of_net: Int[np.ndarray, " net"], streams: int) -> None:
        """As `Sharing.share`."""
        self._share(stream_of_net, streams)
        self._laid = self._laid.for_nets(streams)

    def _share(self, stream_of_net: Int[np.ndarray, " net"], streams: int) -> None:
        self._stream, self._order = stream_of_net, np.argsort(stream_of_net, kind="stable")
        self._shape, self._apart = (streams, *self._shape[1:]), -1
        self._seen: Callable[[], Tensor | None] = lambda: None
        self._known: Rows | None = None

    def _read(self, apart: int) -> None:
        """Where each net's samples begin."""
        self._apart, self._begins = apart, self._stream * apart

    def _lying(self, x: Float[Tensor, "stream sample input"]) -> Rows:
        """A batch as kernels read it; worked out once where batches come in one and the same tensor."""
        again = x is self._seen()
        if not again:
            if x.shape != self._shape:
                raise ShapeError(f"a batch {tuple(x.shape)} (net, sample, input) for nets and batch size {self._shape}")
            self._seen, self._known = weakref.ref(x), None
        if self._known is not None:
            return self._known
        rows = self._laid(x.mT)
        # Not when it is first seen: who makes batches anew would find the memory of the last one taken.
        if again and self._laid.as_it_is(x.mT):
            self._known = rows
        return rows

    def step(self, x: Float[Tensor, "stream sample input"], targets: Targets) -> None:
        """As `Engine.step`; x: of each net, or of each stream that they share."""
        numbers, apart = self._lying(x)
        if apart != self._apart:
            self._read(apart)
        real = targets.is_floating_point()
        wanted = self._numbers.put(targets.mT) if real else self._labels.put(targets)
        one_hot = not real and self._network.sizes[-1] > 1
        self._kernel(*(numbers, self._begins, self._order, self._gang, *wanted, self._softmax, one_hot), *self._arrays)
        if not self._at_once:
            for parameter, move in self._moves:
                parameter.add(move)

    def params(self) -> Params:
        """As `Engine.params`: views, but of kept weights that lie alone."""
        values: Params = {}
        for name in self._names:
            kind, number = parts_of(name)
            inputs, units = self._network.sizes[number - 1 : number + 1]
            if name not in self._places and kind == "weight":
                assert self._readout is not None
                values[name] = self._readout
            elif kind == "bias":
                assert self._biases is not None
                values[name] = self._biases.value[:, slice(*self._bias_places[name])]
            else:
                own = self._weights.value[:, slice(*self._places[name])]
                kept = self._kept if number == 1 else None
                values[name] = own.unflatten(1, (units, inputs)) if kept is None else kept.matrices(own, units, inputs)
        return values

    def stats(self) -> Params:
        """As `Engine.stats`: none."""
        return {}

    def held(self) -> int:
        """As `Engine.held`."""
        return bytes_of({**vars(self), "_kernel": None}, self._optimizer)  # code is no buffer


def _lanes(batch: int) -> int:
    most = 4 * WIDEST if wide_registers() else WIDEST
    return max(lanes for lanes in (WIDEST, 2 * WIDEST, 4 * WIDEST) if lanes <= min(most, batch))


class Perceptrons:
    """The engine of multilayer perceptrons: this one where it can be, else `MlpEngine`. (A `MakeEngine`.)"""

    @staticmethod
    def form_of(network: Network, params: Params, masks: Params, training: StepsSpec) -> str | tuple[bool, ...]:
        """How one net is held; params, masks: its own, without a net axis."""
        assert isinstance(network, Architecture)
        return form_of(network, params, masks, training.batch) or MlpEngine.form_of(network, params, masks, training)

    def __call__(
        self,
        network: Network,
        specs: Sequence[StepsSpec],
        optimizer: Optimizer,
        params: Params,
        masks: Params,
        noise: Sequence[int] = (),
        form: str | tuple[bool, ...] = (),
    ) -> SmallEngine | MlpEngine:
        if isinstance(form, str):
            assert isinstance(network, Architecture)
            return SmallEngine(network, specs, optimizer, params, masks, form)
        return MlpEngine(network, specs, optimizer, params, masks, noise, form)
