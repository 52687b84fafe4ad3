"""The gradients of small networks in one call: forward, the loss's slope, backward, and the gradients of all parameters.

    z_l = W_l h_{l-1} + b_l        h_l = f(z_l)        outputs = z_L        (as `impray.nets.mlp`, without batch norm)

Everything that lies between is in the caches next to the core, activations are taken while their sums are in registers, and nothing
is made that no one reads: no derivative by the inputs, no unit that only pads. Of the first layer kept weights may lie alone, in one row
(as in `impray.kernels.sparse`); other matrices are whole, and who updates them masks them.

Nets that have one stream of samples read it where it lies, a gang at a time: one product of the units of all its nets and the stream, and
one of their slopes and the stream; between them, net by net, the layers above. Rows of a product are taken four at a time, whosever they
are, and each number is summed up as if its net were alone. Nets of kept weights, each with places of its own, come one by one.

Samples are lanes, `lanes` at a time; a batch's last ones are made together with some before them, once more, and count once in sums over
samples. Sums are of at most `CHAIN` products each, which then are added up.
"""

# ruff: noqa: ANN201, E741  (numba infers the types of what it compiles)

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np

from impray.kernels.compiled import compiled, inlined, specialised
from impray.kernels.functions import erf, exponential, sigmoid, tanh
from impray.kernels.integers import greater, where
from impray.kernels.over_samples import CHAIN, kept_gradient, row_sums, whole_gradient
from impray.kernels.vectors import WIDEST, as_bits, element, fma, less, load, splat, store

LEAST_BATCH = WIDEST
_TILE, _CACHED = 2 * CHAIN, 12288
"""Inputs of a tile, where more than so many numbers (48 KiB) would not stay in the first-level cache while all rows pass over them."""
LINEAR, RELU, SIGMOID, TANH, ERF = range(5)
RELU_BACK, SIGMOID_BACK, TANH_BACK, ERF_BACK = range(5, 9)
_BACK = {RELU: RELU_BACK, SIGMOID: SIGMOID_BACK, TANH: TANH_BACK, ERF: ERF_BACK, LINEAR: LINEAR}
ACTIVATIONS = {"linear": LINEAR, "relu": RELU, "sigmoid": SIGMOID, "tanh": TANH, "erf": ERF}
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


@inlined
def _begun(out, place, begin, biased, bias, at, lanes):
    """What is added to from input `begin` on: the sum so far or, at the first, the bias."""
    if begin > 0:
        return load(out, place, lanes)
    return splat(element(bias, at), lanes) if biased else splat(np.float32(0), lanes)


@inlined
def _ended(out, place, value, whole, plain, f, z, slopes, lanes):
    """Puts a sum away; whole: all inputs are in it."""
    if whole:
        _put(out, place, value, plain, f, z, slopes, lanes)
    else:
        store(out, place, value)


@specialised
def _product(
    w, w_rows, step, x, x0, count, batch, bias, b_rows, biased, out, o_rows, rows, plain, lanes, f, z, slopes
):  # fmt: skip
    """out[r, s] = f(sum over i of w[r, i] x[i, s] + bias[r]).

    w_rows, b_rows, o_rows: where each row begins. Numbers of w lie `step` apart, those of x and out by sample, x's rows `batch` apart.
    """
    last = (batch - 1) // lanes * lanes
    tile = count if count * lanes <= _CACHED else _TILE
    for edge in range(0, batch, lanes):
        column = batch - lanes if edge == last else edge
        here = x0 + column
        for begin in range(0, max(count, 1), tile):
            end, r = min(begin + tile, count), 0
            whole = end == count
            while r + 4 <= rows:
                i, j = element(w_rows, r), element(w_rows, r + 1)
                k, l = element(w_rows, r + 2), element(w_rows, r + 3)
                i_out, j_out = column + element(o_rows, r), column + element(o_rows, r + 1)
                k_out, l_out = column + element(o_rows, r + 2), column + element(o_rows, r + 3)
                a = _begun(out, i_out, begin, biased, bias, element(b_rows, r), lanes)
                b = _begun(out, j_out, begin, biased, bias, element(b_rows, r + 1), lanes)
                c = _begun(out, k_out, begin, biased, bias, element(b_rows, r + 2), lanes)
                d = _begun(out, l_out, begin, biased, bias, element(b_rows, r + 3), lanes)
                for first in range(begin, end, CHAIN):
                    p = q = s = t = splat(np.float32(0), lanes)
                    for n in range(first, min(first + CHAIN, end)):
                        v, m = load(x, here + n * batch, lanes), n * step
                        p, q = fma(element(w, i + m), v, p), fma(element(w, j + m), v, q)
                        s, t = fma(element(w, k + m), v, s), fma(element(w, l + m), v, t)
                    a, b, c, d = a + p, b + q, c + s, d + t
                _ended(out, i_out, a, whole, plain, f, z, slopes, lanes)
                _ended(out, j_out, b, whole, plain, f, z, slopes, lanes)
                _ended(out, k_out, c, whole, plain, f, z, slopes, lanes)
                _ended(out, l_out, d, whole, plain, f, z, slopes, lanes)
                r += 4
            if r + 2 <= rows:
                i, j = element(w_rows, r), element(w_rows, r + 1)
                i_out, j_out = column + element(o_rows, r), column + element(o_rows, r + 1)
                a = _begun(out, i_out, begin, biased, bias, element(b_rows, r), lanes)
                b = _begun(out, j_out, begin, biased, bias, element(b_rows, r + 1), lanes)
                for first in range(begin, end, CHAIN):
                    p = q = splat(np.float32(0), lanes)
                    for n in range(first, min(first + CHAIN, end)):
                        v, m = load(x, here + n * batch, lanes), n * step
                        p, q = fma(element(w, i + m), v, p), fma(element(w, j + m), v, q)
                    a, b = a + p, b + q
                _ended(out, i_out, a, whole, plain, f, z, slopes, lanes)
                _ended(out, j_out, b, whole, plain, f, z, slopes, lanes)
                r += 2
            if r < rows:
                i, i_out = element(w_rows, r), column + element(o_rows, r)
                a = _begun(out, i_out, begin, biased, bias, element(b_rows, r), lanes)
                for first in range(begin, end, CHAIN):
                    p = splat(np.float32(0), lanes)
                    for n in range(first, min(first + CHAIN, end)):
                        p = fma(element(w, i + n * step), load(x, here + n * batch, lanes), p)
                    a = a + p
                _ended(out, i_out, a, whole, plain, f, z, slopes, lanes)


@specialised
def _kept_product(
    w, w0, begins, b_first, places, x, x0, batch, bias, b0, biased, out, o0, rows, plain, lanes, f, z, slopes
):
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


@specialised
def _rows(places, first, begin, apart, count):
    """Fills in where rows begin, `apart`, from place `first` of a list on."""
    for r in range(count):
        places[first + r] = begin + r * apart


@specialised
def _moved(value, v0, step, s0, count, masked, masks):
    """value + step, times the mask; all of a row, which is in whole cache lines."""
    for p in range(0, count, WIDEST):
        moved = load(value, v0 + p, WIDEST) + load(step, s0 + p, WIDEST)
        store(value, v0 + p, moved * load(masks, v0 + p, WIDEST) if masked else moved)


# A step and its parts. What their arguments are:
#   x, x_at: [stream, input, sample], and where each net's begins. order: nets, those of a stream one after the other.
#   gang: the most nets of one stream that are taken at once.
#   targets, t_net: as in `_slope`, [net, ...].
#   softmax, one_hot: of `_slope`. biased: there are biases. fixed: the last layer has no gradients.
#   factor: [net].
#   sizes, w_at, b_at, z_at: [layer + 1]: units; where a layer's matrix, biases and samples begin in a net's.
#   weights, readout, biases: [net, ...], and how far apart; the last layer's matrix is in the second, at `r_at`.
#   begins, places: [net, unit + 1] and as the weights: of kept ones the first of a unit, and where the input's samples begin.
#   z, d, slopes: [net of a gang, ...], activations, derivatives by preactivations times the factor and, of erf, slopes: written.
#   g, g_biases: the gradients times the factor, as weights and biases: written; or where `moves`, of one gang after the other.
#   moves: whether weights and biases are moved by these here.
#   masked, masks, biases_masked, bias_masks: theirs, [net, ...], where there are any.
#   tail: [WIDEST], bits at lanes of a batch's last vector that are in the one before.
#   turned, turned_x: room for a hidden layer's activations, and for a net's inputs, by sample.
#   w_rows, b_rows, z_rows, g_rows: room for where the rows of a product begin, of a gang's first layer or of any other.
# Of the parts: `layers` are sizes, w_at, b_at, z_at and batch, `rows_at` the four rooms for where rows begin, and w0, b0, z0, r0, g0, gb0
# say where a net's numbers begin in each.


@specialised
def _gang_product(w, w_net, layers, nets, x, x0, biases, b_net, biased, z, z_net, rows_at, lanes, f, slopes):
    """The first layers of a gang's nets as one product."""
    sizes, _, _, _, batch = layers
    w_rows, b_rows, z_rows, _ = rows_at
    units, inputs, one = sizes[1], sizes[0], np.int64(1)
    for slot in range(len(nets)):
        first = slot * units
        _rows(w_rows, first, nets[slot] * w_net, inputs, units)
        _rows(b_rows, first, nets[slot] * b_net, one, units)
        _rows(z_rows, first, slot * z_net, batch, units)
    _product(w, w_rows, one, x, x0, inputs, batch, biases, b_rows, biased, z, z_rows, len(nets) * units, len(sizes) == 2, lanes, f, z,
             slopes)  # fmt: skip


@specialised
def _gang_gradient(layers, nets, x, x0, d, z_net, g, w_net, moves, tail, turned, ready, rows_at, blocks):
    """Of the first layers of a gang's nets, as one product."""
    sizes, _, _, _, batch = layers
    _, _, z_rows, g_rows = rows_at
    units, inputs = sizes[1], sizes[0]
    for slot in range(len(nets)):
        _rows(z_rows, slot * units, slot * z_net, batch, units)
        _rows(g_rows, slot * units, (slot if moves else nets[slot]) * w_net, inputs, units)
    whole_gradient(d, z_rows, units, len(nets) * units, x, x0, inputs, batch, tail, g, g_rows, turned, ready, blocks)


@specialised
def _above(layers, weights, w0, readout, r0, biases, b0, biased, z, z0, rows_at, lanes, f, slopes):
    """The layers of a net above its first, forward."""
    sizes, w_at, b_at, z_at, batch = layers
    w_rows, b_rows, z_rows, _ = rows_at
    depth, none, one = len(sizes) - 1, np.int64(0), np.int64(1)
    for layer in range(2, depth + 1):
        count, units, below = sizes[layer - 1], sizes[layer], z0 + z_at[layer - 1]
        w, first = (readout, r0) if layer == depth else (weights, w0 + w_at[layer])
        _rows(w_rows, none, first, count, units)
        _rows(b_rows, none, b0 + b_at[layer], one, units)
        _rows(z_rows, none, z0 + z_at[layer], batch, units)
        _product(w, w_rows, one, z, below, count, batch, biases, b_rows, biased, z, z_rows, units, layer == depth, lanes, f, z,
                 slopes)  # fmt: skip


@specialised
def _back(
    layers, weights, w0, readout, r0, biases, biased, fixed, z, d, z0, slopes, g, g0, g_biases, gb0, tail, turned, rows_at, lanes, f, blocks
):  # fmt: skip
    """Down to the first layer of a net: derivatives by preactivations, and all gradients but that of the first matrix."""
    sizes, w_at, b_at, z_at, batch = layers
    w_rows, b_rows, z_rows, g_rows = rows_at
    depth, none, one = len(sizes) - 1, np.int64(0), np.int64(1)
    for layer in range(depth, 0, -1):
        count, units = sizes[layer - 1], sizes[layer]
        here, below = z0 + z_at[layer], z0 + z_at[layer - 1]  # of layer 1 not used
        trained = layer < depth or not fixed
        if layer > 1:
            w, first = (readout, r0) if layer == depth else (weights, w0 + w_at[layer])
            _rows(w_rows, none, first, one, count)
            _rows(z_rows, none, below, batch, count)
            _product(w, w_rows, count, d, here, units, batch, biases, b_rows, False, d, z_rows, count, False, lanes, f, z,
                     slopes)  # fmt: skip
        if trained and biased:
            row_sums(d, here, units, batch, tail, g_biases, gb0 + b_at[layer])
        if trained and layer > 1:
            _rows(z_rows, none, here, batch, units)
            _rows(g_rows, none, g0 + w_at[layer], count, units)
            whole_gradient(d, z_rows, units, units, z, below, count, batch, tail, g, g_rows, turned, False, blocks)


@cache
def gradients(lanes: int, activation: int, kept: bool) -> Callable[..., None]:
    """The kernel for networks of a kind; all of its arrays are flat.

    Args:    lanes: samples at a time: WIDEST, 2 WIDEST or 4 WIDEST, and no more than a batch has.
             kept: the first layer's kept weights lie alone.
    What the kernel's are is said above, where its parts begin.
    """
    back = _BACK[activation]
    blocks = lanes > WIDEST  # of four rows and four inputs: where registers hold them

    def step(
        x, x_at, order, gang, targets, t_net, softmax, one_hot, biased, fixed, factor, sizes, w_at, b_at, z_at, batch, weights, w_net,
        readout, r_net, r_at, biases, b_net, begins, places, z, d, slopes, z_net, g, g_biases, moves, masked, masks,
        biases_masked, bias_masks, tail, turned, turned_x, w_rows, b_rows, z_rows, g_rows,
    ):  # fmt: skip
        layers, rows_at = (sizes, w_at, b_at, z_at, batch), (w_rows, b_rows, z_rows, g_rows)
        depth, units = len(sizes) - 1, sizes[1]
        first, first_net = (readout, r_net) if depth == 1 else (weights, w_net)
        begin, turned_of = 0, np.int64(-1)  # the second: whose samples are in turned_x
        while begin < len(factor):
            x0, end = x_at[order[begin]], begin + 1
            while end < len(factor) and end - begin < gang and x_at[order[end]] == x0:
                end += 1
            nets = order[begin:end]
            if not kept:
                _gang_product(first, first_net, layers, nets, x, x0, biases, b_net, biased, z, z_net, rows_at, lanes, activation,
                              slopes)  # fmt: skip
            for slot in range(len(nets)):
                net, z0 = nets[slot], slot * z_net
                w0, b0, r0 = net * w_net, net * b_net, net * r_net + r_at
                g0, gb0 = (slot * w_net, slot * b_net) if moves else (w0, b0)
                if kept:
                    _kept_product(weights, w0, begins, net * (units + 1), places, x, x0, batch, biases, b0, biased, z, z0, units,
                                  depth == 1, lanes, activation, z, slopes)  # fmt: skip
                _above(layers, weights, w0, readout, r0, biases, b0, biased, z, z0, rows_at, lanes, activation, slopes)
                _slope(z, d, z0 + z_at[depth], sizes[depth], batch, factor[net], targets, net * t_net, one_hot, softmax)
                _back(layers, weights, w0, readout, r0, biases, biased, fixed, z, d, z0, slopes, g, g0, g_biases, gb0, tail, turned,
                      rows_at, lanes, back, blocks)  # fmt: skip
                if kept:
                    kept_gradient(d, z0, units, x, x0, begins, net * (units + 1), places, w0, batch, tail, g, g0, lanes)
            if not kept:
                _gang_gradient(layers, nets, x, x0, d, z_net, g, w_net, moves, tail, turned_x, turned_of == x0, rows_at,
                               blocks)  # fmt: skip
                turned_of = x0
            if moves:
                for slot in range(len(nets)):
                    _moved(weights, nets[slot] * w_net, g, slot * w_net, w_net, masked, masks)
                    _moved(biases, nets[slot] * b_net, g_biases, slot * b_net, b_net, biases_masked, bias_masks)
            begin = end

    return compiled(step, allocates=False)
