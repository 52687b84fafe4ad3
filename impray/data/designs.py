"""Features phi [sample, feature] of linear models: one function per design gives its population, which rows are drawn from.

    rows of a covariance C = R R^T      phi = G R^T, G independent N(0, 1)           E phi^T phi / n = C
    exact                               phi = sqrt(n) Q R^T, G = Q U (QR)            phi^T phi / n = C, to rounding
    hub                                 phi_hub = -rho sum_spokes phi_j + sqrt(1 - rho^2 spokes) z
    relu_features                       phi_j = max(v_j x + b_j, 0)

Streams: `design` what makes the population (signs, random features), `data` its training rows, `truth` which features are the hub and
its spokes. Rows are drawn one after the other: fewer samples are the first ones of more, where they are not exact.

With `exact` the orthogonal columns are those of a Gaussian matrix; of a hub, where the number of samples is a power of two, those of a
Hadamard matrix, drawn without replacement, with random signs of rows and columns: thousands of them take a second, and what a linear
model makes of them depends on phi^T phi alone where the noise is Gaussian.

Source: Elesedy, Kanade & Teh (2020), section 2 and Examples 1 to 3; the hub and the random features are ours.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import scipy.linalg
from jaxtyping import Float, Int

from impray.data.base import numbers
from impray.data.matrices import content_of, covariance_in, matrix_in
from impray.spec.data import Linear
from impray.spec.data import designs as spec

Matrix = Float[np.ndarray, "sample feature"]
Rows = Callable[[int, np.random.Generator, bool], Matrix]
"""(samples, random numbers, whether the sample's own covariance is exact) -> features, before they are normalised."""


def training_rows(data: Linear, seed: int) -> Matrix:
    """The features of a seed's training set, before they are normalised. Stream: `data`.

    Raises:  DataError: as `population`.
    """
    if isinstance(data.design, spec.Matrix):
        return matrix_in(data.design.path, data.samples, data.features)
    return population(data, seed)(data.samples, numbers(seed, "data"), data.design.exact)


def population(data: Linear, seed: int) -> Rows:
    """What rows of these features are drawn from.

    Raises:  DataError: a file is missing, or holds no such matrix.
    """
    return _POPULATIONS[type(data.design)](data, seed)


def content(data: Linear) -> str | None:
    """Names what is in the design's file; None where it has none.

    Raises:  DataError: the file is missing, or holds no such matrix.
    """
    if not isinstance(data.design, (spec.Covariance, spec.Matrix)):
        return None
    _POPULATIONS[type(data.design)](data, 0)  # reads it
    return content_of(data.design.path)


def feature_order(data: Linear, seed: int) -> Int[np.ndarray, " feature"]:
    """The features in the order in which the truth takes them, its first ones being those that are not 0. Stream: `truth`."""
    return numbers(seed, "truth").permutation(data.features)


# -- designs with a covariance ----------------------------------------------------------------------------------------------


def identity(data: Linear, seed: int) -> Rows:
    """Sigma = I (Example 1 of Elesedy et al. 2020)."""
    return lambda samples, draws, exact: _independent(samples, data.features, draws, exact)


def uniform(data: Linear, seed: int) -> Rows:
    """All pairs correlated by alpha (Example 2 of Elesedy et al. 2020)."""
    design = data.design
    assert isinstance(design, spec.Uniform)
    return _correlated(_root_of_uniform(design.alpha, data.features))


def toeplitz(data: Linear, seed: int) -> Rows:
    """Sigma_ij = rho^|i - j|: neighbours are correlated most."""
    design = data.design
    assert isinstance(design, spec.Toeplitz)
    return _correlated(_root_of_toeplitz(design.rho, data.features))


def incoherent(data: Linear, seed: int) -> Rows:
    """Sigma_ij = +-coherence, signs drawn (Example 3 of Elesedy et al. 2020). Stream: `design`."""
    design = data.design
    assert isinstance(design, spec.Incoherent)
    above = np.triu(_signs(numbers(seed, "design"), (data.features, data.features)), 1)
    return _correlated(_root(np.eye(data.features) + design.coherence * (above + above.T)))


def covariance(data: Linear, seed: int) -> Rows:
    """Sigma from a file.

    Raises:  DataError: it is missing, or holds no such matrix.
    """
    design = data.design
    assert isinstance(design, spec.Covariance)
    return _correlated(_root(covariance_in(design.path, data.features)))


@lru_cache(maxsize=4)
def _root_of_uniform(alpha: float, features: int) -> Float[np.ndarray, "feature feature"]:
    return _root((1 - alpha) * np.eye(features) + alpha)


@lru_cache(maxsize=4)
def _root_of_toeplitz(rho: float, features: int) -> Float[np.ndarray, "feature feature"]:
    return _root(scipy.linalg.toeplitz(rho ** np.arange(features)))


def _root(matrix: Float[np.ndarray, "feature feature"]) -> Float[np.ndarray, "feature feature"]:
    """R with R R^T = matrix: Cholesky's where it is positive definite, else one of eigenvectors."""
    try:
        return np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(matrix)
        return vectors * np.sqrt(values.clip(min=0))


def _correlated(root: Float[np.ndarray, "feature feature"]) -> Rows:
    return lambda samples, draws, exact: _independent(samples, len(root), draws, exact) @ root.T


def _independent(samples: int, features: int, draws: np.random.Generator, exact: bool) -> Matrix:
    """Independent N(0, 1); or orthogonal columns with a mean square of 1, the Gaussian ones made so."""
    gaussian = draws.standard_normal((samples, features))
    return np.sqrt(samples) * np.linalg.qr(gaussian).Q if exact else gaussian


# -- designs of their own -------------------------------------------------------------------------------------------------


def hub(data: Linear, seed: int) -> Rows:
    """One feature, the first of the truth, correlated by -sqrt(share / spokes) with each of the next ones; the others independent."""
    design, order = data.design, feature_order(data, seed)
    assert isinstance(design, spec.Hub)
    centre, spokes = order[0], order[1 : design.spokes + 1]
    rho = np.sqrt(design.share / design.spokes)

    def rows(samples: int, draws: np.random.Generator, exact: bool) -> Matrix:
        by_signs = exact and samples.bit_count() == 1
        phi = (
            _hadamard(samples, data.features, draws) if by_signs else _independent(samples, data.features, draws, exact)
        )
        phi[:, centre] = np.sqrt(1 - design.share) * phi[:, centre] - rho * phi[:, spokes].sum(axis=1)
        return phi

    return rows


def _hadamard(samples: int, features: int, draws: np.random.Generator) -> Matrix:
    """Columns of Sylvester's matrix, (-1)^|i & j|, drawn without replacement; random signs of rows and columns."""
    columns = draws.permutation(samples)[:features].astype(np.uint64)
    common = np.bitwise_count(np.arange(samples, dtype=np.uint64)[:, None] & columns)
    phi = 1.0 - 2.0 * (common & 1)
    return phi * _signs(draws, (samples, 1)) * _signs(draws, (features,))


def matrix(data: Linear, seed: int) -> Rows:
    """Rows of a matrix from a file, drawn evenly and with replacement.

    Raises:  DataError: it is missing, or holds no such matrix.
    """
    design = data.design
    assert isinstance(design, spec.Matrix)
    given = matrix_in(design.path, data.samples, data.features)

    def rows(samples: int, draws: np.random.Generator, exact: bool) -> Matrix:
        return given[draws.integers(len(given), size=samples)]

    return rows


def relu_features(data: Linear, seed: int) -> Rows:
    """max(v_j x + b_j, 0) of Gaussian x, with v and b drawn once per seed: neither independent nor Gaussian. Stream: `design`."""
    design, draws = data.design, numbers(seed, "design")
    assert isinstance(design, spec.ReluFeatures)
    directions = draws.standard_normal((data.features, design.inputs)) / np.sqrt(design.inputs)
    biases = design.bias * draws.standard_normal(data.features)

    def rows(samples: int, draws: np.random.Generator, exact: bool) -> Matrix:
        return np.maximum(draws.standard_normal((samples, design.inputs)) @ directions.T + biases, 0.0)

    return rows


def _signs(draws: np.random.Generator, shape: tuple[int, ...]) -> Float[np.ndarray, "*shape"]:
    return 2.0 * draws.integers(2, size=shape) - 1


_POPULATIONS: dict[type[spec.DesignSpec], Callable[[Linear, int], Rows]] = {
    spec.Identity: identity,
    spec.Uniform: uniform,
    spec.Toeplitz: toeplitz,
    spec.Incoherent: incoherent,
    spec.Hub: hub,
    spec.Covariance: covariance,
    spec.Matrix: matrix,
    spec.ReluFeatures: relu_features,
}
