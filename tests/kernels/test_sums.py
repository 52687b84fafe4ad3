"""Sums over lanes: of any number of vectors at once they have the bits of one."""

from __future__ import annotations

import numpy as np
import pytest

from impray.kernels.compiled import compiled, lacking
from impray.kernels.sums import dot, dots, total, totals
from impray.kernels.vectors import load, store

pytestmark = pytest.mark.skipif(lacking() is not None, reason=str(lacking()))

EPS = 2.0**-24  # of float32's rounding
LANES = [1, 2, 3, 4, 7, 8, 15, 16, 24, 31, 40, 64, 100, 127, 128]


def numbers(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("lanes", LANES)
def test_four_products_are_summed_up_as_one_is(lanes):
    @compiled
    def both(x, y, out):
        a, b, c, d = load(y, 0, lanes), load(y, lanes, lanes), load(y, 2 * lanes, lanes), load(y, 3 * lanes, lanes)
        one = load(x, 0, lanes)
        store(out, 0, dots(one, a, b, c, d))
        out[4], out[5], out[6], out[7] = dot(one, a), dot(one, b), dot(one, c), dot(one, d)

    x, y, out = numbers(0, lanes), numbers(1, 4, lanes), np.empty(8, np.float32)
    both(x, y.ravel(), out)
    assert np.array_equal(out[:4], out[4:])
    exact, size = y.astype(np.float64) @ x, np.abs(y).astype(np.float64) @ np.abs(x)
    # Higham 2002, section 3.1: n products in any order.
    assert (np.abs(out[:4] - exact) <= lanes * EPS * size).all()


@pytest.mark.parametrize("lanes", [1, 2, 4, 8, 16])
def test_four_vectors_are_summed_up_as_one_is(lanes):
    @compiled
    def both(y, out):
        a, b, c, d = load(y, 0, lanes), load(y, lanes, lanes), load(y, 2 * lanes, lanes), load(y, 3 * lanes, lanes)
        store(out, 0, totals(a, b, c, d))
        out[4], out[5], out[6], out[7] = total(a), total(b), total(c), total(d)

    y, out = numbers(0, 4, lanes), np.empty(8, np.float32)
    both(y.ravel(), out)
    assert np.array_equal(out[:4], out[4:])
    assert (np.abs(out[:4] - y.astype(np.float64).sum(1)) <= lanes * EPS * np.abs(y).sum(1)).all()
