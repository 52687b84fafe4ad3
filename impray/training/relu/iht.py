"""Iterative hard thresholding of the fused network y = sum_j a_j relu(w_j x), every count from w = 0.

Fridovich-Keil & Pilanci (2025), as their code has it. Gates h_j are random in the first epochs, then h_j = w_j. In an epoch

    r = A_S w_S - y        g = A_S^T r        eta = |g|^2 / (|A_S g|^2 + 1e-8), 1e-14 where w = 0
    z = w - eta A^T r, of which the s largest |z| stay; zeros are no weights
    `inner_steps` times on that support S: g = A_S^T (A_S w - y), w <- w - eta g, eta halved until f = |A_S w - y|^2 has
    f' <= f - 0.9 eta |g|^2, at most 10 times, and back to z if that is not enough; eta stays as small as it has become

f' = f - 2 eta |g|^2 + eta^2 |A_S g|^2, so that a step is fine exactly if eta |A_S g|^2 <= 1.1 |g|^2: no difference of large numbers.

Once g is 0 but for rounding, eta is rounding by rounding (`step: authors`): two orders of summation end up 20 dB apart. With
`step: guarded` there is no step where |g|^2 <= 1e-12 |A_S^T y|^2.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from impray.spec.prune import IhtRule
from impray.training.relu.problem import Found, Problem, batches, is_same, layer_of, loss
from impray.training.relu.streamed import GRAM, NOTHING, Largest, Layer, Ledger, Support

Gradient = Callable[[np.ndarray], np.ndarray]
Curvature = Callable[[np.ndarray], float]

_FIRST = 1e-14  # the step where there are no weights yet: what is chosen then is what is most correlated with y
_RIDGE = 1e-8
_CONVERGED = 1e-12
_DECREASE = 0.9
_HALVINGS = 10


def thresholded(problem: Problem, count: int, rule: IhtRule) -> Found:
    """At most `count` weights."""
    ledger, closed = Ledger(), rule.gate == "closed"
    weights, followed, losses, before = NOTHING, None, [], NOTHING.places
    for epoch in range(rule.epochs):
        before, squares = weights.places, 0.0
        for x, y in batches(problem.x, problem.y, rule.batch, problem.seed, epoch):
            layer = layer_of(problem, x, followed, closed, ledger)
            weights, square = _step(layer, y, weights, count, rule)
            squares += square
            followed = weights if epoch >= rule.random_gates - 1 else None
        losses.append(squares / len(problem.y))
        if not np.isfinite(weights.values).all():
            break
    losses.append(loss(problem, weights, closed, ledger))
    settled = is_same(before, weights.places, losses[-2], losses[-1], problem.floor)
    return Found(weights, losses[-1], len(losses) - 1, settled, ledger.most)


def _step(layer: Layer, y: np.ndarray, weights: Support, count: int, rule: IhtRule) -> tuple[Support, float]:
    """New weights, and |A w - y|^2 at the old ones."""
    residual = layer.times(weights) - y
    square = float(residual @ residual)
    with layer.ledger.holding(residual, weights.places, weights.values):
        eta = _first_step(layer, y, weights, residual, rule)
        chosen = Largest(count, layer.ledger)
        for places, product in layer.chunks(residual):
            moved = -eta * product
            own = (weights.places >= places[0]) & (weights.places <= places[-1])
            moved[np.searchsorted(places, weights.places[own])] += weights.values[own]
            chosen.add(places, moved)
    return _refined(layer, y, chosen.kept, eta, rule), square


def _first_step(layer: Layer, y: np.ndarray, weights: Support, residual: np.ndarray, rule: IhtRule) -> float:
    """eta of the step on all weights."""
    if len(weights) == 0:
        return _FIRST
    gradient = layer.onto(weights.places, residual)
    size = float(gradient @ gradient)
    if rule.step == "guarded":
        scale = layer.onto(weights.places, y)
        if size <= _CONVERGED * float(scale @ scale):
            return 0.0
    return size / (layer.curvature(weights.with_values(gradient)) + _RIDGE)


def _refined(layer: Layer, y: np.ndarray, start: Support, eta: float, rule: IhtRule) -> Support:
    """Steps on the support."""
    if len(start) == 0:
        return start
    gradient_of, curvature_of, scale = _quadratic(layer, y, start)
    values = start.values
    for _ in range(rule.inner_steps):
        gradient = gradient_of(values)
        size = float(gradient @ gradient)
        if rule.step == "guarded" and size <= _CONVERGED * scale:
            break
        accepted, eta = halved(eta, size, curvature_of(gradient))
        values = values - eta * gradient if accepted else start.values
    return start.with_values(values)


def halved(eta: float, size: float, curvature: float) -> tuple[bool, float]:
    """Whether a step along a gradient with |g|^2 = `size`, |A g|^2 = `curvature` is fine, and its length when that was decided."""
    for _ in range(_HALVINGS + 1):
        if eta * curvature <= (2 - _DECREASE) * size:
            return True, eta
        eta /= 2
    return False, eta


def _quadratic(layer: Layer, y: np.ndarray, start: Support) -> tuple[Gradient, Curvature, float]:
    """w -> A_S^T (A_S w - y); g -> |A_S g|^2; and |A_S^T y|^2."""
    places = start.places
    if len(start) <= GRAM:
        gram, target = layer.normal(places, y)
        return (
            lambda values: gram @ values - target,
            lambda gradient: float(gradient @ (gram @ gradient)),
            float(target @ target),
        )
    target = layer.onto(places, y)
    return (
        lambda values: layer.onto(places, layer.times(start.with_values(values)) - y),
        lambda gradient: layer.curvature(start.with_values(gradient)),
        float(target @ target),
    )
