"""The gradients of multilayer perceptrons, forward and backward by hand.

Everything is laid out [net, unit, sample], the inputs as a transposed view. The gradient is linear in the derivative of the loss by
the outputs, so the optimizer's factor (with SGD -lr / batch) goes into that (small) tensor and every product then adds to its
parameter's sink directly: with plain SGD to the weights themselves (baddbmm_). The loss is never computed.

Bit for bit on one kind of CPU a net is trained as if alone. Batched products and sums allow it where every net begins on a cache
line (`impray.nets.layout`); torch.sigmoid and products with one output column do not (`impray.nets.mlp`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from impray.data.base import Targets
from impray.nets import layout
from impray.nets.base import Network, Params
from impray.nets.mlp import Architecture, padded, parts_of
from impray.spec.errors import ShapeError
from impray.spec.training import StepsSpec
from impray.training.batch_norm import BatchNorm, buffer
from impray.training.losses import Slope, mean_of
from impray.training.memory import bytes_of
from impray.training.updates import Optimizer, Parameter


class MlpEngine:
    """Nets that are updated by the same arithmetic (an `Engine`)."""

    def __init__(
        self,
        network: Network,
        specs: Sequence[StepsSpec],
        optimizer: Optimizer,
        params: Params,
        masks: Params,
        noise: Sequence[int] = (),
    ) -> None:
        assert isinstance(network, Architecture)
        self._optimizer = optimizer
        outputs, loss, batch = network.sizes[-1], specs[0].loss, specs[0].batch
        if outputs == 1 and loss != "mse":
            raise ShapeError("a single output takes the loss mse")
        wide_params, wide = padded(params, network)
        wide_masks = _wide_masks(network, wide, params, masks)
        self._network = network
        self._parameters = {
            name: _parameter(name, layout.copied(value), wide_masks.get(name), optimizer)
            for name, value in wide_params.items()
        }
        self._layers = [_Layer(number, wide, batch, self._parameters) for number in range(1, wide.depth + 1)]
        self._shape = (len(specs), batch, network.sizes[0])
        self._slope = Slope(loss, outputs, self._layers[-1].z, optimizer.factor(mean_of(loss, batch, outputs)))

    def step(self, x: Float[Tensor, "net sample input"], targets: Targets) -> None:
        """As `Engine.step`."""
        if x.shape != self._shape:
            raise ShapeError(f"a batch {tuple(x.shape)} (net, sample, input) for nets and batch size {self._shape}")
        z = layout.aligned(x).mT
        for layer in self._layers:
            z = layer.forward(z)
        delta = self._slope(z, targets)
        for layer in reversed(self._layers):
            delta = layer.backward(delta)

    def params(self) -> Params:
        """As `Engine.params`: views."""
        return {name: self._own(name, parameter.value) for name, parameter in self._parameters.items()}

    def stats(self) -> Params:
        """As `Engine.stats`: with batch norm `mean1`, `var1` [net, input of layer 1] and so on; views."""
        stats: Params = {}
        for number, layer in enumerate(self._layers, start=1):
            if layer.norm is not None:
                stats[f"mean{number}"] = self._own(f"mean{number}", layer.norm.mean)
                stats[f"var{number}"] = self._own(f"var{number}", layer.norm.var)
        return stats

    def held(self) -> int:
        """As `Engine.held`: weights, masks, gradients, the optimizer's state and the buffers of a batch."""
        return bytes_of(self, self._optimizer)

    def _own(self, name: str, value: Tensor) -> Tensor:
        """Without the padding, and without the sample axis of what is no weight."""
        kind, number = parts_of(name)
        inputs, units = self._network.sizes[number - 1 : number + 1]
        if kind == "weight":
            return value[:, :units, :inputs]
        return value[:, : units if kind == "bias" else inputs, 0]


def _parameter(name: str, value: Tensor, mask: Tensor | None, optimizer: Optimizer) -> Parameter:
    """Weights [net, unit, input]; anything else gets a sample axis of 1."""
    if mask is not None:
        mask = layout.copied(mask)
    if name.startswith("weight"):
        return optimizer.parameter(value, mask, decays=True)
    return optimizer.parameter(value.unsqueeze(-1), mask if mask is None else mask.unsqueeze(-1), decays=False)


def _wide_masks(network: Architecture, wide: Architecture, params: Params, masks: Params) -> Mapping[str, Tensor]:
    """Where a layer is padded, masks keep the second unit without weights."""
    if wide != network:
        # f(0) is not 0 for every activation: without a mask the weights out of a second unit would move.
        ones = {name: torch.ones_like(value) for name, value in params.items() if name.startswith("weight")}
        masks = {**ones, **masks}
    return padded(masks, network)[0]


class _Layer:
    """f (but in layer 1), batch norm, product and bias, with the buffers of a batch; a fixed one never moves."""

    def __init__(self, number: int, network: Architecture, batch: int, parameters: Mapping[str, Parameter]) -> None:
        self._weight = parameters[f"weight{number}"]
        self._bias = parameters.get(f"bias{number}")
        self._activation = None if number == 1 else network.activation
        self._fixed = number == network.depth and network.readout != "trained"
        weight = self._weight.value
        self.z = layout.empty(weight, len(weight), weight.shape[1], batch)
        inputs = weight.mT
        self.norm = None
        if network.batch_norm:
            gamma, beta = parameters[f"gamma{number}"], parameters[f"beta{number}"]
            self.norm = BatchNorm(gamma, beta, batch, inputs_first=number > 1)
        self._d = buffer(inputs, batch, number > 1) if number > 1 or network.batch_norm else None
        self._h = buffer(inputs, batch, True) if self._activation == "erf" else None

    def forward(self, z: Float[Tensor, "net input sample"]) -> Float[Tensor, "net unit sample"]:
        """From the layer below's preactivations (in layer 1 the inputs) to its own; may overwrite `z`."""
        self._below = z
        if self._activation is None:
            h = z
        else:
            h = torch.erf(z, out=self._h) if self._activation == "erf" else _IN_PLACE[self._activation](z)
        self._inputs = h if self.norm is None else self.norm.forward(h)
        if self._bias is None:
            return torch.bmm(self._weight.value, self._inputs, out=self.z)
        return torch.baddbmm(self._bias.value, self._weight.value, self._inputs, out=self.z)

    def backward(self, delta: Float[Tensor, "net unit sample"]) -> Tensor:
        """Moves the parameters by `delta`, the derivative by this layer's preactivations times the optimizer's factor.

        Returns: the same for the layer below (in layer 1 without meaning).
        """
        if self._d is not None:
            torch.bmm(self._weight.value.mT, delta, out=self._d)
        if not self._fixed:
            self._weight.ready()
            self._weight.sink.baddbmm_(delta, self._inputs.mT)
            self._weight.moved()
            if self._bias is not None:
                self._bias.add(delta.sum(-1, keepdim=True))
        if self._d is None:
            return delta
        if self.norm is not None:
            self.norm.backward(self._d, to_inputs=self._activation is not None)
        if self._activation in _SLOPES:
            self._d.mul_(_SLOPES[self._activation](self._below))
        return self._d


# f(z) in place of z, in the forms of `impray.nets.mlp.activation`; erf is not here, its slope needs z.
_IN_PLACE: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": lambda z: z.relu_(),
    "sigmoid": lambda z: z.neg_().exp_().add_(1).reciprocal_(),
    "tanh": lambda z: z.tanh_(),
    "linear": lambda z: z,
}

# f'(z) from f(z) (for erf from z) and in its place: no one reads it afterwards. linear's slope is 1.
_SLOPES: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": lambda h: h.sign_(),
    "sigmoid": lambda h: h.sub_(h.square()),
    "tanh": lambda h: h.square_().neg_().add_(1),
    "erf": lambda z: z.square_().neg_().exp_().mul_(2 / math.sqrt(math.pi)),
}
