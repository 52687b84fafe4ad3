"""Gates of ReLU units on Gaussian inputs: closed forms against counts."""

import math

import numpy as np
import pytest

from impray.theory import gates


def test_two_gates_differ_by_their_angle():
    weights = np.array([[1.0, 0, 0], [5, 0, 0], [0, 2, 0], [1, 1, 0], [-3, 0, 0], [0, 0, 0]])
    with np.errstate(all="ignore"):
        found = gates.hamming(weights)
    np.testing.assert_allclose(found[0, :5], [0, 0, 1 / 2, 1 / 4, 1], rtol=0, atol=1e-15)
    np.testing.assert_array_equal(found, found.T)
    assert np.isnan(found[5]).all()


def test_small_angles_keep_their_digits():
    for angle in (1e-12, 1e-6, math.pi - 1e-6):
        weights = np.array([[1.0, 0], [math.cos(angle), math.sin(angle)]])
        # cos and sin are rounded, which turns the second one by 1e-16
        assert gates.hamming(weights)[0, 1] * math.pi == pytest.approx(angle, rel=1e-15, abs=4e-16)


@pytest.mark.parametrize(("samples", "theirs", "least_open"), [(50_000, 0.0094, 0.494), (1_000, 0.063, 0.445)])
def test_shares_over_gaussian_inputs_are_near_angle_over_pi_and_a_half(samples, theirs, least_open):
    """d = 100, 50 units: 1,225 pairs. Hoeffding's bound holds but for once in a million; it is near what was measured elsewhere."""
    random = np.random.default_rng(0)
    weights, open_ = random.standard_normal((50, 100)), np.empty((samples, 50), dtype=bool)
    for rows in np.array_split(open_, 10):
        rows[:] = random.standard_normal((len(rows), 100)) @ weights.T > 0
    pairs = np.triu_indices(50, 1)
    apart = np.array([(open_[:, j] != open_[:, k]).mean() for j, k in zip(*pairs, strict=True)])
    deviation = np.abs(apart - gates.hamming(weights)[pairs]).max()
    assert deviation < gates.largest_deviation(1225, samples, 1e-6)
    # 1,225 nearly independent shares of standard deviation sqrt(1/4 / n): the largest is beyond 2 of them but for 1e-25
    assert deviation > 2 * math.sqrt(0.25 / samples)
    # Of the largest of 1,225 the quantiles 0.01 and 0.99 are 3.0 and 4.6 standard deviations: two of them differ by a factor of 1.5
    assert 0.65 * theirs < deviation < 1.5 * theirs
    trace = open_.mean(axis=0)
    assert np.abs(trace - gates.OPEN).max() < gates.largest_deviation(50, samples, 1e-6)
    assert trace.min() == pytest.approx(least_open, abs=3 * math.sqrt(0.25 / samples))


def test_the_bound_is_hoeffdings():
    t = gates.largest_deviation(10, 400, 0.05)
    assert 2 * 10 * math.exp(-2 * 400 * t**2) == pytest.approx(0.05, rel=1e-12)
