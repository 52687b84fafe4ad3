"""The lasso at exact counts: along the path of falling penalties, the first point with so many weights; they are fitted anew.

    min |phi w - y|^2 / (2 n) + alpha |w|_1        alpha from the one where all weights are 0 downwards, `_POINTS` per path

Tibshirani (1996); scikit-learn's coordinate descent (its `lars_path` fails on signals of equal sizes). Where there is no noise, or no
point of the path has so many weights, the limit alpha -> 0 is taken: of all least-squares solutions the one of least |w|_1, which is
basis pursuit where n < p (Chen, Donoho & Saunders 1998), by HiGHS, and least squares itself where phi has full column rank. Of the
point's weights the largest are kept, as many as asked for. Columns are scaled (`impray.training.linear.counted`), so |w|_1 weighs each
feature by its length.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float
from scipy.optimize import linprog
from sklearn.linear_model import lasso_path

from impray.spec.data import Linear
from impray.theory.linear import SINGULAR_CUT_OFF
from impray.training.linear.counted import Scaled, fitted, largest, solved
from impray.training.solver import Block, Solved

_POINTS, _SPAN = 100, 1e-4  # penalties of a path, and the last one over the first
_AT_ONCE = 10  # penalties of one call
_ZERO = 1e-9  # of the largest weight: what the limit leaves where it means 0


def lasso(block: Block) -> Solved:
    """The solver `lasso`: one path gives all counts."""
    data = block.trial.data
    noiseless = isinstance(data, Linear) and data.noise_scale == 0
    return solved(block, _of_limit if noiseless else _of_path)


def _of_path(problem: Scaled, counts: Sequence[int]) -> dict[int, Float[np.ndarray, " feature"]]:
    points = np.hstack([weights for _, weights in path(problem, max(counts))])
    sizes = np.count_nonzero(points, axis=0)
    within = [count for count in counts if count <= sizes.max()]
    beyond = _of_limit(problem, counts[len(within) :]) if len(within) < len(counts) else {}
    return beyond | {count: _kept(problem, points[:, np.argmax(sizes >= count)], count) for count in within}


def path(problem: Scaled, most: int) -> Iterator[tuple[np.ndarray, Float[np.ndarray, "feature point"]]]:
    """Falling penalties and the weights there, some at a time, until there are `most` weights: small penalties are the slow ones."""
    phi, correlations = np.asfortranarray(problem.phi), problem.phi.T @ problem.y
    first, gram, last = np.abs(correlations).max() / len(problem.y), phi.T @ phi, None
    for penalties in np.split(first * np.geomspace(1, _SPAN, _POINTS), _POINTS // _AT_ONCE):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a point that has not converged is a point all the same
            _, weights, *_ = lasso_path(
                phi,
                problem.y,
                alphas=penalties,  # type: ignore[arg-type]
                precompute=gram,  # type: ignore[arg-type]
                Xy=correlations,
                coef_init=last,
                max_iter=10_000,
                tol=1e-8,
                check_input=False,  # four fifths of the time of small problems
            )
        yield penalties, weights
        if np.count_nonzero(weights, axis=0).max() >= most:
            return
        last = weights[:, -1]


def _of_limit(problem: Scaled, counts: Sequence[int]) -> dict[int, Float[np.ndarray, " feature"]]:
    weights = limit(problem)
    return {count: _kept(problem, weights, count) for count in counts}


def limit(problem: Scaled) -> Float[np.ndarray, " feature"]:
    """min |w|_1 over all w of least |phi w - y|: V^T w = L^-1 U^T y, where phi = U L V^T with the singular values that are not 0.

    The rows of V^T are orthonormal: there always is such a w, whatever rounding did to phi and y.
    """
    left, singular, right = np.linalg.svd(problem.phi, full_matrices=False)
    rank = int((singular > SINGULAR_CUT_OFF * singular[0]).sum())
    rows, sums = right[:rank], (left.T @ problem.y)[:rank] / singular[:rank]
    weights = rows.T @ sums
    if rank < len(weights):
        size = np.linalg.norm(sums)  # HiGHS has absolute tolerances
        made = linprog(np.ones(2 * len(weights)), A_eq=np.hstack([rows, -rows]), b_eq=sums / size, method="highs")
        assert made.x is not None, made.message
        weights = size * (made.x[: len(weights)] - made.x[len(weights) :])
    return np.where(np.abs(weights) > _ZERO * np.abs(weights).max(), weights, 0.0)


def _kept(problem: Scaled, weights: Float[np.ndarray, " feature"], count: int) -> Float[np.ndarray, " feature"]:
    return fitted(problem, largest(np.abs(weights), count) & (weights != 0))
