"""Multilayer perceptrons stacked along a leading `net` axis.

    h_0 = x        z_l = W_l n(h_{l-1}) + b_l        h_l = f(z_l)        outputs = z_L

n is the identity or, with batch norm, gamma (h - mean) / sqrt(var + 1e-10) + beta: before every product, the
first one on the inputs included. var is the population variance over the samples.

Layer l of L is named by its number from 1; layer L is the output layer. A net's numbers do not depend on the
nets beside it, bit for bit on one kind of CPU: where that takes care: `padded`, `impray.nets.layout`.

Source: Pellegrini & Biroli (2022), the code that Redman et al. (2025) build on: place of the batch norm and
its eps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from impray.nets import layout
from impray.nets.base import Layer, Network, Params
from impray.nets.initial import drawn
from impray.spec.nets import Mlp

BATCH_NORM_EPS = 1e-10


@dataclass(frozen=True)
class Architecture(Network):
    """What the nets of a pack share (a `Network`).

    Parameters are called `weight1` [net, unit, input], `bias1` [net, unit], with batch norm `gamma1`, `beta1` [net, input]; ...

    Args:
        sizes: units of every layer, inputs first, outputs last.
        activation: `relu`, `sigmoid`, `erf`, `tanh` or `linear`, after every layer but the last.
        batch_norm: whether the inputs of every product are normalised.
        bias: whether the layers have biases.
        readout: `trained`, or what the output layer is fixed at, without bias (`fixed_readout`).
        input_shape: how the inputs lie; empty: in a row.
    """

    sizes: tuple[int, ...]
    activation: str
    batch_norm: bool
    bias: bool
    readout: str = "trained"

    input_shape: tuple[int, ...] = ()

    @property
    def depth(self) -> int:
        """Number of weight matrices."""
        return len(self.sizes) - 1

    @property
    def layers(self) -> tuple[Layer, ...]:
        """As `Network.layers`."""
        pairs = enumerate(zip(self.sizes, self.sizes[1:], strict=False), start=1)
        return tuple(
            Layer(
                number,
                f"weight{number}",
                f"bias{number}" if self.bias else None,
                (units, inputs),
                (self.input_shape or (inputs,)) if number == 1 else (inputs,),
            )
            for number, (inputs, units) in pairs
        )

    def initial(
        self, specs: Sequence[Mlp], seeds: Sequence[int], dtype: torch.dtype, device: torch.device | str
    ) -> Params:
        """As `Network.initial`."""
        return initial(specs, self, seeds, dtype, device)

    def preactivations(
        self, params: Params, inputs: Float[Tensor, "net sample input"], stats: Params | None = None, last: int = 0
    ) -> list[Float[Tensor, "net sample unit"]]:
        """As `Network.preactivations`."""
        if 0 < last < self.depth:
            below = {name: value for name, value in params.items() if parts_of(name)[1] <= last}
            stats = {name: value for name, value in (stats or {}).items() if parts_of(name)[1] <= last}
            return preactivations(replace(self, sizes=self.sizes[: last + 1]), below, inputs, stats)
        return preactivations(self, params, inputs, stats)

    def addends(
        self,
        params: Params,
        inputs: Float[Tensor, "sample input"],
        stats: Params | None,
        below: Float[Tensor, "sample lower"] | None,
        layer: Layer,
    ) -> tuple[Float[Tensor, "unit feature"], Float[Tensor, "sample feature"]]:
        """As `Network.addends`. With batch norm gamma goes into the weights, so that the inputs need no copy; beta is an offset."""
        h = inputs if below is None else activation(self.activation, below)
        weight = params[layer.weight][0]
        if self.batch_norm:
            var = stats[f"var{layer.number}"][0] if stats else _variance(h)
            weight = weight * (params[f"gamma{layer.number}"][0] / (var + BATCH_NORM_EPS).sqrt())
        return weight, h

    def affine(self, params: Params) -> Params | None:
        """As `Network.affine`; Redman et al. (2025), after eq. 3."""
        stats: Params = {}
        for number in range(1, self.depth + 1) if self.batch_norm else ():
            stats[f"mean{number}"] = torch.zeros_like(params[f"gamma{number}"])
            stats[f"var{number}"] = torch.ones_like(params[f"gamma{number}"])
        return stats or None

    def joins_samples(self, stats: Params | None) -> bool:
        """As `Network.joins_samples`: batch norm does, unless it is told the statistics."""
        return self.batch_norm and not stats


def architecture(net: Mlp, input_shape: int | tuple[int, ...], outputs: int) -> Architecture:
    """The shared form of `net` on inputs of that shape (or so many of them) and with so many (already resolved) outputs."""
    shape = (input_shape,) if isinstance(input_shape, int) else input_shape
    sizes = (math.prod(shape), *net.hidden, outputs)
    return Architecture(sizes, net.activation, net.batch_norm, net.bias, net.readout, shape)


def parts_of(name: str) -> tuple[str, int]:
    """Kind and layer number of a perceptron's parameter or statistic: `weight`, 1 of `weight1`."""
    kind = name.rstrip("0123456789")
    return kind, int(name[len(kind) :])


def _variance(h: Float[Tensor, "sample input"]) -> Float[Tensor, " input"]:
    return torch.cat([part.double().var(dim=0, correction=0) for part in h.split(256, dim=1)]).to(h.dtype)


def initial(
    net: Mlp | Sequence[Mlp],
    arch: Architecture,
    seeds: Sequence[int],
    dtype: torch.dtype,
    device: torch.device | str,
) -> Params:
    """Parameters before the first update: weights as `net.init` says, biases and beta 0, gamma 1; a fixed readout as it is.

    Args:
        net: one for all, or one per net (they may differ in `init`).
        seeds: one per net; a net's draw depends on its own only (stream `init`, on the CPU, in float64, layer
            by layer).
    """
    nets = [net] * len(seeds) if isinstance(net, Mlp) else list(net)
    if len(nets) != len(seeds):
        raise ValueError(f"{len(nets)} nets for {len(seeds)} seeds")
    shapes = [layer.shape for layer in arch.layers]
    weights = [drawn(mlp.init, shapes, seed) for mlp, seed in zip(nets, seeds, strict=True)]
    params: Params = {}
    for layer, (fan_in, fan_out) in enumerate(zip(arch.sizes, arch.sizes[1:], strict=False), start=1):
        params[f"weight{layer}"] = torch.stack([of_net[layer - 1] for of_net in weights])
        if arch.bias:
            params[f"bias{layer}"] = torch.zeros(len(seeds), fan_out)
        if arch.batch_norm:
            params[f"gamma{layer}"] = torch.ones(len(seeds), fan_in)
            params[f"beta{layer}"] = torch.zeros(len(seeds), fan_in)
    if arch.readout != "trained":
        params[f"weight{arch.depth}"][:] = fixed_readout(arch.readout, arch.sizes[-2])
    return {name: value.to(device, dtype) for name, value in params.items()}


def fixed_readout(readout: str, units: int) -> Float[Tensor, " unit"]:
    """The output's weights, float64, where they are fixed: 1 / units (`mean`), 1 (`sum`), +1 and -1 in turn (`signed`)."""
    ones = torch.ones(units, dtype=torch.float64)
    if readout == "signed":
        ones[1::2] = -1
    return ones / units if readout == "mean" else ones


def activation(name: str, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """f(x) elementwise; `erf` is erf(x), without Goldt's 1/sqrt(2) in the argument."""
    return _ACTIVATIONS[name](x)


def _sigmoid(x: Tensor) -> Tensor:
    # Not torch.sigmoid: its CPU kernel rounds the last few elements differently, so a net's place in the pack
    # would show.
    return (1 + (-x).exp()).reciprocal()


_ACTIVATIONS = {
    "relu": torch.relu,
    "sigmoid": _sigmoid,
    "erf": torch.erf,
    "tanh": torch.tanh,
    "linear": lambda x: x,
}


def padded(params: Mapping[str, Tensor], arch: Architecture) -> tuple[Params, Architecture]:
    """The same nets with every one-unit layer given a second unit, with zero weights in and out.

    A product with one output column takes another path (matrix times vector) when the pack has one net, and
    rounds differently. Tensors of layers that need no padding are passed on as they are.
    """
    sizes = (arch.sizes[0], *(max(size, 2) for size in arch.sizes[1:]))
    if sizes == arch.sizes:
        return dict(params), arch
    wide: Params = {}
    for name, value in params.items():
        kind, layer = parts_of(name)
        more_in, more_out = sizes[layer - 1] - arch.sizes[layer - 1], sizes[layer] - arch.sizes[layer]
        widths = {"weight": (0, more_in, 0, more_out), "bias": (0, more_out)}.get(kind, (0, more_in))
        wide[name] = pad(value, widths) if any(widths) else value
    return wide, replace(arch, sizes=sizes)


def preactivations(
    arch: Architecture,
    params: Params,
    x: Float[Tensor, "net sample input"],
    stats: Mapping[str, Tensor] | None = None,
) -> list[Float[Tensor, "net sample unit"]]:
    """z_l of every layer, first to last; the last one are the outputs.

    Args:
        stats: with batch norm, `mean1` and `var1` [net, input] and so on, as trained nets carry them;
            None (or empty): the mean and population variance of each layer's inputs over these samples.
            Without batch norm unused.
    """
    wide_params, wide = padded(params, arch)
    wide_stats = padded(stats or {}, arch)[0]
    outputs = []
    h = x
    for layer in range(1, arch.depth + 1):
        if layer > 1:
            h = activation(arch.activation, outputs[-1])
        if arch.batch_norm:
            h = _normalised(h, wide_params, wide_stats, layer)
        outputs.append(_product(layout.aligned(h), wide_params[f"weight{layer}"], wide_params.get(f"bias{layer}")))
    return [z[..., :size] for z, size in zip(outputs, arch.sizes[1:], strict=True)]


def _product(
    h: Float[Tensor, "net sample input"],
    weight: Float[Tensor, "net unit input"],
    bias: Float[Tensor, "net unit"] | None,
) -> Float[Tensor, "net sample unit"]:
    weight = layout.aligned(weight).mT
    if torch.is_grad_enabled() and (h.requires_grad or weight.requires_grad):
        return torch.bmm(h, weight) if bias is None else torch.baddbmm(bias.unsqueeze(1), h, weight)
    out = layout.empty(h, len(h), h.shape[1], weight.shape[2])
    return torch.bmm(h, weight, out=out) if bias is None else torch.baddbmm(bias.unsqueeze(1), h, weight, out=out)


def _normalised(
    h: Float[Tensor, "net sample input"], params: Params, stats: Params, layer: int
) -> Float[Tensor, "net sample input"]:
    if stats:
        mean, var = stats[f"mean{layer}"].unsqueeze(1), stats[f"var{layer}"].unsqueeze(1)
        centred = h - mean
    else:
        centred = h - h.mean(1, keepdim=True)
        var = centred.square().mean(1, keepdim=True)
    return centred / (var + BATCH_NORM_EPS).sqrt() * params[f"gamma{layer}"].unsqueeze(1) + params[
        f"beta{layer}"
    ].unsqueeze(1)
