"""The real Fourier basis of a ring, and products with it that use its symmetries.

    F[j, m] = sqrt(c / n) cos(2 pi k j / n)  or  sqrt(2 / n) sin(2 pi k j / n)        c = 1 for k = 0 and k = n / 2, else 2

n places j and n modes m; F is orthogonal, and every even covariance on the ring is diagonal in it. Modes are in four groups, each by
rising k: cosines of even k, cosines of odd k, sines of even k, sines of odd k; of an odd n in two, cosines and sines. The sums E, O, P
and Q over each group at one place j give four places:

    x[j], x[n - j] = (E + O) +- (P + Q)        x[n/2 - j], x[n/2 + j] = (E - O) +- (Q - P)

so that places up to n / 4 are enough (n / 2 of an odd n): n^2 / 4 products, not n^2. Their table is the first rows of F.
"""

# ruff: noqa: ANN201  (numba infers the types of what it compiles)

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Float, Float32, Int
from numba.extending import register_jitable

from impray.kernels.philox import LANES
from impray.kernels.vectors import element, fma, load, splat, store


def frequencies(side: int) -> Int[np.ndarray, " mode"]:
    """k of each mode; sines are the last (side - 1) // 2."""
    cosines, sines = np.arange(side // 2 + 1), np.arange(1, (side + 1) // 2)
    if side % 2:
        return np.concatenate([cosines, sines])
    return np.concatenate([cosines[::2], cosines[1::2], sines[1::2], sines[::2]])


@lru_cache(64)
def basis(side: int) -> Float[np.ndarray, "place mode"]:
    """F, float64; not to be written to. What is 0 on paper is 0."""
    k, sine = frequencies(side), np.arange(side) > side // 2
    angle = np.outer(np.arange(side), k) % side * (2 * np.pi / side)
    value = np.where(sine, np.sin(angle), np.cos(angle))
    value[np.abs(value) < 1e-12] = 0
    found = value * np.sqrt(np.where(~sine & ((k == 0) | (2 * k == side)), 1, 2) / side)
    found.flags.writeable = False
    return found


@lru_cache(64)
def table(side: int) -> Float32[np.ndarray, " number"]:
    """What `along` takes: the first rows of F, flat."""
    rows = side // 2 + 1 if side % 2 else side // 4 + 1
    return basis(side)[:rows].astype(np.float32).ravel()


@register_jitable
def along(source, target, first, stride, side, rows):
    """target[first + j stride] = sum over m of F[j, m] source[first + m stride], of LANES samples at a time.

    first, stride: in numbers.  rows: `table(side)`.
    """
    if side % 2:
        _in_halves(source, target, first, stride, side, rows)
    else:
        _in_quarters(source, target, first, stride, side, rows)


@register_jitable
def _in_halves(source, target, first, stride, side, rows):
    sines = side // 2 + 1
    for j in range(sines):
        row = j * side
        even = odd = splat(np.float32(0), LANES)
        for m in range(side // 2):
            even = fma(load(source, first + m * stride, LANES), element(rows, row + m), even)
            odd = fma(load(source, first + (sines + m) * stride, LANES), element(rows, row + sines + m), odd)
        even = fma(load(source, first + (sines - 1) * stride, LANES), element(rows, row + sines - 1), even)
        store(target, first + j * stride, even + odd)
        if j > 0:
            store(target, first + (side - j) * stride, even - odd)


@register_jitable
def _in_quarters(source, target, first, stride, side, rows):
    """Four places j at a time, which read a mode once; the last ones lie over those before where they do not fit."""
    half, most = side // 2, side // 4
    b = half // 2 + 1  # where groups begin
    c = half + 1
    d = c + (half - 1) // 2
    for corner in range(0, most + 1, 4):
        j = max(0, min(corner, most - 3))
        j1, j2, j3 = min(j + 1, most), min(j + 2, most), min(j + 3, most)
        r0, r1, r2, r3 = j * side, j1 * side, j2 * side, j3 * side
        e0, e1, e2, e3 = _sums(source, first, stride, rows, r0, r1, r2, r3, 0, b)
        o0, o1, o2, o3 = _sums(source, first, stride, rows, r0, r1, r2, r3, b, c)
        p0, p1, p2, p3 = _sums(source, first, stride, rows, r0, r1, r2, r3, c, d)
        q0, q1, q2, q3 = _sums(source, first, stride, rows, r0, r1, r2, r3, d, side)
        _four_places(target, first, stride, side, j, e0, o0, p0, q0)
        _four_places(target, first, stride, side, j1, e1, o1, p1, q1)
        _four_places(target, first, stride, side, j2, e2, o2, p2, q2)
        _four_places(target, first, stride, side, j3, e3, o3, p3, q3)


@register_jitable
def _sums(source, first, stride, rows, r0, r1, r2, r3, begin, end):
    """Over modes from `begin` to `end`, with the rows of the table that begin at r0 to r3."""
    s = t = u = v = splat(np.float32(0), LANES)
    for m in range(begin, end):
        x = load(source, first + m * stride, LANES)
        s, t = fma(x, element(rows, r0 + m), s), fma(x, element(rows, r1 + m), t)
        u, v = fma(x, element(rows, r2 + m), u), fma(x, element(rows, r3 + m), v)
    return s, t, u, v


@register_jitable
def _four_places(target, first, stride, side, j, e, o, p, q):
    """From the sums over each group of modes at place j."""
    half = side // 2
    cosines, sines = e + o, p + q
    store(target, first + j * stride, cosines + sines)
    if j > 0:
        store(target, first + (side - j) * stride, cosines - sines)
    if 2 * j != half:
        cosines, sines = e - o, q - p
        store(target, first + (half - j) * stride, cosines + sines)
        if j > 0:
            store(target, first + (half + j) * stride, cosines - sines)
