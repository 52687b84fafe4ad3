"""Thresholding against the paper's, block by block; its line search literally; gates; exact recovery; bytes."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from training.relu.planted import output, problem

from impray.bench.relu import block_by_block
from impray.spec.prune import IhtRule
from impray.training.relu import streamed
from impray.training.relu.iht import halved, thresholded
from impray.training.relu.streamed import NOTHING, Support


@pytest.mark.parametrize(("units", "count"), [(4, 6), (6, 20), (70, 30)])
def test_it_is_the_papers_algorithm(units, count):
    """Before rounding is all that is left of a gradient both do the same, to rounding; supports are equal, weights to 1e-8."""
    made, _ = problem(units, count, 3_000, 12)
    found = thresholded(made, count, IhtRule(step="authors", epochs=6))
    expected = block_by_block(made.x, made.y, made.gates(made.units), count, 6)
    np.testing.assert_allclose(found.support.dense(made.size), expected.ravel(), rtol=1e-8, atol=1e-10)


def test_large_supports_give_what_small_ones_do(monkeypatch):
    made, _ = problem(6, 20, 3_000, 12)
    small = thresholded(made, 20, IhtRule(epochs=5))
    monkeypatch.setattr("impray.training.relu.iht.GRAM", 5)
    monkeypatch.setattr(streamed, "GRAM", 5)
    large = thresholded(made, 20, IhtRule(epochs=5))
    np.testing.assert_array_equal(large.support.places, small.support.places)
    np.testing.assert_allclose(large.support.values, small.support.values, rtol=1e-8)


@pytest.mark.parametrize("eta", [1e-6, 1e-4, 1e-3, 1e-2, 1.0, 1e3])
def test_the_closed_form_accepts_what_armijos_rule_on_the_loss_accepts(eta):
    random = np.random.default_rng(0)
    a, y, w = random.standard_normal((200, 5)), random.standard_normal(200), random.standard_normal(5)
    gradient, loss = a.T @ (a @ w - y), np.square(a @ w - y).sum()
    size, expected, accepted = gradient @ gradient, eta, False
    for _ in range(11):
        if np.square(a @ (w - expected * gradient) - y).sum() <= loss - 0.9 * expected * size:
            accepted = True
            break
        expected /= 2
    assert halved(eta, size, np.square(a @ gradient).sum()) == (accepted, expected)


@pytest.mark.parametrize("readout", ["sum", "signed"])
def test_an_easy_planted_network_is_found_exactly(readout):
    made, truth = problem(2, 2, 3_000, 8, seed=0, readout=readout)
    found = thresholded(made, 2, IhtRule(epochs=60))
    assert found.converged and found.loss < 1e-12 * np.square(made.y).mean()
    weights = found.support.dense(made.size).reshape(truth.shape)
    # The guarded step ends where the gradient is 1e-6 of the targets', so weights are that near.
    order = [0, 1] if np.allclose(weights, truth, atol=1e-5) or readout == "signed" else [1, 0]
    np.testing.assert_allclose(weights[order], truth, atol=1e-5)


def test_the_loss_is_that_of_the_network():
    made, _ = problem(6, 10, 3_000, 12, readout="signed")
    found = thresholded(made, 10, IhtRule())
    expected = np.square(output(made.x, found.support.dense(made.size), made.signs) - made.y).mean()
    assert math.isclose(found.loss, expected, rel_tol=1e-9)


def test_a_unit_without_weights_stays_dead_with_open_gates_and_can_come_back_with_closed_ones():
    """Three weights of one unit: all of s = 2 go to two units at most, and what the third has lost it never gets with open gates."""
    made, _ = problem(8, 8, 2_000, 6, seed=1)
    alive = {}
    for gate in ("open", "closed"):
        alive[gate] = [
            set(thresholded(made, 4, IhtRule(epochs=epochs, gate=gate)).support.units(6)) for epochs in range(2, 16)
        ]
    # From epoch 2 on gates follow weights: open ones let no unit in that was not there before.
    assert all(after <= before for before, after in zip(alive["open"], alive["open"][1:], strict=False))
    assert any(after - before for before, after in zip(alive["closed"], alive["closed"][1:], strict=False))


def test_a_converged_support_is_left_alone_by_the_guarded_step():
    made, _ = problem(2, 2, 3_000, 8)
    few, many = (thresholded(made, 2, IhtRule(epochs=epochs)) for epochs in (60, 90))
    np.testing.assert_array_equal(few.support.values, many.support.values)


def test_batches_see_all_samples_in_the_order_of_the_seed():
    made, _ = problem(3, 4, 3_000, 8)
    rule = IhtRule(batch=700, epochs=20)
    first, again = thresholded(made, 4, rule), thresholded(made, 4, rule)
    np.testing.assert_array_equal(first.support.values, again.support.values)
    other = thresholded(replace(made, seed=5), 4, rule)
    assert not np.array_equal(first.support.values, other.support.values)
    assert first.loss < 0.5 * made.y.var()
    whole = thresholded(made, 4, IhtRule(batch=3_000))
    np.testing.assert_array_equal(whole.support.values, thresholded(made, 4, IhtRule()).support.values)


def test_with_as_many_random_epochs_as_epochs_the_gates_stay():
    """The convex network: of its least squares on the support, the gradient steps come near."""
    made, _ = problem(3, 4, 3_000, 8)
    found = thresholded(made, 24, IhtRule(epochs=200, random_gates=200))
    layer = streamed.Layer(made.x, made.signs, made.gates, False, made.units)
    gram, target = layer.normal(found.support.places, made.y)
    np.testing.assert_allclose(found.support.values, np.linalg.solve(gram, target), rtol=0.05, atol=0.02)


def test_bytes_are_linear_in_the_count_but_for_the_gram_matrix():
    """A row block of columns: 8 bytes of its values and 1 of who is active, for each weight, and 1 for each unit alive."""
    made, _ = problem(3, 4, 5_000, 100)
    counts = [10, 50, 100, 200]
    held = [thresholded(made, count, IhtRule(epochs=3)).optimizer_bytes for count in counts]
    slope = np.diff(held) / np.diff(counts)
    gram = 16 * np.diff(np.square(counts)) / np.diff(counts)
    assert (slope - gram <= 9.2 * streamed.ROWS).all() and (slope - gram >= 0).all()
    beyond = [thresholded(made, count, IhtRule(epochs=3)).optimizer_bytes for count in (600, 900)]
    assert beyond[1] - beyond[0] <= 300 * 100


def test_no_weights_and_all_weights():
    made, _ = problem(3, 4, 500, 5)
    assert thresholded(made, 0, IhtRule()).support == NOTHING or len(thresholded(made, 0, IhtRule()).support) == 0
    assert isinstance(thresholded(made, 15, IhtRule()).support, Support)
