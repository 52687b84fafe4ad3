"""Filters of finite time: against a differential equation, a loop of steps, and numbers of fifty digits."""

from decimal import Decimal, localcontext

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from impray.spec.training import GradientDescent, GradientFlow
from impray.training.linear.factors import factors
from impray.training.linear.spectral import filters, trained


def drawn(samples=12, features=5):
    rng = np.random.default_rng(1)
    return rng.standard_normal((samples, features)), rng.standard_normal(samples), rng.standard_normal(features)


def weights(train, length, phi, y, start):
    values, vectors = np.linalg.eigh(phi.T @ phi / len(y))
    return trained(train, length, values, vectors, phi.T @ y / len(y), start)


@pytest.mark.parametrize("samples", [12, 3])
@pytest.mark.parametrize("time", [0.01, 1.0, 30.0])
def test_flow_solves_its_equation(samples, time):
    phi, y, start = drawn(samples)
    solution = solve_ivp(
        lambda _, w: phi.T @ (y - phi @ w) / samples, (0, time), start, method="DOP853", rtol=1e-12, atol=1e-13
    )
    # The integrator's tolerance is per step; some hundred steps.
    np.testing.assert_allclose(weights(GradientFlow(time=time), time, phi, y, start), solution.y[:, -1], atol=1e-9)


@pytest.mark.parametrize("samples", [12, 3])
@pytest.mark.parametrize("lr", [0.01, 0.3, 0.9])
def test_descent_is_its_loop(samples, lr):
    """Also where 1 - lr l is negative, and where it grows."""
    phi, y, start = drawn(samples)
    w = start
    for _ in range(60):
        w = w + lr * phi.T @ (y - phi @ w) / samples
    np.testing.assert_allclose(weights(GradientDescent(lr=lr), 60, phi, y, start), w, rtol=1e-9, atol=1e-10)


def test_both_go_to_infinite_time_and_descent_to_the_flow():
    phi, y, start = drawn()
    end = factors(phi, y, start).weights
    np.testing.assert_allclose(weights(GradientFlow(time=1e6), 1e6, phi, y, start), end, rtol=1e-12)
    np.testing.assert_allclose(weights(GradientDescent(), 10**6, phi, y, start), end, rtol=1e-12)
    off = [
        np.abs(
            weights(GradientDescent(lr=lr), round(1 / lr), phi, y, start) - weights(GradientFlow(), 1, phi, y, start)
        ).max()
        for lr in (0.1, 0.01, 0.001)
    ]
    assert 8 < off[0] / off[1] < 12 and 8 < off[1] / off[2] < 12  # first order in lr


@pytest.mark.parametrize("steps", [1, 1000, 10**8])
@pytest.mark.parametrize("rate", [1e-12, 1e-8, 1e-3, 0.49, 0.51, 1.2])
def test_descent_keeps_its_digits(rate, steps):
    """(1 - x)^K in floating point is off by K / x roundings where x is small; ours is not, in either filter."""
    if rate > 0.5 and steps > 1000:
        steps = 1001
    decay, reach = filters(GradientDescent(lr=1.0), steps, np.array([rate]))
    with localcontext() as context:
        context.prec, context.Emin = 50, -(10**15)
        power = (1 - Decimal(float(rate))) ** steps
        reached = (1 - power) / Decimal(float(rate))
    # exp(-x K) of an exponent of size E is off by E roundings; below the smallest float all is 0.
    assert decay[0] == pytest.approx(float(power), rel=1e-12, abs=1e-300)
    assert reach[0] == pytest.approx(float(reached), rel=1e-14)


def test_where_sigma_has_a_null_space_nothing_moves():
    values = np.array([-1e-17, 0.0])  # rounding may make an eigenvalue of 0 negative
    for train, length, reached in ((GradientFlow(), 7.5, 7.5), (GradientDescent(lr=0.1), 20, 2.0)):
        decay, reach = filters(train, length, values)
        assert decay.tolist() == [1, 1] and reach == pytest.approx([reached, reached])


def test_a_component_of_0_stays_so_while_others_grow_to_infinity():
    """One feature diverges, and y has no part in it."""
    phi = np.diag([100.0, 1.0])
    w = weights(GradientDescent(lr=1.0), 5000, phi, np.array([0.0, 1.0]), np.zeros(2))
    assert w[0] == 0 and w[1] == pytest.approx(1, rel=1e-12)
    assert np.isnan(weights(GradientDescent(lr=1.0), 5000, phi, np.array([1e-30, 1.0]), np.zeros(2))).all()
