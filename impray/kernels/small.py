"""The gradients of small networks in one call: forward, the loss's slope, backward, and the gradients of all parameters, net by net.

    z_l = W_l h_{l-1} + b_l        h_l = f(z_l)        outputs = z_L        (as `impray.nets.mlp`, without batch norm)

Everything that lies between is in the caches next to the core, activations are taken while their sums are in registers, and nothing
is made that no one reads: no derivative by the inputs, no unit that only pads. Of the first layer kept weights may lie alone, in one row
(as in `impray.kernels.sparse`); other matrices are whole, and who updates them masks them.

Nets of one unit above shared inputs pass over these together, four at a time: each number is summed up as if its net were alone. Samples
are lanes, `lanes` at a time; a batch's last ones are made together with some before them, once more, and count once in sums over
samples. Sums are of at most `CHAIN` products each, which then are added up.
"""

# ruff: noqa: ANN201  (numba infers the types of what it compiles)

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from impray.kernels.compiled import compiled, inlined, specialised
from impray.kernels.functions import erf, exponential, sigmoid, tanh
from impray.kernels.integers import greater, where
from impray.kernels.sums import dot, dots, total, totals
from impray.kernels.vectors import WIDEST, as_bits, element, fma, less, load, splat, store, turn

CHAIN = 64
LEAST_BATCH = WIDEST
LINEAR, RELU, SIGMOID, TANH, ERF = range(5)
RELU_BACK, SIGMOID_BACK, TANH_BACK, ERF_BACK = range(5, 9)
_BACK = {RELU: RELU_BACK, SIGMOID: SIGMOID_BACK, TANH: TANH_BACK, ERF: ERF_BACK, LINEAR: LINEAR}
ACTIVATIONS = {"linear": LINEAR, "relu": RELU, "sigmoid": SIGMOID, "tanh": TANH, "erf": ERF}
PORTION = CHAIN * WIDEST
"""Samples whose products are added up lane by lane before lanes are."""
_TWO = 2 * WIDEST
_SLOPE_OF_ERF = 2 / math.sqrt(math.pi)


@inlined
def _put(out, place, value, plain, f, z, slopes, lanes):
    """Writes f(value), and of erf, whose slope does not follow from it, that too; or, going back, value times f' where z has f.

    plain: f is the identity after all, as in the last layer.
    """
    if plain:
        store(out, place, value)
    elif f == RELU:
        store(out, place, greater(0.0, value))
    elif f == SIGMOID:
        store(out, place, sigmoid(value))
    elif f == TANH:
        store(out, place, tanh(value))
    elif f == ERF:
        store(out, place, erf(value))
        store(slopes, place, exponential(value * value * -1.0) * _SLOPE_OF_ERF)
    elif f == RELU_BACK:
        zero = splat(np.float32(0), lanes)
        store(out, place, where(value, zero, less(zero, load(z, place, lanes))))
    elif f == SIGMOID_BACK:
        h = load(z, place, lanes)
        store(out, place, value * (h - h * h))
    elif f == TANH_BACK:
        h = load(z, place, lanes)
        store(out, place, value * (1.0 - h * h))
    elif f == ERF_BACK:
        store(out, place, value * load(slopes, place, lanes))
    else:
        store(out, place, value)


@specialised
def _product(w, w0, row, step, x, x0, count, batch, bias, b0, b_row, biased, out, o0, o_row, rows, plain, lanes, f, z, slopes):
    """out[r, s] = f(sum over i of w[r, i] x[i, s] + bias[r]).

    Numbers of w lie `row` and `step` apart, those of x and out by sample, x's rows `batch` apart.
    """
    last = (batch - 1) // lanes * lanes
    for edge in range(0, batch, lanes):
        column = batch - lanes if edge == last else edge
        here, r = x0 + column, 0
        while r + 4 <= rows:
            at = w0 + r * row
            a = b = c = d = splat(np.float32(0), lanes)
            if biased:
                a = splat(element(bias, b0 + r * b_row), lanes)
                b = splat(element(bias, b0 + (r + 1) * b_row), lanes)
                c = splat(element(bias, b0 + (r + 2) * b_row), lanes)
                d = splat(element(bias, b0 + (r + 3) * b_row), lanes)
            for first in range(0, count, CHAIN):
                p = q = s = t = splat(np.float32(0), lanes)
                for i in range(first, min(first + CHAIN, count)):
                    v, there = load(x, here + i * batch, lanes), at + i * step
                    p = fma(element(w, there), v, p)
                    q = fma(element(w, there + row), v, q)
                    s = fma(element(w, there + 2 * row), v, s)
                    t = fma(element(w, there + 3 * row), v, t)
                a, b, c, d = a + p, b + q, c + s, d + t
            place = o0 + r * o_row + column
            _put(out, place, a, plain, f, z, slopes, lanes)
            _put(out, place + o_row, b, plain, f, z, slopes, lanes)
            _put(out, place + 2 * o_row, c, plain, f, z, slopes, lanes)
            _put(out, place + 3 * o_row, d, plain, f, z, slopes, lanes)
            r += 4
        while r < rows:
            at = w0 + r * row
            a = splat(np.float32(0), lanes)
            if biased:
                a = splat(element(bias, b0 + r * b_row), lanes)
            for first in range(0, count, CHAIN):
                p = splat(np.float32(0), lanes)
                for i in range(first, min(first + CHAIN, count)):
                    p = fma(element(w, at + i * step), load(x, here + i * batch, lanes), p)
                a = a + p
            _put(out, o0 + r * o_row + column, a, plain, f, z, slopes, lanes)
            r += 1


@specialised
def _kept_product(w, w0, begins, b_first, places, x, x0, batch, bias, b0, biased, out, o0, rows, plain, lanes, f, z, slopes):
    """As `_product`, of the kept weights of a net: begins [row + 1] from b_first on, places: of the input's samples of each."""
    last = (batch - 1) // lanes * lanes
    for edge in range(0, batch, lanes):
        column = batch - lanes if edge == last else edge
        here = x0 + column
        for r in range(rows):
            a = splat(np.float32(0), lanes)
            if biased:
                a = splat(element(bias, b0 + r), lanes)
            for first in range(element(begins, b_first + r), element(begins, b_first + r + 1), CHAIN):
                end = min(first + CHAIN, element(begins, b_first + r + 1))
                p = q = splat(np.float32(0), lanes)
                for k in range(w0 + first, w0 + end - 1, 2):
                    p = fma(element(w, k), load(x, here + element(places, k), lanes), p)
                    q = fma(element(w, k + 1), load(x, here + element(places, k + 1), lanes), q)
                if (end - first) % 2:
                    k = w0 + end - 1
                    p = fma(element(w, k), load(x, here + element(places, k), lanes), p)
                a = a + (p + q)
            _put(out, o0 + r * batch + column, a, plain, f, z, slopes, lanes)


@specialised
def _slope(z, d, at, units, batch, factor, targets, t0, one_hot, softmax):
    """d = (softmax(z) or z, minus the targets) factor; targets [sample] of labels that are one-hot, else [unit, sample]."""
    last = (batch - 1) // WIDEST * WIDEST
    zero, one = splat(np.float32(0), WIDEST), splat(np.float32(1), WIDEST)
    for edge in range(0, batch, WIDEST):
        column = batch - WIDEST if edge == last else edge
        here = at + column
        most, sums = load(z, here, WIDEST), zero
        if softmax:
            for unit in range(1, units):
                most = greater(most, load(z, here + unit * batch, WIDEST))
            for unit in range(units):
                place = here + unit * batch
                raised = exponential(load(z, place, WIDEST) - most)
                sums = sums + raised
                store(d, place, raised)
        for unit in range(units):
            place = here + unit * batch
            if one_hot:
                other = load(targets, t0 + column, WIDEST) - np.float32(unit)
                target = where(zero, one, as_bits(other))
            else:
                target = load(targets, t0 + unit * batch + column, WIDEST)
            value = load(d, place, WIDEST) / sums if softmax else load(z, place, WIDEST)
            store(d, place, (value - target) * factor)


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
def _row_sums(d, d0, rows, batch, tail, out, o0):
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
def _gradient(d, d0, d_row, rows, h, h0, count, batch, tail, g, g0, g_row, blocks):
    """g[r, i] = sum over s of d[r, s] h[i, s]."""
    zero = splat(np.float32(0), WIDEST)
    for r in range(rows):
        for i in range(count):
            g[g0 + r * g_row + i] = 0
    for first in range(0, batch, PORTION):
        end, r = min(first + PORTION, batch), 0
        while blocks and r + 4 <= rows:
            row, out, i = d0 + r * d_row, g0 + r * g_row, 0
            while i + 4 <= count:
                j = h0 + i * batch
                a0 = a1 = a2 = a3 = b0 = b1 = b2 = b3 = c0 = c1 = c2 = c3 = e0 = e1 = e2 = e3 = zero
                for s in range(first, end, WIDEST):
                    at = min(s, batch - WIDEST)
                    if at == s:
                        k, l = load(d, row + s, WIDEST), load(d, row + d_row + s, WIDEST)
                        m, n = load(d, row + 2 * d_row + s, WIDEST), load(d, row + 3 * d_row + s, WIDEST)
                    else:
                        k, l = _last(d, row, batch, tail), _last(d, row + d_row, batch, tail)
                        m, n = _last(d, row + 2 * d_row, batch, tail), _last(d, row + 3 * d_row, batch, tail)
                    v = load(h, j + at, WIDEST)
                    a0, b0, c0, e0 = fma(k, v, a0), fma(l, v, b0), fma(m, v, c0), fma(n, v, e0)
                    v = load(h, j + batch + at, WIDEST)
                    a1, b1, c1, e1 = fma(k, v, a1), fma(l, v, b1), fma(m, v, c1), fma(n, v, e1)
                    v = load(h, j + 2 * batch + at, WIDEST)
                    a2, b2, c2, e2 = fma(k, v, a2), fma(l, v, b2), fma(m, v, c2), fma(n, v, e2)
                    v = load(h, j + 3 * batch + at, WIDEST)
                    a3, b3, c3, e3 = fma(k, v, a3), fma(l, v, b3), fma(m, v, c3), fma(n, v, e3)
                place = out + i
                store(g, place, load(g, place, 4) + totals(a0, a1, a2, a3))
                store(g, place + g_row, load(g, place + g_row, 4) + totals(b0, b1, b2, b3))
                store(g, place + 2 * g_row, load(g, place + 2 * g_row, 4) + totals(c0, c1, c2, c3))
                store(g, place + 3 * g_row, load(g, place + 3 * g_row, 4) + totals(e0, e1, e2, e3))
                i += 4
            for q in range(4):
                _row_gradient(d, row + q * d_row, h, h0, i, count, first, end, batch, tail, g, out + q * g_row)
            r += 4
        while r < rows:
            _row_gradient(d, d0 + r * d_row, h, h0, 0, count, first, end, batch, tail, g, g0 + r * g_row)
            r += 1


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
def _turn(h, h0, rows, batch, out):
    """out [sample, row] = h [row, sample]; rows and samples are WIDEST or more."""
    for corner in range(0, rows, WIDEST):
        r = min(corner, rows - WIDEST)
        for edge in range(0, batch, WIDEST):
            s = min(edge, batch - WIDEST)
            turn(h, h0 + r * batch + s, batch, out, s * rows + r, rows)


@specialised
def _turned_gradient(d, d0, rows, h, count, batch, g, g0, lanes):
    """As `_gradient`, of four rows or more; h: [sample, input], at least `lanes` inputs, which are lanes."""
    for corner in range(0, rows, 4):
        r = min(corner, rows - 4)
        row, out = d0 + r * batch, g0 + r * count
        for edge in range(0, count, lanes):
            i = min(edge, count - lanes)
            a = b = c = e = splat(np.float32(0), lanes)
            for first in range(0, batch, CHAIN):
                p = q = t = u = splat(np.float32(0), lanes)
                for s in range(first, min(first + CHAIN, batch)):
                    v, at = load(h, s * count + i, lanes), row + s
                    p, q = fma(element(d, at), v, p), fma(element(d, at + batch), v, q)
                    t, u = fma(element(d, at + 2 * batch), v, t), fma(element(d, at + 3 * batch), v, u)
                a, b, c, e = a + p, b + q, c + t, e + u
            store(g, out + i, a)
            store(g, out + count + i, b)
            store(g, out + 2 * count + i, c)
            store(g, out + 3 * count + i, e)


@specialised
def _whole_gradient(d, d0, rows, h, h0, count, batch, tail, g, g0, turned, ready, blocks):
    """As `_gradient`, in the way that suits the matrix; turned: room for inputs by sample; ready: they are there."""
    if rows < 4 or count < WIDEST:
        _gradient(d, d0, batch, rows, h, h0, count, batch, tail, g, g0, count, blocks)
        return
    if not ready:
        _turn(h, h0, count, batch, turned)
    if blocks and count >= _TWO:
        _turned_gradient(d, d0, rows, turned, count, batch, g, g0, _TWO)
    else:
        _turned_gradient(d, d0, rows, turned, count, batch, g, g0, WIDEST)


@specialised
def _kept_gradient(d, d0, rows, h, h0, begins, b_first, places, w0, batch, tail, g, lanes):
    """As `_gradient`, at the kept weights of a net. A batch of just `lanes` samples stays in registers, with the bits of any other."""
    if batch == lanes:
        for r in range(rows):
            k, last, v = begins[b_first + r], begins[b_first + r + 1], load(d, d0 + r * batch, lanes)
            while k + 4 <= last:
                i, j = h0 + element(places, w0 + k), h0 + element(places, w0 + k + 1)
                l, m = h0 + element(places, w0 + k + 2), h0 + element(places, w0 + k + 3)
                store(g, w0 + k, dots(v, load(h, i, lanes), load(h, j, lanes), load(h, l, lanes), load(h, m, lanes)))
                k += 4
            while k < last:
                g[w0 + k] = dot(v, load(h, h0 + element(places, w0 + k), lanes))
                k += 1
        return
    for k in range(begins[b_first], begins[b_first + rows]):
        g[w0 + k] = 0
    for first in range(0, batch, PORTION):
        end = min(first + PORTION, batch)
        for r in range(rows):
            row, k, last = d0 + r * batch, begins[b_first + r], begins[b_first + r + 1]
            while k + 4 <= last:
                i, j = h0 + element(places, w0 + k), h0 + element(places, w0 + k + 1)
                l, m = h0 + element(places, w0 + k + 2), h0 + element(places, w0 + k + 3)
                sums = _four_sums(d, row, h, i, j, l, m, first, end, batch, tail)
                store(g, w0 + k, load(g, w0 + k, 4) + sums)
                k += 4
            while k < last:
                g[w0 + k] += _one_sum(d, row, h, h0 + element(places, w0 + k), first, end, batch, tail)
                k += 1


@cache
def gradients(lanes: int, activation: int, kept: bool) -> Callable[..., None]:
    """The kernel for networks of a kind; all of its arrays are flat.

    Args:    lanes: samples at a time: WIDEST, 2 WIDEST or 4 WIDEST, and no more than a batch has.
             kept: the first layer's kept weights lie alone.
    The kernel's:
             x, x_net: [net, input, sample], and how far from one net to the next (0: one for all).
             targets, t_net: as in `_slope`, [net, ...].
             softmax, one_hot: of `_slope`. biased: there are biases. fixed: the last layer has no gradients.
             factor: [net].
             sizes, w_at, b_at, z_at: [layer + 1]: units; where a layer's matrix, biases and samples begin in a net's.
             weights, readout, biases: [net, ...], and how far apart; the last layer's matrix is in the second, at `r_at`.
             begins, places: [net, unit + 1] and as the weights: of kept ones the first of a unit, and where the input's samples begin.
             z, d, slopes: activations, derivatives by preactivations times the factor and, of erf, slopes: written.
             g, g_biases: the gradients times the factor, as weights and biases: written.
             tail: [WIDEST], bits at lanes of a batch's last vector that are in the one before.
             turned, turned_x: room for a hidden layer's activations, and for a net's inputs, by sample.
    """
    back = _BACK[activation]
    blocks = lanes > WIDEST  # of four rows and four inputs: where registers hold them

    def step(
        x, x_net, targets, t_net, softmax, one_hot, biased, fixed, factor, sizes, w_at, b_at, z_at, batch, weights, w_net,
        readout, r_net, r_at, biases, b_net, begins, places, z, d, slopes, z_net, g, g_biases, tail, turned, turned_x,
    ):  # fmt: skip
        depth, nets, units, inputs = len(sizes) - 1, len(factor), sizes[1], sizes[0]
        none, one = np.int64(0), np.int64(1)  # not the numbers themselves, for which functions would be compiled anew
        together = not kept and x_net == 0 and units == 1
        if together:
            w, row = (readout, r_net) if depth == 1 else (weights, w_net)
            _product(w, none, row, one, x, none, inputs, batch, biases, none, b_net, biased, z, none, z_net, nets,
                     depth == 1, lanes, activation, z, slopes)  # fmt: skip
        turns = not kept and units >= 4 and inputs >= WIDEST
        if turns and x_net == 0:
            _turn(x, none, inputs, batch, turned_x)
        for net in range(nets):
            w0, b0, z0, x0, r0 = net * w_net, net * b_net, net * z_net, net * x_net, net * r_net + r_at
            of_net = net * (units + 1)
            for layer in range(1, depth + 1):
                rows, count, here = sizes[layer], sizes[layer - 1], z0 + z_at[layer]
                source, below = (x, x0) if layer == 1 else (z, z0 + z_at[layer - 1])
                w, at = (readout, r0) if layer == depth else (weights, w0 + w_at[layer])
                if layer == 1 and kept:
                    _kept_product(weights, w0, begins, of_net, places, x, x0, batch, biases, b0, biased, z, here, rows,
                                  depth == 1, lanes, activation, z, slopes)  # fmt: skip
                elif layer > 1 or not together:
                    _product(w, at, count, one, source, below, count, batch, biases, b0 + b_at[layer], one, biased, z, here,
                             batch, rows, layer == depth, lanes, activation, z, slopes)  # fmt: skip
            _slope(z, d, z0 + z_at[depth], sizes[depth], batch, factor[net], targets, net * t_net, one_hot, softmax)
            for layer in range(depth, 0, -1):
                rows, count, here, to = sizes[layer], sizes[layer - 1], z0 + z_at[layer], w0 + w_at[layer]
                source, below = (x, x0) if layer == 1 else (z, z0 + z_at[layer - 1])
                if layer > 1:
                    w, at = (readout, r0) if layer == depth else (weights, to)
                    _product(w, at, one, count, d, here, rows, batch, biases, none, none, False, d, below, batch, count,
                             False, lanes, back, z, slopes)  # fmt: skip
                if layer == depth and fixed:
                    continue
                if biased:
                    _row_sums(d, here, rows, batch, tail, g_biases, b0 + b_at[layer])
                if layer == 1 and kept:
                    _kept_gradient(d, here, rows, x, x0, begins, of_net, places, w0, batch, tail, g, lanes)
                elif layer > 1 or not together:
                    room, ready = (turned_x, x_net == 0) if layer == 1 else (turned, False)
                    _whole_gradient(d, here, rows, source, below, count, batch, tail, g, to, room, ready, blocks)
        if together:
            _gradient(d, none, z_net, nets, x, none, inputs, batch, tail, g, none, w_net, blocks)

    return compiled(step, allocates=False)
