"""The lasso at exact counts: along the path of falling penalties, the first point with so many weights; they are fitted anew.

    min |phi w - y|^2 / (2 n) + alpha |w|_1        alpha from the one where all weights are 0 downwards, `_POINTS` per path

Tibshirani (1996); scikit-learn's coordinate descent (its `lars_path` fails on signals of equal sizes). Where there is no noise the
limit alpha -> 0 is what is meant, and taken: basis pursuit, min |w|_1 with phi w = y, by HiGHS (Chen, Donoho & Saunders 1998); with
full rank and n >= p that is least squares. Of the point's weights the largest are kept, as many as asked for; where all features are
asked for the limit is taken, too. Columns are scaled (`impray.training.linear.counted`), so |w|_1 weighs each feature by its length.
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
_AT_ONCE = 10  # penalties of one call: the small ones take longest, and are for large counts only
_ZERO = 1e-9  # of the largest weight: what basis pursuit leaves where it means 0
_RANK = 1e-6  # of the largest singular value: as `factors` has it


def lasso(block: Block) -> Solved:
    """The solver `lasso`: one path gives all counts."""
    data = block.trial.data
    noiseless = isinstance(data, Linear) and data.noise_scale == 0
    return solved(block, _of_pursuit if noiseless else _of_path)


def _of_path(problem: Scaled, counts: Sequence[int]) -> dict[int, Float[np.ndarray, " feature"]]:
    features = problem.phi.shape[1]
    some = [count for count in counts if count < features]
    path = _path(problem, max(some, default=0))
    sizes = np.count_nonzero(path, axis=0)
    made = {count: _kept(problem, path[:, _first(sizes, count)], count) for count in some}
    return made if len(some) == len(counts) else made | {features: _kept(problem, pursued(problem), features)}


def _path(problem: Scaled, most: int) -> Float[np.ndarray, "feature point"]:
    """Weights at falling penalties, until there are `most` of them or the path ends."""
    phi, start = np.asfortranarray(problem.phi), np.zeros(problem.phi.shape[1])
    first = np.abs(phi.T @ problem.y).max(initial=0.0) / len(problem.y)
    if first == 0 or most == 0:
        return start[:, None]
    parts = []
    for penalties in np.split(first * np.geomspace(1, _SPAN, _POINTS), _POINTS // _AT_ONCE):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a last point that has not converged is a point all the same
            _, part, *_ = lasso_path(
                phi,
                problem.y,
                alphas=penalties,  # type: ignore[arg-type]  # its stub takes the default for the type
                coef_init=start,
                max_iter=10_000,
                tol=1e-8,
            )
        parts.append(part)
        start = part[:, -1]
        if np.count_nonzero(part, axis=0).max() >= most:
            break
    return np.hstack(parts)


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
    """min |w|_1 with phi w = y; of a y that is not in the span of the features, with its projection on it."""
    features = problem.phi.shape[1]
    left, values, right = np.linalg.svd(problem.phi, full_matrices=False)
    alive = values > _RANK * values.max(initial=0.0)
    # phi w = y along the singular vectors: as many equations as the rank, so that rounding cannot make them contradict each other.
    right, wanted = right[alive], left[:, alive].T @ problem.y / values[alive]
    size = float(np.linalg.norm(wanted))
    if len(right) == features or size == 0:
        return right.T @ wanted
    made = linprog(
        np.ones(2 * features),
        A_eq=np.hstack([right, -right]),
        b_eq=wanted / size,  # what HiGHS counts as met is not relative to it
        bounds=(0, None),
        method="highs",
    )
    assert made.x is not None, f"these equations have a solution: {made.message}"
    weights = size * (made.x[:features] - made.x[features:])
    return np.where(np.abs(weights) > _ZERO * np.abs(weights).max(), weights, 0.0)
