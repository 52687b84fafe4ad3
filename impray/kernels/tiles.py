"""What kernels of stimuli share: LANES samples of a batch at once, their words, their classes, and batches of fewer."""

# ruff: noqa: ANN201  (numba infers the types of what it compiles)

from __future__ import annotations

from numba.extending import register_jitable

from impray.kernels.functions import SIGN
from impray.kernels.philox import LANES, four
from impray.kernels.vectors import store


@register_jitable
def put_words(words, places, first, step, key):
    """Words [place, lane] of the samples from `first` on; the places up to a multiple of 4 are written too."""
    for quad in range((places + 3) // 4):
        a, b, c, d = four(first, quad, step, key)
        at = 4 * quad * LANES
        store(words, at, a)
        store(words, at + LANES, b)
        store(words, at + 2 * LANES, c)
        store(words, at + 3 * LANES, d)


@register_jitable
def put_masks(masks, classes, labels, row, samples, first):
    """masks [label, lane]: a bit where a lane's sample is of that class; not of class 0, which needs none. labels: from `row` on."""
    for lane in range(LANES):
        own = labels[row + min(first + lane, samples - 1)]
        for label in range(1, classes):
            masks[label * LANES + lane] = SIGN if own == label else 0


@register_jitable
def widened_rows(few, out, begin, places, samples):
    """A batch of fewer than LANES samples, out [place, sample] from `begin` on, in rows of LANES."""
    for place in range(places):
        for sample in range(samples):
            few[place * LANES + sample] = out[begin + place * samples + sample]


@register_jitable
def narrowed_rows(few, out, begin, places, samples):
    """The other way."""
    for place in range(places):
        for sample in range(samples):
            out[begin + place * samples + sample] = few[place * LANES + sample]
