"""Stimuli on a ring or torus, from counters to finished inputs in one pass. See `impray.data.stimulus` for what is sampled.

For LANES samples at a time: white noise (`philox`); per stream, times the roots of each sample's class, products along both axes
(`fourier`), and the kind's own function. All that lies between is in the caches next to the core. A batch's last samples are made
together with some before them, once more, so that no lane is empty.

    NLGP    erf(z) a        KUR     the quantile function of z sqrt 2 (`impray.data.kur`), times a
    SCALED  z r a, r a number of each sample; r a / |noise| where the stream's radius is `over` the length of its noise
    CLONE   z, added to what is there, once to each sample
"""

# ruff: noqa: ANN201  (numba infers the types of what it compiles)

from __future__ import annotations

import numpy as np
from numba.extending import register_jitable

from impray.kernels.compiled import compiled
from impray.kernels.fourier import along
from impray.kernels.functions import SIGN, complements, erf, erf_and_erfc, log_of, power
from impray.kernels.integers import lesser, where
from impray.kernels.philox import LANES, normal_pair
from impray.kernels.tiles import narrowed_rows, put_masks, put_words, widened_rows
from impray.kernels.vectors import as_bits, as_float, element, fma, load, splat, sqrt, store

NLGP, KUR, SCALED, CLONE = range(4)
_LOG2_E = 1.4426950408889634
LARGEST = 80.0
"""Of an exponent: exp(80) has a square root's room left in single precision."""


@register_jitable
def _white(words, noise, places, first, step, key):
    """Standard normals [place, lane] of the samples from `first` on; the places up to a multiple of 4 are written too."""
    put_words(words, places, first, step, key)
    for pair in range(2 * ((places + 3) // 4)):
        at = 2 * pair * LANES
        a, b = normal_pair(load(words, at, LANES), load(words, at + LANES, LANES))
        store(noise, at, a)
        store(noise, at + LANES, b)


@register_jitable
def _coloured(noise, target, roots, first, places, classes, masks):
    """Times the root of each lane's class; roots [class, place] from `first` on."""
    for place in range(places):
        root = splat(element(roots, first + place), LANES)
        for label in range(1, classes):
            one = splat(element(roots, first + label * places + place), LANES)
            root = where(one, root, load(masks, label * LANES, LANES))
        store(target, place * LANES, load(noise, place * LANES, LANES) * root)


@register_jitable
def _field(modes, other, rows, cols, row, col):
    """From modes to places, along both axes; in one of the two that are given, both of which are written."""
    for line in range(rows):
        along(modes, other, line * cols * LANES, LANES, cols, col)
    if rows == 1:
        return other
    for line in range(cols):
        along(other, modes, line * LANES, cols * LANES, rows, row)
    return modes


@register_jitable
def _quantile(z, k, rate):
    """q(Phi(z sqrt 2)); k: times log2 e.  rate: log2 e / k."""
    u, rest = erf_and_erfc(as_float(as_bits(z) & (SIGN - 1)))
    t, remaining = complements(lesser(log_of(u, rest * -1.0) * (k * np.float32(-1)), np.float32(126)))
    exponent = lesser(log_of(t, remaining * -1.0) * (rate * np.float32(-1)), np.float32(LARGEST * _LOG2_E))
    x = u * power(exponent * -1.0)
    return as_float(as_bits(x) | (as_bits(z) & SIGN))


@register_jitable
def _finished(kind, source, target, first, width, places, numbers, at, factors, masks):
    """Writes inputs of LANES samples, [place, sample], from z [place, lane]."""
    amplitude, k, rate = element(numbers, at), element(numbers, at + 1), element(numbers, at + 2)
    if kind == NLGP:
        for place in range(places):
            store(target, first + place * width, erf(load(source, place * LANES, LANES)) * amplitude)
    elif kind == KUR:
        for place in range(places):
            store(target, first + place * width, _quantile(load(source, place * LANES, LANES), k, rate) * amplitude)
    elif kind == SCALED:
        factor = load(factors, 0, LANES)
        for place in range(places):
            store(target, first + place * width, load(source, place * LANES, LANES) * factor)
    else:
        fresh, nothing = load(masks, 0, LANES), splat(np.float32(-0.0), LANES)
        for place in range(places):
            there = first + place * width
            added = where(load(source, place * LANES, LANES), nothing, fresh)
            store(target, there, load(target, there, LANES) + added)


@register_jitable
def _prepared(kind, noise, places, masks, classes, labels, row, samples, first, done, lengths):
    """What all streams of a seed share: the length of each lane's noise, and masks [label, lane] of classes.

    Instead of class 0, which needs none: the lanes that earlier tiles have not made, from sample `done` on.
    """
    put_masks(masks, classes, labels, row, samples, first)
    for lane in range(LANES):
        masks[lane] = SIGN if first + lane >= done else 0
    if kind == SCALED:
        square = splat(np.float32(0), LANES)
        for place in range(places):
            z = load(noise, place * LANES, LANES)
            square = fma(z, z, square)
        store(lengths, 0, sqrt(square))


@register_jitable
def _factors(radii, at, samples, first, amplitude, over, lengths, factors):
    for lane in range(LANES):
        factors[lane] = radii[at + min(first + lane, samples - 1)]
    factor = load(factors, 0, LANES) * amplitude
    store(factors, 0, factor / load(lengths, 0, LANES) if over else factor)


@compiled
def sampled(
    kind,
    out,
    net,
    samples,
    steps,
    step,
    counters,
    labels,
    label_rows,
    begins,
    into,
    roots,
    numbers,
    radii,
    shape,
    row,
    col,
):
    """Inputs of one step of several streams of a kind. All arrays are flat.

    Args:    out: [slot, input, sample] with `net` numbers from slot to slot; of CLONE, what is added to.
             steps, step: how many steps `counters`, `labels` and `radii` are of, and which one is made.
             counters: [seed, step, 2], uint64: key of the noise, the step's number.
             labels: [label row, step, sample], int64; label_rows: [seed].
             begins: [seed + 1]: seed i has the entries (streams) from begins[i] to begins[i + 1].
             into: [entry]: the slot of each.  roots: [entry, class, mode of the rows, mode of the columns].
             numbers: [entry, 4]: the amplitude a; of KUR k log2 e and log2 e / k; of SCALED whether the radius is over the length.
             radii: [entry, step, sample], of SCALED.
             shape: (classes, rows, cols).  row, col: `fourier.table` of both.
    """
    classes, rows, cols = shape
    places = rows * cols
    room = (places + 3) // 4 * 4 * LANES
    noise, some = np.empty(room, np.float32), np.empty(room, np.float32)
    words, masks = np.empty(room, np.uint32), np.empty(classes * LANES, np.uint32)
    lengths, factors = np.empty(LANES, np.float32), np.empty(LANES, np.float32)
    few = np.empty(room if samples < LANES else 1, np.float32)
    other = np.empty(room, np.float32)
    for group in range(len(begins) - 1):
        key, number = counters[2 * (group * steps + step)], counters[2 * (group * steps + step) + 1]
        of_labels = (label_rows[group] * steps + step) * samples
        for tile in range((samples + LANES - 1) // LANES):
            first = max(0, min(tile * LANES, samples - LANES))
            _white(words, noise, places, first, number, key)
            _prepared(kind, noise, places, masks, classes, labels, of_labels, samples, first, tile * LANES, lengths)
            for entry in range(begins[group], begins[group + 1]):
                z = noise if entry + 1 == begins[group + 1] else other
                _coloured(noise, z, roots, entry * classes * places, places, classes, masks)
                done = _field(z, some, rows, cols, row, col)
                if kind == SCALED:
                    at = (entry * steps + step) * samples
                    _factors(
                        radii, at, samples, first, numbers[4 * entry], numbers[4 * entry + 3] > 0, lengths, factors
                    )
                begin = into[entry] * net
                if samples >= LANES:
                    _finished(kind, done, out, begin + first, samples, places, numbers, 4 * entry, factors, masks)
                else:
                    if kind == CLONE:
                        widened_rows(few, out, begin, places, samples)
                    _finished(kind, done, few, 0, LANES, places, numbers, 4 * entry, factors, masks)
                    narrowed_rows(few, out, begin, places, samples)
