"""Normalised iterative hard thresholding: gradient steps, each followed by keeping the `count` largest weights.

    g = phi^T (y - phi w)        w' = H_k(w + mu g)        mu = |g_S|^2 / |phi_S g_S|^2, S the support of w (at first of H_k(phi^T y))

Where the support changes, the step must be at most (1 - c) |w' - w|^2 / |phi (w' - w)|^2; else mu <- mu / (kappa (1 - c)) until it is.
Blumensath & Davies (2010), Normalized iterative hard thresholding, with c = 0.01 and kappa = 2. Every count from w = 0, until no step
changes w by more than 1e-10 of it, or for 2,000 steps (where columns are nearly dependent).

The end is the method's own estimate. Where it has converged that is least squares on its support, to within that tolerance, and is given
as such; where it has not, w as it is.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from impray.training.linear.counted import Scaled, fitted, largest, solved
from impray.training.solver import Block, Solved

_STEPS = 2_000
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
    support = largest(np.abs(phi.T @ y), count)
    for _ in range(_STEPS):
        gradient = phi.T @ (y - phi @ weights)
        new, support = _step(phi, weights, support, gradient, count)
        change = np.linalg.norm(new - weights)
        weights = new
        if change <= _CONVERGED * np.linalg.norm(weights):
            return fitted(problem, support)
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
