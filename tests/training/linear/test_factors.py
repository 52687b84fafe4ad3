"""What infinite time ends at, and the matrix of downdates: by the pseudo-inverse, for every rank and condition."""

import numpy as np
import pytest
import scipy.linalg
from training.linear.blocks import DESIGNS, problems

from impray.training.linear.factors import factors


@pytest.mark.parametrize("name", DESIGNS)
def test_weights_and_matrix_are_those_of_the_pseudo_inverse(name):
    for phi, y in problems(name):
        samples, features = phi.shape
        start = np.random.default_rng(0).standard_normal(features)
        inverse = scipy.linalg.pinv(phi, rtol=1e-6)
        null = np.eye(features) - inverse @ phi
        rank = np.linalg.matrix_rank(phi, tol=1e-6 * np.linalg.norm(phi, 2))
        made = factors(phi, y, start)
        assert made.nullity == features - rank
        # `correlated` has condition 1e5: ten digits of the matrix are left, and more of the weights.
        np.testing.assert_allclose(made.weights, inverse @ y + null @ start, rtol=1e-9, atol=1e-9)
        expected = null if made.nullity else samples * inverse @ inverse.T
        np.testing.assert_allclose(made.matrix, expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())


@pytest.mark.parametrize("smallest", [1e-2, 1e-4, 0.9e-5, 1.1e-6, 0.9e-6, 1e-8, 0.0])
def test_the_rank_is_cut_where_it_says(smallest):
    """Singular values below 1e-6 of the largest count as 0; just above, six digits are still there."""
    rng = np.random.default_rng(0)
    left, right = np.linalg.qr(rng.standard_normal((20, 6)))[0], np.linalg.qr(rng.standard_normal((6, 6)))[0]
    phi = left * np.array([1, 0.8, 0.6, 0.4, 0.2, smallest]) @ right.T
    y = phi @ np.ones(6)
    made = factors(phi, y, np.zeros(6))
    assert made.nullity == (1 if smallest < 1e-6 else 0)
    expected = np.ones(6) if made.nullity == 0 else right[:, :5] @ right[:, :5].T @ np.ones(6)
    np.testing.assert_allclose(made.weights, expected, rtol=1e-7)
    assert made.well is (smallest >= 1e-2)


def test_no_features():
    made = factors(np.zeros((3, 0)), np.ones(3), np.zeros(0))
    assert made.matrix.shape == (0, 0) and made.weights.shape == (0,) and made.nullity == 0
