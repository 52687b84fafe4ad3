"""One problem's weights for infinite time, and the matrix that says how they change when a weight goes.

    Y = Sigma of the kept features = phi^T phi / n        c = phi^T y / n        w = Y^+ c + N w0,   N = I - Y^+ Y
    full rank        K = Y^-1       w_i goes:  w <- w - K_i w_i / K_ii      K <- K - K_i K_i^T / K_ii
    else             K = N, which projects on the null space of Y, and the same two lines

The second line is the textbook downdate. The third holds because with a null vector through i the fit does not change when i goes:
w' = w - N_i w_i / N_ii has w'_i = 0, phi w' = phi w as phi N = 0, and lies in w0 (i left out) plus the row space that is left. A feature
with N_ii = 0 is in no null vector: then the rank falls, and what is left is factorised anew.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.linalg import get_lapack_funcs, solve_triangular

from impray.theory.linear import SINGULAR_CUT_OFF

_FACTORISE, _INVERT = get_lapack_funcs(("potrf", "potri"), dtype=np.float64)
_WELL = 1e6  # condition of Sigma up to which Cholesky's factor of it, and downdates, keep ten digits


@dataclass(frozen=True)
class Factors:
    """Args: matrix: K or N, symmetric. weights: of infinite time. nullity: how many dimensions the null space has. well: whether the
    condition lets the matrix be downdated many times; else it is made anew each time.
    """

    matrix: Float[np.ndarray, "feature feature"]
    weights: Float[np.ndarray, " feature"]
    nullity: int
    well: bool


def factors(
    phi: Float[np.ndarray, "sample feature"], y: Float[np.ndarray, " sample"], start: Float[np.ndarray, " feature"]
) -> Factors:
    """Of the kept features alone, by the cheapest way that is exact enough: Cholesky, QR, singular values."""
    samples, features = phi.shape
    if features == 0:
        return Factors(np.zeros((0, 0)), np.zeros(0), 0, True)
    made = None
    if samples >= features:
        made = _cholesky(phi, y) or _qr(phi, y)
    else:
        made = _wide(phi, y, start)
    return made or _singular(phi, y, start)


def _cholesky(phi: np.ndarray, y: np.ndarray) -> Factors | None:
    """None where Sigma is not well conditioned."""
    samples = len(y)
    gram = phi.T @ phi
    upper, failed = _FACTORISE(gram, lower=False)
    if failed:
        return None
    inverse, failed = _INVERT(upper, lower=False)
    if failed:
        return None
    inverse = np.triu(inverse) + np.triu(inverse, 1).T
    if np.abs(gram).sum(axis=0).max() * np.abs(inverse).sum(axis=0).max() > _WELL:
        return None
    return Factors(samples * inverse, inverse @ (phi.T @ y), 0, True)


def _qr(phi: np.ndarray, y: np.ndarray) -> Factors | None:
    """For more samples than features, or as many; None where the rank is not full."""
    samples, features = phi.shape
    q, r = np.linalg.qr(phi)
    diagonal = np.abs(np.diag(r))
    if not diagonal.min() > SINGULAR_CUT_OFF * diagonal.max():
        return None
    inverse = solve_triangular(r, np.eye(features))
    if np.linalg.norm(r) * np.linalg.norm(inverse) > 1 / SINGULAR_CUT_OFF:
        return None
    return Factors(samples * inverse @ inverse.T, inverse @ (q.T @ y), 0, False)


def _wide(phi: np.ndarray, y: np.ndarray, start: np.ndarray) -> Factors | None:
    """For fewer samples than features; None where the rank is not that of the samples, or Phi Phi^T is not well conditioned."""
    samples, features = phi.shape
    q, r = np.linalg.qr(phi.T)
    # By singular values: r's diagonal alone can look harmless where rows nearly depend on one another.
    if not np.linalg.cond(r) ** 2 <= _WELL:
        return None
    null = np.eye(features) - q @ q.T
    weights = q @ solve_triangular(r, y, trans=1) + null @ start
    return Factors(null, weights, features - samples, True)


def _singular(phi: np.ndarray, y: np.ndarray, start: np.ndarray) -> Factors:
    """Of any rank. Singular values rather than eigenvalues of Sigma, which have lost half of their digits."""
    samples, features = phi.shape
    left, values, right = np.linalg.svd(phi, full_matrices=False)
    alive = values > SINGULAR_CUT_OFF * values.max(initial=0.0)
    left, values, right = left[:, alive], values[alive], right[alive]
    inverse = samples * (right.T / values**2) @ right
    projector = np.eye(features) - right.T @ right
    weights = right.T @ (left.T @ y / values)
    nullity = features - len(values)
    if nullity:
        weights = weights + projector @ start
    return Factors(projector if nullity else inverse, weights, nullity, False)
