"""Normalised iterative hard thresholding: gradient steps, each followed by keeping the `count` largest weights.

    g = phi^T (y - phi w)        w' = H_k(w + mu g)        mu = |g_S|^2 / |phi_S g_S|^2, S the support of w (at first of H_k(phi^T y))

Where the support changes, the step must be at most (1 - c) |w' - w|^2 / |phi (w' - w)|^2; else mu <- mu / (kappa (1 - c)) until it is.
Blumensath & Davies (2010), Normalized iterative hard thresholding, with c = 0.01 and kappa = 2. Every count from w = 0.

Once the support has stayed for `_SETTLED` steps, least squares on it is what the steps go to; that is the end, if a step from there keeps
the support.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from impray.training.linear import Block, Solved
from impray.training.linear.counted import Scaled, fitted, largest, solved

_STEPS = 500
_SETTLED = 8
_C, _KAPPA = 0.01, 2.0
_CONVERGED = 1e-10  # relative change of the weights in one step


def iht(block: Block) -> Solved:
    """The solver `iht`."""
    return solved(block, lambda problem, counts: {count: thresholded(problem, count) for count in counts})


def thresholded(problem: Scaled, count: int) -> Float[np.ndarray, " feature"]:
    """The weights of the scaled problem, at most `count` of them not 0."""
    phi, y = problem.phi, problem.y
    weights = np.zeros(phi.shape[1])
    if count == 0:
        return weights
    support, settled = largest(np.abs(phi.T @ y), count), 0
    for _ in range(_STEPS):
        gradient = phi.T @ (y - phi @ weights)
        new, new_support = _step(phi, weights, support, gradient, count)
        change = np.linalg.norm(new - weights)
        settled = settled + 1 if np.array_equal(new_support, support) else 0
        weights, support = new, new_support
        if settled >= _SETTLED and _is_fixed(problem, support, count):
            return fitted(problem, support)
        if change <= _CONVERGED * np.linalg.norm(weights):
            break
    return weights


def _step(
    phi: np.ndarray, weights: np.ndarray, support: Bool[np.ndarray, " feature"], gradient: np.ndarray, count: int
) -> tuple[np.ndarray, Bool[np.ndarray, " feature"]]:
    on_support = np.where(support, gradient, 0.0)
    size = np.linalg.norm(phi @ on_support)
    if size == 0:  # the gradient on the support is 0: nothing to be gained there
        return weights, support
    step = (np.linalg.norm(on_support) / size) ** 2
    while True:
        moved = weights + step * gradient
        new_support = largest(np.abs(moved), count)
        new = np.where(new_support, moved, 0.0)
        if np.array_equal(new_support, support):
            return new, new_support
        change = new - weights
        curved = np.linalg.norm(phi @ change)
        most = (1 - _C) * (np.linalg.norm(change) / curved) ** 2 if curved > 0 else np.inf
        if step <= most:
            return new, new_support
        step /= _KAPPA * (1 - _C)


def _is_fixed(problem: Scaled, support: Bool[np.ndarray, " feature"], count: int) -> bool:
    """Whether a step from least squares on the support keeps the support."""
    weights = fitted(problem, support)
    gradient = problem.phi.T @ (problem.y - problem.phi @ weights)
    # On the support the gradient is 0 to rounding, so mu is that of a step across it: |phi_S v|^2 / |v|^2 at v = w.
    size = np.linalg.norm(problem.phi @ weights)
    step = (np.linalg.norm(weights) / size) ** 2 if size > 0 else 0.0
    return bool(np.array_equal(largest(np.abs(weights + step * np.where(support, 0.0, gradient)), count), support))
