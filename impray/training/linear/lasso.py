"""The lasso at exact counts: along the path of falling penalties, the first point with so many weights; they are fitted anew.

    min |phi w - y|^2 / (2 n) + alpha |w|_1        alpha from the one where all weights are 0 downwards, `_POINTS` per path

Tibshirani (1996); scikit-learn's coordinate descent (its `lars_path` fails on signals of equal sizes). Where there is no noise the
limit alpha -> 0 is what is meant, and taken: basis pursuit, min |w|_1 with phi w = y, by HiGHS (Chen, Donoho & Saunders 1998). Of the
point's weights the largest are kept, as many as asked for. Columns are scaled (`impray.training.linear.counted`), so |w|_1 weighs each
feature by its length.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.optimize import linprog
from sklearn.linear_model import lasso_path

from impray.spec.data import Linear
from impray.training.linear import Block, Solved
from impray.training.linear.counted import Scaled, fitted, largest, solved

_POINTS, _SPAN = 100, 1e-4  # penalties of a path, and the last one over the first
_ZERO = 1e-9  # of the largest weight: what basis pursuit leaves where it means 0


def lasso(block: Block) -> Solved:
    """The solver `lasso`: one path gives all counts."""
    data = block.trial.data
    noiseless = isinstance(data, Linear) and data.noise_scale == 0
    return solved(block, _of_pursuit if noiseless else _of_path)


def _of_path(problem: Scaled, counts: Sequence[int]) -> dict[int, Float[np.ndarray, " feature"]]:
    path = np.zeros((problem.phi.shape[1], 1))
    first = np.abs(problem.phi.T @ problem.y).max() / len(problem.y)
    if first > 0:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a last point that has not converged is a point all the same
            _, path, *_ = lasso_path(
                np.asfortranarray(problem.phi),
                problem.y,
                alphas=first * np.geomspace(1, _SPAN, _POINTS),
                max_iter=10_000,
                tol=1e-8,
            )
    sizes = np.count_nonzero(path, axis=0)
    return {count: _kept(problem, path[:, _first(sizes, count)], count) for count in counts}


def _first(sizes: np.ndarray, count: int) -> int:
    """The first point with at least `count` weights; the one with the most where there is none."""
    enough = np.flatnonzero(sizes >= count)
    return int(enough[0] if len(enough) else sizes.argmax())


def _kept(problem: Scaled, weights: Float[np.ndarray, " feature"], count: int) -> Float[np.ndarray, " feature"]:
    return fitted(problem, largest(np.abs(weights), count) & (weights != 0))


def _of_pursuit(problem: Scaled, counts: Sequence[int]) -> dict[int, Float[np.ndarray, " feature"]]:
    weights = pursued(problem)
    return {count: _kept(problem, weights, count) for count in counts}


def pursued(problem: Scaled) -> Float[np.ndarray, " feature"]:
    """min |w|_1 with phi w = y."""
    features = problem.phi.shape[1]
    made = linprog(
        np.ones(2 * features),
        A_eq=np.hstack([problem.phi, -problem.phi]),
        b_eq=problem.y,
        bounds=(0, None),
        method="highs",
    )
    if made.x is None:  # a target that rounding took out of the span of the features: as near to it as can be
        return fitted(problem, problem.alive)
    weights = made.x[:features] - made.x[features:]
    return np.where(np.abs(weights) > _ZERO * np.abs(weights).max(initial=0.0), weights, 0.0)
