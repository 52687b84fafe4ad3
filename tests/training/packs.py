"""Packs away from special values, for the laws of training."""

from __future__ import annotations

import torch
from torch.nn import functional

from impray.data.base import Streams
from impray.nets import mlp
from impray.spec.training import Adam, AdamW, Sgd
from impray.training import TRAINERS, Task

ACTIVATIONS = ["relu", "sigmoid", "erf", "tanh", "linear"]
OPTIMIZERS = {
    "sgd": Sgd(lr=0.05),
    "decay": Sgd(lr=0.05, weight_decay=0.1),
    "momentum": Sgd(lr=0.05, momentum=0.9, weight_decay=0.1),
    "nesterov": Sgd(lr=0.05, momentum=0.9, nesterov=True),
    "adam": Adam(lr=0.01, weight_decay=0.1, eps=1e-3),
    "adamw": AdamW(lr=0.01, weight_decay=0.1, eps=1e-3),
}


class FixedData:
    """Given batches x [net, step, sample, input], y [net, step, sample]; a block is `block` steps."""

    def __init__(self, x, y, block=3):
        self.x, self.y, self.block, self.next = x, y, block, 0
        self.nets, self.inputs, self.classes = len(x), x.shape[-1], 2

    def start(self, round):
        self.next = 0

    def held_out(self, net):
        return self.x[net, 0], self.y[net, 0]

    def draw(self, steps):
        assert 1 <= steps <= self.block
        start, self.next = self.next, self.next + steps
        return {"x": self.x[:, start : self.next], "y": self.y[:, start : self.next]}

    def batch(self, raw, step):
        return raw["x"][:, step], raw["y"][:, step]

    def whole(self, net):
        return self.x[net].flatten(0, 1), self.y[net].flatten()

    def truth(self, net):
        return {}

    def of(self, nets):
        return FixedData(self.x[nets].clone(), self.y[nets].clone(), self.block)

    def again(self):
        return self.of(slice(None))


class StreamedData(Streams, FixedData):
    """Nets that share given streams x [stream, step, sample, input]; y [net, step, sample]."""

    def __init__(self, x, y, stream_of_net, block=3):
        super().__init__(x, y, block)
        self.nets, self.stream_of_net = len(y), stream_of_net

    def of(self, nets):
        of_net = torch.arange(len(self.x)) if self.stream_of_net is None else self.stream_of_net
        of_net = torch.zeros(of_net, dtype=torch.int64) if isinstance(of_net, int) else of_net
        return FixedData(self.x[of_net[nets]], self.y[nets].clone(), self.block)

    def streams(self, raw, step):
        return FixedData.batch(self, raw, step)


def problem(net, inputs=5, outputs=3, nets=2, batch=6, steps=4, dtype=torch.float64, density=1.0):
    """A pack away from special values, its data and masks."""
    generator = torch.Generator().manual_seed(7)
    arch = mlp.architecture(net, inputs, outputs)
    params = mlp.initial(net, arch, range(nets), dtype, "cpu")
    params = {
        k: v + 0.1 * torch.randn(v.shape, generator=generator, dtype=torch.float64).to(dtype) for k, v in params.items()
    }
    x = torch.randn(nets, steps, batch, inputs, generator=generator, dtype=torch.float64).to(dtype)
    y = torch.randint(0, max(outputs, 2), (nets, steps, batch), generator=generator)
    maskable = {k: v for k, v in params.items() if k.startswith(("weight", "bias1"))}
    masks = {k: torch.rand(v.shape, generator=generator) < density for k, v in maskable.items()}
    return arch, params, masks, FixedData(x, y)


def train(arch, specs, params, masks, data, steps, snapshots=(), **more):
    """One round, as `lineage` asks for it."""
    return TRAINERS[type(specs[0])](Task(arch, specs, params, masks, data, steps, tuple(snapshots), **more))


def alone(arch, spec, params, masks, data, steps, net):
    """One round of one net of a pack, as a pack of its own."""
    own = slice(net, net + 1)
    own_params, own_masks = ({k: v[own].clone() for k, v in given.items()} for given in (params, masks))
    return train(arch, [spec], own_params, own_masks, data.of(own), steps)


def unlike_alone(arch, specs, params, masks, data, steps):
    """Nets whose numbers in a pack are not those of a pack of their own, bit for bit."""
    together = train(arch, specs, params, masks, data, steps)
    found = []
    for net, spec in enumerate(specs):
        own = alone(arch, spec, params, masks, data, steps, net)
        for name in ("params", "stats"):
            beside = {key: value[net : net + 1] for key, value in getattr(together, name).items()}
            if not same(getattr(own, name), beside):
                found.append((net, name))
    return found


def loss_of(kind, outputs, labels):
    """The loss of each net, written with torch's own functions."""
    if kind == "cross_entropy":
        return torch.stack([functional.cross_entropy(z, y) for z, y in zip(outputs, labels, strict=True)])
    one_hot = labels.unsqueeze(-1) if outputs.shape[-1] == 1 else functional.one_hot(labels, outputs.shape[-1])
    return torch.stack([functional.mse_loss(z, y.to(z.dtype)) for z, y in zip(outputs, one_hot, strict=True)])


def same(a, b):
    """Bit for bit, NaN like NaN."""
    return a.keys() == b.keys() and all(torch.allclose(a[k], b[k], rtol=0, atol=0, equal_nan=True) for k in a)


def torchs(spec, weights, others):
    """torch.optim's form of a spec: decay on weights alone."""
    groups = [{"params": weights, "weight_decay": spec.weight_decay}, {"params": others, "weight_decay": 0.0}]
    if isinstance(spec, Sgd):
        return torch.optim.SGD(groups, lr=spec.lr, momentum=spec.momentum, nesterov=spec.nesterov)
    adam = {Adam: torch.optim.Adam, AdamW: torch.optim.AdamW}[type(spec)]
    return adam(groups, lr=spec.lr, betas=(spec.beta1, spec.beta2), eps=spec.eps)
