"""Small planted problems, and A as a matrix."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from impray.spec.data import Planted
from impray.spec.nets import Mlp
from impray.spec.prune import Prune
from impray.spec.training import Sgd
from impray.spec.trial import Trial
from impray.training.relu import gates
from impray.training.relu.problem import Problem
from impray.training.relu.streamed import Layer
from impray.training.solver import Block


def signs_of(units: int, readout: str = "sum") -> np.ndarray:
    if readout == "trained":
        return np.linspace(-2, 2, units)
    return np.where(np.arange(units) % 2 == 1, -1.0, 1.0) if readout == "signed" else np.ones(units)


def problem(
    units: int, count: int, samples: int, inputs: int, seed: int = 0, readout: str = "sum"
) -> tuple[Problem, np.ndarray]:
    """A problem without noise, and the weights [unit, input] that made it: +-1 and more, so that none is too small to be found."""
    random = np.random.default_rng(seed)
    truth = np.zeros(units * inputs)
    values = random.choice([-1, 1], count) * random.uniform(1, 2, count)
    truth[random.choice(units * inputs, count, replace=False)] = values
    truth = truth.reshape(units, inputs)
    x, signs = random.standard_normal((samples, inputs)), signs_of(units, readout)
    y = np.maximum(x @ truth.T, 0) @ signs
    return Problem(x, y, signs, gates.own(seed, inputs), seed), truth


def dense(layer: Layer) -> np.ndarray:
    """A [sample, weight], one unit's block of columns after another."""
    units = np.arange(len(layer.signs))
    fields = layer.x @ layer.gates(units).T
    active = fields >= 0 if layer.closed else fields > 0
    return np.concatenate([layer.signs[j] * active[:, j, None] * layer.x for j in units], axis=1)


def output(x: np.ndarray, weights: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """The network's output [sample]; weights [unit x input]."""
    return np.maximum(x @ weights.reshape(len(signs), -1).T, 0) @ signs


def block(
    problems: Sequence[Problem], counts: Sequence[int], rows: Sequence[int], readout: str = "sum", **prune
) -> Block:
    """The block of a fused network's problems."""
    units, inputs = len(problems[0].signs), problems[0].x.shape[1]
    trial = Trial(
        data=Planted(samples=len(problems[0].y), inputs_count=inputs, units=units, nonzero=1, readout=readout),
        net=Mlp(hidden=(units,), bias=False, outputs=1, readout=readout),
        train=Sgd(loss="mse"),
        prune=Prune(**prune),
    )
    return Block(
        trial=trial,
        seeds=[problem.seed for problem in problems],
        designs=[problem.x for problem in problems],
        targets=[problem.y for problem in problems],
        start=np.zeros((len(problems), units * inputs)),
        counts=counts,
        rows=rows,
    )
