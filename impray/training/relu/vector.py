"""Iterative hard thresholding of y_c = sum_j v_cj relu(w_j x), several outputs: both layers are pruned, in one scope.

Fridovich-Keil & Pilanci (2025), as their code has it, gates as in `iht`. In a step with the fixed length eta, R the slope of the mean loss

    w_j <- w_j - eta X^T diag(gate_j) R v_j        v_j <- v_j - eta R^T diag(gate_j) X w_j        at all places
    the s places stay whose changes, summed over all steps so far, are largest; not those whose values are

In the very first step all weights are 0 and so would be all changes: there alone a unit whose w_j is 0 throughout has
U(+-1 / sqrt(d m)) in its place, and v_j U(+-1 / sqrt(m k)). For mse R is (output - target) / n, for cross-entropy (softmax - target) / n.
Not copied: their kick of units whose weights are all negative, and in every epoch's first batch; their running choice among units.

Places: w [unit, input] row by row, then v [output, unit] row by row. With a count sketch nothing held is as large as the network; the
changes are then made twice, since a choice needs all of them summed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.special import log_softmax, softmax

from impray.spec.prune import IhtRule
from impray.spec.trial import stream_seed
from impray.training.relu.problem import Found, batches, is_same
from impray.training.relu.sketch import CountSketch, Dense, Sums
from impray.training.relu.streamed import CHUNK, NOTHING, ROWS, Gates, Largest, Ledger, Support


@dataclass(frozen=True)
class Problem:
    """Args: x [sample, input]; y [sample, output], one-hot or (mse) real. loss: of the mean over samples. gates, seed: as of one output."""

    x: Float[np.ndarray, "sample input"]
    y: Float[np.ndarray, "sample output"]
    units: int
    loss: Literal["mse", "cross_entropy"]
    gates: Gates
    seed: int

    @property
    def inputs(self) -> int:
        return self.x.shape[1]

    @property
    def outputs(self) -> int:
        return self.y.shape[1]

    @property
    def size(self) -> int:
        """Weights of both layers."""
        return self.units * (self.inputs + self.outputs)


@dataclass(frozen=True)
class Chunk:
    """Some units: w [unit, input] and v [unit, output], dense, and their places [unit, input + output]."""

    units: Int[np.ndarray, " unit"]
    first: Float[np.ndarray, "unit input"]
    second: Float[np.ndarray, "unit output"]
    places: Int[np.ndarray, "unit weight"]


def rate(problem: Problem, count: int, rule: IhtRule) -> float:
    """eta: as asked for, or the authors'."""
    if rule.rate is not None:
        return rule.rate
    if problem.loss == "cross_entropy":
        return 0.001
    return 2.0 if count < 6 * problem.units**0.536 else 0.005


def thresholded(problem: Problem, count: int, rule: IhtRule) -> Found:
    """At most `count` weights of both layers."""
    ledger, eta = Ledger(), rate(problem, count, rule)
    sums = Dense(problem.size) if rule.accumulate == "exact" else CountSketch(rule.sketch_width * count, problem.seed)
    weights, before, followed, steps, losses = NOTHING, NOTHING, None, 0, []
    with ledger.holding(sums.array):
        for epoch in range(rule.epochs):
            before, summed = weights, 0.0
            for x, y in batches(problem.x, problem.y, rule.batch, problem.seed, epoch):
                net = _Network(problem, x, y, weights, followed, rule.gate == "closed", steps == 0, ledger)
                weights, loss = _step(net, sums, count, eta)
                followed = weights if epoch >= rule.random_gates - 1 else None
                summed, steps = summed + loss * len(y), steps + 1
            losses.append(summed / len(problem.y))
            if not np.isfinite(weights.values).all():
                break
        net = _Network(problem, problem.x, problem.y, weights, weights, rule.gate == "closed", False, ledger)
        losses.append(net.slope()[1])
    settled = is_same(before.places, weights.places, losses[-2], losses[-1], 0.0)
    return Found(weights, losses[-1], len(losses) - 1, settled, ledger.most)


def _step(net: _Network, sums: Sums, count: int, eta: float) -> tuple[Support, float]:
    """New weights, and the loss at the old ones."""
    slope, loss = net.slope()
    with net.ledger.holding(slope):
        sketched = isinstance(sums, CountSketch)
        if sketched:  # each estimate is of all changes
            for chunk, change in net.changes(slope, -eta):
                sums.add(chunk.places.ravel(), change.ravel())
        chosen = Largest(count, net.ledger)
        for chunk, change in net.changes(slope, -eta):
            if not sketched:
                sums.add(chunk.places.ravel(), change.ravel())
            value = np.concatenate([chunk.first, chunk.second], axis=1) + change
            score = np.where(value != 0, np.abs(sums.at(chunk.places.ravel())).reshape(value.shape), 0.0)
            chosen.add(chunk.places.ravel(), value.ravel(), score.ravel())
    return chosen.kept, loss


class _Network:
    """Weights on samples, at gates: what a step needs."""

    def __init__(
        self,
        problem: Problem,
        x: Float[np.ndarray, "sample input"],
        y: Float[np.ndarray, "sample output"],
        weights: Support,
        followed: Support | None,
        closed: bool,
        kicked: bool,
        ledger: Ledger,
    ) -> None:
        """followed: the weights whose first layer the gates are; None: random ones. kicked: whether empty blocks get values."""
        self._problem, self._x, self._y, self._weights = problem, x, y, weights
        self._followed, self._closed, self._kicked, self.ledger = followed, closed, kicked, ledger

    def slope(self) -> tuple[Float[np.ndarray, "sample output"], float]:
        """R, and the loss."""
        output = np.zeros(self._y.shape)
        for chunk in self._chunks(kicked=False):
            for block, rows, active in self._blocks(chunk):
                output[block] += (active * (rows @ chunk.first.T)) @ chunk.second
        if self._problem.loss == "cross_entropy":
            loss = -float((log_softmax(output, axis=1) * self._y).sum(axis=1).mean())
            return (softmax(output, axis=1) - self._y) / len(output), loss
        output -= self._y
        return output / len(output), float(np.square(output).mean())

    def changes(
        self, slope: Float[np.ndarray, "sample output"], factor: float
    ) -> Iterator[tuple[Chunk, Float[np.ndarray, "unit weight"]]]:
        """`factor` times the gradient, chunk by chunk, in the order of `Chunk.places`."""
        for chunk in self._chunks(self._kicked):
            first, second = np.zeros(chunk.first.shape), np.zeros(chunk.second.shape)
            for block, rows, active in self._blocks(chunk):
                back, hidden = active * (slope[block] @ chunk.second.T), active * (rows @ chunk.first.T)
                with self.ledger.holding(back, hidden, first, first, second, second):
                    first += back.T @ rows
                    second += hidden.T @ slope[block]
            yield chunk, factor * np.concatenate([first, second], axis=1)

    def _chunks(self, kicked: bool) -> Iterator[Chunk]:
        """All units; where gates are open, those without a first layer's weight change nothing but cost nothing to speak of."""
        problem = self._problem
        for begin in range(0, problem.units, CHUNK):
            units = np.arange(begin, min(begin + CHUNK, problem.units))
            places = places_of(problem, units)
            values = self._weights.at(places)
            first, second = np.split(values, [problem.inputs], axis=1)
            if kicked:
                first, second = kick(problem, units, first, second)
            with self.ledger.holding(places, values, first, second):
                yield Chunk(units, first, second, places)

    def _blocks(self, chunk: Chunk) -> Iterator[tuple[slice, np.ndarray, Bool[np.ndarray, "row unit"]]]:
        """Row blocks with who is active."""
        if self._followed is None:
            gates = self._problem.gates(chunk.units)
        else:
            gates = self._followed.at(chunk.places[:, : self._problem.inputs])
        for begin in range(0, len(self._x), ROWS):
            block = slice(begin, min(begin + ROWS, len(self._x)))
            fields = self._x[block] @ gates.T
            with self.ledger.holding(gates, fields):
                yield block, self._x[block], fields >= 0 if self._closed else fields > 0


def places_of(problem: Problem, units: Int[np.ndarray, " unit"]) -> Int[np.ndarray, "unit weight"]:
    """Places of the weights into and out of some units."""
    into = units[:, None] * problem.inputs + np.arange(problem.inputs)
    out = problem.units * problem.inputs + np.arange(problem.outputs) * problem.units + units[:, None]
    return np.concatenate([into, out], axis=1)


def kick(
    problem: Problem, units: Int[np.ndarray, " unit"], first: np.ndarray, second: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Values in the place of blocks that are 0 throughout, by the stream `iht` of the seed, each unit in the place of a round."""
    first, second = first.copy(), second.copy()
    for row, unit in enumerate(units):
        generator = torch.Generator().manual_seed(stream_seed(problem.seed, "iht", int(unit)))
        draws = torch.rand(problem.inputs + problem.outputs, generator=generator, dtype=torch.float64).numpy() * 2 - 1
        into, out = np.split(draws, [problem.inputs])
        if not first[row].any():
            first[row] = into / np.sqrt(problem.inputs * problem.units)
        if not second[row].any():
            second[row] = out / np.sqrt(problem.units * problem.outputs)
    return first, second
