"""Gaussians fitted to correlations, one start of one unit after the other: the kernel of `impray.measures.rf_width`, whose head says how.

    explained(sx, sy) = (S.G)^2 / G.G        G = g_x g_y, g(d) = exp(-t/2), t = d^2 / s^2

Each fit goes by its own steps until it has converged, in a unit's numbers that lie in cache. Lags are lanes; sums over them are in one
order, exponentials are a polynomial (error 1 unit in the last place), and every product is fused or stands alone: the same bits everywhere.
"""

# ruff: noqa: ANN201  (numba infers the types of what it compiles)

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, partial
from typing import NamedTuple

import numpy as np
from llvmlite import ir

from impray.kernels.compiled import compiled, inlined, specialised
from impray.kernels.integers import greater
from impray.kernels.sums import totals
from impray.kernels.vectors import fma, load, of_two, retyped, splat, store

LANES = 8
"""Lags are padded to a multiple."""
_I64 = ir.IntType(64)
_ROUNDER = 1.5 * 2.0**52
"""A double plus this is rounded to a whole number, which its last bits then are."""
_LOG2_E = 1 / math.log(2)
_LN_2_FIRST, _LN_2_REST = 6.93147180369123816490e-01, 1.90821492927058770002e-10
"""ln 2 to 33 bits, and the rest."""
_LEAST_EXPONENT = -700.0
LAST_STEP = 1e-5  # in the logarithm of a width; the error after such a step is about its square
NO_STEP = 1e-7  # the same, where convergence is slower
_TINY = 1e-200


def _raised(build, value, rounded):  # noqa: ANN001
    """value 2^k, k the last bits of `rounded`."""
    whole = retyped(_I64, rounded)
    one = ir.Constant(whole, [1023 << 52] * rounded.type.count)
    bits = build.shl(build.bitcast(rounded, whole), ir.Constant(whole, [52] * rounded.type.count))
    return build.fmul(value, build.bitcast(build.add(bits, one), rounded.type))


_power = of_two(_raised)


@inlined
def _exp(x):
    """e^x, x < 700; below -700 as there."""
    x = greater(x, _LEAST_EXPONENT)
    rounded = fma(x, _LOG2_E, _ROUNDER)
    whole = rounded - _ROUNDER
    r = fma(whole, -_LN_2_REST, fma(whole, -_LN_2_FIRST, x))
    q = fma(r, 1 / 6227020800, 1 / 479001600)
    q = fma(q, r, 1 / 39916800)
    q = fma(q, r, 1 / 3628800)
    q = fma(q, r, 1 / 362880)
    q = fma(q, r, 1 / 40320)
    q = fma(q, r, 1 / 5040)
    q = fma(q, r, 1 / 720)
    q = fma(q, r, 1 / 120)
    q = fma(q, r, 1 / 24)
    q = fma(q, r, 1 / 6)
    q = fma(q, r, 1 / 2)
    q = fma(q, r, 1.0)
    return _power(fma(q, r, 1.0), rounded)


# Where a fit's numbers lie in its work: sums of an axis (g.g, g.gt, g.gtt, gt.gt and sums of g, gt, gtt), those with S, then factors.
_X, _Y, _S, _FACTORS = 0, 8, 16, 24


@inlined
def _axis(log_width, square, lags, work, sums, f):
    """g, g t and g (t^2 - 2 t) at every lag go to work[f], [f + lags], [f + 2 lags], their sums over lags of both signs but 0 to work[sums]
    (`_X`)."""
    zero = splat(0.0, LANES)
    per = _exp(splat(-2 * log_width, LANES))
    g1 = g2 = t1 = a1 = a2 = zero
    g0 = a0 = load(square, lags, LANES)  # -1 at d = 0, where g is 1: nothing is left of it
    for d in range(0, lags, LANES):
        t = load(square, d, LANES) * per
        g = _exp(t * -0.5)
        gt = g * t
        gtt = gt * (t - 2.0)
        store(work, f + d, g)
        store(work, f + lags + d, gt)
        store(work, f + 2 * lags + d, gtt)
        g0, g1, g2, t1 = fma(g, g, g0), fma(g, gt, g1), fma(g, gtt, g2), fma(gt, gt, t1)
        a0, a1, a2 = a0 + g, a1 + gt, a2 + gtt
    store(work, sums, totals(g0, g1, g2, t1) * 2.0)
    store(work, sums + 4, totals(a0, a1, a2, zero) * 2.0)


@inlined
def _with_s(total, first, rows, lags_x, lags_y, work):
    """S.G and its derivatives, S summed over signs: orders by y and by x of (0,0) (0,1) (1,0) (0,2), (1,1) (2,0)."""
    zero = splat(0.0, LANES)
    x, y = _FACTORS, _FACTORS + 3 * lags_x
    s00 = s01 = s10 = s02 = s11 = s20 = zero
    for d in range(0, lags_x, LANES):
        b0 = b1 = b2 = zero
        for r in range(rows):
            s = load(total, first + r * lags_x + d, LANES)
            b0, b1, b2 = fma(s, work[y + r], b0), fma(s, work[y + lags_y + r], b1), fma(s, work[y + 2 * lags_y + r], b2)
        g, gt, gtt = load(work, x + d, LANES), load(work, x + lags_x + d, LANES), load(work, x + 2 * lags_x + d, LANES)
        s00, s01, s10 = fma(b0, g, s00), fma(b0, gt, s01), fma(b1, g, s10)
        s02, s11, s20 = fma(b0, gtt, s02), fma(b1, gt, s11), fma(b2, g, s20)
    store(work, _S, totals(s00, s01, s10, s02))
    store(work, _S + 4, totals(s11, s20, zero, zero))


@inlined
def _over_plane(work, x, y, zero):
    """As `impray.measures.widths_at_once._over_plane`; zero: 1 where d = 0 is in, else 0."""
    whole_x, whole_y = 1 + work[x], 1 + work[y]
    of_g = work[x] + work[y] + work[x] * work[y] + zero
    return (
        of_g,
        whole_y * work[x + 1],
        work[y + 1] * whole_x,
        whole_y * work[x + 2],
        work[y + 1] * work[x + 1],
        work[y + 2] * whole_x,
    )


@specialised
def _sums(total, first, mean, given, x, y, work):
    """As `impray.measures.widths_at_once._sums`: explained, slopes by x and y, curvatures xx, xy, yy, and whether these are exact."""
    rows, points, zero, offset, square_x, square_y, lags_x, lags_y = given
    _axis(x, square_x, lags_x, work, _X, _FACTORS)
    _axis(y, square_y, lags_y, work, _Y, _FACTORS + 3 * lags_x)
    _with_s(total, first, rows, lags_x, lags_y, work)
    s0, s1, s2, s3, s4, s5 = work[_S], work[_S + 1], work[_S + 2], work[_S + 3], work[_S + 4], work[_S + 5]
    g0, g1, g2, g3, g4, g5 = _over_plane(work, _X, _Y, zero)
    xx, yy = work[_X + 3] * (1 + work[_Y]), (1 + work[_X]) * work[_Y + 3]
    xy = work[_X + 1] * work[_Y + 1]
    if offset:  # the best B centres all functions
        a0, a1, a2, a3, a4, a5 = _over_plane(work, _X + 4, _Y + 4, zero)
        mean_g, mean_x, mean_y = a0 / points, a1 / points, a2 / points
        s0, s1, s2, s3, s4, s5 = (
            s0 - mean * a0,
            s1 - mean * a1,
            s2 - mean * a2,
            s3 - mean * a3,
            s4 - mean * a4,
            s5 - mean * a5,
        )
        g0, g1, g2 = g0 - mean_g * a0, g1 - mean_g * a1, g2 - mean_g * a2
        g3, g4, g5 = g3 - mean_g * a3, g4 - mean_g * a4, g5 - mean_g * a5
        xx, xy, yy = xx - mean_x * a1, xy - mean_x * a2, yy - mean_y * a2
    norm, s_g = max(g0, _TINY), max(s0, 0.0)
    amplitude = s_g / norm
    per = 1 / amplitude if amplitude > 0 else 1.0
    slope_x, slope_y = s1 * per - g1, s2 * per - g2
    left_x, left_y = slope_x - g1, slope_y - g2
    exact_xx = xx + g3 - s3 * per - left_x * left_x / norm
    exact_xy = xy + g4 - s4 * per - left_x * left_y / norm
    exact_yy = yy + g5 - s5 * per - left_y * left_y / norm
    definite = exact_xx >= 0 and exact_yy >= 0 and exact_xy * exact_xy <= 0.98 * exact_xx * exact_yy
    if definite:
        return amplitude * s_g, slope_x, slope_y, exact_xx, exact_xy, exact_yy, definite
    xx, xy, yy = xx - g1 * g1 / norm, xy - g1 * g2 / norm, yy - g2 * g2 / norm
    return amplitude * s_g, slope_x, slope_y, xx, xy, yy, definite


@specialised
def _move(slope_x, slope_y, xx, xy, yy, x, y, damping, low, high_x, high_y):
    """As `impray.measures.widths_at_once._move`."""
    if (x <= low and slope_x < 0) or (x >= high_x and slope_x > 0):
        slope_x = xy = 0.0
    if (y <= low and slope_y < 0) or (y >= high_y and slope_y > 0):
        slope_y = xy = 0.0
    root_x, root_y = math.sqrt(max(xx * (1 + damping), _TINY)), math.sqrt(max(yy * (1 + damping), _TINY))
    cross = xy / root_x / root_y
    slope_x, slope_y = slope_x / root_x, slope_y / root_y
    determinant = max(1 - cross * cross, 1e-12)
    by_x = min(max((slope_x - cross * slope_y) / determinant / root_x, -0.5), 0.5)
    by_y = min(max((slope_y - cross * slope_x) / determinant / root_y, -0.5), 0.5)
    return min(max(x + by_x, low), high_x), min(max(y + by_y, low), high_y)


@cache
def _fits() -> Callable[..., None]:
    @partial(compiled, allocates=False)
    def fits(total, mean, rows, points, zero, offset, squares, limits, steps, starts, out, work):
        square_x, square_y = squares
        low, high_x, high_y = limits
        lags_x, lags_y, units = len(square_x) - LANES, len(square_y) - LANES, len(mean)
        given = rows, points, zero, offset, square_x, square_y, lags_x, lags_y
        for at in range(starts.shape[1]):
            unit = at % units
            first, m = unit * lags_x * lags_y, mean[unit]
            x, y, damping = starts[0, at], starts[1, at], 1e-3
            explained, slope_x, slope_y, xx, xy, yy, exact = _sums(total, first, m, given, x, y, work)
            for _ in range(steps if explained > 0 else 0):
                new_x, new_y = _move(slope_x, slope_y, xx, xy, yy, x, y, damping, low, high_x, high_y)
                step = max(abs(new_x - x), abs(new_y - y))
                # The last step is taken without looking back: after a step of Newton's the error is the step's square.
                if step < (LAST_STEP if exact and damping <= 1e-3 else NO_STEP):
                    x, y = new_x, new_y
                    break
                new = _sums(total, first, m, given, new_x, new_y, work)
                # Near the end two values differ by rounding only: some units in the last place count as no worse.
                if new[0] >= explained * (1 - 1e-15):
                    x, y, damping = new_x, new_y, max(damping * 0.1, 1e-9)
                    explained, slope_x, slope_y, xx, xy, yy, exact = new
                else:
                    damping = max(damping * 10, 1e-3)
            out[0, at], out[1, at], out[2, at] = x, y, explained

    return fits


class Bounds(NamedTuple):
    """Of the logarithms of widths."""

    low: float
    high_x: float
    high_y: float


def fits(
    total: np.ndarray,
    mean: np.ndarray,
    squares: tuple[np.ndarray, np.ndarray],
    rows: int,
    points: int,
    include_zero: bool,
    offset: bool,
    bounds: Bounds,
    steps: int,
    starts: np.ndarray,
) -> np.ndarray:
    """Logarithms of sx and sy, and what they explain, float64 [3, start]: the minimum below each start.

    Args:    total: S summed over signs, float64 [unit, row, col], contiguous, lags padded to a multiple of `LANES`; mean: of S [unit].
             squares: d^2 at the padded lags of columns and of rows, huge in the padding. rows: without the padding. points: fitted.
             steps: at most. starts: logarithms of sx and sy, float64 [2, start], one of every unit after another of every unit.
    """
    out = np.empty((3, starts.shape[1]))
    work = np.empty(_FACTORS + 3 * (len(squares[0]) + len(squares[1])))
    edged = tuple(np.concatenate([square, [-1.0], np.zeros(LANES - 1)]) for square in squares)
    _fits()(
        total.reshape(-1),
        mean,
        rows,
        float(points),
        float(include_zero),
        offset,
        edged,
        tuple(map(float, bounds)),
        steps,
        starts,
        out,
        work,
    )
    return out
