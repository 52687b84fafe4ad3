"""The Ising model on a ring, from counters to finished spins: see `impray.data.ising` for the law and the recursion."""

# ruff: noqa: ANN201  (numba infers the types of what it compiles)

from __future__ import annotations

import numpy as np

from impray.kernels.compiled import compiled
from impray.kernels.functions import SIGN
from impray.kernels.integers import shifted, where
from impray.kernels.philox import LANES
from impray.kernels.tiles import narrowed_rows, put_masks, put_words
from impray.kernels.vectors import as_bits, as_float, element, load, splat, store


@compiled
def spins(out, net, samples, steps, step, counters, labels, begins, into, thresholds, amplitudes, classes, bonds):
    """As `impray.kernels.stimuli.sampled`; thresholds [entry, bond, class, parity] of all bonds but the last, below 2^31."""
    words = np.empty((bonds + 3) // 4 * 4 * LANES, np.uint32)
    masks = np.empty(classes * LANES, np.uint32)
    few = np.empty(bonds * LANES if samples < LANES else 1, np.float32)
    for group in range(len(begins) - 1):
        row = group * steps + step
        key, number = counters[2 * row], counters[2 * row + 1]
        for tile in range((samples + LANES - 1) // LANES):
            first = max(0, min(tile * LANES, samples - LANES))
            put_words(words, bonds, first, number, key)
            put_masks(masks, classes, labels, row * samples, samples, first)
            for entry in range(begins[group], begins[group + 1]):
                begin = into[entry] * net
                target, place, width = (out, begin + first, samples) if samples >= LANES else (few, 0, LANES)
                amplitude = as_bits(splat(amplitudes[entry], LANES))
                # The first spin: the sign of a number that no bond needs.
                parity = load(words, (bonds - 1) * LANES, LANES)
                store(target, place, as_float(amplitude | (parity & SIGN)))
                odd = splat(np.uint32(0), LANES)
                for bond in range(bonds - 1):
                    limits = 2 * classes * (entry * (bonds - 1) + bond)
                    at_even = splat(element(thresholds, limits), LANES)
                    at_odd = splat(element(thresholds, limits + 1), LANES)
                    for label in range(1, classes):
                        mask = load(masks, label * LANES, LANES)
                        at_even = where(splat(element(thresholds, limits + 2 * label), LANES), at_even, mask)
                        at_odd = where(splat(element(thresholds, limits + 2 * label + 1), LANES), at_odd, mask)
                    word = load(words, bond * LANES, LANES) & (SIGN - 1)
                    even, other = shifted(word - at_even, 31), shifted(word - at_odd, 31)  # all bits where less
                    odd = even ^ (odd & (even ^ other ^ 0xFFFFFFFF))
                    store(target, place + (bond + 1) * width, as_float(amplitude | ((parity ^ odd) & SIGN)))
                if samples < LANES:
                    narrowed_rows(few, out, begin, bonds, samples)
