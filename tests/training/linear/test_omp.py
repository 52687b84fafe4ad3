"""Orthogonal matching pursuit against a slow version, and where it stops."""

from __future__ import annotations

import numpy as np
from training.linear.counted_problems import block, drawn, least_squares

from impray.training.linear.omp import omp


def slow(phi, y, count):
    """The features in the order in which they join."""
    residual, chosen = y, []
    for _ in range(count):
        correlation = np.abs(phi.T @ residual) / np.linalg.norm(phi, axis=0)
        correlation[chosen] = -1
        chosen.append(int(correlation.argmax()))
        residual = least_squares(phi, y, chosen)[1]
    return chosen


def test_it_is_the_slow_version_at_every_count():
    """Columns of very different lengths: fits are compared in units of each column's, where rounding is as large in one as in another."""
    for seed in range(5):
        phi, y, _ = drawn(seed, 25, 40, 5, noise=1.0)
        phi *= np.geomspace(1e-3, 1e3, 40)
        order, length = slow(phi, y, 20), np.linalg.norm(phi, axis=0)
        counts = list(range(20, 0, -1))
        solved = omp(block([(phi, y)], counts, noise=1.0))
        for round, count in enumerate(counts, start=1):
            assert np.flatnonzero(solved.masks[round][0]).tolist() == sorted(order[:count])
            expected = least_squares(phi / length, y, order[:count])[0]
            found = solved.weights[round][0] * length
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * abs(expected).max())


def test_a_feature_that_matters_only_beside_others_is_chosen():
    """phi_1^T y = 0, and y = 2 phi_0 - 2 phi_1."""
    phi = np.zeros((8, 3))
    phi[:4, 0], phi[:2, 1], phi[6, 2] = 1, 1, 1
    y = np.zeros(8)
    y[2:4] = 2
    np.testing.assert_allclose(omp(block([(phi, y)], [2])).weights[1], [[2, -2, 0]], atol=1e-12)


def test_it_selects_no_more_than_explain_the_target():
    """A target of 3 features, without noise: 6 are kept, 3 have weights."""
    phi, y, truth = drawn(0, 200, 12, 3)
    solved = omp(block([(phi, y)], [6]))
    assert solved.masks[1].sum() == 6
    assert np.flatnonzero(solved.weights[1][0]).tolist() == np.flatnonzero(truth).tolist()


def test_it_selects_no_more_than_the_rank():
    """12 independent columns and 13 mixtures of them: the fit with 12 is that with all, and no weight is a rounding error's."""
    for seed in range(6):
        generator = np.random.default_rng(seed)
        base = generator.standard_normal((60, 12))
        phi, y = np.hstack([base, base @ generator.standard_normal((12, 13))]), generator.standard_normal(60)
        solved = omp(block([(phi, y)], [20], noise=1.0))
        assert solved.masks[1].sum() == 20 and np.count_nonzero(solved.weights[1]) <= 12
        whole = y - phi @ np.linalg.lstsq(phi, y, rcond=1e-10)[0]
        np.testing.assert_allclose(y - phi @ solved.weights[1][0], whole, atol=1e-6)
