"""Forward and backward of modules of the user's: gradients by autograd, of all nets at once or of one net after the other.

The loss of a net is the mean over its own batch, and its parameters are its own: the gradient of the sum over nets is every net's own
gradient. Only the slope of the loss by the outputs is made by hand, as for the mlp.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor

from impray.data.base import Targets
from impray.nets import layout
from impray.nets.base import Network, Params
from impray.nets.module import ModuleNetwork
from impray.spec.errors import ShapeError
from impray.spec.training import StepsSpec
from impray.training.losses import Slope, mean_of
from impray.training.updates import Optimizer


class ModuleEngine:
    """Nets that are updated by the same arithmetic (an `Engine`)."""

    def __init__(
        self,
        network: Network,
        specs: Sequence[StepsSpec],
        optimizer: Optimizer,
        params: Params,
        masks: Params,
        noise: Sequence[int],
    ) -> None:
        assert isinstance(network, ModuleNetwork)
        nets, outputs, loss, batch = len(specs), network.recipe.outputs, specs[0].loss, specs[0].batch
        self._network, self._shape = network, (nets, batch, math.prod(network.recipe.input_shape))
        own = {name: layout.copied(value) for name, value in params.items()}
        self._parameters = {
            name: optimizer.parameter(own[name], masks.get(name), decays=own[name].dim() > 2)
            for name in network.trained
        }
        self._fixed = {name: value for name, value in own.items() if name not in self._parameters}
        for name in self._fixed.keys() & masks.keys():
            self._fixed[name].mul_(masks[name])
        first = own[network.trained[0]]
        self._state = network.begun(first, nets)
        ones = torch.full((nets,), mean_of(loss, batch, outputs), dtype=first.dtype, device=first.device)
        self._slope = Slope(loss, outputs, layout.empty(first, nets, outputs, batch), ones)
        self._noise = Noise(noise, first.device)

    def step(self, x: Float[Tensor, "net sample input"], targets: Targets) -> None:
        """As `Engine.step`."""
        if x.shape != self._shape:
            raise ShapeError(f"a batch {tuple(x.shape)} (net, sample, input) for nets and batch size {self._shape}")
        gradients = self._gradients(layout.in_rows(x), targets)
        for name, parameter in self._parameters.items():
            parameter.apply(gradients[name])

    def _gradients(self, x: Tensor, targets: Tensor) -> Params:
        leaves = {name: parameter.value.detach().requires_grad_() for name, parameter in self._parameters.items()}
        with torch.enable_grad():
            run = self._network.outputs if self._network.packed else self._one_by_one
            outputs = run({**self._fixed, **leaves}, self._state, x)
        slope = self._slope(layout.copied(outputs.detach().mT), targets).mT
        slopes = torch.autograd.grad(outputs, list(leaves.values()), slope, allow_unused=True)
        pairs = zip(leaves.items(), slopes, strict=True)
        return {name: torch.zeros_like(leaf) if slope is None else slope for (name, leaf), slope in pairs}

    def _one_by_one(self, params: Params, state: Params, x: Tensor) -> Tensor:
        x, outputs = layout.aligned(x), []
        for net in range(len(x)):
            own, of_net = ({name: value[net] for name, value in tensors.items()} for tensors in (params, state))
            with self._noise.of(net):
                outputs.append(self._network.outputs_of_one(own, of_net, x[net]))
        return torch.stack(outputs)

    def params(self) -> Params:
        """As `Engine.params`: views."""
        return {**self._fixed, **{name: parameter.value for name, parameter in self._parameters.items()}}

    def stats(self) -> Params:
        """As `Engine.stats`: the state of the modules' norms; views."""
        return self._state


class Noise:
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
