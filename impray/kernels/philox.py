"""Random numbers of counters: Philox4x32-10, and normals from its words.

A counter of 128 bits and a key of 64 give four words of 32 bits, each uniform. The word of a sample, a place and a step is

    words of (counter sample, place // 4, step's lower, step's upper half), key        number place % 4

so that any part of any stream can be drawn by itself. Two words w, w' give two normals:

    u = (w | 1) / 2^32      r = sqrt(-2 ln u)      f = (pi / 4) (w'' + 2) / 2^31, w'' the lower 30 bits of w' times 4, signed
    z, z' = r cos f, r sin f; exchanged where bit 30 of w' is set; both negative where bit 31 is

which is Box & Muller's pair: f covers a quarter of the circle, the two bits say which.

Source: Salmon, Moraes, Dror & Shaw (2011), Parallel random numbers: as easy as 1, 2, 3.
"""

# ruff: noqa: ANN201  (numba infers the types of what it compiles)

from __future__ import annotations

import math

import numpy as np
from numba.extending import register_jitable

from impray.kernels.compiled import compiled, wide_registers
from impray.kernels.functions import SIGN, cosine, log_of, sine
from impray.kernels.integers import low, where, widened
from impray.kernels.vectors import as_bits, as_float, count, fma, splat, sqrt, store, to_float

LANES = 32 if wide_registers() else 16
"""Samples at a time, as many as registers hold words of. No result depends on it."""
_WORD = 0xFFFFFFFF
FACTORS = 0xD2511F53, 0xCD9E8D57
WEYL = 0x9E3779B9, 0xBB67AE85
ROUNDS = 10
_QUARTER = math.pi / 4 * 2**-31
_F0, _F1 = np.uint64(FACTORS[0]), np.uint64(FACTORS[1])
_W0, _W1 = np.uint64(WEYL[0]), np.uint64(WEYL[1])
_LOWER, _HALF = np.uint64(_WORD), np.uint64(32)


@register_jitable
def _mixed(a, b, c, d, key):
    """The four words of counters (a, b, c, d): numbers or vectors of 64 bits, of which the lower 32 count, before and after."""
    k, m = key & _LOWER, key >> _HALF
    for _ in range(ROUNDS):
        p, q = (a & _LOWER) * _F0, (c & _LOWER) * _F1
        a, b, c, d = (q >> _HALF) ^ b ^ k, q, (p >> _HALF) ^ d ^ m, p
        k, m = k + _W0, m + _W1
    return a, b, c, d


@register_jitable
def four(sample, place, step, key):
    """Words of LANES samples from `sample` on, at the places 4 place to 4 place + 3: four vectors of 32 bits.

    step, key: uint64.
    """
    a = widened(count(sample, LANES))
    b = splat(np.uint64(place), LANES)
    c, d = splat(step & _LOWER, LANES), splat(step >> _HALF, LANES)
    a, b, c, d = _mixed(a, b, c, d, key)
    return low(a), low(b), low(c), low(d)


@register_jitable
def _two(sample, step, key):
    """As `four`, of place 0: the first two words, as whole numbers of 64 bits."""
    nothing = splat(np.uint64(0), LANES)
    a, c, d = widened(count(sample, LANES)), splat(step & _LOWER, LANES), splat(step >> _HALF, LANES)
    w, v, _, _ = _mixed(a, nothing, c, d, key)
    return w & _LOWER, v & _LOWER


@register_jitable
def normal_pair(w, v):
    """Two vectors of standard normals from two of words; see the head of this file."""
    whole = w >> 1
    u = fma(to_float(whole), 2.0**-31, 2.0**-32)
    less = fma(to_float(whole ^ (SIGN - 1)), -(2.0**-31), -(2.0**-32))
    r = sqrt(log_of(u, less) * -2.0)
    r = as_float(as_bits(r) ^ (v & SIGN))
    angle = fma(to_float(v << 2), _QUARTER, 2 * _QUARTER)
    s, c, swap = sine(angle), cosine(angle), v & 0x40000000
    return r * where(s, c, swap), r * where(c, s, swap)


@compiled
def words(out, keys, first):
    """The words of all samples, places and steps of streams: out [stream, step, place, sample], uint32; first: the first step's number."""
    streams, steps, places, samples = out.shape
    for stream in range(streams):
        for step in range(steps):
            c, d = np.uint64(first + step) & _LOWER, np.uint64(first + step) >> _HALF
            for quad in range((places + 3) // 4):
                left = places - 4 * quad
                b = np.uint64(quad)
                for sample in range(samples):
                    w0, w1, w2, w3 = _mixed(np.uint64(sample), b, c, d, keys[stream])
                    out[stream, step, 4 * quad, sample] = w0 & _LOWER
                    if left > 1:
                        out[stream, step, 4 * quad + 1, sample] = w1 & _LOWER
                    if left > 2:
                        out[stream, step, 4 * quad + 2, sample] = w2 & _LOWER
                    if left > 3:
                        out[stream, step, 4 * quad + 3, sample] = w3 & _LOWER


@compiled
def whole_numbers(out, keys, first, below):
    """Whole numbers from 0 to below[stream] - 1, below at most 2^31: out [stream, step, sample], uint64.

    floor(below (w 2^32 + w') / 2^64), w and w' the words at places 0 and 1: uniform to 2^-33 of themselves.
    """
    streams, steps, samples = out.shape
    flat, few = out.reshape(-1), np.empty(LANES, np.uint64)
    for row in range(streams * steps):
        step, n = np.uint64(first + row % steps), np.uint64(below[row // steps])
        for tile in range((samples + LANES - 1) // LANES):
            begin = max(0, min(tile * LANES, samples - LANES))
            w, v = _two(begin, step, keys[row // steps])
            found = (w * n + (v * n >> _HALF)) >> _HALF
            if samples >= LANES:
                store(flat, row * samples + begin, found)
            else:
                store(few, 0, found)
                for lane in range(samples):
                    flat[row * samples + lane] = few[lane]


@compiled
def normals(out, keys, first):
    """Standard normals of all samples, places and steps of streams: out [stream, step, place, sample], float32."""
    streams, steps, places, samples = out.shape
    flat, few = out.reshape(-1), np.empty(4 * LANES, np.float32)
    for row in range(streams * steps):
        key, step = keys[row // steps], np.uint64(first + row % steps)
        for quad in range((places + 3) // 4):
            here = (row * places + 4 * quad) * samples
            for tile in range((samples + LANES - 1) // LANES):
                begin = max(0, min(tile * LANES, samples - LANES))
                w0, w1, w2, w3 = four(begin, quad, step, key)
                z0, z1 = normal_pair(w0, w1)
                z2, z3 = normal_pair(w2, w3)
                store(few, 0, z0)
                store(few, LANES, z1)
                store(few, 2 * LANES, z2)
                store(few, 3 * LANES, z3)
                for place in range(min(4, places - 4 * quad)):
                    for lane in range(min(LANES, samples)):
                        flat[here + place * samples + begin + lane] = few[place * LANES + lane]


@compiled
def normals_of_64_bits(out, keys, first):
    """As `normals`, float64: the same numbers, whose logarithm, sine and cosine are the C library's."""
    streams, steps, places, samples = out.shape
    for row in range(streams * steps):
        stream, step = row // steps, row % steps
        key, c, d = keys[stream], np.uint64(first + step) & _LOWER, np.uint64(first + step) >> _HALF
        for quad in range((places + 3) // 4):
            left = places - 4 * quad
            for sample in range(samples):
                w0, w1, w2, w3 = _mixed(np.uint64(sample), np.uint64(quad), c, d, key)
                z0, z1 = _pair_of_64_bits(w0 & _LOWER, w1 & _LOWER)
                out[stream, step, 4 * quad, sample] = z0
                if left > 1:
                    out[stream, step, 4 * quad + 1, sample] = z1
                if left > 2:
                    z2, z3 = _pair_of_64_bits(w2 & _LOWER, w3 & _LOWER)
                    out[stream, step, 4 * quad + 2, sample] = z2
                    if left > 3:
                        out[stream, step, 4 * quad + 3, sample] = z3


@register_jitable
def _pair_of_64_bits(w, v):
    r = math.sqrt(-2 * math.log((w | np.uint64(1)) * 2.0**-32))
    if v >> np.uint64(31):
        r = -r
    angle = (np.int32(np.uint32(v << np.uint64(2))) + 2.0) * _QUARTER
    s, c = math.sin(angle), math.cos(angle)
    return (r * s, r * c) if v & np.uint64(0x40000000) else (r * c, r * s)


ATTEMPTS = 16
"""Of a gamma number; each is accepted with probability 0.95 or more."""


@compiled
def gammas(out, keys, first, shapes):
    """Gamma numbers of shape shapes[stream] and scale 1: out [stream, step, sample], float64.

    Attempt n takes the words of the sample's counter at places 4 n to 4 n + 3: a normal from two, and two uniform numbers, the last for
    shapes below 1, where gamma(a) = gamma(a + 1) U^(1/a).  Source: Marsaglia & Tsang (2000), A simple method for gamma variables.
    """
    streams, steps, samples = out.shape
    for stream in range(streams):
        shape = shapes[stream]
        d = (shape if shape >= 1 else shape + 1) - 1 / 3
        scale = 1 / math.sqrt(9 * d)
        for step in range(steps):
            lower, upper = np.uint64(first + step) & _LOWER, np.uint64(first + step) >> _HALF
            for sample in range(samples):
                found, w3 = 0.0, np.uint64(0)
                for attempt in range(ATTEMPTS):
                    w0, w1, w2, w3 = _mixed(np.uint64(sample), np.uint64(attempt), lower, upper, keys[stream])
                    r = math.sqrt(-2 * math.log(((w0 & _LOWER) | np.uint64(1)) * 2.0**-32))
                    x = r * math.cos(2 * math.pi * ((w1 & _LOWER) * 2.0**-32))
                    v = (1 + scale * x) ** 3
                    bound = x * x / 2 + d - d * v
                    found = d * v
                    if v > 0 and math.log(((w2 & _LOWER) + 0.5) * 2.0**-32) < bound + d * math.log(v):
                        break
                if shape < 1:
                    found *= (((w3 & _LOWER) + 0.5) * 2.0**-32) ** (1 / shape)
                out[stream, step, sample] = found
