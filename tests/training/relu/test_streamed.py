"""Products against A as a matrix; the largest of a stream against sorting all; bytes."""

from __future__ import annotations

import numpy as np
import pytest
from training.relu.planted import dense, signs_of

from impray.training.relu import gates, streamed
from impray.training.relu.streamed import Largest, Layer, Ledger, Support

UNITS, INPUTS, SAMPLES = 70, 7, 5_000  # more than a chunk, more than two row blocks


def layer(readout: str = "sum", closed: bool = False, support: Support | None = None) -> Layer:
    x = np.random.default_rng(0).standard_normal((SAMPLES, INPUTS))
    random = gates.own(0, INPUTS)
    if support is None:
        return Layer(x, signs_of(UNITS, readout), random, closed, np.arange(UNITS))
    live = np.arange(UNITS) if closed else support.units(INPUTS)
    return Layer(x, signs_of(UNITS, readout), lambda units: support.rows(units, INPUTS), closed, live)


def support_of(count: int, seed: int = 1) -> Support:
    random = np.random.default_rng(seed)
    places = np.sort(random.choice(UNITS * INPUTS, count, replace=False))
    return Support(places, random.standard_normal(count))


@pytest.mark.parametrize("readout", ["sum", "signed", "trained"])
@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize("most", [500, 5])  # columns, or unit by unit
@pytest.mark.parametrize("followed", [False, True])
def test_products_are_those_of_a(monkeypatch, readout, closed, most, followed):
    monkeypatch.setattr(streamed, "GRAM", most)
    support = support_of(30)
    made = layer(readout, closed, support if followed else None)
    a, vector = dense(made), np.random.default_rng(2).standard_normal(SAMPLES)
    own = a[:, support.places]
    # Sums of 5,000 products of size 1: rounding is 1e-16 times their absolute sum, about 5,000.
    near = {"rtol": 0, "atol": 1e-10}
    np.testing.assert_allclose(made.times(support), own @ support.values, **near)
    np.testing.assert_allclose(made.onto(support.places, vector), own.T @ vector, **near)
    np.testing.assert_allclose(made.curvature(support), np.square(own @ support.values).sum(), rtol=1e-12)
    gram, target = made.normal(support.places, vector)
    np.testing.assert_allclose(gram, own.T @ own, **near)
    np.testing.assert_allclose(target, own.T @ vector, **near)
    product = np.zeros(UNITS * INPUTS)
    for places, values in made.chunks(vector):
        product[places] = values
    np.testing.assert_allclose(product, a.T @ vector, **near)
    np.testing.assert_allclose(made.squares(np.arange(UNITS)).ravel(), np.square(a).sum(axis=0), **near)


def test_units_without_a_weight_have_no_columns_unless_gates_are_closed():
    support = Support(np.array([3, 20]), np.array([1.0, -1.0]))
    assert not np.delete(dense(layer(support=support)).any(axis=0).reshape(UNITS, INPUTS), [0, 2], axis=0).any()
    assert dense(layer(closed=True, support=support)).any(axis=0).all()


@pytest.mark.parametrize("count", [0, 1, 40, 300])
@pytest.mark.parametrize("ties", [False, True])
def test_the_largest_of_a_stream_are_the_largest_of_all_the_later_ones_of_equals(count, ties):
    random = np.random.default_rng(count)
    values = random.integers(-3, 4, 250).astype(float) if ties else random.standard_normal(250)
    values[random.choice(250, 20)] = 0
    largest = Largest(count, Ledger())
    for places in np.split(random.permutation(250), 5):
        largest.add(places, values[places])
    order = np.argsort(np.abs(values), kind="stable")[250 - min(count, 250) :]
    expected = np.sort(order[values[order] != 0])
    np.testing.assert_array_equal(largest.kept.places, expected)
    np.testing.assert_array_equal(largest.kept.values, values[expected])


def test_a_support_gives_rows_and_places_as_the_dense_weights_do():
    support = support_of(50)
    weights = support.dense(UNITS * INPUTS).reshape(UNITS, INPUTS)
    units = np.array([0, 3, 4, 69])
    np.testing.assert_array_equal(support.rows(units, INPUTS), weights[units])
    np.testing.assert_array_equal(support.units(INPUTS), np.flatnonzero(weights.any(axis=1)))
    assert not streamed.NOTHING.rows(units, INPUTS).any()


def test_the_ledger_remembers_the_largest_sum():
    ledger, array = Ledger(), np.zeros(10)
    with ledger.holding(array):
        with ledger.holding(array, array):
            pass
        with ledger.holding(array):
            pass
    assert (ledger.now, ledger.most) == (0, 240)
