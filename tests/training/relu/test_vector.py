"""Several outputs: the gradient against autograd, selection by sums of changes, the first step, count sketches, losses."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.special import log_softmax

from impray.data.digits import parts
from impray.spec.data import Digits
from impray.spec.prune import IhtRule
from impray.training.relu import gates, vector
from impray.training.relu.sketch import SKETCH_ROWS, CountSketch
from impray.training.relu.vector import Problem, kick, places_of, rate, thresholded

UNITS, INPUTS, OUTPUTS, SAMPLES = 70, 6, 3, 2_500  # more than a chunk, more than a row block


def problem(loss: str = "mse", units: int = UNITS, seed: int = 0) -> Problem:
    random = np.random.default_rng(seed)
    x = random.standard_normal((SAMPLES, INPUTS)) + 0.3
    labels = np.maximum(x @ random.standard_normal((INPUTS, 8)), 0) @ random.standard_normal((8, OUTPUTS))
    return Problem(x, np.eye(OUTPUTS)[labels.argmax(axis=1)], units, loss, gates.own(seed, INPUTS), seed)


def split(made: Problem, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """w [unit, input] and v [output, unit]."""
    first, second = np.split(weights, [made.units * INPUTS])
    return first.reshape(made.units, INPUTS), second.reshape(OUTPUTS, made.units)


def slow(made: Problem, count: int, rule: IhtRule) -> np.ndarray:
    """The algorithm on dense arrays; gradients by autograd."""
    eta, weights, sums = rate(made, count, rule), np.zeros(made.size), np.zeros(made.size)
    hidden = made.gates(np.arange(made.units))
    x, y = torch.from_numpy(made.x), torch.from_numpy(made.y)
    for epoch in range(rule.epochs):
        active = torch.from_numpy((made.x @ hidden.T >= 0) if rule.gate == "closed" else (made.x @ hidden.T > 0))

        def output_of(flat: torch.Tensor, active: torch.Tensor = active) -> torch.Tensor:
            first, second = flat.split([made.units * INPUTS, made.units * OUTPUTS])
            return (active * (x @ first.reshape(made.units, INPUTS).T)) @ second.reshape(OUTPUTS, made.units).T

        output = output_of(torch.from_numpy(weights))
        slope = output - y if made.loss == "mse" else torch.softmax(output, 1) - y
        if epoch == 0:
            places = places_of(made, np.arange(made.units))
            first, second = kick(made, np.arange(made.units), *np.split(weights[places], [INPUTS], axis=1))
            weights[places] = np.concatenate([first, second], axis=1)
        start = torch.from_numpy(weights).requires_grad_()
        (gradient,) = torch.autograd.grad((output_of(start) * slope / SAMPLES).sum(), start)
        change = -eta * gradient.numpy()
        sums, moved = sums + change, weights + change
        kept = np.argsort(np.where(moved != 0, np.abs(sums), 0), kind="stable")[made.size - count :]
        weights = np.zeros(made.size)
        weights[kept] = moved[kept]
        if epoch >= rule.random_gates - 1:
            hidden = split(made, weights)[0]
    return weights


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@pytest.mark.parametrize("gate", ["open", "closed"])
def test_it_is_the_algorithm_on_dense_arrays(loss, gate):
    made, rule = problem(loss), IhtRule(epochs=12, rate=0.5, gate=gate)
    found = thresholded(made, 60, rule)
    expected = slow(made, 60, rule)
    np.testing.assert_allclose(found.support.dense(made.size), expected, rtol=1e-9, atol=1e-13)
    first, second = split(made, expected)
    output = np.maximum(made.x @ first.T, 0) @ second.T
    if loss == "mse":
        assert math.isclose(found.loss, np.square(output - made.y).mean(), rel_tol=1e-9)
    else:
        assert math.isclose(found.loss, -(log_softmax(output, 1) * made.y).sum(1).mean(), rel_tol=1e-9)
        labels = torch.from_numpy(made.y.argmax(axis=1))
        assert math.isclose(found.loss, float(F.cross_entropy(torch.from_numpy(output), labels)), rel_tol=1e-9)


def test_it_learns():
    made = problem("cross_entropy", units=20)
    found = thresholded(made, 60, IhtRule(epochs=200, rate=1.0))
    first, second = split(made, found.support.dense(made.size))
    right = (np.maximum(made.x @ first.T, 0) @ second.T).argmax(axis=1) == made.y.argmax(axis=1)
    assert right.mean() > made.y.mean(axis=0).max() + 0.2
    assert len(found.support) == 60


def test_the_step_is_the_authors_unless_it_is_asked_for():
    made = problem(units=50)
    edge = math.ceil(6 * 50**0.536)
    assert rate(made, edge - 1, IhtRule()) == 2 and rate(made, edge, IhtRule()) == 0.005
    assert rate(problem("cross_entropy"), 1, IhtRule()) == 0.001
    assert rate(made, 1, IhtRule(rate=0.3)) == 0.3


def test_only_blocks_that_are_0_throughout_are_kicked_within_their_bounds():
    made = problem()
    units = np.arange(3)
    first, second = np.zeros((3, INPUTS)), np.zeros((3, OUTPUTS))
    first[1, 2] = -1.0  # negative: no block that is 0 throughout
    into, out = kick(made, units, first, second)
    np.testing.assert_array_equal(into[1], first[1])
    assert into[[0, 2]].all() and np.abs(into[[0, 2]]).max() <= 1 / math.sqrt(INPUTS * UNITS)
    assert out.all() and np.abs(out).max() <= 1 / math.sqrt(UNITS * OUTPUTS)


def test_a_wide_sketch_is_exact_and_a_narrow_one_holds_little():
    made = problem()
    exact = thresholded(made, 60, IhtRule(epochs=8, rate=0.5))
    # 630 places in 60,000 columns: a row has a collision for 1 % of the places, and three rows of five for 1e-5 of them.
    wide = thresholded(made, 60, IhtRule(epochs=8, rate=0.5, accumulate="sketch", sketch_width=1_000))
    np.testing.assert_array_equal(wide.support.places, exact.support.places)
    np.testing.assert_allclose(wide.support.values, exact.support.values, rtol=1e-9)
    held = [
        thresholded(made, 60, IhtRule(epochs=2, accumulate="sketch", sketch_width=width)).optimizer_bytes
        for width in (5, 105)
    ]
    assert held[1] - held[0] == SKETCH_ROWS * 100 * 60 * 8


def test_a_sketch_has_no_bias_and_the_spread_of_its_width():
    values = np.random.default_rng(0).standard_normal(200)
    places, width, seeds = np.arange(200) * 7, 50, 400
    estimates = []
    for seed in range(seeds):
        sketch = CountSketch(width, seed)
        sketch.add(places[:120], values[:120])
        sketch.add(places[120:], values[120:])
        estimates.append(sketch.at(places))
    error = np.array(estimates) - values
    # A row's variance is (|x|^2 - x_i^2) / width; that of a median of five is below it. Places share hashes: each by itself.
    spread = np.sqrt(np.square(values).sum() / width)
    assert np.abs(error.mean(axis=0)).max() < 5 * spread / math.sqrt(seeds)
    assert np.sqrt(np.square(error).mean()) < spread


def test_a_sketch_with_a_column_for_each_place_gives_sums_back():
    sketch = CountSketch(10**6, 0)
    places = np.array([3, 2**30, 17])
    sketch.add(places, np.array([1.0, -2.0, 3.0]))
    sketch.add(places[:2], np.array([0.5, 0.5]))
    np.testing.assert_array_equal(sketch.at(np.array([17, 3, 2**30, 5])), [3.0, 1.5, -1.5, 0.0])


def test_chunks_and_row_blocks_do_not_decide(monkeypatch):
    made = problem()
    whole = thresholded(made, 60, IhtRule(epochs=5, rate=0.5))
    monkeypatch.setattr(vector, "CHUNK", 9)
    monkeypatch.setattr(vector, "ROWS", 600)
    parts = thresholded(made, 60, IhtRule(epochs=5, rate=0.5))
    np.testing.assert_allclose(parts.support.dense(made.size), whole.support.dense(made.size), rtol=1e-9, atol=1e-13)


def _of_ten_digits(loss, rate, count):
    """Held-out accuracy after 200 epochs of 50 units, mean of four splits."""
    reached = []
    for draw in range(4):
        training, aside = parts(Digits(draw=draw))
        of_digits = Problem(training.inputs, np.eye(10)[training.labels], 50, loss, gates.own(draw, 64), draw)
        found = thresholded(of_digits, count, IhtRule(epochs=200, rate=rate))
        first, second = np.split(found.support.dense(of_digits.size), [50 * 64])
        output = np.maximum(aside.inputs @ first.reshape(50, 64).T, 0) @ second.reshape(10, 50).T
        reached.append((output.argmax(axis=1) == aside.labels).mean())
    return np.mean(reached)


@pytest.mark.slow
def test_ten_digits_take_a_longer_step_than_the_authors():
    """A prototype had .945 at s = 500 and .858 at s = 200, of one split; splits differ by .02, so that 4 of them may be .06 off.

    With cross-entropy both are met, with squared error (.10 between splits at s = 200) only that of s = 500. With the authors' step
    nothing is learnt yet: three times chance is far.
    """
    assert _of_ten_digits("mse", 0.5, 500) == pytest.approx(0.945, abs=0.06)
    assert _of_ten_digits("cross_entropy", 0.5, 500) == pytest.approx(0.945, abs=0.06)
    assert _of_ten_digits("cross_entropy", 0.5, 200) == pytest.approx(0.858, abs=0.06)
    assert _of_ten_digits("mse", 0.5, 200) < 0.858 - 0.06
    assert _of_ten_digits("mse", None, 500) < 0.3
