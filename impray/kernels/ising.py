"""The Ising model on a ring, from counters to finished spins: see `impray.data.ising` for the law and the recursion."""

# ruff: noqa: ANN201  (numba infers the types of what it compiles)

from __future__ import annotations

import numpy as np

from impray.kernels.compiled import compiled
from impray.kernels.functions import SIGN
from impray.kernels.integers import shifted, where
from impray.kernels.philox import LANES, four
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
            for quad in range((bonds + 3) // 4):
                a, b, c, d = four(first, quad, number, key)
                at = 4 * quad * LANES
                store(words, at, a)
                store(words, at + LANES, b)
                store(words, at + 2 * LANES, c)
                store(words, at + 3 * LANES, d)
            for lane in range(LANES):
                own = labels[row * samples + min(first + lane, samples - 1)]
                for label in range(1, classes):
                    masks[label * LANES + lane] = SIGN if own == label else 0
            for entry in range(begins[group], begins[group + 1]):
                begin = into[entry] * net
                target, place, width = (out, begin + first, samples) if samples >= LANES else (few, 0, LANES)
                amplitude = as_bits(splat(amplitudes[entry], LANES))
                parity = load(
                    words, (bonds - 1) * LANES, LANES
                )  # the first spin: the sign of a number that no bond needs
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
                for spin in range(bonds if samples < LANES else 0):
                    for sample in range(samples):
                        out[begin + spin * samples + sample] = few[spin * LANES + sample]
