"""Laws of iht, omp and lasso alike: exact counts whatever the problem, units that do not decide, no dependence on neighbours."""

from __future__ import annotations

import warnings
from itertools import combinations

import numpy as np
import pytest
from threadpoolctl import threadpool_limits
from training.linear.counted_problems import block, drawn, least_squares

from impray.training.linear.iht import iht
from impray.training.linear.lasso import lasso
from impray.training.linear.omp import omp

SOLVERS = [
    pytest.param(solver, noise, id=f"{solver.__name__}-{noise}") for solver in (iht, omp, lasso) for noise in (0.0, 0.5)
]


def duplicated(seed):
    phi, y, _ = drawn(seed, 12, 8, 3, noise=0.5)
    phi[:, 5] = phi[:, 1]
    phi[:, 6] = -2 * phi[:, 2]
    return phi, y


def with_zeros(seed):
    phi, y, _ = drawn(seed, 12, 8, 3, noise=0.5)
    phi[:, [0, 4, 7]] = 0
    return phi, y


def wide(seed):
    return drawn(seed, 5, 8, 2)[:2]


def hard(seed):
    phi, y = with_zeros(seed)
    return phi[:1], y[:1]


HARD = [
    duplicated,
    with_zeros,
    wide,
    hard,
    lambda seed: (duplicated(seed)[0], np.zeros(12)),
    lambda seed: (np.zeros((12, 8)), np.ones(12)),
]


@pytest.mark.parametrize("problem", HARD, ids=["duplicated", "zeros", "wide", "one sample", "no target", "no design"])
@pytest.mark.parametrize(("solver", "noise"), SOLVERS)
def test_masks_have_exactly_the_counts_and_weights_are_within(solver, noise, problem):
    counts = [8, 7, 6, 5, 3, 1, 0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        solved = solver(block([problem(0), problem(1)], counts, noise))
    assert solved.order is None and solved.gone is None
    for round, count in enumerate(counts, start=1):
        masks, weights = solved.masks[round], solved.weights[round]
        assert masks.shape == weights.shape == (2, 8)
        assert (masks.sum(axis=1) == count).all()
        assert np.isfinite(weights).all() and (weights[~masks] == 0).all()


@pytest.mark.parametrize(("solver", "noise"), SOLVERS)
def test_zero_columns_are_kept_last(solver, noise):
    for phi, y in (with_zeros(0), (with_zeros(0)[0], np.zeros(12))):
        solved = solver(block([(phi, y)], [6, 5, 4], noise))
        assert [int(solved.masks[round][0, [0, 4, 7]].sum()) for round in (1, 2, 3)] == [1, 0, 0]
        assert not any(solved.weights[round][0, [0, 4, 7]].any() for round in (1, 2, 3))


@pytest.mark.parametrize(("solver", "noise"), SOLVERS)
def test_an_orthonormal_design_keeps_the_largest_projections(solver, noise):
    """Example 1 of Elesedy et al. (2020): the weights are phi^T y / n themselves."""
    generator = np.random.default_rng(3)
    phi = np.sqrt(30) * np.linalg.qr(generator.standard_normal((30, 12)))[0]
    y = generator.standard_normal(30)
    projections = phi.T @ y / 30
    counts = [12, 9, 4, 1]
    solved = solver(block([(phi, y)], counts, noise))
    for round, count in enumerate(counts, start=1):
        largest = np.sort(np.argsort(np.abs(projections))[12 - count :])
        assert np.flatnonzero(solved.masks[round][0]).tolist() == largest.tolist()
        np.testing.assert_allclose(solved.weights[round][0, largest], projections[largest], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize(("solver", "noise"), SOLVERS)
def test_where_it_is_easy_the_best_of_all_subsets_is_found(solver, noise, count):
    """200 samples of 8 features: coherence about 0.1, below 1 / (2 k - 1), and components at least 20 standard errors."""
    for seed in range(5):
        phi, y, truth = drawn(seed, 200, 8, count, noise=0.1 * (noise > 0))
        best = min(combinations(range(8), count), key=lambda kept: np.linalg.norm(least_squares(phi, y, list(kept))[1]))
        solved = solver(block([(phi, y)], [count], noise))
        assert np.flatnonzero(solved.masks[1][0]).tolist() == list(best) == np.flatnonzero(truth).tolist()
        np.testing.assert_allclose(solved.weights[1][0], least_squares(phi, y, list(best))[0], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("factor", [1e-200, 1e-9, 1e9], ids=str)
@pytest.mark.parametrize(("solver", "noise"), SOLVERS)
def test_units_of_target_and_features_do_not_decide(solver, noise, factor):
    """Powers of 2, so that scaling itself is exact where nothing underflows; to rounding elsewhere."""
    factor = np.exp2(np.rint(np.log2(factor)))
    phi, y, _ = drawn(5, 20, 30, 4, noise=noise)
    units = 2.0 ** np.random.default_rng(6).integers(-20, 20, 30)
    plain, other = (solver(block([problem], [9, 4], noise)) for problem in ((phi, y), (phi * units, factor * y)))
    for round in (1, 2):
        np.testing.assert_array_equal(other.masks[round], plain.masks[round])
        np.testing.assert_allclose(other.weights[round] / factor * units, plain.weights[round], rtol=1e-9)


@pytest.mark.some(3)
@pytest.mark.unchecked_shapes
@pytest.mark.parametrize(("solver", "noise"), SOLVERS)
def test_problems_and_threads_do_not_change_a_bit(solver, noise):
    problems = [drawn(seed, 20, 30, 4, noise=noise)[:2] for seed in range(16)]
    with threadpool_limits(2, "blas"):
        together = solver(block(problems, [12, 4], noise))
    for place, (phi, y) in enumerate(problems):
        alone = solver(block([(phi.copy(order="F"), y.copy())], [12, 4], noise))
        for round in (1, 2):
            np.testing.assert_array_equal(alone.masks[round][0], together.masks[round][place])
            assert alone.weights[round][0].tobytes() == together.weights[round][place].tobytes()


@pytest.mark.some(3)
@pytest.mark.unchecked_shapes
@pytest.mark.parametrize(("solver", "noise"), SOLVERS)
def test_a_count_does_not_depend_on_the_others_asked_for(solver, noise):
    phi, y, _ = drawn(8, 20, 30, 4, noise=noise)
    many = solver(block([(phi, y)], list(range(30, -1, -1)), noise))
    for count in (30, 17, 4):
        alone = solver(block([(phi, y)], [count], noise))
        np.testing.assert_array_equal(alone.masks[1], many.masks[31 - count])
        assert alone.weights[1].tobytes() == many.weights[31 - count].tobytes()
