"""Normalised iterative hard thresholding against its own step, written out."""

from __future__ import annotations

import numpy as np
import pytest
from training.linear.counted_problems import block, drawn

from impray.training.linear.counted import scaled
from impray.training.linear.iht import iht, thresholded


def hard_threshold(weights, count):
    return np.where(np.isin(np.arange(len(weights)), np.argsort(np.abs(weights))[-count:]), weights, 0.0)


def slow(phi, y, count, steps):
    """Blumensath & Davies (2010), table I, with c = 0.01, kappa = 2."""
    w = np.zeros(phi.shape[1])
    support = hard_threshold(phi.T @ y, count) != 0
    for _ in range(steps):
        g = phi.T @ (y - phi @ w)
        step = (g[support] @ g[support]) / np.sum((phi[:, support] @ g[support]) ** 2)
        new = hard_threshold(w + step * g, count)
        while ((new != 0) != support).any() and step > 0.99 * np.sum((new - w) ** 2) / np.sum((phi @ (new - w)) ** 2):
            step /= 2 * 0.99
            new = hard_threshold(w + step * g, count)
        w, support = new, new != 0
        if np.sum(g[support] ** 2) < 1e-24 * np.sum((phi.T @ y) ** 2):
            break
    return w


@pytest.mark.parametrize(("samples", "features", "nonzero"), [(25, 40, 5), (60, 20, 8), (40, 100, 16)])
def test_it_ends_where_the_steps_of_the_paper_end(samples, features, nonzero):
    """To 1e-7: steps of 1e-10 of the weights, over what a step leaves of the distance. 40 samples are too few: supports change for long."""
    for seed in range(15):
        phi, y, _ = drawn(seed, samples, features, nonzero, noise=0.3 * (features < 100))
        problem = scaled(phi, y)
        expected = slow(problem.phi, problem.y, nonzero, 2_000)
        found = thresholded(problem, nonzero)
        np.testing.assert_array_equal(found != 0, expected != 0)
        np.testing.assert_allclose(found, expected, atol=1e-7 * np.abs(expected).max())


def test_its_end_is_a_fixed_point():
    """Least squares on its support, where no step of at most 1 / |phi|^2 brings in another feature."""
    for seed in range(10):
        phi, y, _ = drawn(seed, 60, 30, 6, noise=1.0)
        problem = scaled(phi, y)
        weights = thresholded(problem, 6)
        gradient = problem.phi.T @ (problem.y - problem.phi @ weights)
        kept = weights != 0
        assert kept.sum() == 6
        np.testing.assert_allclose(gradient[kept], 0, atol=1e-10 * 60)
        step = 1 / np.linalg.norm(problem.phi, 2) ** 2
        assert (step * np.abs(gradient[~kept])).max() <= np.abs(weights[kept]).min()


def test_slow_convergence_is_given_up_quietly():
    generator = np.random.default_rng(0)
    phi = generator.standard_normal((20, 1)) + 1e-6 * generator.standard_normal((20, 10))
    solved = iht(block([(phi, generator.standard_normal(20))], [4], noise=1.0))
    assert solved.masks[1].sum() == 4 and np.isfinite(solved.weights[1]).all()
