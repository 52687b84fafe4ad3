"""Points of the lasso path by their optimality conditions, and its limit, basis pursuit."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from training.linear.counted_problems import block, drawn, least_squares

from impray.training.linear.counted import scaled
from impray.training.linear.lasso import lasso, limit, path


@pytest.mark.parametrize(("samples", "features"), [(60, 20), (25, 40)])
def test_points_of_the_path_meet_the_optimality_conditions(samples, features):
    """phi_j^T r / n = alpha sign(w_j) where w_j is not 0, and no larger elsewhere; to 1e-3 of alpha.

    The duality gap is at most 1e-8 |y|^2, the objective at least 1e-4 of alpha's largest: gradients are right to about its root.
    """
    phi, y, _ = drawn(0, samples, features, 4, noise=0.5)
    problem = scaled(phi, y)
    seen = 0
    for penalties, points in path(problem, 15):
        for alpha, weights in zip(penalties, points.T, strict=True):
            gradient = problem.phi.T @ (problem.y - problem.phi @ weights) / samples
            some = weights != 0
            np.testing.assert_allclose(gradient[some], alpha * np.sign(weights[some]), atol=1e-3 * alpha)
            assert (np.abs(gradient) <= (1 + 1e-3) * alpha).all()
            seen += 1
    assert seen >= 20


def test_the_largest_of_the_first_point_with_so_many_are_kept():
    """Of two points on either side of where the third weight comes, by a path on a finer grid."""
    from sklearn.linear_model import lasso_path

    phi, y, _ = drawn(2, 60, 20, 4, noise=0.5)
    problem = scaled(phi, y)
    first = np.abs(problem.phi.T @ problem.y).max() / 60
    _, points, *_ = lasso_path(problem.phi, problem.y, alphas=first * np.geomspace(1, 1e-4, 100), tol=1e-12)
    for count in (1, 4, 9):
        weights = next(point for point in points.T if np.count_nonzero(point) >= count)
        kept = np.sort(np.argsort(np.abs(weights))[20 - count :])
        solved = lasso(block([(phi, y)], [count], noise=0.5))
        assert np.flatnonzero(solved.masks[1][0]).tolist() == kept.tolist()
        np.testing.assert_allclose(solved.weights[1][0], least_squares(phi, y, kept)[0], rtol=1e-9)


def test_basis_pursuit_is_the_best_of_all_vertices():
    """A linear programme has its least value at a vertex: at most n features, the least |w|_1 of all choices of n."""
    for seed in range(5):
        phi, y, _ = drawn(seed, 4, 9, 3)
        problem = scaled(phi, y)
        sizes = [
            np.abs(np.linalg.solve(problem.phi[:, kept], problem.y)).sum()
            for kept in map(list, combinations(range(9), 4))
        ]
        weights = limit(problem)
        np.testing.assert_allclose(problem.phi @ weights, problem.y, atol=1e-6)
        np.testing.assert_allclose(np.abs(weights).sum(), min(sizes), rtol=1e-6)


def test_the_limit_of_a_full_rank_is_least_squares_and_keeps_all():
    phi, y, _ = drawn(1, 60, 20, 4, noise=1.0)
    solved = lasso(block([(phi, y)], [20], noise=1.0))
    np.testing.assert_allclose(solved.weights[1][0], least_squares(phi, y, np.arange(20))[0], rtol=1e-9)
    assert np.count_nonzero(solved.weights[1]) == 20


def test_the_limit_of_a_dependent_design_is_the_shortest_of_the_best_fits():
    """12 independent columns, 13 mixtures of them, noise: the residual of least squares, no larger |w|_1 than the shortest |w|_2."""
    for seed in range(5):
        generator = np.random.default_rng(seed)
        base = generator.standard_normal((60, 12))
        phi, y = np.hstack([base, base @ generator.standard_normal((12, 13))]), generator.standard_normal(60)
        problem = scaled(phi, y)
        shortest = np.linalg.lstsq(problem.phi, problem.y, rcond=1e-10)[0]
        weights = limit(problem)
        np.testing.assert_allclose(problem.phi @ weights, problem.phi @ shortest, atol=1e-6)
        assert np.count_nonzero(weights) <= 12 and np.abs(weights).sum() < np.abs(shortest).sum()
        on_few = least_squares(problem.phi, problem.y, np.flatnonzero(weights))[0]
        np.testing.assert_allclose(weights, on_few, atol=1e-6)
