"""Sums over the samples of a batch, of the slopes of units and of their products with inputs: gradients of small networks.

Samples are lanes, a register of them at a time; of matrices of many units, which have inputs as lanes, one after the other. A batch's last
samples lie in a vector together with some before them, which count once. No sum is of more than `CHAIN` numbers one after the other.
"""

# ruff: noqa: ANN201, E741  (numba infers the types of what it compiles)

from __future__ import annotations

import numpy as np

from impray.kernels.compiled import inlined, specialised
from impray.kernels.integers import where
from impray.kernels.sums import dot, dots, total, totals
from impray.kernels.vectors import WIDEST, element, fma, load, splat, store, turn

CHAIN = 64
PORTION = CHAIN * WIDEST
"""Samples whose products are added up lane by lane before lanes are."""
_TWO, _FOUR = 2 * WIDEST, 4 * WIDEST


@inlined
def _last(d, place, batch, tail):
    """d at a batch's last vector, 0 at samples that the one before it has, too."""
    value = load(d, place + batch - WIDEST, WIDEST)
    return where(splat(np.float32(0), WIDEST), value, load(tail, 0, WIDEST))


@inlined
def _lanes_of_row(d, place, first, end, batch, tail):
    """The sums, lane by lane, over samples from `first` to `end`."""
    a = splat(np.float32(0), WIDEST)
    for s in range(place + first, place + end - WIDEST + 1, WIDEST):
        a = a + load(d, s, WIDEST)
    return a + _last(d, place, batch, tail) if end % WIDEST else a


@specialised
def row_sums(d, d0, rows, batch, tail, out, o0):
    """out[r] = sum over s of d[r, s]."""
    for r in range(rows):
        out[o0 + r] = 0
    for first in range(0, batch, PORTION):
        end, r = min(first + PORTION, batch), 0
        while r + 4 <= rows:
            row = d0 + r * batch
            a = _lanes_of_row(d, row, first, end, batch, tail)
            b = _lanes_of_row(d, row + batch, first, end, batch, tail)
            c = _lanes_of_row(d, row + 2 * batch, first, end, batch, tail)
            e = _lanes_of_row(d, row + 3 * batch, first, end, batch, tail)
            store(out, o0 + r, load(out, o0 + r, 4) + totals(a, b, c, e))
            r += 4
        while r < rows:
            out[o0 + r] += total(_lanes_of_row(d, d0 + r * batch, first, end, batch, tail))
            r += 1


@specialised
def _gradient(d, d_rows, rows, h, h0, count, batch, tail, g, g_rows, blocks):
    """g[r, i] = sum over s of d[r, s] h[i, s]; d_rows, g_rows: where each row begins. blocks: of four rows and four inputs, else of two."""
    zero = splat(np.float32(0), WIDEST)
    for r in range(rows):
        out = element(g_rows, r)
        for i in range(count):
            g[out + i] = 0
    for first in range(0, batch, PORTION):
        end, r = min(first + PORTION, batch), 0
        while blocks and r + 4 <= rows:
            k_row, l_row = element(d_rows, r), element(d_rows, r + 1)
            m_row, n_row = element(d_rows, r + 2), element(d_rows, r + 3)
            k_out, l_out = element(g_rows, r), element(g_rows, r + 1)
            m_out, n_out, i = element(g_rows, r + 2), element(g_rows, r + 3), 0
            while i + 4 <= count:
                j = h0 + i * batch
                a0 = a1 = a2 = a3 = b0 = b1 = b2 = b3 = c0 = c1 = c2 = c3 = e0 = e1 = e2 = e3 = zero
                for s in range(first, end, WIDEST):
                    here = min(s, batch - WIDEST)
                    if here == s:
                        k, l = load(d, k_row + s, WIDEST), load(d, l_row + s, WIDEST)
                        m, n = load(d, m_row + s, WIDEST), load(d, n_row + s, WIDEST)
                    else:
                        k, l = _last(d, k_row, batch, tail), _last(d, l_row, batch, tail)
                        m, n = _last(d, m_row, batch, tail), _last(d, n_row, batch, tail)
                    v = load(h, j + here, WIDEST)
                    a0, b0, c0, e0 = fma(k, v, a0), fma(l, v, b0), fma(m, v, c0), fma(n, v, e0)
                    v = load(h, j + batch + here, WIDEST)
                    a1, b1, c1, e1 = fma(k, v, a1), fma(l, v, b1), fma(m, v, c1), fma(n, v, e1)
                    v = load(h, j + 2 * batch + here, WIDEST)
                    a2, b2, c2, e2 = fma(k, v, a2), fma(l, v, b2), fma(m, v, c2), fma(n, v, e2)
                    v = load(h, j + 3 * batch + here, WIDEST)
                    a3, b3, c3, e3 = fma(k, v, a3), fma(l, v, b3), fma(m, v, c3), fma(n, v, e3)
                store(g, k_out + i, load(g, k_out + i, 4) + totals(a0, a1, a2, a3))
                store(g, l_out + i, load(g, l_out + i, 4) + totals(b0, b1, b2, b3))
                store(g, m_out + i, load(g, m_out + i, 4) + totals(c0, c1, c2, c3))
                store(g, n_out + i, load(g, n_out + i, 4) + totals(e0, e1, e2, e3))
                i += 4
            for q in range(r, r + 4):
                row, out = element(d_rows, q), element(g_rows, q)
                _row_gradient(d, row, h, h0, i, count, first, end, batch, tail, g, out)
            r += 4
        while not blocks and r + 2 <= rows:
            row, other = element(d_rows, r), element(d_rows, r + 1)
            out, out_of_other = element(g_rows, r), element(g_rows, r + 1)
            _pair_gradient(d, row, other, h, h0, count, first, end, batch, tail, g, out, out_of_other)
            r += 2
        while r < rows:
            row, out = element(d_rows, r), element(g_rows, r)
            _row_gradient(d, row, h, h0, 0, count, first, end, batch, tail, g, out)
            r += 1


@specialised
def _pair_gradient(d, row, other, h, h0, count, first, end, batch, tail, g, out, out_of_other):
    """As `_row_gradient`, of two rows and two inputs at a time, which 16 registers of 8 lanes hold: inputs are read half as often."""
    zero, i = splat(np.float32(0), WIDEST), 0
    while i + 2 <= count:
        j = h0 + i * batch
        a0 = a1 = b0 = b1 = zero
        for s in range(first, end - WIDEST + 1, WIDEST):
            k, l = load(d, row + s, WIDEST), load(d, other + s, WIDEST)
            v, w = load(h, j + s, WIDEST), load(h, j + batch + s, WIDEST)
            a0, a1, b0, b1 = fma(k, v, a0), fma(k, w, a1), fma(l, v, b0), fma(l, w, b1)
        if end % WIDEST:
            k, l = _last(d, row, batch, tail), _last(d, other, batch, tail)
            v, w = load(h, j + batch - WIDEST, WIDEST), load(h, j + 2 * batch - WIDEST, WIDEST)
            a0, a1, b0, b1 = fma(k, v, a0), fma(k, w, a1), fma(l, v, b0), fma(l, w, b1)
        g[out + i] += total(a0)
        g[out + i + 1] += total(a1)
        g[out_of_other + i] += total(b0)
        g[out_of_other + i + 1] += total(b1)
        i += 2
    if i < count:
        _row_gradient(d, row, h, h0, i, count, first, end, batch, tail, g, out)
        _row_gradient(d, other, h, h0, i, count, first, end, batch, tail, g, out_of_other)


@specialised
def _row_gradient(d, row, h, h0, i, count, first, end, batch, tail, g, out):
    """Adds to g at inputs from i to `count` the sums over samples from `first` to `end`."""
    while i + 4 <= count:
        j = h0 + i * batch
        sums = _four_sums(d, row, h, j, j + batch, j + 2 * batch, j + 3 * batch, first, end, batch, tail)
        store(g, out + i, load(g, out + i, 4) + sums)
        i += 4
    while i < count:
        g[out + i] += _one_sum(d, row, h, h0 + i * batch, first, end, batch, tail)
        i += 1


@inlined
def _four_sums(d, row, h, i, j, k, l, first, end, batch, tail):
    """Of d and four rows of h."""
    a = b = c = e = splat(np.float32(0), WIDEST)
    for s in range(first, end - WIDEST + 1, WIDEST):
        v = load(d, row + s, WIDEST)
        a, b = fma(v, load(h, i + s, WIDEST), a), fma(v, load(h, j + s, WIDEST), b)
        c, e = fma(v, load(h, k + s, WIDEST), c), fma(v, load(h, l + s, WIDEST), e)
    if end % WIDEST:
        v, s = _last(d, row, batch, tail), batch - WIDEST
        a, b = fma(v, load(h, i + s, WIDEST), a), fma(v, load(h, j + s, WIDEST), b)
        c, e = fma(v, load(h, k + s, WIDEST), c), fma(v, load(h, l + s, WIDEST), e)
    return totals(a, b, c, e)


@inlined
def _one_sum(d, row, h, i, first, end, batch, tail):
    a = splat(np.float32(0), WIDEST)
    for s in range(first, end - WIDEST + 1, WIDEST):
        a = fma(load(d, row + s, WIDEST), load(h, i + s, WIDEST), a)
    if end % WIDEST:
        a = fma(_last(d, row, batch, tail), load(h, i + batch - WIDEST, WIDEST), a)
    return total(a)


@specialised
def turned_rows(h, h0, rows, batch, out):
    """out [sample, row] = h [row, sample]; rows and samples are WIDEST or more."""
    for corner in range(0, rows, WIDEST):
        r = min(corner, rows - WIDEST)
        for edge in range(0, batch, WIDEST):
            s = min(edge, batch - WIDEST)
            turn(h, h0 + r * batch + s, batch, out, s * rows + r, rows)


@specialised
def _turned_gradient(d, d_rows, rows, h, count, batch, g, g_rows, lanes):
    """As `_gradient`, of four rows or more; h: [sample, input], at least `lanes` inputs, which are lanes."""
    # Inputs outside: those of a block stay in the first-level cache while all units pass over them.
    for edge in range(0, count, lanes):
        i = min(edge, count - lanes)
        for corner in range(0, rows, 4):
            r = min(corner, rows - 4)
            i_row, j_row = element(d_rows, r), element(d_rows, r + 1)
            k_row, l_row = element(d_rows, r + 2), element(d_rows, r + 3)
            a = b = c = e = splat(np.float32(0), lanes)
            for first in range(0, batch, CHAIN):
                p = q = t = u = splat(np.float32(0), lanes)
                for s in range(first, min(first + CHAIN, batch)):
                    v = load(h, s * count + i, lanes)
                    p, q = fma(element(d, i_row + s), v, p), fma(element(d, j_row + s), v, q)
                    t, u = fma(element(d, k_row + s), v, t), fma(element(d, l_row + s), v, u)
                a, b, c, e = a + p, b + q, c + t, e + u
            store(g, element(g_rows, r) + i, a)
            store(g, element(g_rows, r + 1) + i, b)
            store(g, element(g_rows, r + 2) + i, c)
            store(g, element(g_rows, r + 3) + i, e)


@specialised
def whole_gradient(d, d_rows, units, rows, h, h0, count, batch, tail, g, g_rows, turned, ready, blocks):
    """As `_gradient`, in the way that suits matrices of so many units, of which the rows are.

    turned: room for inputs by sample; ready: they are there.
    """
    if units < 4 or count < WIDEST:
        _gradient(d, d_rows, rows, h, h0, count, batch, tail, g, g_rows, blocks)
        return
    if not ready:
        turned_rows(h, h0, count, batch, turned)
    if blocks and count >= _FOUR:
        _turned_gradient(d, d_rows, rows, turned, count, batch, g, g_rows, _FOUR)
    elif blocks and count >= _TWO:
        _turned_gradient(d, d_rows, rows, turned, count, batch, g, g_rows, _TWO)
    else:
        _turned_gradient(d, d_rows, rows, turned, count, batch, g, g_rows, WIDEST)


@specialised
def kept_gradient(d, d0, rows, h, h0, begins, b_first, places, w0, batch, tail, g, g0, lanes):
    """As `_gradient`, at the kept weights of a net. A batch of just `lanes` samples stays in registers, with the bits of any other.

    w0, g0: where the net's numbers begin in `places`, and in g.
    """
    if batch == lanes:
        for r in range(rows):
            k, last, v = begins[b_first + r], begins[b_first + r + 1], load(d, d0 + r * batch, lanes)
            while k + 4 <= last:
                i, j = h0 + element(places, w0 + k), h0 + element(places, w0 + k + 1)
                l, m = h0 + element(places, w0 + k + 2), h0 + element(places, w0 + k + 3)
                store(g, g0 + k, dots(v, load(h, i, lanes), load(h, j, lanes), load(h, l, lanes), load(h, m, lanes)))
                k += 4
            while k < last:
                g[g0 + k] = dot(v, load(h, h0 + element(places, w0 + k), lanes))
                k += 1
        return
    for k in range(begins[b_first], begins[b_first + rows]):
        g[g0 + k] = 0
    for first in range(0, batch, PORTION):
        end = min(first + PORTION, batch)
        for r in range(rows):
            row, k, last = d0 + r * batch, begins[b_first + r], begins[b_first + r + 1]
            while k + 4 <= last:
                i, j = h0 + element(places, w0 + k), h0 + element(places, w0 + k + 1)
                l, m = h0 + element(places, w0 + k + 2), h0 + element(places, w0 + k + 3)
                sums = _four_sums(d, row, h, i, j, l, m, first, end, batch, tail)
                store(g, g0 + k, load(g, g0 + k, 4) + sums)
                k += 4
            while k < last:
                g[g0 + k] += _one_sum(d, row, h, h0 + element(places, w0 + k), first, end, batch, tail)
                k += 1
