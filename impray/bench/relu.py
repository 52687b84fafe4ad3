"""Iterative hard thresholding of a planted ReLU network, against the same algorithm block by block, as the paper describes it.

    m = s = 50, n = 50,000, d = 100, 15 epochs, float64

The reference takes one unit's block diag(1[X h_j > 0]) X at a time, n x d, keeps the columns of the support (n x s), and evaluates the loss
in every line search. Both run in this process, in turns, on one thread.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from impray.data.one_thread import one_thread
from impray.spec.prune import IhtRule
from impray.training.relu import gates
from impray.training.relu.iht import Problem, thresholded

UNITS, WEIGHTS, SAMPLES, INPUTS = 50, 50, 50_000, 100
RUNS = 3


def planted(
    units: int, weights: int, samples: int, inputs: int, seed: int
) -> tuple[Float[np.ndarray, "sample input"], Float[np.ndarray, " sample"]]:
    """x and y of the authors' planted network at a seed, float64, rounded to float32."""
    truth_draws, input_draws = np.random.RandomState(seed + 1), np.random.RandomState(seed + 2)
    truth = np.zeros(inputs * units)
    places = truth_draws.choice(inputs * units, size=weights, replace=False)
    truth[places] = truth_draws.normal(size=weights).astype(np.float32)
    x = input_draws.normal(size=(samples, inputs)).astype(np.float32)
    y = np.maximum(0, x @ truth.reshape(inputs, units)).sum(axis=1).astype(np.float32)
    return x.astype(np.float64), y.astype(np.float64)


def compare() -> dict[str, Any]:
    """Median seconds of a run, ours and block by block."""
    x, y = planted(UNITS, WEIGHTS, SAMPLES, INPUTS, seed=0)
    problem = Problem(x, y, np.ones(UNITS), gates.authors(0, UNITS, INPUTS), seed=0)
    rule = IhtRule(step="authors")
    with one_thread():
        random = gates.authors(0, UNITS, INPUTS)(np.arange(UNITS))
        made = [
            (
                _timed(lambda: thresholded(problem, WEIGHTS, rule)),
                _timed(lambda: block_by_block(x, y, random, WEIGHTS, rule.epochs)),
            )
            for _ in range(RUNS)
        ]
    fast, slow = (statistics.median(seconds for seconds, _ in side) for side in zip(*made, strict=True))
    (_, ours), (_, reference) = made[-1]
    error = np.square(_network(x, reference) - y).mean()
    return {
        "name": "relu, iht",
        "ours": fast,
        "reference": slow,
        "ratio": slow / fast,
        "unit": "s",
        "note": f"m = {UNITS}, s = {WEIGHTS}, n = {SAMPLES:,}, d = {INPUTS}, {rule.epochs} epochs, float64, one thread, median of {RUNS} "
        f"runs in turns; training PSNR {_psnr(y, ours.loss):.2f} dB, reference {_psnr(y, float(error)):.2f} dB; ours holds "
        f"{ours.optimizer_bytes / 1e6:.1f} MB beside the data. Reference: one unit's block of columns at a time.",
    }


def _timed(call: Callable[[], Any]) -> tuple[float, Any]:
    begin = time.perf_counter()
    made = call()
    return time.perf_counter() - begin, made


def _psnr(y: Float[np.ndarray, " sample"], error: float) -> float:
    return 20 * math.log10(np.abs(y).max()) - 10 * math.log10(error)


def _network(x: Float[np.ndarray, "sample input"], weights: Float[np.ndarray, "unit input"]) -> np.ndarray:
    return np.maximum(0, x @ weights.T).sum(axis=1)


def block_by_block(
    x: Float[np.ndarray, "sample input"],
    y: Float[np.ndarray, " sample"],
    random: Float[np.ndarray, "unit input"],
    count: int,
    epochs: int,
) -> Float[np.ndarray, "unit input"]:
    """The reference: weights [unit, input] after `epochs` epochs, the first two with the `random` gates; readout +1."""
    units, inputs = random.shape
    weights, hidden = np.zeros(units * inputs), random
    for epoch in range(epochs):
        support = np.flatnonzero(weights)
        columns = _columns(x, hidden, support)
        residual = columns @ weights[support] - y
        gradient = columns.T @ residual
        eta = np.square(gradient).sum() / (np.square(columns @ gradient).sum() + 1e-8) if len(support) else 1e-14
        kept, values = np.zeros(0, dtype=np.int64), np.zeros(0)
        for unit in range(units):
            place = np.arange(unit * inputs, (unit + 1) * inputs)
            moved = weights[place] - eta * (residual @ _block(x, hidden[unit]))
            kept, values = np.concatenate([kept, place]), np.concatenate([values, moved])
            largest = np.sort(np.argsort(np.abs(values), kind="stable")[-count:])
            kept, values = kept[largest], values[largest]
        kept, values = kept[values != 0], values[values != 0]
        weights = np.zeros(units * inputs)
        weights[kept] = _line_searches(_columns(x, hidden, kept), y, values, eta)
        if epoch > 0:
            hidden = weights.reshape(units, inputs)
    return weights.reshape(units, inputs)


def _block(
    x: Float[np.ndarray, "sample input"], gate: Float[np.ndarray, " input"]
) -> Float[np.ndarray, "sample input"]:
    """One unit's columns."""
    return (x @ gate > 0)[:, None] * x


def _columns(
    x: Float[np.ndarray, "sample input"], hidden: Float[np.ndarray, "unit input"], places: Int[np.ndarray, " weight"]
) -> Float[np.ndarray, "sample weight"]:
    """The columns of a support, unit by unit."""
    columns, (owner, feature) = np.zeros((len(x), len(places))), np.divmod(places, x.shape[1])
    for unit in np.unique(owner):
        own = owner == unit
        columns[:, own] = _block(x, hidden[unit])[:, feature[own]]
    return columns


def _line_searches(
    columns: Float[np.ndarray, "sample weight"],
    y: Float[np.ndarray, " sample"],
    start: Float[np.ndarray, " weight"],
    eta: float,
) -> Float[np.ndarray, " weight"]:
    """Ten gradient steps, each with Armijo's rule on the loss itself."""
    values = start
    loss = first = np.square(columns @ start - y).sum()
    for _ in range(10):
        gradient = columns.T @ (columns @ values - y)
        for _ in range(11):
            tried = values - eta * gradient
            reached = np.square(columns @ tried - y).sum()
            if reached <= loss - 0.9 * eta * np.square(gradient).sum():
                values, loss = tried, reached
                break
            eta /= 2
        else:
            values, loss = start, first
    return values
