"""Laws of sums of powers, and of fits' exponentials, as compiled."""

import hashlib
import math
from fractions import Fraction

import numpy as np
import pytest
from narrow_registers import digest_on_haswell

from impray.kernels import moments, widths
from impray.kernels.compiled import compiled, lacking
from impray.kernels.vectors import load, store
from impray.kernels.widths import LANES, _exp

pytestmark = pytest.mark.skipif(lacking() is not None, reason=str(lacking()))


def drawn(rows: int, columns: int, dtype: type = np.float32, offset: float = 0.0) -> np.ndarray:
    generator = np.random.default_rng(rows + columns)
    return (generator.standard_normal((rows, columns)) ** 3 + offset).astype(dtype)


def summed(x: np.ndarray, groups: list[np.ndarray]) -> np.ndarray:
    order, ends = np.concatenate(groups).astype(np.int64), np.cumsum([len(group) for group in groups])
    return moments.sums(x.ravel(), x.shape[1], x.shape[1], order, ends)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("offset", [0.0, 3e4])
def test_sums_are_those_of_exact_arithmetic(dtype, offset):
    x = drawn(300, 19, dtype, offset)  # a vector of columns, and three alone
    groups = [np.arange(1, 300, 2), np.arange(0, 40, 2)]
    found = summed(x, groups)
    for group, rows in enumerate(groups):
        for column in range(x.shape[1]):
            values = [Fraction(float(value)) for value in x[rows, column]]
            largest, centre, *sums = found[group, :, column]
            assert largest == max(abs(value) for value in values)
            # Up to 32 + 10 additions after one another round by half a unit each, of at most the sum of magnitudes; 2 more are the mean's.
            size = float(sum(map(abs, values))) / len(values)
            assert abs(float(Fraction(centre) - sum(values) / len(values))) <= 44 * 2**-53 * size
            for power, total in enumerate(sums, start=1):
                parts = [(value - Fraction(centre)) ** power for value in values]
                # A difference is rounded too, and its powers; an offset's differences are of numbers of the offset's size.
                slack = (42 + 2 * power) * 2**-53 * float(sum(map(abs, parts)))
                assert abs(float(Fraction(total) - sum(parts))) <= slack


def test_a_column_and_a_group_do_not_depend_on_others_bit_for_bit():
    x, groups = drawn(500, 37), [np.arange(120), np.arange(120, 490)]
    whole = summed(x, groups)
    for columns in ([0], [36], list(range(5, 29))):
        assert np.array_equal(summed(np.ascontiguousarray(x[:, columns]), groups), whole[:, :, columns])
    assert np.array_equal(summed(x, groups[1:]), whole[1:])
    # Wherever rows lie: here others are between them.
    apart = moments.sums(x[:, 3:].base.ravel()[3:], 37, 20, np.concatenate(groups), np.array([120, 490]))
    assert np.array_equal(apart, whole[:, :, 3:23])


def test_of_no_rows_all_is_zero():
    assert not summed(drawn(5, 3), [np.arange(0), np.arange(0)]).any()


def exponentials(x: np.ndarray) -> np.ndarray:
    @compiled
    def fill(x, out):
        for place in range(0, len(x), LANES):
            store(out, place, _exp(load(x, place, LANES)))

    out = np.empty_like(x)
    fill(x, out)
    return out


def test_exponentials_are_right_to_a_unit_in_the_last_place():
    generator = np.random.default_rng(0)
    x = np.concatenate([-generator.uniform(0, 700, 4096), generator.uniform(-2, 4, 4096), np.zeros(8)])
    found, expected = exponentials(x), np.array([math.exp(value) for value in x])
    assert (np.abs(found - expected) <= np.spacing(expected)).all() and (found[-8:] == 1).all()


def digest() -> str:
    """Of sums and of fits."""
    x, hasher = drawn(300, 21, offset=2.0), hashlib.sha256()
    hasher.update(summed(x, [np.arange(200), np.arange(200, 300)]).tobytes())
    total = np.abs(drawn(5 * 16, 16, np.float64)).reshape(5, 16, 16).cumsum(axis=0)
    square = np.arange(16.0) ** 2
    starts = np.log(np.array([[2.0] * 5 + [0.8] * 5, [3.0] * 5 + [0.8] * 5]))
    bounds = widths.Bounds(math.log(0.2), math.log(64), math.log(64))
    for zero, offset in ((True, False), (False, True)):
        fits = widths.fits(total, total.mean(axis=(1, 2)), (square, square), 16, 961, zero, offset, bounds, 200, starts)
        hasher.update(fits.tobytes())
    return hasher.hexdigest()


@pytest.mark.slow  # compiles all of it twice
def test_bits_do_not_depend_on_the_width_of_registers():
    assert digest_on_haswell("kernels.test_moments") == digest()
