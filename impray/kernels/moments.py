"""Sums of powers of columns within groups of rows, in float64, read where they lie: sixteen columns at a time, twice, while in cache.

    c = mean of x        s_k = sum of (x - c)^k, k = 1 .. 4

s_1 is what c was rounded by; whoever takes moments of these corrects for it, so that a large offset does no harm. No sum is of more than
`CHAIN` numbers one after the other, then of as many such sums, then of those; each column has its own lane, so its numbers do not
depend on its neighbours, and every product is fused or stands alone: the same bits on every CPU.
"""

# ruff: noqa: ANN201  (numba infers the types of what it compiles)

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

import numpy as np
from llvmlite import ir
from numba.core import types

from impray.kernels.compiled import compiled, inlined, specialised
from impray.kernels.integers import greater
from impray.kernels.vectors import WIDEST, call, fma, load, of_one, retyped, splat, store

CHAIN = 32
LARGEST, MEAN, SUMS = 0, 1, 2
"""Where a group's numbers lie: largest |x|, c, and s_1 to s_4."""
NUMBERS = 6


def _as_double(build, x):  # noqa: ANN001
    return x if str(x.type.element) == "double" else build.fpext(x, retyped(ir.DoubleType(), x))


_double = of_one(_as_double, types.float64)
_size = of_one(lambda build, x: call(build, "fabs", x))


@inlined
def _first(x, apart, first, order, low, high, lanes):
    """The sum of a chain of rows, and the largest magnitude."""
    total = largest = splat(0.0, lanes)
    for at in range(low, high):
        value = _double(load(x, order[at] * apart + first, lanes))
        total, largest = total + value, greater(_size(value), largest)
    return total, largest


@inlined
def _powers(x, apart, first, order, low, high, mean, lanes):
    """The sums of powers of a chain of rows."""
    s1 = s2 = s3 = s4 = splat(0.0, lanes)
    for at in range(low, high):
        d = _double(load(x, order[at] * apart + first, lanes)) - mean
        square = d * d
        s1, s2, s3, s4 = s1 + d, s2 + square, fma(square, d, s3), fma(square, square, s4)
    return s1, s2, s3, s4


@specialised
def _column(x, apart, first, order, begin, end, out, o, step, lanes):
    """Numbers of `lanes` columns from `first` on, of the rows order[begin:end]; they go to out[o], out[o + step] and so on."""
    zero = splat(0.0, lanes)
    total = largest = zero
    for block in range(begin, end, CHAIN * CHAIN):
        some, stop = zero, min(block + CHAIN * CHAIN, end)
        for low in range(block, stop, CHAIN):
            a, most = _first(x, apart, first, order, low, min(low + CHAIN, stop), lanes)
            some, largest = some + a, greater(most, largest)
        total = total + some
    mean = total / np.float64(max(end - begin, 1))
    s1 = s2 = s3 = s4 = zero
    for block in range(begin, end, CHAIN * CHAIN):
        t1 = t2 = t3 = t4 = zero
        stop = min(block + CHAIN * CHAIN, end)
        for low in range(block, stop, CHAIN):
            a1, a2, a3, a4 = _powers(x, apart, first, order, low, min(low + CHAIN, stop), mean, lanes)
            t1, t2, t3, t4 = t1 + a1, t2 + a2, t3 + a3, t4 + a4
        s1, s2, s3, s4 = s1 + t1, s2 + t2, s3 + t3, s4 + t4
    store(out, o, largest)
    store(out, o + step, mean)
    store(out, o + 2 * step, s1)
    store(out, o + 3 * step, s2)
    store(out, o + 4 * step, s3)
    store(out, o + 5 * step, s4)


@cache
def _sums() -> Callable[..., None]:
    @partial(compiled, allocates=False)
    def of_groups(x, apart, columns, order, ends, out):
        begin = 0
        for group in range(len(ends)):
            end, o, first = ends[group], group * NUMBERS * columns, 0
            while first + WIDEST <= columns:
                _column(x, apart, first, order, begin, end, out, o + first, columns, WIDEST)
                first += WIDEST
            while first < columns:
                _column(x, apart, first, order, begin, end, out, o + first, columns, 1)
                first += 1
            begin = end

    return of_groups


def sums(x: np.ndarray, apart: int, columns: int, order: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """float64 [group, 6, column]: see `LARGEST`, `MEAN` and `SUMS`; of a group without rows, zeros.

    Args:    x: the memory that the columns lie in, float32 or float64 [number], from the first row's first column on; apart: numbers from
             one row to the next, at least `columns`. order: rows, int64, group after group; ends: the end of each group in `order`, int64.
             Rows are not checked.
    """
    out = np.empty((len(ends), NUMBERS, columns))
    _sums()(x, apart, columns, order, ends, out.reshape(-1))
    return out
