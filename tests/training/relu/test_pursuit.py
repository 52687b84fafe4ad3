"""Pursuit: exact recovery, least squares against lstsq, dependent columns, the schedule of sizes, held-out choice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from training.relu.planted import output, problem

from impray.spec.prune import PursuitRule
from impray.training.relu.pursuit import fit, pursued, sizes


@pytest.mark.some(3)
@pytest.mark.parametrize("readout", ["sum", "signed"])
@pytest.mark.parametrize("seed", range(3))
def test_an_easy_planted_network_is_found_exactly(readout, seed):
    made, truth = problem(2, 4, 3_000, 8, seed, readout)
    found = pursued(made, 4, PursuitRule())
    assert found.converged and found.loss < 1e-20 * np.square(made.y).mean()
    weights = found.support.dense(made.size).reshape(truth.shape)
    for sign in (1, -1):  # units of one sign may change places
        own = made.signs == sign
        rows, expected = (np.array(sorted(map(tuple, part[own]))).reshape(-1, 8) for part in (weights, truth))
        np.testing.assert_allclose(rows, expected, atol=1e-9)


def test_two_units_of_one_direction_are_one():
    """Their sum is all that the targets know: one weight less is exact, and the rest is no weight but rounding."""
    made, _ = problem(3, 3, 500, 8)
    x = made.x
    made = replace(made, y=np.maximum(x[:, 2], 0) + 2 * np.maximum(x[:, 2], 0) + np.maximum(-x[:, 1], 0))
    found = pursued(made, 3, PursuitRule())
    assert sorted(found.support.values.round(9)) == [-1, 3] and found.converged


@pytest.mark.parametrize("ridge", [0.0, 0.1])
@pytest.mark.parametrize("scale", [1.0, 1e4])  # columns of different lengths: condition 1e8 before they are scaled
def test_the_fit_is_least_squares(ridge, scale):
    random = np.random.default_rng(0)
    a = random.standard_normal((300, 20)) * np.geomspace(1, scale, 20)
    y = random.standard_normal(300)
    # Ridge as more samples: sqrt(ridge mean |A_i|^2) I, with targets 0.
    added = np.sqrt(ridge * np.square(a).sum(axis=0).mean()) * np.eye(20)
    expected = np.linalg.lstsq(np.vstack([a, added]), np.concatenate([y, np.zeros(20)]))[0]
    np.testing.assert_allclose(fit(a.T @ a, a.T @ y, ridge), expected, rtol=1e-9)


def test_of_equal_columns_one_has_all_the_weight():
    """The shortest solution would share it between them, and both would stay when the largest are kept."""
    random = np.random.default_rng(0)
    a = random.standard_normal((300, 6))
    a[:, 4], a[:, 5] = a[:, 1], 0.0
    y = a[:, 1] * 2 - a[:, 0]
    weights = fit(a.T @ a, a.T @ y, 0.0)
    assert sorted(weights[[1, 4]].round(9)) == [0, 2]
    np.testing.assert_allclose(weights[[0, 2, 3, 5]], [-1, 0, 0, 0], atol=1e-12)


def test_sizes_fall_geometrically_and_end_at_the_count():
    made = sizes(10, 10_000, PursuitRule(epochs=20, growth=8, falling=0.5))
    assert made[0] == 80 and made[5] == round(80 / 8**0.5) and made[10:] == [10] * 10
    assert all(later <= before for before, later in zip(made, made[1:], strict=False))
    assert sizes(10, 25, PursuitRule())[0] == 25
    assert sizes(10, 1_000, PursuitRule(epochs=1)) == [10]


def test_it_never_has_more_weights_than_asked_for():
    made, _ = problem(5, 12, 400, 6)
    for count in (0, 1, 7, 30):
        assert len(pursued(made, count, PursuitRule(epochs=6)).support) <= count


def test_the_loss_is_that_of_the_network_and_the_best_epoch_counts():
    made, _ = problem(6, 30, 600, 8)
    made = replace(made, y=made.y + np.random.default_rng(1).standard_normal(600))
    found = pursued(made, 8, PursuitRule())
    expected = np.square(output(made.x, found.support.dense(made.size), made.signs) - made.y).mean()
    assert np.isclose(found.loss, expected, rtol=1e-9)
    # All epochs of few have size s but the first ones; more of them can only be better.
    losses = [pursued(made, 8, PursuitRule(epochs=epochs, growth=1)).loss for epochs in (2, 5, 10, 20)]
    assert all(later <= before for before, later in zip(losses, losses[1:], strict=False))


def test_held_out_samples_are_not_fitted():
    made, _ = problem(3, 4, 1_000, 6)
    rule = PursuitRule(validation=0.3)
    found = pursued(made, 4, rule)
    assert found.loss < 1e-20 * np.square(made.y).mean()
    noisy = replace(made, y=made.y + 5 * np.random.default_rng(1).standard_normal(1_000))
    fitted, held = pursued(noisy, 18, PursuitRule()), pursued(noisy, 18, rule)
    assert held.loss > fitted.loss  # of all samples, of which it has fitted 70 %
