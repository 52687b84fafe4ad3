"""Factories of modules, as users write them; `kind: module` names them as "nets.factories:cnn" (tests/ is on the path)."""

import math

import torch
from torch import nn


def mlp(input_shape, outputs, hidden=7, bias=True):
    inputs = math.prod(input_shape)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(inputs, hidden, bias=bias), nn.ReLU(), nn.Linear(hidden, outputs, bias=bias)
    )


def deep(input_shape, outputs, activation="ReLU"):
    """With a layer of one unit, and sizes that fill no cache line."""
    function = getattr(nn, activation)
    inputs = math.prod(input_shape)
    return nn.Sequential(
        nn.Flatten(),
        *(nn.Linear(inputs, 7), function()),
        *(nn.Linear(7, 1, bias=False), function()),
        *(nn.Linear(1, 5), nn.ReLU(inplace=True)),
        nn.Linear(5, outputs),
    )


class Cnn(nn.Module):
    def __init__(self, input_shape, outputs, channels=3, norm=True, dropout=0.0):
        super().__init__()
        self.conv = nn.Conv2d(input_shape[0], channels, 3)
        self.norm = nn.BatchNorm2d(channels) if norm else nn.Identity()
        self.drop = nn.Dropout(dropout)
        self.head = nn.Linear(channels, outputs)

    def forward(self, x):
        h = torch.relu(self.norm(self.conv(x))).mean((2, 3))
        return self.head(self.drop(h))


def cnn(input_shape, outputs, **arguments):
    return Cnn(input_shape, outputs, **arguments)


def norms(input_shape, outputs):
    """Batch norm before every product, as `kind: mlp` with batch_norm has it (but for eps)."""
    inputs = math.prod(input_shape)
    return nn.Sequential(
        nn.Flatten(), nn.BatchNorm1d(inputs), nn.Linear(inputs, 6), nn.ReLU(), nn.BatchNorm1d(6), nn.Linear(6, outputs)
    )


class Branching(nn.Module):
    """Control flow that depends on values: vmap cannot run it."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.one, self.two = nn.Linear(inputs, 6), nn.Linear(6, outputs)

    def forward(self, x):
        h = self.one(x.flatten(1))
        return self.two(h.relu() if h.sum() > 0 else h.abs())


def branching(input_shape, outputs):
    return Branching(math.prod(input_shape), outputs)


class Frozen(nn.Module):
    """Random features, times a constant, under a trained readout."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.features, self.readout = nn.Linear(inputs, 6, bias=False), nn.Linear(6, outputs)
        self.features.weight.requires_grad_(False)
        self.register_buffer("gain", torch.rand(6))

    def forward(self, x):
        return self.readout(torch.relu(self.features(x.flatten(1))) * self.gain)


def frozen(input_shape, outputs):
    return Frozen(math.prod(input_shape), outputs)


class Tokens(nn.Module):
    """A Linear that is moved over the rows of the image."""

    def __init__(self, outputs):
        super().__init__()
        self.rows, self.head = nn.Linear(6, 5), nn.Linear(30, outputs)

    def forward(self, x):
        return self.head(self.rows(x.view(-1, 6, 6)).relu().flatten(1))


def tokens(input_shape, outputs):
    return Tokens(outputs)


class Joined(nn.Module):
    """Takes the mean over the samples out, in evaluation too."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.layer = nn.Linear(inputs, outputs)

    def forward(self, x):
        x = x.flatten(1)
        return self.layer(x - x.mean(0))


def joined(input_shape, outputs):
    return Joined(math.prod(input_shape), outputs)


# --- what cannot be used ---


def raises(input_shape, outputs):
    raise RuntimeError("no such thing")


def no_module(input_shape, outputs):
    return 3


def no_layer(input_shape, outputs):
    return nn.Sequential(nn.Flatten(), nn.BatchNorm1d(math.prod(input_shape)))


def wrong_outputs(input_shape, outputs):
    return mlp(input_shape, outputs + 1)


def lazy(input_shape, outputs):
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(outputs))


def tied(input_shape, outputs):
    module = nn.Sequential(nn.Flatten(), nn.Linear(36, 36), nn.Linear(36, 36), nn.Linear(36, outputs))
    module[2].weight = module[1].weight
    return module


def parametrized(input_shape, outputs):
    module = mlp(input_shape, outputs)
    nn.utils.parametrizations.weight_norm(module[1])
    return module


def unused(input_shape, outputs):
    module = Cnn(input_shape, outputs)
    head = module.head
    del module.head
    module.aside, module.head = nn.Linear(3, 4), head
    return module


class Backwards(nn.Module):
    def __init__(self, outputs):
        super().__init__()
        self.head, self.body = nn.Linear(4, outputs), nn.Linear(36, 4)

    def forward(self, x):
        return self.head(self.body(x.flatten(1)))


def backwards(input_shape, outputs):
    return Backwards(outputs)


def own_generator(input_shape, outputs):
    module = mlp(input_shape, outputs)
    generator = torch.Generator()
    generator.seed()
    nn.init.normal_(module[1].weight, generator=generator)
    return module


class Noisy(nn.Module):
    def __init__(self, outputs):
        super().__init__()
        self.layer = nn.Linear(36, outputs)

    def forward(self, x):
        return self.layer(x.flatten(1) + torch.randn(1))


def noisy(input_shape, outputs):
    return Noisy(outputs)


class Assigning(nn.Module):
    """Puts a new tensor in the place of a buffer."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.head = nn.Linear(inputs, outputs)
        self.register_buffer("mean", torch.zeros(inputs))

    def forward(self, x):
        x = x.flatten(1)
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * x.mean(0).detach()
        return self.head(x - self.mean)


def assigning(input_shape, outputs):
    return Assigning(math.prod(input_shape), outputs)
