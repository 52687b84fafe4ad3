"""What the loop asks of whatever computes gradients, and all nets of a pack as one engine."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from impray.data.base import Selection, Targets, selected
from impray.nets.base import Network, Params
from impray.spec.errors import ShapeError
from impray.spec.training import StepsSpec
from impray.training.blocks import captures
from impray.training.schedules import pace
from impray.training.updates import Optimizer, alike, optimizer_of


class Engine(Protocol):
    """Nets that are updated by the same arithmetic: their gradients, handed to an optimizer's parameters.

    One that keeps all of its memory from step to step may have `held()` too: the bytes of it, before the first step.
    """

    def step(self, x: Float[Tensor, "net sample input"], targets: Targets) -> None:
        """One update of every net, by the parameters' `ready`, `sink` and `moved` or `apply`; the optimizer is at this update.

        Tensor operations only, without host synchronisation, on memory that stays: see `impray.training.blocks`.
        """
        ...

    def params(self) -> Params:
        """[net, ...] by the network's names; may be views."""
        ...

    def stats(self) -> Params:
        """Evaluation statistics, where the network has any; may be views."""
        ...


@runtime_checkable
class Sharing(Protocol):
    """An engine that reads the samples of a stream where they lie, for all of its nets that have them; asked for on the CPU only."""

    def share(self, stream_of_net: Int[np.ndarray, " net"], streams: int) -> None:
        """From now on batches are [stream, sample, input], of so many streams, each net's one of them; targets stay those of each net."""
        ...


MakeEngine = Callable[[Network, Sequence[StepsSpec], Optimizer, Params, Params, Sequence[int]], Engine]
"""(network, specs, optimizer, parameters, masks in their dtype, where there are any, seeds of noise) -> engine; what it is given is
not modified.

It asks `optimizer.parameter` for each tensor that it trains. Specs share loss and batch. One that has `form_of(network, parameters and
masks of one net, its spec)` is called for nets of one form at a time, with the form as a last argument.
"""


class Groups:
    """All nets of a pack: an engine for each group of nets with the same arithmetic. (An `Engine` that calls engines.)"""

    def __init__(
        self,
        make: MakeEngine,
        network: Network,
        specs: Sequence[StepsSpec],
        params: Params,
        masks: Params | None,
        begin: int,
        updates: int,
        noise: Sequence[int] = (),
    ) -> None:
        """As in `Task`; updates: how many steps will be made at most."""
        like = next(value for value in params.values() if value.is_floating_point())
        if len(specs) != len(like):
            raise ShapeError(f"{len(specs)} training specs for {len(like)} nets")
        if len({(training.batch, training.loss) for training in specs}) != 1:
            raise ShapeError("the nets of a pack share batch and loss; theirs differ")
        self._nets, self._shared, self._device = len(like), False, like.device
        self._pace = pace(specs, begin, updates, like.device)
        given = {name: mask.to(params[name].dtype) for name, mask in (masks or {}).items() if mask is not None}
        noise = noise or [0] * len(specs)
        self._groups: list[tuple[Tensor, Optimizer, Engine]] = []
        for chosen, *form in self._alike(make, network, specs, params, masks or {}):
            index = torch.tensor(chosen, device=like.device)
            some = [specs[net] for net in chosen]
            # Of `like` the dtype and the device are wanted: a tensor without numbers, which keeps none in memory.
            optimizer = optimizer_of(some[0])(some, self._pace, like.new_empty(0))
            own, masked = ({name: value[index] for name, value in tensors.items()} for tensors in (params, given))
            self._groups.append(
                (index, optimizer, make(network, some, optimizer, own, masked, [noise[net] for net in chosen], *form))
            )

    def share(self, streams: Selection) -> bool:
        """Tells engines which stream of samples each net has (see `impray.data.base.view_selection`).

        Returns: whether all of them read streams: then batches are [stream, sample, input] from now on. Not where steps are captured:
        to a GPU copies are cheap, and launches are not.
        """
        if captures(self._device) or not all(isinstance(engine, Sharing) for _, _, engine in self._groups):
            return False
        if isinstance(streams, int):
            of_net = np.zeros(self._nets, np.int64)
        else:
            of_net = np.arange(self._nets) if streams is None else streams.numpy()
        for index, _, engine in self._groups:
            assert isinstance(engine, Sharing)
            engine.share(of_net[index.numpy()], int(of_net.max()) + 1)
        self._shared = True
        return True

    @staticmethod
    def _alike(
        make: MakeEngine, network: Network, specs: Sequence[StepsSpec], params: Params, masks: Params
    ) -> list[tuple[Any, ...]]:
        """Nets by the arithmetic of their update and, where the engine tells forms apart, by that; and what it is told of the form."""
        form_of = getattr(make, "form_of", None)
        if form_of is None:
            return [(chosen,) for chosen in alike(specs)]
        groups: list[tuple[Any, ...]] = []
        for chosen in alike(specs):
            forms: dict[Hashable, list[int]] = {}
            for net in chosen:
                own, masked = ({k: v[net] for k, v in some.items() if v is not None} for some in (params, masks))
                forms.setdefault(form_of(network, own, masked, specs[net]), []).append(net)
            groups += [(nets, form) for form, nets in forms.items()]
        return groups

    def step(self, x: Float[Tensor, "net sample input"], targets: Targets) -> None:
        """One update of every net; x: of each net or, where engines `share`, of each stream."""
        if self._pace is not None:
            self._pace.advance()
        for index, optimizer, engine in self._groups:
            optimizer.advance()
            if len(self._groups) == 1:
                engine.step(x, targets)
            else:
                engine.step(x if self._shared else selected(x, index), targets.index_select(0, index))

    def params(self) -> Params:
        """A copy."""
        return self._joined([engine.params() for _, _, engine in self._groups])

    def stats(self) -> Params:
        """A copy."""
        return self._joined([engine.stats() for _, _, engine in self._groups])

    def held(self) -> int | None:
        """Bytes that are held beside inputs and targets, to be asked before the first step; None where an engine does not say."""
        counts = [held() for _, _, engine in self._groups if (held := getattr(engine, "held", None)) is not None]
        return sum(counts) if len(counts) == len(self._groups) else None

    def _joined(self, parts: Sequence[Params]) -> Params:
        joined: Params = {}
        for name, first in parts[0].items():
            joined[name] = first.new_empty(self._nets, *first.shape[1:])
            for (index, _, _), part in zip(self._groups, parts, strict=True):
                joined[name][index] = part[name]
        return joined
