"""Least squares at fixed gates: against numpy's on A as a matrix; dependent columns; rounding; what is too large."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from training.relu.planted import dense, problem

from impray.spec.prune import PursuitRule
from impray.training.relu import fixed_gates
from impray.training.relu.fixed_gates import refit
from impray.training.relu.problem import layer_of
from impray.training.relu.pursuit import pursued
from impray.training.relu.streamed import Layer, Ledger, Support

UNITS, INPUTS, SAMPLES = 6, 7, 3_000  # more than a row block
READOUTS = {"sum": np.ones(UNITS), "signed": np.array([1.0, -1] * 3), "trained": np.linspace(-2, 0.5, UNITS)}


def network(readout="sum", share=0.6, seed=0, weights=None):
    """The layer at its weights' gates, targets that another network made, with noise, and its kept weights; one is 0."""
    random = np.random.default_rng(seed)
    kept = random.random((UNITS, INPUTS)) < share
    weights = np.where(kept, random.standard_normal((UNITS, INPUTS)), 0.0) if weights is None else weights
    kept |= weights != 0
    weights.flat[np.flatnonzero(kept)[3]] = 0.0
    x, signs = random.standard_normal((SAMPLES, INPUTS)), READOUTS[readout]
    others = weights + 0.3 * random.standard_normal(weights.shape)
    y = np.maximum(x @ others.T, 0) @ signs + 0.2 * random.standard_normal(SAMPLES)
    live = np.flatnonzero(weights.any(axis=1))
    places = np.flatnonzero(kept & weights.any(axis=1)[:, None])
    return Layer(x, signs, lambda units: weights[units], False, live), y, Support(places, weights.ravel()[places])


def by_lstsq(layer, y, kept):
    """Loss, refitted loss and share, by numpy on A as a matrix."""
    a = dense(layer)[:, kept.places]
    residual = y - a @ kept.values
    fitted = a @ np.linalg.lstsq(a, residual, rcond=1e-10)[0]
    square = residual @ residual
    return square / len(y), np.mean((residual - fitted) ** 2), fitted @ fitted / square


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("share", [0.3, 1.0])
def test_the_refit_is_that_of_lstsq(readout, share):
    layer, y, kept = network(readout, share)
    found = refit(layer, y, kept)
    # Normal equations of condition below 1e4: 1e-16 times that, relative.
    assert (found.loss, found.refitted, found.share) == pytest.approx(by_lstsq(layer, y, kept), rel=1e-11)
    assert 0.1 < found.share < 1


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("share", [0.3, 1.0])
def test_of_many_weights_it_is_reached_from_below(monkeypatch, readout, share):
    layer, y, kept = network(readout, share)
    loss, least, exact = by_lstsq(layer, y, kept)
    monkeypatch.setattr(fixed_gates, "GRAM", 5)
    found = refit(layer, y, kept)
    assert found.loss == pytest.approx(loss, rel=1e-12)
    assert exact - 1e-3 < found.share <= exact * (1 + 1e-12)
    assert found.refitted == pytest.approx(loss * (1 - found.share), rel=1e-9) and found.refitted >= least * (1 - 1e-12)


@pytest.mark.parametrize("most", [500, 5])
def test_columns_may_depend_on_others(monkeypatch, most):
    """Two units in one direction, and one nearly in it."""
    weights = np.random.default_rng(3).standard_normal((UNITS, INPUTS))
    weights[4] = 2 * weights[1]
    weights[5] = weights[1] + 1e-3 * weights[0]
    monkeypatch.setattr(fixed_gates, "GRAM", most)
    layer, y, kept = network("sum", weights=weights)
    exact = by_lstsq(layer, y, kept)[2]
    assert refit(layer, y, kept).share == pytest.approx(exact, rel=1e-9 if most == 500 else 1e-3)


def test_half_of_a_weight_leaves_all_that_there_is():
    x, y = np.array([[2.0], [-1.0], [1.0]]), np.array([2.0, 0.0, 1.0])
    layer = Layer(x, np.ones(1), lambda units: np.array([[0.5]]), False, np.arange(1))
    found = refit(layer, y, Support(np.array([0]), np.array([0.5])))
    # Residuals 1, 0, 1/2, and a weight of 1 has none
    assert (found.loss, found.refitted, found.share) == (pytest.approx(1.25 / 3), pytest.approx(0, abs=1e-30), 1)


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_a_pursuit_that_has_settled_leaves_nothing(noise):
    made, _ = problem(3, 6, 2_000, 8)
    made = replace(made, y=made.y + noise * np.random.default_rng(1).standard_normal(2_000))
    found = pursued(made, 6, PursuitRule())
    assert found.converged
    layer = layer_of(made, made.x, found.support, False, Ledger())
    assert refit(layer, made.y, found.support).share < 1e-12
    halved = found.support.with_values(found.support.values / 2)  # the same gates
    assert refit(layer, made.y, halved).share > 0.5


def test_a_loss_within_rounding_is_none():
    made, truth = problem(3, 6, 2_000, 8)
    rounded = truth.astype(np.float32).astype(np.float64)
    places = np.flatnonzero(truth)
    kept = Support(places, rounded.ravel()[places])
    layer = layer_of(made, made.x, kept, False, Ledger())
    assert refit(layer, made.y, kept, precision=2.0**-24).share == 0
    assert refit(layer, made.y, kept).share > 0.999  # for float64 it is an error
    further = kept.with_values(kept.values * (1 + 1e-5))
    assert refit(layer, made.y, further, precision=2.0**-24).share > 0.999
    assert refit(layer, 0 * made.y, Support(places[:0], np.zeros(0))).share == 0


def test_what_is_too_large_has_no_refit(monkeypatch):
    layer, y, kept = network(share=1.0)
    monkeypatch.setattr(fixed_gates, "LARGEST", SAMPLES * UNITS * INPUTS - 1)
    assert refit(layer, y, kept) is not None  # of few weights the Gram matrix is made
    monkeypatch.setattr(fixed_gates, "GRAM", 5)
    assert refit(layer, y, kept) is None
    monkeypatch.setattr(fixed_gates, "LARGEST", SAMPLES * UNITS * INPUTS)
    assert refit(layer, y, kept) is not None


def test_outputs_beyond_floating_point_have_none():
    layer, y, kept = network()
    assert np.isnan(refit(layer, y, kept.with_values(kept.values * 1e200)).share)
