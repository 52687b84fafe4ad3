"""A problem of the fused network, and what a solver found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int

from impray.spec.trial import stream_seed
from impray.training.relu.streamed import Gates, Layer, Ledger, Support

_SAME = 1e-6  # relative change of the loss that counts as none


@dataclass(frozen=True)
class Problem:
    """Args: x [sample, input] and y [sample], float64. signs: a [unit], +1 or -1. gates: the first ones. seed: of the other streams."""

    x: Float[np.ndarray, "sample input"]
    y: Float[np.ndarray, " sample"]
    signs: Float[np.ndarray, " unit"]
    gates: Gates
    seed: int

    @property
    def units(self) -> Int[np.ndarray, " unit"]:
        return np.arange(len(self.signs))

    @property
    def size(self) -> int:
        """Weights of the first layer."""
        return len(self.signs) * self.x.shape[1]

    @property
    def floor(self) -> float:
        """A mean squared error that is none: float32 targets are known to 1e-15 of their squares."""
        return 1e-20 * float(self.y @ self.y) / len(self.y)


@dataclass(frozen=True)
class Found:
    """Weights and what is said of them: the network's mean squared error, epochs made, whether the last one changed nothing, bytes."""

    support: Support
    loss: float
    epochs: int
    converged: bool
    optimizer_bytes: int


def layer_of(
    problem: Problem, x: Float[np.ndarray, "sample input"], followed: Support | None, closed: bool, ledger: Ledger
) -> Layer:
    """A at gates that are the weights `followed`, or the problem's first ones."""
    if followed is None:
        return Layer(x, problem.signs, problem.gates, closed, problem.units, ledger)
    # Without a weight x.h = 0 everywhere: such a unit is active nowhere where gates are open, and has no columns.
    live = problem.units if closed else followed.units(x.shape[1])
    return Layer(x, problem.signs, lambda units: followed.rows(units, x.shape[1]), closed, live, ledger)


def loss(problem: Problem, weights: Support, closed: bool, ledger: Ledger) -> float:
    """Mean squared error of the network, a real one: its gates are its weights."""
    residual = layer_of(problem, problem.x, weights, closed, ledger).times(weights) - problem.y
    return float(residual @ residual) / len(residual)


def is_same(before: np.ndarray, after: np.ndarray, loss_before: float, loss_after: float, floor: float) -> bool:
    """Whether an epoch changed neither places nor, by more than 1e-6 of it, the loss. floor: a change of the loss that is none."""
    return np.array_equal(before, after) and abs(loss_after - loss_before) <= _SAME * loss_before + floor


def batches(
    x: Float[np.ndarray, "sample input"],
    y: Float[np.ndarray, "sample ..."],
    batch: int | None,
    seed: int,
    epoch: int,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The samples of each step of an epoch: all, or so many in random order."""
    if batch is None or batch >= len(y):
        yield x, y
        return
    generator = torch.Generator().manual_seed(stream_seed(seed, "order", epoch))
    order = torch.randperm(len(y), generator=generator).numpy()
    for first in range(0, len(order), batch):
        some = order[first : first + batch]
        yield x[some], y[some]
