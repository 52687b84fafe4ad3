"""Laws of linear models in theory: training in closed form, Examples 1 to 3, Theorem 5 and where it ends."""

import itertools
import math

import numpy as np
import pytest
import scipy.integrate

from impray.theory import linear


def problem(samples=30, features=8, nonzero=3, noise=0.5, seed=0):
    """A Gaussian design, signs as truth, w_init ~ N(0, 1), and a mask that keeps all but two."""
    rng = np.random.default_rng(seed)
    phi, s, mask = rng.standard_normal((samples, features)), np.zeros(features), np.ones(features, dtype=bool)
    s[rng.choice(features, nonzero, replace=False)] = rng.choice([-1.0, 1.0], nonzero)
    mask[rng.choice(features, 2, replace=False)] = False
    return phi, phi @ s + noise * rng.standard_normal(samples), mask, rng.standard_normal(features)


def with_covariance(covariance, samples, seed=0):
    """A design whose sample covariance is exactly that."""
    drawn = np.random.default_rng(seed).standard_normal((samples, len(covariance)))
    orthonormal, _ = np.linalg.qr(drawn)
    return math.sqrt(samples) * orthonormal @ np.linalg.cholesky(covariance).T


def imp(phi, y, removals):
    """The features that go, in order, and the weights before each went: least squares again and again."""
    left, gone, weights = list(range(phi.shape[1])), [], []
    for _ in range(removals):
        w = np.linalg.lstsq(phi[:, left], y, rcond=None)[0]
        place = int(np.abs(w).argmin())
        weights.append(w[place])
        gone.append(left.pop(place))
    return gone, left, weights


# -- training ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("samples", [30, 4])
def test_the_flow_is_the_solution_of_its_differential_equation(samples):
    phi, y, mask, w_init = problem(samples)

    def slope(time, w):
        return mask * (phi.T @ (y - phi @ w)) / len(y)

    solved = scipy.integrate.solve_ivp(slope, (0, 1.7), mask * w_init, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(linear.flow(phi, y, mask, w_init, 1.7), solved.y[:, -1], atol=1e-9)


@pytest.mark.parametrize("lr", [0.01, 0.3])
def test_descent_is_what_its_steps_give(lr):
    phi, y, mask, w_init = problem()
    w = mask * w_init
    for _ in range(60):
        w = w + lr * mask * (phi.T @ (y - phi @ w)) / len(y)
    np.testing.assert_allclose(linear.descent(phi, y, mask, w_init, lr, 60), w, rtol=1e-11, atol=1e-12)


def test_descent_goes_to_the_flow_as_the_rate_falls_and_both_to_the_same_end():
    phi, y, mask, w_init = problem()
    at = linear.flow(phi, y, mask, w_init, 2.0)
    far = [np.abs(linear.descent(phi, y, mask, w_init, lr, round(2 / lr)) - at).max() for lr in (0.02, 0.01, 0.005)]
    # First order in the rate: half of it, half the error, up to the next order (the rate times the largest eigenvalue, below 5 %).
    assert np.divide(far[:-1], far[1:]) == pytest.approx([2, 2], rel=0.05)
    end = linear.flow(phi, y, mask, w_init)
    np.testing.assert_allclose(linear.flow(phi, y, mask, w_init, 1e4), end, atol=1e-10)
    np.testing.assert_allclose(linear.descent(phi, y, mask, w_init, 0.1, 20_000), end, atol=1e-10)


@pytest.mark.parametrize("samples", [30, 4])
def test_the_end_of_the_flow_fits_best_and_stays_nearest_its_start(samples):
    phi, y, mask, w_init = problem(samples)
    w = linear.flow(phi, y, mask, w_init)
    assert (w[~mask] == 0).all()
    np.testing.assert_allclose(phi[:, mask].T @ (y - phi @ w), 0, atol=1e-11)
    # What it moved is made of rows of phi: nothing along the nullspace, which the gradient does not see.
    moved = (w - w_init)[mask]
    _, _, directions = np.linalg.svd(phi[:, mask])
    np.testing.assert_allclose(directions[samples:] @ moved, 0, atol=1e-12)


def test_nothing_kept_is_nothing_trained():
    phi, y, mask, w_init = problem()
    none = np.zeros_like(mask)
    for w in (linear.flow(phi, y, none, w_init), linear.flow(phi, y, none, w_init, 1.0)):
        assert (w == 0).all()


# -- Examples 1 to 3 --------------------------------------------------------------------------------------------------


def test_orthonormal_features_go_by_their_projections():
    phi = with_covariance(np.eye(12), 40)
    y = np.random.default_rng(1).standard_normal(40)
    gone, left, _ = imp(phi, y, 11)
    assert gone == list(np.argsort(np.abs(phi.T @ y)))[:11]
    for removed in range(11):
        still = [*gone[removed:], *left]
        assert still[linear.pruned_orthonormal(phi[:, still].T @ y)] == gone[removed]


@pytest.mark.parametrize("alpha", [0.0, 0.003, 0.1, 0.9, 0.999])
def test_uniform_correlations_go_as_the_corrected_example_says(alpha):
    phi = with_covariance((1 - alpha) * np.eye(15) + alpha, 60)
    y = np.random.default_rng(2).standard_normal(60)
    gone, left, _ = imp(phi, y, 14)
    for removed in range(14):
        still = [*gone[removed:], *left]
        assert still[linear.pruned_uniform(phi[:, still].T @ y, alpha)] == gone[removed]


@pytest.mark.parametrize(("features", "alpha"), itertools.product([2, 10, 100], [0.01, 0.5, 0.99]))
def test_the_printed_inverse_is_none_and_the_corrected_one_is(features, alpha):
    covariance = (1 - alpha) * np.eye(features) + alpha
    np.testing.assert_allclose(linear.uniform_inverse(features, alpha) @ covariance, np.eye(features), atol=1e-10)
    # What is wrong is known: the term in 11^T lacks 1 / (1 - alpha)^2, and covariance 1 = (1 + alpha (p - 1)) 1.
    lacking = alpha * (1 / (1 - alpha) - (1 - alpha))
    off = linear.uniform_inverse_printed(features, alpha) @ covariance - np.eye(features)
    np.testing.assert_allclose(off, lacking, rtol=1e-9)


def test_highly_correlated_features_go_by_their_distance_from_the_mean_projection():
    """Not by their projection, as the paper has it from its misprint."""
    projections = np.array([10.0, 11.0, 12.1, 13.0, 1.0, 20.0])  # mean 11.18
    assert linear.pruned_uniform(projections, 0.999) == 1
    assert linear.pruned_orthonormal(projections) == linear.pruned_uniform(projections, 1e-4) == 4
    # By the printed inverse the smallest projection goes.
    assert np.abs(linear.uniform_inverse_printed(6, 0.999) @ projections).argmin() == 4


def test_small_correlations_do_not_make_the_heuristic_many_features_must_be_few_too():
    """kappa p' is what decides: alpha of 0.01 is far from 0 for 1,000 features."""
    assert linear.kappa(0.01, 1000) * 1000 == pytest.approx(0.91, abs=0.01)
    assert linear.kappa(0.01, 10) * 10 == pytest.approx(0.092, abs=0.001)


@pytest.mark.parametrize("terms", [1, 2, 5])
def test_the_series_of_example_3_is_as_near_as_it_says(terms):
    phi = np.random.default_rng(3).standard_normal((20_000, 12))
    phi /= np.sqrt((phi**2).mean(axis=0))
    covariance = phi.T @ phi / len(phi)
    assert linear.incoherence(covariance) < 1 / 11
    series, left_out = linear.series_inverse(covariance, terms)
    # Where A's largest eigenvalue in size is positive the bound is met exactly: up to rounding of numbers near 1.
    assert np.linalg.norm(series - np.linalg.inv(covariance), 2) <= left_out + 1e-14 < 1
    if terms == 2:
        np.testing.assert_allclose(series, 2 * np.eye(12) - covariance)


def test_the_series_is_refused_where_it_does_not_converge():
    with pytest.raises(ValueError, match=r"operator norm"):
        linear.series_inverse(0.7 * np.eye(5) + 0.3, 2)  # |A| = 0.3 * 4


# -- Theorem 5 --------------------------------------------------------------------------------------------------------

POINT = {"samples": 40, "features": 20, "support": 5, "amplitude": 1.0, "noise_scale": 1.0, "lambda_min": 1.0}


def bound(**changes):
    return linear.bound_theorem5(**POINT | changes)


def test_the_bound_is_the_papers_number():
    assert bound() == pytest.approx(40 * math.exp(-5), rel=1e-12) == pytest.approx(0.2695, abs=1e-4)
    assert bound(safe=True) == 1 and bound(samples=200, safe=True) == pytest.approx(2**15 * 40 * math.exp(-25))
    assert bound(samples=22) == 1 and bound(noise_scale=0.0) == 0 and bound(noise_scale=1e-300) == 0


def test_the_bound_falls_with_samples_signal_and_spectrum_and_the_safe_one_is_above_it():
    for what, values in {"samples": [20, 40, 80, 400], "amplitude": [0.5, 1, 3], "lambda_min": [0.1, 0.7, 2]}.items():
        for safe in (False, True):
            found = [bound(**{what: value}, safe=safe) for value in values]
            assert found == sorted(found, reverse=True) and all(0 <= value <= 1 for value in found)
        assert all(bound(**{what: v}, safe=True) >= bound(**{what: v}) for v in values)
    assert bound(support=20, safe=True) == bound(support=20)  # nothing may go: one set


@pytest.mark.parametrize("safe", [False, True])
def test_the_samples_asked_for_are_the_fewest_that_give_delta(safe):
    point = {name: value for name, value in POINT.items() if name != "samples"}
    needed = linear.samples_theorem5(**point, delta=0.05, safe=safe)
    assert bound(samples=needed, safe=safe) <= 0.05 < bound(samples=needed - 1, safe=safe)
    assert linear.samples_theorem5(**point | {"noise_scale": 0.0}, delta=0.05) == 20  # full rank all the same


FAILS = {
    "samples": {"samples": 19},
    "rank": {"lambda_min": 0.0},
    "start": {"w_init": 0.1},
    "time": {"time": 10.0},
    "removed": {"removed": 16},
    "smallest": {"smallest": 0.99},
}


@pytest.mark.parametrize("failing", FAILS)
def test_it_is_refused_where_a_condition_fails(failing):
    with pytest.raises(ValueError, match="Theorem 5 needs"):
        bound(**FAILS[failing])
    assert bound(removed=15, smallest=1.0, w_init=0.0, time=math.inf) == bound()


def test_all_that_fails_is_told_at_once():
    every = {name: value for changes in FAILS.values() for name, value in changes.items()}
    names = [name for name in POINT if name != "noise_scale"]
    failed = linear.conditions_theorem5(
        **{name: (POINT | every)[name] for name in names}, removed=16, smallest=0.9, w_init=1, time=2
    )
    assert len(failed) == 5 and linear.conditions_theorem5(**{name: POINT[name] for name in names}) == []


def test_as_stated_gives_the_number_for_small_components_and_forgives_nothing_else():
    assert bound(smallest=0.05, as_stated=True) == bound()
    with pytest.raises(ValueError, match="q <= p - k"):
        bound(smallest=0.05, as_stated=True, removed=16)


def test_simulated_imp_fails_less_often_than_the_bound_says_and_fails():
    """p 6, k 2, orthonormal, n / (8 sigma^2) = 2.6: two weights differ by 1 +- 0.31, and one of 8 pairs is swapped in 1 % of draws."""
    failures, draws, samples = 0, 1000, 8
    sigma = math.sqrt(samples / (8 * 2.6))
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        phi = with_covariance(np.eye(6), samples, seed)
        s = np.concatenate([rng.choice([-1.0, 1.0], 2), np.zeros(4)])
        _, left, _ = imp(phi, phi @ s + sigma * rng.standard_normal(samples), 4)
        failures += set(left) != {0, 1}
    at = linear.bound_theorem5(samples, 6, 2, 1.0, sigma, 1.0)
    assert at == pytest.approx(12 * math.exp(-2.6))
    assert 0 < failures / draws < at


# -- the counterexample -----------------------------------------------------------------------------------------------


def imp_of_hub(projections, rho, spokes, removals):
    """As `imp`, of an exact design with the hub first, then its spokes, then nulls: from projections c = phi^T y / n alone.

    Spokes that are left: w_r = c_r + rho w_hub, w_hub = (c_hub + rho sum c_r) / (1 - rho^2 R).
    """
    left, gone = np.ones(len(projections), dtype=bool), []
    w = projections.copy()
    for _ in range(removals):
        still = left[1 : spokes + 1]
        joined = projections[0] + rho * projections[1 : spokes + 1][still].sum()
        w[0] = joined / (1 - rho**2 * still.sum()) if left[0] else 0.0
        w[1 : spokes + 1] = projections[1 : spokes + 1] + rho * w[0]
        gone.append(int(np.where(left, np.abs(w), np.inf).argmin()))
        left[gone[-1]] = False
    return gone


def hub_covariance(features, spokes, rho):
    covariance = np.eye(features)
    covariance[0, 1 : spokes + 1] = covariance[1 : spokes + 1, 0] = -rho
    return covariance


def test_weights_of_the_hub_turn_as_spokes_go():
    """Without noise, of an exact design: spokes removed one by one, least squares each time."""
    spokes, share, weak = 12, 0.9, 0.4
    covariance = hub_covariance(14, spokes, math.sqrt(share / spokes))
    assert np.linalg.eigvalsh(covariance)[0] == pytest.approx(1 - math.sqrt(share))
    phi = with_covariance(covariance, 50)
    y = phi @ np.array([1.0] + [weak] * spokes + [0.0])
    for gone in range(spokes + 1):
        kept = [0, *range(1 + gone, 13), 13]
        w = np.linalg.lstsq(phi[:, kept], y, rcond=None)[0]
        assert linear.hub_weight(spokes, share, weak, gone) == pytest.approx(w[0], abs=1e-9)
        assert w[-1] == pytest.approx(0, abs=1e-9)


def test_the_short_way_is_imp():
    spokes, features, rho = 12, 30, math.sqrt(0.9 / 12)
    phi = with_covariance(hub_covariance(features, spokes, rho), 60)
    truth = np.array([1.0] + [0.4] * spokes + [0.0] * 17)
    for seed in range(5):
        y = phi @ truth + 1.5 * np.random.default_rng(seed).standard_normal(60)
        assert imp_of_hub(phi.T @ y / 60, rho, spokes, 28) == imp(phi, y, 28)[0]


def test_theorem_5_as_it_is_stated_is_false_for_imp_and_true_for_oneshot():
    """At the theorem's n for delta = 0.05 imp excludes the one feature of size gamma in most draws, oneshot in none.

    Noise of the projections is N(0, Sigma sigma^2 / n), which is all that n and sigma do in an exact design.
    """
    spokes, features, weak, rho = 1500, 3750, 0.05, math.sqrt(0.9 / 1500)
    sigma, lambda_min = 2.0, 1 - math.sqrt(0.9)
    samples = linear.samples_theorem5(features, spokes + 1, 1.0, sigma, lambda_min, 0.05)
    assert samples / sigma**2 == pytest.approx(1858, abs=1)
    removals, by_imp, by_oneshot, draws = features - spokes - 1, 0, 0, 8
    for seed in range(draws):
        noise = np.random.default_rng(seed).standard_normal(features) * sigma / math.sqrt(samples)
        mean = np.concatenate([[1 - rho * spokes * weak], np.full(spokes, weak - rho), np.zeros(features - spokes - 1)])
        # A factor of Sigma, times standard normals: its spokes are uncorrelated, and explain 0.9 of the hub.
        noise[0] = math.sqrt(0.1) * noise[0] - rho * noise[1 : spokes + 1].sum()
        gone = imp_of_hub(mean + noise, rho, spokes, removals)
        by_imp += 0 in gone
        dense = (mean + noise).copy()
        dense[0] = (dense[0] + rho * dense[1 : spokes + 1].sum()) / 0.1
        dense[1 : spokes + 1] += rho * dense[0]
        by_oneshot += 0 in np.abs(dense).argsort()[:removals]
    assert by_imp > draws / 2 and by_oneshot == 0
