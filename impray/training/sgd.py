"""Stochastic gradient descent on a pack of multilayer perceptrons, forward and backward by hand.

    g = mean gradient + weight_decay * w        v <- momentum * v + g        w <- mask * (w - lr * v)

How a step is made. Everything is laid out [net, unit, sample], the inputs as a transposed view. The gradient
is linear in the derivative of the loss by the outputs, so -lr / batch goes into that (small) tensor and every
product then adds to its target directly: to the weights themselves (baddbmm_) or, with momentum, to u = -lr
v: u <- momentum * u - lr * g, w <- w + u (equal, as lr is constant). Weights are multiplied by the mask after
the update; for elementwise rules like this one that equals masking the gradient. The loss is never computed.
Nets fall into at most four groups (with or without momentum, with or without decay), for a net's arithmetic
must follow from its own parameters, not from its neighbours'.

Bit for bit on one kind of CPU a net is trained as if alone. Batched products and sums allow it where every
net begins on a cache line (`impray.nets.layout`); torch.sigmoid and products with one output column do not
(`impray.nets.mlp`).

Batch norm: a layer's evaluation statistics are an exponential moving average of its batches' mean and
population variance, s <- 0.99 s + 0.01 (batch's), beginning with those of the round's first batch (no bias
towards 0, as a start at 0 would have). Source: Pellegrini & Biroli (2022), the code that Redman et al. (2025)
build on: 0.99, reset each round.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor

from impray.data.base import PackData, Raw
from impray.nets import layout
from impray.nets.base import Params
from impray.nets.mlp import BATCH_NORM_EPS, Architecture, padded
from impray.spec.errors import ShapeError
from impray.spec.training import Sgd
from impray.training.blocks import runner

EMA_DECAY = 0.99


@dataclass
class Trained:
    """The end of a round.

    Args:
        params: as `impray.nets.mlp.Params`; pruned weights are 0, and a net that diverged has NaN.
        stats: with batch norm, evaluation statistics `mean1`, `var1` [net, input of layer 1] and so on; else
            empty.
    """

    params: Params
    stats: Params


@torch.no_grad()
def train(
    arch: Architecture,
    train: Sequence[Sgd],
    params: Params,
    masks: Params | None,
    data: PackData,
    steps: int,
    snapshots: Sequence[int] = (),
    record: tuple[int, Callable[[int, Params], None]] | None = None,
) -> tuple[Trained, dict[int, Params]]:
    """One round: `steps` updates of every net.

    Args:
        arch, params: the nets at the round's start; not modified.
        train: one per net; lr, momentum and weight_decay may differ.
        masks: `weight1` [net, unit, input], `bias1` [net, unit] ... of 0 and 1 (or bool); None or without a
            key: dense.
        data: with its streams already at the round's start.
        snapshots: numbers of updates, 0 to `steps`, after which parameters are copied (0: those at the start,
            masked).
        record: (n, call): call(step, a copy of the parameters) is made at the start, after every n updates and
            at the end.
    Returns: the trained nets, and a copy of the parameters for each of `snapshots`.
    Raises: ShapeError: the data's batches do not fit the nets.
    """
    if any(not 0 <= step <= steps for step in snapshots):
        raise ValueError(f"snapshots {tuple(snapshots)}: must be from 0 to steps = {steps}")
    pack = _Pack(arch, train, params, masks)
    recorded = set() if record is None else {*range(0, steps, record[0]), steps}
    wanted = set(snapshots) | recorded
    saved: dict[int, Params] = {}

    def keep(step: int) -> None:
        if step in snapshots:
            saved[step] = pack.params()
        if record is not None and step in recorded:
            record[1](step, pack.params())

    keep(0)

    def run_steps(raw: Raw, first: int, last: int) -> None:
        for step in range(first, last):
            pack.step(*data.batch(raw, step))

    run = runner(run_steps, data.block, params["weight1"].device)
    for begin in range(0, steps, data.block):
        size = min(data.block, steps - begin)
        raw = data.draw(size)
        stops = [0, *(step for step in range(1, size) if begin + step in wanted), size]
        for first, last in pairwise(stops):
            run(raw, first, last)
            if begin + last in wanted:
                keep(begin + last)
    return Trained(pack.params(), pack.stats()), saved


class _Pack:
    """All nets, in their groups."""

    def __init__(self, arch: Architecture, train: Sequence[Sgd], params: Params, masks: Params | None) -> None:
        nets = len(params["weight1"])
        if len(train) != nets:
            raise ShapeError(f"{len(train)} training specs for {nets} nets")
        if len({(one.batch, one.loss) for one in train}) != 1:
            raise ShapeError("the nets of a pack share batch and loss; theirs differ")
        if arch.sizes[-1] == 1 and train[0].loss != "mse":
            raise ShapeError("a single output takes the loss mse")
        device = params["weight1"].device
        wide_params, wide = padded(params, arch)
        wide_masks = _wide_masks(arch, wide, params, masks)
        self._arch, self._nets = arch, nets
        self._groups: list[tuple[Tensor, _Group]] = []
        for chosen in _alike(train):
            index = torch.tensor(chosen, device=device)
            own = [
                {name: layout.copied(value[index]) for name, value in tensors.items()}
                for tensors in (wide_params, wide_masks)
            ]
            self._groups.append((index, _Group(wide, arch.sizes[-1], [train[net] for net in chosen], *own)))

    def step(self, x: Float[Tensor, "net sample input"], labels: Int[Tensor, "net sample"]) -> None:
        """One update of every net."""
        if len(self._groups) == 1:
            self._groups[0][1].step(x, labels)
            return
        for index, group in self._groups:
            group.step(x.index_select(0, index), labels.index_select(0, index))

    def params(self) -> Params:
        """A copy, without the padding."""
        return self._joined([group.params() for _, group in self._groups])

    def stats(self) -> Params:
        """A copy, without the padding."""
        return self._joined([group.stats() for _, group in self._groups])

    def _joined(self, parts: list[Params]) -> Params:
        joined: Params = {}
        for name, first in parts[0].items():
            layer = int(name.lstrip("abcdefghijklmnopqrstuvwxyz"))
            fan_in, fan_out = self._arch.sizes[layer - 1], self._arch.sizes[layer]
            shape = {"weight": (fan_out, fan_in), "bias": (fan_out,)}.get(name.rstrip("0123456789"), (fan_in,))
            joined[name] = first.new_empty(self._nets, *shape)
            for (index, _), part in zip(self._groups, parts, strict=True):
                joined[name][index] = part[name][(slice(None), *(slice(size) for size in shape))]
        return joined


def _alike(train: Sequence[Sgd]) -> list[list[int]]:
    """Nets by the arithmetic of their update."""
    groups: dict[tuple[bool, bool], list[int]] = {}
    for net, one in enumerate(train):
        groups.setdefault((one.momentum > 0, one.weight_decay > 0), []).append(net)
    return list(groups.values())


def _wide_masks(arch: Architecture, wide: Architecture, params: Params, masks: Params | None) -> Params:
    """Masks in the parameters' dtype; where a layer is padded, they keep the second unit without weights."""
    given = {name: mask.to(params[name].dtype) for name, mask in (masks or {}).items() if mask is not None}
    if wide != arch:
        # f(0) is not 0 for every activation: without a mask the weights out of a second unit would move.
        ones = {name: torch.ones_like(value) for name, value in params.items() if name.startswith("weight")}
        given = {**ones, **given}
    return padded(given, arch)[0]


class _Parameter:
    """A tensor [net, ...] with velocity and mask. An update is `ready()`, additions to `sink`, `moved()`."""

    def __init__(self, value: Tensor, mask: Tensor | None, momentum: Tensor | None, decay: Tensor | None) -> None:
        """momentum: None or per net; decay: None or -lr * weight_decay per net; both [net, 1, 1]."""
        self.value = value if mask is None else value.mul_(mask)
        self._mask, self._momentum, self._decay = mask, momentum, decay
        self.sink = value if momentum is None else layout.zeros(value, *value.shape)
        self._shrink = None if decay is None else 1 + decay
        self._scratch = layout.empty(value, *value.shape) if momentum is not None and decay is not None else None

    def ready(self) -> None:
        """To be called once the old value is no longer read."""
        if self._momentum is not None:
            self.sink.mul_(self._momentum)
            if self._decay is not None:
                # Two roundings rather than addcmul_, which may fuse them in some elements and not in others.
                self.sink.add_(torch.mul(self.value, self._decay, out=self._scratch))
        elif self._shrink is not None:
            self.value.mul_(self._shrink)

    def moved(self) -> None:
        if self._momentum is not None:
            self.value.add_(self.sink)
        if self._mask is not None:
            self.value.mul_(self._mask)

    def add(self, step: Tensor) -> None:
        """A whole update by `step`, -lr times the gradient."""
        self.ready()
        self.sink.add_(step)
        self.moved()


class _BatchNorm:
    """gamma (h - mean) / sqrt(var + eps) + beta over the samples of a batch."""

    def __init__(self, gamma: _Parameter, beta: _Parameter, batch: int, inputs_first: bool) -> None:
        self._gamma, self._beta = gamma, beta
        self._batch, self._first = batch, True
        self._normal, self._out = (_buffer(gamma.value, batch, inputs_first) for _ in range(2))
        self._rate = torch.empty_like(gamma.value)
        self.mean, self.var = torch.zeros_like(gamma.value), torch.zeros_like(gamma.value)

    def forward(self, h: Float[Tensor, "net input sample"]) -> Float[Tensor, "net input sample"]:
        mean = h.mean(-1, keepdim=True)
        torch.sub(h, mean, out=self._normal)
        var = torch.mul(self._normal, self._normal, out=self._out).mean(-1, keepdim=True)
        torch.add(var, BATCH_NORM_EPS, out=self._rate).sqrt_().reciprocal_()
        self._normal.mul_(self._rate)
        torch.mul(self._normal, self._gamma.value, out=self._out).add_(self._beta.value)
        self._follow(self.mean, mean)
        self._follow(self.var, var)
        self._first = False
        return self._out

    def _follow(self, average: Tensor, new: Tensor) -> None:
        if self._first:
            average.copy_(new)
        else:
            average.add_(new.sub_(average).mul_(1 - EMA_DECAY))

    def backward(self, d: Float[Tensor, "net input sample"], to_inputs: bool) -> None:
        """Moves gamma and beta by `d`, the slope by the result; `d` becomes that by the inputs, if asked."""
        d_beta = d.sum(-1, keepdim=True)
        d_gamma = torch.mul(d, self._normal, out=self._out).sum(-1, keepdim=True)
        if to_inputs:
            d.sub_(d_beta / self._batch).sub_(self._normal.mul_(d_gamma / self._batch))
            d.mul_(self._rate.mul_(self._gamma.value))
        self._gamma.add(d_gamma)
        self._beta.add(d_beta)


class _Layer:
    """f (but in layer 1), batch norm, product and bias, with the buffers of a batch; a fixed one never moves."""

    def __init__(self, number: int, arch: Architecture, batch: int, parameters: dict[str, _Parameter]) -> None:
        self._weight = parameters[f"weight{number}"]
        self._bias = parameters.get(f"bias{number}")
        self._activation = None if number == 1 else arch.activation
        self._fixed = number == arch.depth and arch.readout == "mean"
        weight = self._weight.value
        self._z = layout.empty(weight, len(weight), weight.shape[1], batch)
        inputs = weight.mT
        self.norm = None
        if arch.batch_norm:
            gamma, beta = parameters[f"gamma{number}"], parameters[f"beta{number}"]
            self.norm = _BatchNorm(gamma, beta, batch, inputs_first=number > 1)
        self._d = _buffer(inputs, batch, number > 1) if number > 1 or arch.batch_norm else None
        self._h = _buffer(inputs, batch, True) if self._activation == "erf" else None

    def forward(self, z: Float[Tensor, "net input sample"]) -> Float[Tensor, "net unit sample"]:
        """From the layer below's preactivations (in layer 1 the inputs) to its own; may overwrite `z`."""
        self._below = z
        if self._activation is None:
            h = z
        else:
            h = torch.erf(z, out=self._h) if self._activation == "erf" else _IN_PLACE[self._activation](z)
        self._inputs = h if self.norm is None else self.norm.forward(h)
        if self._bias is None:
            return torch.bmm(self._weight.value, self._inputs, out=self._z)
        return torch.baddbmm(self._bias.value, self._weight.value, self._inputs, out=self._z)

    def backward(self, delta: Float[Tensor, "net unit sample"]) -> Tensor:
        """Moves the parameters by `delta`, the derivative by this layer's preactivations times -lr / batch.

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


def _buffer(like: Tensor, batch: int, inputs_first: bool) -> Float[Tensor, "net input sample"]:
    """[net, input, sample] for a tensor [net, input, ...]; unless `inputs_first` in memory as x."""
    nets, inputs = like.shape[:2]
    return layout.empty(like, nets, inputs, batch) if inputs_first else layout.empty(like, nets, batch, inputs).mT


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


class _Group:
    """Nets that are updated by the same arithmetic."""

    def __init__(self, arch: Architecture, outputs: int, train: list[Sgd], params: Params, masks: Params) -> None:
        """`params` are taken over; `outputs` are counted without padding."""
        weight = params["weight1"]
        batch = train[0].batch

        def per_net(values: list[float]) -> Float[Tensor, "net 1 1"]:
            return torch.tensor(values, dtype=torch.float64).to(weight.device, weight.dtype).view(-1, 1, 1)

        momentum = per_net([one.momentum for one in train]) if train[0].momentum else None
        decay = per_net([-one.lr * one.weight_decay for one in train]) if train[0].weight_decay else None
        self._parameters: dict[str, _Parameter] = {}
        for name, value in params.items():
            is_weight = name.startswith("weight")
            value, mask = (t if is_weight or t is None else t.unsqueeze(-1) for t in (value, masks.get(name)))
            assert value is not None
            self._parameters[name] = _Parameter(value, mask, momentum, decay if is_weight else None)
        self._layers = [_Layer(number, arch, batch, self._parameters) for number in range(1, arch.depth + 1)]
        self._shape = (len(weight), batch, arch.sizes[0])
        self._loss, self._outputs = train[0].loss, outputs
        mean = {"cross_entropy": 1 / batch, "mse": 2 / (batch * outputs)}[train[0].loss]
        self._scale = per_net([-one.lr * mean for one in train])
        self._classes = torch.arange(arch.sizes[-1], dtype=weight.dtype, device=weight.device).unsqueeze(-1)
        self._labels = weight.new_empty(len(weight), 1, batch)
        self._targets = layout.zeros(weight, len(weight), arch.sizes[-1], batch)
        self._delta = layout.empty(weight, *self._targets.shape)

    def step(self, x: Float[Tensor, "net sample input"], labels: Int[Tensor, "net sample"]) -> None:
        """One update."""
        if x.shape != self._shape:
            raise ShapeError(f"a batch {tuple(x.shape)} (net, sample, input) for nets and batch size {self._shape}")
        z = layout.aligned(x).mT
        for layer in self._layers:
            z = layer.forward(z)
        delta = self._output_delta(z, labels)
        for layer in reversed(self._layers):
            delta = layer.backward(delta)

    def _output_delta(
        self, z: Float[Tensor, "net unit sample"], labels: Int[Tensor, "net sample"]
    ) -> Float[Tensor, "net unit sample"]:
        """Derivative of the loss by the outputs, times -lr."""
        if self._outputs == 1:
            self._targets[:, 0].copy_(labels)
        else:
            self._labels[:, 0].copy_(labels)
            torch.eq(self._labels, self._classes, out=self._targets)
        if self._loss == "cross_entropy":
            z = torch.softmax(z, 1, out=self._delta)
        return torch.sub(z, self._targets, out=self._delta).mul_(self._scale)

    def params(self) -> Params:
        """Views, with the padding."""
        return {
            name: one.value if name.startswith("weight") else one.value.squeeze(-1)
            for name, one in self._parameters.items()
        }

    def stats(self) -> Params:
        """Views, with the padding."""
        stats: Params = {}
        for number, layer in enumerate(self._layers, start=1):
            if layer.norm is not None:
                stats[f"mean{number}"] = layer.norm.mean.squeeze(-1)
                stats[f"var{number}"] = layer.norm.var.squeeze(-1)
        return stats
