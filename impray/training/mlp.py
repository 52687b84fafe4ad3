"""The gradients of multilayer perceptrons, forward and backward by hand.

Everything is laid out [net, unit, sample], the inputs as a transposed view. The gradient is linear in the derivative of the loss by
the outputs, so the optimizer's factor (with SGD -lr / batch) goes into that (small) tensor and every product then adds to its
parameter's sink directly: with plain SGD to the weights themselves. The loss is never computed. How a layer's weights are held, and
what multiplies with them: `impray.training.weights`.

Bit for bit on one kind of CPU a net is trained as if alone. Batched products and sums allow it where every net begins on a cache
line (`impray.nets.layout`); torch.sigmoid and products with one output column do not (`impray.nets.mlp`).

Nets that share a stream of samples read it where it lies, unless it is so small that copies cost less: the first layer's products, or
its batch norm, are one call of the library for each run of nets (`impray.training.shared`), over matrices as they lie. They are not stacked
into one taller matrix: the library is no faster with that (300 x 784 in batches of 128: 0.96 to 1.03 of the time; 1,024 x 3,072 in batches
of 40: 0.98 to 1.08; Xeon, AVX-512).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from impray.data.base import Targets, selected
from impray.nets import layout
from impray.nets.base import Network, Params
from impray.nets.mlp import Architecture, padded, parts_of
from impray.spec.errors import ShapeError
from impray.spec.training import StepsSpec
from impray.training.batch_norm import BatchNorm, buffer
from impray.training.losses import Slope, mean_of
from impray.training.memory import bytes_of
from impray.training.shared import LEAST_OF_A_RUN, Run, Shared, shared
from impray.training.updates import Optimizer, Parameter
from impray.training.weights import Dense, Sparse, Weights, is_sparse


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
        form: tuple[bool, ...] = (),
    ) -> None:
        """As `MakeEngine`; form: of all of the nets, see `form_of`; empty: every layer is dense."""
        assert isinstance(network, Architecture)
        self._optimizer = optimizer
        outputs, loss, batch = network.sizes[-1], specs[0].loss, specs[0].batch
        wide_params, wide = padded(params, network)
        wide_masks = _wide_masks(network, wide, params, masks)
        self._network = network
        self._names = list(wide_params)
        self._parameters: dict[str, Parameter] = {}
        self._weights: dict[str, Weights] = {}
        for name, value in wide_params.items():
            mask, (kind, number) = wide_masks.get(name), parts_of(name)
            if kind != "weight":
                self._parameters[name] = _parameter(value, mask, optimizer)
            elif form and form[number - 1]:
                assert mask is not None
                slopes = _asks_for_slopes(wide, number)
                self._weights[name] = Sparse(value, mask, optimizer, batch, slopes)
            else:
                self._weights[name] = Dense(value, mask, optimizer)
        self._layers = [
            _Layer(number, wide, batch, self._weights[f"weight{number}"], self._parameters)
            for number in range(1, wide.depth + 1)
        ]
        self._shape = (len(specs), batch, network.sizes[0])  # of a batch's inputs
        self._run: Run | None = shared(range(len(specs))).runs[0]
        self._chosen: Tensor | None = None
        self._slope = Slope(loss, outputs, self._layers[-1].z, optimizer.factor(mean_of(loss, batch, outputs)))

    @staticmethod
    def form_of(network: Network, params: Params, masks: Params, training: StepsSpec) -> tuple[bool, ...]:
        """Which layers of one net are sparse; params, masks: its own, without a net axis."""
        assert isinstance(network, Architecture)
        last = network.depth if network.readout == "trained" else network.depth - 1
        names = [f"weight{number}" for number in range(1, last + 1)]
        return (
            *(is_sparse(masks.get(name), params[name], training.batch) for name in names),
            *[False] * (network.depth - last),
        )

    def share(self, stream_of_net: Int[np.ndarray, " net"], streams: int) -> None:
        """As `Sharing.share`."""
        self._shape = (streams, *self._shape[1:])
        of_nets = shared(stream_of_net.tolist())
        self._run = of_nets.runs[0] if len(of_nets.runs) == 1 else None
        copies = len(stream_of_net) * math.prod(self._shape[1:]) * self._layers[0].z.element_size()
        apart = self._run is None and not (self._layers[0].runs and copies < LEAST_OF_A_RUN * len(of_nets.runs))
        self._layers[0].share(of_nets if apart else None)
        self._chosen = None if apart or self._run is not None else torch.from_numpy(stream_of_net)

    def step(self, x: Float[Tensor, "stream sample input"], targets: Targets) -> None:
        """As `Engine.step`; x: of each net, or of each stream that they share."""
        if x.shape != self._shape:
            raise ShapeError(f"a batch {tuple(x.shape)} (net, sample, input) for nets and batch size {self._shape}")
        x = layout.aligned(x if self._chosen is None else selected(x, self._chosen))
        z = (x if self._run is None else self._run.read(x)).mT
        for layer in self._layers:
            z = layer.forward(z)
        delta = self._slope(z, targets)
        for layer in reversed(self._layers):
            delta = layer.backward(delta)

    def params(self) -> Params:
        """As `Engine.params`: views, but of sparse layers."""
        values = {name: parameter.value for name, parameter in self._parameters.items()}
        values |= {name: weights.value() for name, weights in self._weights.items()}
        return {name: self._own(name, values[name]) for name in self._names}

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


def _parameter(value: Tensor, mask: Tensor | None, optimizer: Optimizer) -> Parameter:
    """Of what is no weight: with a sample axis of 1."""
    if mask is not None:
        mask = layout.copied(mask).unsqueeze(-1)
    return optimizer.parameter(layout.copied(value).unsqueeze(-1), mask, decays=False)


def _wide_masks(network: Architecture, wide: Architecture, params: Params, masks: Params) -> Mapping[str, Tensor]:
    """Where a layer is padded, masks keep the second unit without weights."""
    if wide != network:
        # f(0) is not 0 for every activation: without a mask the weights out of a second unit would move.
        ones = {name: torch.ones_like(value) for name, value in params.items() if name.startswith("weight")}
        masks = {**ones, **masks}
    return padded(masks, network)[0]


def _asks_for_slopes(network: Architecture, number: int) -> bool:
    """Whether that layer needs the derivative by its inputs."""
    return number > 1 or network.batch_norm


class _Layer:
    """f (but in layer 1), batch norm, product and bias, with the buffers of a batch; a fixed one never moves.

    Attributes: z: its preactivations. norm: its batch norm. runs: whether it takes a call for each run of nets that share streams.
    """

    def __init__(
        self, number: int, network: Architecture, batch: int, weights: Weights, parameters: Mapping[str, Parameter]
    ) -> None:
        self._weights = weights
        self._bias = parameters.get(f"bias{number}")
        self._activation = None if number == 1 else network.activation
        self._fixed = number == network.depth and network.readout != "trained"
        like, inputs_first = weights.like, number > 1 or weights.inputs_first
        nets, units, inputs = weights.shape
        self.z = layout.empty(like, nets, units, batch)
        self.norm = None
        self.runs = network.batch_norm or isinstance(weights, Dense)
        if network.batch_norm:
            gamma, beta = parameters[f"gamma{number}"], parameters[f"beta{number}"]
            self.norm = BatchNorm(gamma, beta, batch, inputs_first)
        self._d = buffer(like, nets, inputs, batch, inputs_first) if _asks_for_slopes(network, number) else None
        self._h = buffer(like, nets, inputs, batch, True) if self._activation == "erf" else None

    def share(self, of_nets: Shared | None) -> None:
        """Inputs are [stream, input, sample] from now on; None: of each net."""
        (self._weights if self.norm is None else self.norm).share(of_nets)

    def forward(self, z: Float[Tensor, "stream input sample"]) -> Float[Tensor, "net unit sample"]:
        """From the layer below's preactivations (in layer 1 the inputs) to its own; may overwrite `z`."""
        self._below = z
        if self._activation is None:
            h = z
        else:
            h = torch.erf(z, out=self._h) if self._activation == "erf" else _IN_PLACE[self._activation](z)
        return self._weights.forward(h if self.norm is None else self.norm.forward(h), self._bias, self.z)

    def backward(self, delta: Float[Tensor, "net unit sample"]) -> Tensor:
        """Moves the parameters by `delta`, the derivative by this layer's preactivations times the optimizer's factor.

        Returns: the same for the layer below (in layer 1 without meaning).
        """
        if self._fixed:
            if self._d is not None:
                self._weights.backward(delta, self._d)
        else:
            self._weights.move(delta, self._d)
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
