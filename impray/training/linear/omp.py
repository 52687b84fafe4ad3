"""Orthogonal matching pursuit, by scikit-learn: the feature most correlated with the residual joins, and all weights are fitted anew.

Pati, Rezaiifar & Krishnaprasad (1993). It stops where no feature's correlation with the residual is above 1.5e-8 (columns and target have
length 1): the target is fitted, or what is left depends on those chosen. Fewer features than asked for are selected then.

By scikit-learn's `orthogonal_mp_gram`, whose test of this is on the residual. `orthogonal_mp` has it on phi^T y: it refuses a feature that
matters only beside others, and goes on to fit rounding errors.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from sklearn.linear_model import orthogonal_mp_gram

from impray.training.linear.counted import Scaled, fitted, solved
from impray.training.solver import Block, Solved


def omp(block: Block) -> Solved:
    """The solver `omp`: one pursuit gives all counts."""
    return solved(block, _select)


def _select(problem: Scaled, counts: Sequence[int]) -> dict[int, Float[np.ndarray, " feature"]]:
    samples, features = problem.phi.shape
    alive = np.flatnonzero(problem.alive)
    most = min(max(counts), len(alive), samples)
    if most == 0:
        return {count: np.zeros(features) for count in counts}
    path = _path(problem, alive, most)
    chosen: dict[int, np.ndarray] = {}
    for count in counts:
        kept = np.zeros(features, dtype=bool)
        if count > 0:
            kept[alive] = path[:, min(count, path.shape[1]) - 1] != 0
        chosen[count] = fitted(problem, kept)
    return chosen


def joining(problem: Scaled) -> Int[np.ndarray, " step"]:
    """All features that the pursuit has a use for, in the order in which they join: the first ones are those of fewer."""
    alive = np.flatnonzero(problem.alive)
    if len(alive) == 0 or not problem.correlations(np.zeros(problem.phi.shape[1])).any():
        return np.zeros(0, dtype=np.int64)
    joined = _path(problem, alive, min(len(alive), len(problem.y))) != 0
    steps = np.where(joined.any(axis=1), joined.argmax(axis=1), len(alive))
    return alive[np.argsort(steps, kind="stable")[: int(joined.any(axis=1).sum())]]


def _path(problem: Scaled, alive: Int[np.ndarray, " alive"], most: int) -> Float[np.ndarray, "alive step"]:
    """Weights of 1, 2, ... features, at most `most`. Not for a target of zeros."""
    # Its tolerances are for columns of length 1, and for such a target.
    phi = np.ascontiguousarray(problem.phi[:, alive]) / np.sqrt(len(problem.y))
    y = problem.y / np.linalg.norm(problem.y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it has stopped early: the measure `kept` says so
        made = orthogonal_mp_gram(phi.T @ phi, phi.T @ y, n_nonzero_coefs=most, return_path=True)
    return np.asarray(made).reshape(len(alive), -1)
