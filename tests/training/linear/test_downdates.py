"""Factors of one problem at infinite time, and downdates of them, against the pseudo-inverse: every regime of rank and condition."""

import gc

import numpy as np
import pytest
from linear_sweeps import linear_sweep

from impray.theory.linear import SINGULAR_CUT_OFF
from impray.training.linear import paths
from impray.training.linear.downdates import Downdates
from impray.training.linear.factors import factors
from impray.training.solver import Block

EPS = np.finfo(np.float64).eps


def gaussian(samples, features, seed=0):
    return np.random.default_rng(seed).standard_normal((samples, features))


def correlated(samples, features, rho):
    covariance = rho ** np.abs(np.subtract.outer(np.arange(features), np.arange(features)))
    return gaussian(samples, features) @ np.linalg.cholesky(covariance).T


def dependent(samples, features):
    """A dead feature, a duplicate, one with its sign turned, and a sum of two."""
    phi = gaussian(samples, features)
    phi[:, 1], phi[:, 2], phi[:, 3], phi[:, 4] = 0.0, phi[:, 0], -phi[:, 0], phi[:, 5] + phi[:, 6]
    return phi


def lengths(samples, features, spread):
    """Columns whose lengths span `spread` decades."""
    return gaussian(samples, features) * 10 ** np.linspace(-spread / 2, spread / 2, features)


def kahan(size, extra):
    """Rows that nearly depend on one another [size, size + extra], though the diagonal of their QR factor falls slowly only."""
    sine, cosine = np.sin(1.2), np.cos(1.2)
    upper = np.triu(-cosine * np.ones((size, size)), 1) + np.eye(size)
    upper = sine ** np.arange(size)[:, None] * upper
    basis = np.linalg.qr(gaussian(size + extra, size))[0]
    return (basis @ upper).T


DESIGNS = {
    "well conditioned": gaussian(60, 20),
    "as many as samples": gaussian(30, 30),
    "wide": gaussian(20, 40),
    "one sample": gaussian(1, 6),
    "one feature": gaussian(6, 1),
    "correlated": correlated(200, 60, 0.999),
    "correlated, wide": correlated(30, 60, 0.999),
    "dependent": dependent(60, 20),
    "dependent, wide": dependent(12, 20),
    "of unlike length": lengths(60, 30, 4),
    "of unlike length, wide": lengths(20, 40, 4),
    "near-dependent rows": kahan(50, 10),
    "nothing": np.zeros((10, 4)),
    "nothing, wide": np.zeros((3, 4)),
    "no feature": np.zeros((5, 0)),
}


def slow(phi, y, start):
    """w = w0 + phi^+ (y - phi w0), and the singular values that count."""
    if phi.shape[1] == 0:
        return np.zeros(0), np.zeros(0)
    values = np.linalg.svd(phi, compute_uv=False)
    alive = values[values > SINGULAR_CUT_OFF * values[0]]
    return start + np.linalg.pinv(phi, rcond=SINGULAR_CUT_OFF) @ (y - phi @ start), alive


def problem(phi, seed=1):
    generator = np.random.default_rng(seed)
    return generator.standard_normal(len(phi)), generator.standard_normal(phi.shape[1])


@pytest.mark.parametrize("phi", DESIGNS.values(), ids=DESIGNS.keys())
def test_factors_are_those_of_the_pseudo_inverse(phi):
    samples, features = phi.shape
    y, start = problem(phi)
    made, (weights, alive) = factors(phi, y, start), slow(phi, y, start)
    assert made.nullity == features - len(alive)
    condition = alive.max(initial=1.0) / alive.min(initial=1.0)
    # Least squares lose condition^2 eps of the residual's part (Wedin); some 100 operations in a row add up.
    size = np.abs(weights).max(initial=1.0)
    np.testing.assert_allclose(made.weights, weights, rtol=0, atol=100 * EPS * condition**2 * size)
    if made.nullity:
        projector = np.eye(features) - np.linalg.pinv(phi, rcond=SINGULAR_CUT_OFF) @ phi
        np.testing.assert_allclose(made.matrix, projector, rtol=0, atol=100 * EPS * condition)
    else:
        unit = made.matrix @ (phi.T @ phi / samples)
        np.testing.assert_allclose(unit, np.eye(features), rtol=0, atol=100 * EPS * condition**2)


def downdated(designs, seeds, order):
    """Weights [problem, feature] after each removal of `order` [problem, removal], the dense ones first."""
    of_problems = [problem(phi, seed) for phi, seed in zip(designs, seeds, strict=True)]
    targets, starts = [y for y, _ in of_problems], np.stack([start for _, start in of_problems])
    dense = [factors(phi, y, start) for phi, (y, start) in zip(designs, of_problems, strict=True)]
    problems = Downdates(designs, targets, starts, dense)
    path = []
    for removed in (None, *order.T):
        if removed is not None:
            problems.remove((problems.features == removed[:, None]).argmax(axis=1))
        weights = np.zeros(starts.shape)
        np.put_along_axis(weights, problems.features, np.where(problems.left, problems.weights, 0.0), axis=1)
        path.append(weights)
    return np.stack(path, axis=1)


def orders(designs, seeds):
    features = designs[0].shape[1]
    return np.stack([np.random.default_rng(seed).permutation(features) for seed in seeds])


@pytest.mark.parametrize("name", [name for name, phi in DESIGNS.items() if phi.size and name != "near-dependent rows"])
def test_downdates_down_to_no_feature_are_the_pseudo_inverses(name):
    """To 1e-8 of the largest weight, the most that an error may be (and, in these regimes, 100 times what it is)."""
    phi = DESIGNS[name]
    designs, seeds = [phi, phi], [2, 3]
    order = orders(designs, seeds)
    path = downdated(designs, seeds, order)
    for place, seed in enumerate(seeds):
        y, start = problem(phi, seed)
        for gone in range(phi.shape[1]):
            left = np.sort(order[place, gone:])
            weights, _ = slow(np.ascontiguousarray(phi[:, left]), y, start[left])
            size = np.abs(weights).max()
            np.testing.assert_allclose(path[place, gone, left], weights, rtol=0, atol=1e-8 * size)
            assert not np.delete(path[place, gone], left).any()


def test_wide_designs_whose_columns_are_of_unlike_length_keep_their_digits():
    """Null vectors nearly miss a long column: many small pivots, one after another."""
    seeds = list(range(12))
    generator = np.random.default_rng(0)
    designs = [generator.standard_normal((30, 60)) * 10 ** generator.uniform(-2, 2, 60) for _ in seeds]
    order = np.stack([np.argsort(-np.square(phi).sum(axis=0)) for phi in designs])  # the longest first
    path = downdated(designs, seeds, order)
    for place, (phi, seed) in enumerate(zip(designs, seeds, strict=True)):
        y, start = problem(phi, seed)
        for gone in range(20, 32):
            left = np.sort(order[place, gone:])
            weights, _ = slow(phi[:, left], y, start[left])
            np.testing.assert_allclose(path[place, gone, left], weights, rtol=0, atol=1e-8 * np.abs(weights).max())


@pytest.mark.parametrize("samples", [60, 12])
def test_a_problem_cannot_see_its_neighbours_whatever_their_rank(samples):
    """Bit for bit, 16 at once and each alone: neighbours are made anew at other removals, and have other ranks and conditions."""
    makers = (gaussian, dependent, lambda n, p: lengths(n, p, 4), lambda n, p: correlated(n, p, 0.999))
    designs = [maker(samples, 40) * (1 + place) for place, maker in enumerate(makers * 4)]
    seeds = list(range(16))
    order = orders(designs, seeds)
    together = downdated(designs, seeds, order)
    for place, seed in enumerate(seeds):
        alone = downdated([designs[place].copy()], [seed], order[place : place + 1])
        assert np.array_equal(alone[0], together[place]), place


def test_factors_that_methods_share_go_with_their_block():
    phi = gaussian(20, 5)
    y, start = problem(phi)
    trial = linear_sweep(**{"trial.data.features": 5, "rounds": 2, "rows_at": "all"}).trial
    block = Block(trial, [0], [phi], [y], start[None], [5, 4, 3], [2])
    first, kept = paths.imp(block), list(paths._LAST)
    again = paths.backward(block)
    assert paths._LAST and paths._LAST[0] is kept[0]
    assert first.masks[2].sum() == again.masks[2].sum() == 3
    del block, kept
    gc.collect()
    assert not paths._LAST
