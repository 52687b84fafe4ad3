"""Functions of vectors against scipy in float64, over the whole of their ranges."""

import math

import numpy as np
import pytest
from scipy import special

from impray.kernels import functions
from impray.kernels.compiled import compiled, lacking
from impray.kernels.vectors import load, store

pytestmark = pytest.mark.skipif(lacking() is not None, reason=str(lacking()))
LANES = 16


@compiled
def _log_of(u, less, out, _):
    for first in range(0, len(u), LANES):
        store(out, first, functions.log_of(load(u, first, LANES), load(less, first, LANES)))


def _of_all(function):
    """A kernel that writes what a function of one vector gives."""

    @compiled
    def kernel(x, _, out, other):
        for first in range(0, len(x), LANES):
            store(out, first, function(load(x, first, LANES)))

    return kernel


def _both_of_all(function):
    """Of a function that gives two."""

    @compiled
    def kernel(x, _, out, other):
        for first in range(0, len(x), LANES):
            one, rest = function(load(x, first, LANES))
            store(out, first, one)
            store(other, first, rest)

    return kernel


def of(kernel, x, more=None):
    out, other = np.zeros_like(x), np.zeros_like(x)
    kernel(x, x if more is None else more, out, other)
    return out.astype(np.float64), other.astype(np.float64)


def off(found, right):
    """The largest relative error."""
    return np.max(np.abs(found - right) / np.abs(right))


def spread(low, high, count=2**20):
    """float32 numbers that are even in their bits: from the least to the largest magnitudes, every binade alike."""
    first, last = np.array([low, high], np.float32).view(np.uint32).astype(float)
    bits = np.linspace(first, last, count)
    return bits.astype(np.uint32).view(np.float32)


def test_logarithms_also_where_the_number_has_no_bits_left_for_what_it_lacks_of_1():
    u = spread(2.0**-32, math.sqrt(0.5))
    assert off(of(_log_of, u, u - 1)[0], np.log(u.astype(float))) < 0.9e-7
    lacks = spread(2.0**-32, 1 - math.sqrt(0.5) - 2.0**-24).astype(float)
    u = (1 - lacks).astype(np.float32)
    assert (u == 1).mean() > 0.1
    assert off(of(_log_of, u, (-lacks).astype(np.float32))[0], np.log1p(-lacks)) < 0.9e-7


def test_sine_and_cosine_of_an_eighth_of_a_turn():
    half = spread(1e-10, math.pi / 4)
    x = np.concatenate([half, -half])
    sine, cosine = (of(_of_all(function), x)[0] for function in (functions.sine, functions.cosine))
    assert off(sine, np.sin(x.astype(float))) < 0.8e-7
    assert off(cosine, np.cos(x.astype(float))) < 0.8e-7


def test_powers_of_two_and_their_complements():
    x = spread(1e-30, 126)
    both = np.concatenate([x, -x])
    assert off(of(_of_all(functions.power), both)[0], np.exp2(-both.astype(float))) < 0.9e-7
    one, rest = of(_both_of_all(functions.complements), x)
    assert off(rest, np.exp2(-x.astype(float))) < 0.9e-7
    assert off(one, -np.expm1(-x.astype(float) * math.log(2))) < 1.2e-7


def test_the_error_function():
    half = spread(1e-30, 100)
    x = np.concatenate([half, -half])
    erf = _of_all(functions.erf)
    found = of(erf, x)[0]
    assert off(found, special.erf(x.astype(float))) < 2.1e-7
    assert np.abs(found).max() == 1
    assert of(erf, np.zeros(LANES, np.float32))[0].tolist() == [0.0] * LANES


def test_the_error_function_and_what_it_lacks_of_1():
    """erfc = 2^-a: a few roundings of a, relative 2^-24 each, times ln 2."""
    x = spread(1e-30, 5.5)
    erf_and_erfc = _both_of_all(functions.erf_and_erfc)
    one, rest = of(erf_and_erfc, x)
    assert off(one, special.erf(x.astype(float))) < 3e-7
    a = -np.log2(special.erfc(x.astype(float)))
    error = np.abs(rest / special.erfc(x.astype(float)) - 1)
    assert (error < 3e-7 + 4 * 2.0**-24 * a).all()
    ends = np.full(LANES, 7, np.float32)
    assert of(erf_and_erfc, ends)[1] == pytest.approx(special.erfc(5.5), rel=1.2e-5)


def test_exponentials_and_what_is_made_of_them():
    """exp over the range of normal numbers; the others where e^-|x| is one."""
    half = spread(1e-30, 87)
    both = np.concatenate([half, -half])
    assert off(of(_of_all(functions.exponential), -half)[0], np.exp(-half.astype(float))) < 1.2e-7
    assert off(of(_of_all(functions.sigmoid), both)[0], special.expit(both.astype(float))) < 2e-7
    assert off(of(_of_all(functions.tanh), both)[0], np.tanh(both.astype(float))) < 3e-7


def test_below_the_range_exponentials_stay_at_its_end():
    far = np.array([-88, -1e3, -1e30, -np.inf] * 4, np.float32)
    assert off(of(_of_all(functions.exponential), far)[0], np.full(LANES, np.exp(-87.0))) < 1.2e-7


@pytest.mark.parametrize("name", ["exponential", "sigmoid", "tanh", "erf"])
def test_what_is_no_number_stays_none(name):
    nothing = np.full(LANES, np.nan, np.float32)
    assert np.isnan(of(_of_all(getattr(functions, name)), nothing)[0]).all()
