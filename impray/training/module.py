"""Forward and backward of modules of the user's: gradients by autograd, of all nets at once or of one net after the other.

The loss of a net is the mean over its own batch, and its parameters are its own: the gradient of the sum over nets is every net's own
gradient. Only the slope of the loss by the outputs is made by hand, as for the mlp.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Float, Int
from torch import Tensor

from impray.nets import layout
from impray.nets.base import Params
from impray.nets.module import ModuleNetwork
from impray.spec.errors import ShapeError
from impray.spec.training import StepsSpec
from impray.training.losses import Slope, mean_of
from impray.training.schedules import Pace
from impray.training.updates import OPTIMIZERS


class Group:
    """Nets that are updated by the same arithmetic."""

    def __init__(
        self,
        network: ModuleNetwork,
        specs: Sequence[StepsSpec],
        params: Params,
        masks: Params,
        pace: Pace | None,
        noise: Sequence[int],
    ) -> None:
        """`params` are taken over. masks: in the parameters' dtype. noise: seeds of what training itself draws (dropout)."""
        first = params[network.trained[0]]
        batch, outputs = specs[0].batch, network.recipe.outputs
        self._network, self._batch = network, batch
        self._optimizer = OPTIMIZERS[type(specs[0])](specs, pace, first)
        self._fixed = {name: value for name, value in params.items() if name not in network.trained}
        for name, mask in masks.items():
            if name in self._fixed:
                self._fixed[name].mul_(mask)
        self._parameters = {
            name: self._optimizer.parameter(params[name], masks.get(name), decays=params[name].dim() > 2)
            for name in network.trained
        }
        self._state = network.begun(first, len(first))
        like = layout.empty(first, len(first), outputs, batch)
        self._slope = Slope(specs[0].loss, outputs, like, first.new_full((len(first),), mean_of(specs[0].loss, batch, outputs)))
        self._noise = _Noise(noise, first.device)

    def step(self, x: Float[Tensor, "net sample input"], labels: Int[Tensor, "net sample"]) -> None:
        """One update of every net."""
        if x.shape[1] != self._batch:
            raise ShapeError(f"a batch {tuple(x.shape)} (net, sample, input) for batch size {self._batch}")
        self._optimizer.advance()
        gradients = self._gradients(x, labels)
        for name, parameter in self._parameters.items():
            parameter.apply(gradients[name])

    def _gradients(self, x: Tensor, labels: Tensor) -> Params:
        leaves = {name: one.value.detach().requires_grad_() for name, one in self._parameters.items()}
        with torch.enable_grad():
            run = self._network.outputs if self._network.packed else self._one_by_one
            outputs = run({**self._fixed, **leaves}, self._state, x)
        slope = self._slope(layout.copied(outputs.detach().mT), labels).mT
        slopes = torch.autograd.grad(outputs, list(leaves.values()), slope, allow_unused=True)
        pairs = zip(leaves.items(), slopes, strict=True)
        return {name: torch.zeros_like(leaf) if slope is None else slope for (name, leaf), slope in pairs}

    def _one_by_one(self, params: Params, state: Params, x: Tensor) -> Tensor:
        outputs = []
        for net in range(len(x)):
            own, of_net = ({name: value[net] for name, value in tensors.items()} for tensors in (params, state))
            with self._noise.of(net):
                outputs.append(self._network.outputs_of_one(own, of_net, layout.aligned(x)[net]))
        return torch.stack(outputs)

    def params(self) -> Params:
        """Views."""
        return {**self._fixed, **{name: one.value for name, one in self._parameters.items()}}

    def stats(self) -> Params:
        """Views."""
        return self._state


class _Noise:
    """A stream of torch's global generator for each net, which stays as it is outside of `of`."""

    def __init__(self, seeds: Sequence[int], device: torch.device) -> None:
        self._cuda = device if device.type == "cuda" else None
        self._states = [self._seeded(seed) for seed in seeds]

    def _seeded(self, seed: int) -> tuple[Tensor, ...]:
        devices = [torch.device("cpu")] + ([self._cuda] if self._cuda else [])
        return tuple(torch.Generator(device).manual_seed(seed).get_state() for device in devices)

    @contextmanager
    def of(self, net: int) -> Iterator[None]:
        before = self._now()
        self._set(self._states[net])
        try:
            yield
        finally:
            self._states[net] = self._now()
            self._set(before)

    def _now(self) -> tuple[Tensor, ...]:
        return (torch.get_rng_state(), *([torch.cuda.get_rng_state(self._cuda)] if self._cuda else []))

    def _set(self, states: tuple[Tensor, ...]) -> None:
        torch.set_rng_state(states[0])
        if self._cuda:
            torch.cuda.set_rng_state(states[1], self._cuda)
