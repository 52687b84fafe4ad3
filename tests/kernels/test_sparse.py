"""Sparse products: against float64, against one another, on other registers, wherever they lie."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch
from conftest import heavier
from narrow_registers import digest_on_haswell

from impray.kernels import patterns
from impray.kernels.compiled import lacking
from impray.kernels.laid import turned
from impray.kernels.patterns import AT_ONCE, LANES, pattern
from impray.kernels.sparse import Placed, Products, Rows

pytestmark = pytest.mark.skipif(lacking() is not None, reason=str(lacking()))

EPS = 2.0**-24  # of float32's rounding
SHAPES = [(1, 1), (3, 2), (16, 16), (37, 50), (64, 300), (300, 784)]
BATCHES = heavier([1, 7, 16, 40, 128, 200], (7, 40))  # passes of other lanes are other kernels, of seconds each


def numbers(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def made(units, inputs, batch, densities, seed=0, slopes=True):
    """Masks, kept weights in rows, the whole matrices, bias, h and g of a stack of nets; slopes: as `pattern` has it."""
    draw = np.random.default_rng(seed)
    masks = [draw.random((units, inputs)) < density for density in densities]
    patterns = [pattern(mask, batch, slopes) for mask in masks]
    room = max(1, *(len(one.flat) for one in patterns)) + 3
    weights = np.zeros((len(masks), room), np.float32)
    whole = np.stack([numbers(net, units * inputs) * mask.ravel() for net, mask in enumerate(masks)])
    for net, one in enumerate(patterns):
        weights[net, : len(one.flat)] = whole[net, one.flat]
    nets = len(masks)
    h, g = numbers(seed + 1, nets, inputs, batch), numbers(seed + 2, nets, units, batch)
    return patterns, weights, whole.reshape(nets, units, inputs), numbers(seed + 3, nets, units), h, g, room


def products(patterns, weights, bias, h, g, room):
    """z, d and the gradient of a stack of nets, this as weights lie."""
    nets, inputs, batch = h.shape
    units = g.shape[1]
    z, d = (np.empty((nets, rows, batch), np.float32) for rows in (units, inputs))
    sink = np.zeros((nets, room), np.float32)
    of = Products(patterns, (units, inputs), batch, room)
    flat = weights.ravel()
    of.forward(flat, Rows(bias.ravel(), units), Rows(h.ravel(), inputs * batch), Rows(z.reshape(-1), units * batch))
    of.backward(flat, Rows(g.ravel(), units * batch), Rows(d.reshape(-1), inputs * batch))
    of.gradient(sink.reshape(-1), Rows(h.ravel(), inputs * batch), Rows(g.ravel(), units * batch))
    return z, d, sink


def at_once(patterns, weights, h, g, room):
    """d and the weights, the gradient added to them."""
    nets, inputs, batch = h.shape
    units = g.shape[1]
    d, moved = np.empty((nets, inputs, batch), np.float32), weights.copy()
    rows = [Rows(x.reshape(-1), x.size // nets) for x in (h, g, d)]
    flat = moved.reshape(-1)
    Products(patterns, (units, inputs), batch, room).backward_and_gradient(flat, flat, *rows)
    return d, moved


@pytest.mark.some(8)
@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize(("units", "inputs"), SHAPES)
def test_products_are_those_of_float64(units, inputs, batch):
    patterns, weights, whole, bias, h, g, room = made(units, inputs, batch, (0.34, 0.05, 0.9))
    z, d, sink = products(patterns, weights, bias, h, g, room)
    w, x, s = (value.astype(np.float64) for value in (whole, h, g))
    exact = {"z": w @ x + bias[..., None], "d": w.transpose(0, 2, 1) @ s, "w": s @ x.transpose(0, 2, 1)}
    # Of a sum of n products in any order the error is at most n eps times the sum of their magnitudes (Higham 2002, section 3.1).
    sizes = {
        "z": np.abs(w) @ np.abs(x) + np.abs(bias)[..., None],
        "d": np.abs(w).transpose(0, 2, 1) @ np.abs(s),
        "w": np.abs(s) @ np.abs(x).transpose(0, 2, 1),
    }
    terms = {"z": inputs + 1, "d": units, "w": batch}
    gradient = np.zeros_like(w).reshape(3, -1)
    for net, one in enumerate(patterns):
        gradient[net, one.flat] = sink[net, : len(one.flat)]
        assert not sink[net, len(one.flat) :].any()
        kept = (whole[net] != 0).ravel()
        exact["w"][net].reshape(-1)[~kept] = 0
    for name, found in {"z": z, "d": d, "w": gradient.reshape(w.shape)}.items():
        assert (np.abs(found - exact[name]) <= (terms[name] + 2) * EPS * sizes[name]).all(), name


@pytest.mark.some(40)
@pytest.mark.parametrize("slopes", [True, False])
@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize(("units", "inputs"), SHAPES)
def test_slopes_and_gradient_at_once_are_those_one_by_one(units, inputs, batch, slopes):
    patterns, weights, _, bias, h, g, room = made(units, inputs, batch, (0.34, 0.05, 0.9), slopes=slopes)
    _, alone, gradient = products(patterns, weights, bias, h, g, room)
    d, moved = at_once(patterns, weights, h, g, room)
    assert np.array_equal(d, alone)
    if batch <= LANES:  # of more, each portion's sums are added to the weights by themselves
        assert np.array_equal(moved, weights + gradient)


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize(("units", "inputs"), SHAPES)
def test_the_order_in_which_weights_lie_does_not_show(units, inputs, batch):
    found = []
    for slopes in (True, False):
        patterns, weights, whole, bias, h, g, room = made(units, inputs, batch, (0.34, 0.05, 0.9), slopes=slopes)
        assert {one.turned for one in patterns} == {slopes and batch <= AT_ONCE}
        z, d, sink = products(patterns, weights, bias, h, g, room)
        gradient = np.zeros((3, units * inputs), np.float32)
        for net, one in enumerate(patterns):
            gradient[net, one.flat] = sink[net, : len(one.flat)]
        found.append((z, d, gradient))
    assert all(np.array_equal(a, b) for a, b in zip(*found, strict=True))


@pytest.mark.slow
def test_layers_of_more_inputs_than_16_bits_count_have_their_products():
    patterns, weights, whole, bias, h, g, room = made(3, 2**16 + 40, 16, (0.5,))
    z, d, _ = products(patterns, weights, bias, h, g, room)
    assert Products(patterns, (3, 2**16 + 40), 16, room)._by_unit.others.dtype == np.uint32
    exact = whole[0].astype(np.float64)
    size = np.abs(exact) @ np.abs(h[0]) + np.abs(bias[0])[:, None]
    assert (np.abs(z[0] - exact @ h[0] - bias[0][:, None]) <= (2**16 + 43) * EPS * size).all()
    assert (np.abs(d[0] - exact.T @ g[0]) <= 5 * EPS * (np.abs(exact).T @ np.abs(g[0]))).all()


def test_sums_are_as_exact_as_the_librarys():
    units, inputs, batch = 64, 3072, 40
    patterns, weights, whole, bias, h, g, room = made(units, inputs, batch, (0.34,))
    z, _, sink = products(patterns, weights, bias, h, g, room)
    torch.set_num_threads(1)
    w, x, s = (torch.from_numpy(value[0]) for value in (whole, h, g))
    kept = patterns[0].flat
    exact = w.double() @ x.double() + torch.from_numpy(bias[0]).double()[:, None]
    library = torch.addmm(torch.from_numpy(bias[0])[:, None], w, x)
    ours = torch.from_numpy(z[0]).double() - exact
    assert ours.square().mean() <= (library.double() - exact).square().mean()
    exact = (s.double() @ x.T.double()).flatten()[kept]
    library = (s @ x.T).flatten()[kept]
    ours = torch.from_numpy(sink[0, : len(kept)]).double() - exact
    assert ours.square().mean() <= (library.double() - exact).square().mean()


@pytest.mark.parametrize("batch", heavier([7, 40, 200], (7, 40)))
def test_a_net_is_multiplied_as_if_alone(batch):
    patterns, weights, _, bias, h, g, room = made(37, 150, batch, (0.4, 0.02, 0.2, 0.0))
    together = products(patterns, weights, bias, h, g, room)
    for net in range(4):
        own = slice(net, net + 1)
        alone = products(patterns[own], weights[own], bias[own], h[own], g[own], room)
        for a, b in zip(alone, together, strict=True):
            assert np.array_equal(a[0], b[net])


def test_one_batch_for_all_nets_is_that_batch_for_each():
    patterns, weights, _, bias, h, g, room = made(20, 60, 40, (0.3, 0.3))
    h[1] = h[0]
    z, _, sink = products(patterns, weights, bias, h, g, room)
    shared, of = np.empty_like(z), Products(patterns, (20, 60), 40, room)
    one = Rows(h[0].ravel(), 0)
    of.forward(weights.ravel(), Rows(bias.ravel(), 20), one, Rows(shared.reshape(-1), 800))
    again = np.zeros_like(sink)
    of.gradient(again.reshape(-1), one, Rows(g.ravel(), 800))
    assert np.array_equal(shared, z) and np.array_equal(again, sink)


@pytest.mark.parametrize("slopes", [True, False])
@pytest.mark.parametrize("batch", heavier([40, 57, 200], (40, 57)))
def test_nets_may_have_the_same_rows_wherever_they_begin(batch, slopes):
    patterns, weights, _, bias, h, g, room = made(20, 60, batch, (0.3, 0.2, 0.0, 0.4), slopes=slopes)
    stream_of_net = np.array([2, 0, 2, 0])
    of = Products(patterns, (20, 60), batch, room)
    found = []
    for rows in (Rows(h[stream_of_net].ravel(), 60 * batch), Placed(h.ravel(), 60 * batch * stream_of_net)):
        z, d, both, own = (
            np.empty_like(g),
            np.empty_like(h),
            np.zeros((4, room), np.float32),
            np.zeros((4, room), np.float32),
        )
        slopes_of = Rows(g.ravel(), 20 * batch)
        of.forward(weights.ravel(), Rows(bias.ravel(), 20), rows, Rows(z.reshape(-1), 20 * batch))
        of.gradient(own.reshape(-1), rows, slopes_of)
        of.backward_and_gradient(weights.ravel(), both.reshape(-1), rows, slopes_of, Rows(d.reshape(-1), 60 * batch))
        found.append((z, d, both, own))
    assert all(np.array_equal(a, b) for a, b in zip(*found, strict=True)) and found[0][3].any()


def test_where_numbers_lie_in_memory_does_not_show():
    patterns, weights, _, bias, h, g, room = made(37, 150, 40, (0.3,))
    here = products(patterns, weights, bias, h, g, room)

    def elsewhere(value):
        memory = np.empty(value.size + 1, np.float32)[1:]  # off by four bytes
        memory[:] = value.ravel()
        return memory.reshape(value.shape)

    w, b, x, s = map(elsewhere, (weights, bias, h, g))
    there = products(patterns, w, b, x, s, room)
    assert all(np.array_equal(a, b) for a, b in zip(here, there, strict=True))


@pytest.mark.parametrize("slopes", [True, False])
def test_a_pattern_has_every_kept_place_once_in_both_orders(slopes):
    mask = np.random.default_rng(0).random((390, 700)) < 0.3
    one = pattern(mask, 40, slopes)
    assert one.turned == slopes
    assert np.array_equal(np.sort(one.flat), np.flatnonzero(mask))
    found = []
    for order, units, inputs in ((one.by_unit, 390, 700), (one.by_input, 700, 390)):
        begins, tiles = order.begins, -(-inputs // order.tile)
        assert tiles > 1 and len(begins) == tiles * units + 1
        assert begins[0] == 0 and begins[-1] == mask.sum() and (np.diff(begins) >= 0).all()
        tile, unit = np.divmod(np.repeat(np.arange(tiles * units), np.diff(begins)), units)
        assert np.array_equal(order.inputs // order.tile, tile)
        found.append((unit, order.inputs.astype(np.int64)))
    by_unit, by_input = found[0], found[1][::-1]
    lying, other = (by_input, by_unit) if slopes else (by_unit, by_input)
    assert np.array_equal(one.flat, lying[0] * 700 + lying[1])
    # A place is counted from the first weight of its two tiles, as they lie.
    tiles_of = [unit // one.by_input.tile * 1000 + put // one.by_unit.tile for unit, put in (lying, other)]
    first = {pair: np.flatnonzero(tiles_of[0] == pair)[0] for pair in np.unique(tiles_of[0])}
    places = one.places + np.array([first[pair] for pair in tiles_of[1]])
    assert np.array_equal(np.sort(places), np.arange(mask.sum()))
    assert np.array_equal(one.flat[places], other[0] * 700 + other[1])


@pytest.mark.parametrize("more", [0, 3])
@pytest.mark.parametrize(("nets", "samples", "inputs"), [(1, 40, 100), (3, 16, 16), (2, 5, 40), (2, 40, 5), (1, 1, 1)])
def test_a_batch_laid_out_anew_is_the_transposed_one(nets, samples, inputs, more):
    x, apart = numbers(0, nets, samples, inputs), samples + more
    out = np.zeros((nets, inputs, apart), np.float32)
    turned(Rows(x.ravel(), samples * inputs), samples, inputs, Rows(out.reshape(-1), inputs * apart), nets, apart)
    assert np.array_equal(out[:, :, :samples], x.transpose(0, 2, 1)) and not out[:, :, samples:].any()


@pytest.mark.parametrize("batch", heavier([7, 40, 200], (7, 40)))
def test_how_far_apart_rows_of_h_lie_does_not_show(batch):
    patterns, weights, _, bias, h, g, room = made(37, 150, batch, (0.3, 0.1), slopes=False)
    z, _, sink = products(patterns, weights, bias, h, g, room)
    wide = np.full((2, 150, batch + 9), np.nan, np.float32)
    wide[:, :, :batch] = h
    rows = Rows(wide.reshape(-1), 150 * (batch + 9))
    of, again, moved = Products(patterns, (37, 150), batch, room, batch + 9), np.empty_like(z), np.zeros_like(sink)
    of.forward(weights.ravel(), Rows(bias.ravel(), 37), rows, Rows(again.reshape(-1), 37 * batch))
    of.gradient(moved.reshape(-1), rows, Rows(g.ravel(), 37 * batch))
    assert np.array_equal(again, z) and np.array_equal(moved, sink)


def digest():
    """Of the products of some nets: what every CPU must agree on."""
    found = hashlib.sha256()
    for batch in (7, 40, 64, 128):
        patterns, weights, _, bias, h, g, room = made(37, 150, batch, (0.4, 0.05))
        for part in (*products(patterns, weights, bias, h, g, room), *at_once(patterns, weights, h, g, room)):
            found.update(part.tobytes())
    return found.hexdigest()


@pytest.mark.slow  # compiles all of it twice
def test_narrow_registers_give_the_bits_of_wide_ones():
    assert digest_on_haswell("kernels.test_sparse") == digest()


def test_lanes_are_a_constant_that_the_patterns_know():
    # A tile's inputs times lanes fill the cache's part that is theirs, whatever the batch.
    mask = np.ones((64, 3072), bool)
    for batch in (40, 128, 500):
        segments = len(pattern(mask, batch).by_unit.begins) - 1
        assert segments == 64 * -(-3072 // (patterns._TILE_NUMBERS // min(batch, LANES)))
