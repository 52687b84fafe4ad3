"""Methods whose masks do not nest: exact counts whatever the design, and what each method is, by independent slow versions."""

from itertools import combinations

import numpy as np
import pytest
from linear_sweeps import linear_sweep
from scipy.optimize import linprog
from sklearn.linear_model import Lasso
from training.linear.blocks import DESIGNS, METHODS, block, problems

from impray.data.linear import problem
from impray.training.linear.counted import scaled
from impray.training.linear.iht import iht, thresholded
from impray.training.linear.lasso import lasso, limit
from impray.training.linear.omp import omp
from impray.training.solver import SOLVERS

COUNTED = {"iht": iht, "omp": omp, "lasso": lasso}


@pytest.mark.parametrize("noise", [0.5, 0.0])
@pytest.mark.parametrize("method", COUNTED)
@pytest.mark.parametrize("name", DESIGNS)
def test_a_mask_has_exactly_its_count_and_weights_are_least_squares(name, method, noise):
    """Of what a method gives a weight to, the fit is the best there is; the rest of the mask has weight 0, outside of it all is 0."""
    of = block(problems(name, noise=noise), noise=noise)
    solved = COUNTED[method](of)
    assert solved.order is None and solved.gone is None
    for round in of.rows:
        for place, (phi, y) in enumerate(zip(of.designs, of.targets, strict=True)):
            mask, weights = solved.masks[round][place], solved.weights[round][place]
            assert mask.sum() == of.counts[round]
            assert np.isfinite(weights).all() and not weights[~mask].any()
            alive = phi.any(axis=0)
            assert mask[alive].sum() == min(alive.sum(), of.counts[round])  # columns of zeros come last
            residual = y - phi @ weights
            if method != "iht":  # where it has not converged in time, its own estimate stands
                assert np.abs(phi[:, weights != 0].T @ residual).max(initial=0) < 1e-7 * max(1, np.abs(phi.T @ y).max())


def orthonormal(count=4, noise=0.0):
    made = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        phi = np.linalg.qr(rng.standard_normal((30, 12)))[0] * np.sqrt(30)
        made.append((phi, phi @ rng.standard_normal(12) + noise * rng.standard_normal(30)))
    return made


@pytest.mark.parametrize("noise", [0.3, 0.0])
def test_on_an_orthonormal_design_all_methods_keep_the_largest_projections(noise):
    of = block(orthonormal(noise=noise), noise=noise)
    projections = np.stack([phi.T @ y / 30 for phi, y in zip(of.designs, of.targets, strict=True)])
    place = np.argsort(np.argsort(-np.abs(projections), axis=1), axis=1)
    for method in METHODS:
        if method == "random":
            continue
        solved = SOLVERS.call(method, of)
        for round in of.rows:
            mask = place < of.counts[round]
            np.testing.assert_array_equal(solved.masks[round], mask, err_msg=f"{method}, {of.counts[round]}")
            np.testing.assert_allclose(solved.weights[round], np.where(mask, projections, 0), atol=1e-8)


@pytest.mark.parametrize("method", COUNTED)
@pytest.mark.parametrize("k", [1, 2, 3])
def test_exhaustive_search_finds_nothing_better_where_recovery_is_easy(k, method):
    rng = np.random.default_rng(k)
    made = []
    for _ in range(5):
        phi = rng.standard_normal((60, 10))
        truth = np.zeros(10)
        truth[rng.permutation(10)[:k]] = rng.choice([-1, 1], k)
        made.append((phi, phi @ truth + 0.1 * rng.standard_normal(60)))
    of = block(made, counts=[10, k])
    solved = COUNTED[method](of)
    for place, (phi, y) in enumerate(made):
        best = min(combinations(range(10), k), key=lambda chosen: _loss(phi[:, chosen], y))
        assert tuple(np.flatnonzero(solved.masks[1][place])) == best
        expected = np.linalg.lstsq(phi[:, best], y)[0]
        np.testing.assert_allclose(solved.weights[1][place][list(best)], expected, rtol=1e-8)


def _loss(phi, y):
    return np.square(y - phi @ np.linalg.lstsq(phi, y)[0]).sum()


@pytest.mark.parametrize("method", COUNTED)
@pytest.mark.parametrize("noise", [0.5, 0.0])
def test_units_of_features_and_of_the_target_do_not_decide(method, noise):
    """Powers of two: also in floating point the problem is the same one."""
    made = problems("wide", noise=noise)
    units = 2.0 ** np.arange(-7, 8)
    own = COUNTED[method](block(made, noise=noise))
    for of_target in (1.0, 2.0**-40, 2.0**30):
        of = block([(phi * units, y * of_target) for phi, y in made], noise=noise)
        solved = COUNTED[method](of)
        for round in of.rows:
            np.testing.assert_array_equal(solved.masks[round], own.masks[round])
            np.testing.assert_allclose(
                solved.weights[round] * units / of_target, own.weights[round], rtol=1e-6, atol=1e-9
            )


@pytest.mark.parametrize("method", COUNTED)
def test_what_a_method_does_not_select_has_weight_0(method):
    """Noiseless, 3 components: the rest of a larger mask is filled up, but what the method explains y with is 3 features."""
    rng = np.random.default_rng(0)
    phi = rng.standard_normal((40, 20))
    of = block([(phi, phi[:, [2, 5, 11]] @ np.array([1.0, -2.0, 1.5]))], counts=[20, 10, 3], noise=0.0)
    solved = COUNTED[method](of)
    assert np.flatnonzero(solved.weights[2][0]).tolist() == [2, 5, 11]
    if method == "omp":
        assert np.flatnonzero(solved.weights[1][0]).tolist() == [2, 5, 11]
    np.testing.assert_allclose(solved.weights[1][0][[2, 5, 11]], [1, -2, 1.5], rtol=1e-9)
    np.testing.assert_allclose(np.delete(solved.weights[1][0], [2, 5, 11]), 0, atol=1e-9)


# -- omp ------------------------------------------------------------------------------------------------------------------


def slow_omp(phi, y, count):
    phi = phi / np.linalg.norm(phi, axis=0)
    chosen, residual = [], y
    for _ in range(count):
        chosen.append(int(np.abs(phi.T @ residual).argmax()))
        residual = y - phi[:, chosen] @ np.linalg.lstsq(phi[:, chosen], y)[0]
    return sorted(chosen)


@pytest.mark.parametrize("name", ["tall", "wide", "correlated"])
def test_omp_is_the_textbooks(name):
    of = block(problems(name))
    solved = omp(of)
    for place, (phi, y) in enumerate(zip(of.designs, of.targets, strict=True)):
        for round in of.rows:
            if of.counts[round] <= min(phi.shape):
                assert np.flatnonzero(solved.masks[round][place]).tolist() == slow_omp(phi, y, of.counts[round])


def test_omp_goes_on_where_a_feature_is_hidden_by_its_neighbours():
    """Exact Toeplitz with rho 0.5: the middle one of -1, 1, -1 has no correlation with y, until its neighbours are chosen."""
    places = np.arange(8)
    covariance = 0.5 ** np.abs(places[:, None] - places)
    rng = np.random.default_rng(0)
    phi = np.linalg.qr(rng.standard_normal((20, 8)))[0] * np.sqrt(20) @ np.linalg.cholesky(covariance).T
    truth = np.array([0, 0, -1.0, 1, -1, 0, 0, 0])
    assert abs(phi[:, 3] @ phi @ truth) < 1e-12
    solved = omp(block([(phi, phi @ truth)], counts=[8, 5], noise=0.0))
    assert set(slow_omp(phi, phi @ truth, 5)) >= {2, 3, 4}
    np.testing.assert_allclose(solved.weights[1][0], truth, atol=1e-9)


def test_omp_stops_at_the_rank():
    """What depends on the chosen ones gets no weight, and no warning reaches anyone."""
    of = block(problems("duplicated"))
    for round, weights in omp(of).weights.items():
        assert np.count_nonzero(weights, axis=1).tolist() == [min(of.counts[round], 7)] * 3


# -- iht ------------------------------------------------------------------------------------------------------------------


def slow_iht(phi, y, k, steps=2000):
    """Blumensath & Davies (2010), algorithm 2, as it is written, until it changes nothing more."""

    def keep(w):
        return np.where(np.argsort(np.argsort(-np.abs(w))) < k, w, 0)

    w, support = np.zeros(phi.shape[1]), keep(phi.T @ y) != 0
    for _ in range(steps):
        g = phi.T @ (y - phi @ w)
        if not np.any(phi[:, support] @ g[support]):
            break
        mu = g[support] @ g[support] / np.square(phi[:, support] @ g[support]).sum()
        new = keep(w + mu * g)
        if ((new != 0) != support).any():
            while mu > (1 - 0.01) * np.square(new - w).sum() / np.square(phi @ (new - w)).sum():
                mu /= 2 * (1 - 0.01)
                new = keep(w + mu * g)
                if ((new != 0) == support).all():
                    break
        small = np.linalg.norm(new - w) <= 1e-10 * np.linalg.norm(new)
        w, support = new, new != 0
        if small:
            break  # from here on mu is 0 / 0, and roundings may take it anywhere
    return w


@pytest.mark.parametrize("name", ["tall", "wide", "square"])
def test_iht_goes_where_the_papers_algorithm_does(name):
    """More of its steps, no shortcut by least squares: the same support, and the weights that it converges to."""
    for phi, y in problems(name):
        own = scaled(phi, y)
        for count in (1, 2, 3, 5):
            expected = slow_iht(own.phi, own.y, count)
            weights = thresholded(own, count)
            assert np.flatnonzero(weights).tolist() == np.flatnonzero(expected).tolist()
            # Its last step is 1e-10 of the weights, of a series that falls by 1e-5 or more per step.
            np.testing.assert_allclose(weights, expected, atol=1e-5)


# -- lasso ----------------------------------------------------------------------------------------------------------------


def test_lasso_has_the_support_of_a_point_of_the_path():
    """At the first penalty of the path with so many weights; that point by another solver call, of that penalty alone."""
    of = block(problems("tall"))
    solved = lasso(of)
    for place, (phi, y) in enumerate(zip(of.designs, of.targets, strict=True)):
        own = scaled(phi, y)
        penalties = np.abs(own.phi.T @ y).max() / len(y) * np.geomspace(1, 1e-4, 100)
        points = [
            Lasso(penalty, fit_intercept=False, tol=1e-12, max_iter=100_000).fit(own.phi, y).coef_
            for penalty in penalties[1:]
        ]
        for penalty, point in zip(penalties[1:], points, strict=True):
            _assert_optimal(own.phi, y, point, penalty)
        for round in of.rows:
            point = next((point for point in points if np.count_nonzero(point) >= of.counts[round]), points[-1])
            largest = np.argsort(np.abs(point))[len(point) - of.counts[round] :]
            assert set(np.flatnonzero(solved.masks[round][place])) == set(largest)


def _assert_optimal(phi, y, w, penalty):
    slope = phi.T @ (y - phi @ w) / len(y)
    np.testing.assert_allclose(slope[w != 0], penalty * np.sign(w[w != 0]), atol=1e-6)
    assert (np.abs(slope) <= penalty + 1e-6).all()


@pytest.mark.parametrize("name", ["wide", "dead, wide", "dead, tall", "duplicated", "repeated rows"])
@pytest.mark.parametrize("size", [1.0, 1e-9, 1e6])
def test_basis_pursuit_fits_and_is_shortest(name, size):
    """phi w = y, and no w that fits is shorter in |w|_1: there is a v with |phi^T v| <= 1 and y^T v = |w|_1 (duality).

    Where there are more samples than the rank, equations contradict each other by rounding; the answer is the same.
    """
    for phi, y in problems(name, noise=0.0):
        own = scaled(phi[:, phi.any(axis=0)], size * y)
        weights = limit(own)
        np.testing.assert_allclose(own.phi @ weights, own.y, atol=1e-9 * np.abs(own.y).max())
        dual = linprog(
            -own.y, A_ub=np.vstack([own.phi.T, -own.phi.T]), b_ub=np.ones(2 * len(weights)), bounds=(None, None)
        )
        assert np.abs(weights).sum() == pytest.approx(-dual.fun, rel=1e-6)


def test_lasso_without_noise_recovers_signs():
    """Where basis pursuit does (p 40, n 24, k 4), and scikit-learn's lars_path may fail."""
    data = linear_sweep(**{"trial.data.samples": 24, "trial.data.features": 40, "trial.data.nonzero": 4}).trial.data
    data = data.model_copy(update={"noise_scale": 0.0})
    drawn = [problem(data, seed) for seed in range(10)]
    solved = lasso(block([(own.features, own.targets) for own in drawn], counts=[40, 4], noise=0.0))
    found = [
        np.array_equal(mask, own.truth != 0) and np.allclose(weights, own.truth, atol=1e-9)
        for mask, weights, own in zip(solved.masks[1], solved.weights[1], drawn, strict=True)
    ]
    assert sum(found) >= 9
