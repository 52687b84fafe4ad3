"""Random numbers by counters: known answers, laws, and that nothing but the counter decides."""

import numpy as np
import pytest
from scipy import stats

from impray.kernels import philox
from impray.kernels.compiled import compiled, lacking
from impray.kernels.vectors import store

KNOWN = [
    # counter, key, answer: Random123's kat_vectors for philox4x32, 10 rounds
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]
KEYS = np.array([0x0123456789ABCDEF, 7], np.uint64)
DRAWS = 2**21


def words(shape, first=0, keys=KEYS):
    out = np.empty(shape, np.uint32)
    philox.words(out, keys, first)
    return out


def plain(counter, key):
    """Philox4x32-10 as the paper writes it, in Python's own numbers."""
    word = 2**32 - 1
    a, b, c, d = counter
    k, m = key
    for _ in range(10):
        p, q = a * 0xD2511F53, c * 0xCD9E8D57
        a, b, c, d = (q >> 32) ^ b ^ k, q & word, (p >> 32) ^ d ^ m, p & word
        k, m = (k + 0x9E3779B9) & word, (m + 0xBB67AE85) & word
    return a, b, c, d


@compiled
def _four(sample, place, step, key, out):
    a, b, c, d = philox.four(sample, place, step, key)
    for number, words in enumerate((a, b, c, d)):
        store(out, number * philox.LANES, words)


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN)
def test_the_known_answers(counter, key, answer):
    assert plain(counter, key) == answer
    out = np.zeros((4, philox.LANES), np.uint32)
    sample, place, low, high = counter
    _four(
        np.uint32(sample), np.uint64(place), np.uint64(high << 32 | low), np.uint64(key[1] << 32 | key[0]), out.ravel()
    )
    assert tuple(out[:, 0].tolist()) == answer
    # The lanes beside it are the samples after it.
    assert tuple(out[:, 5].tolist()) == plain(((sample + 5) % 2**32, place, low, high), key)


def test_words_are_those_of_their_counters():
    """The step takes two words of the counter: here it passes 2^32."""
    first = 2**32 - 1
    found = words((2, 3, 7, 37), first)
    for stream, step, place, sample in [(0, 0, 0, 0), (0, 1, 6, 36), (1, 2, 5, 17), (1, 0, 3, 1)]:
        number = first + step
        key = int(KEYS[stream])
        counter = (sample, place // 4, number & 0xFFFFFFFF, number >> 32)
        right = plain(counter, (key & 0xFFFFFFFF, key >> 32))[place % 4]
        assert found[stream, step, place, sample] == right


@pytest.mark.parametrize("samples", [1, 5, philox.LANES, 77])
def test_numbers_do_not_depend_on_what_is_drawn_beside_them(samples):
    """Whole numbers, normals of either precision and gammas: any part alone, of any number of samples, steps and streams."""
    shapes = np.array([0.4, 3.0])
    kinds = [
        ((2, 4), np.uint64, lambda out, keys, first: philox.whole_numbers(out, keys, first, np.array([10, 10]))),
        ((2, 4), np.float64, lambda out, keys, first: philox.gammas(out, keys, first, shapes[-len(keys) :])),
        ((2, 4, 7), np.float64, philox.normals_of_64_bits),
    ]
    if lacking() is None:
        kinds.append(((2, 4, 7), np.float32, philox.normals))
    for shape, dtype, fill in kinds:
        whole, part = np.empty((*shape, 77), dtype), np.empty((1, 2, *shape[2:], samples), dtype)
        fill(whole, KEYS, 3)
        fill(part, KEYS[1:], 5)
        assert np.array_equal(part[0], whole[1, 2:, ..., :samples]), dtype


def test_whole_numbers_are_uniform():
    out = np.empty((2, 1, DRAWS), np.uint64)
    below = np.array([10, 2**31])
    philox.whole_numbers(out, KEYS, 0, below)
    counts = np.bincount(out[0, 0].astype(int), minlength=10)
    assert len(counts) == 10
    assert stats.chisquare(counts).pvalue > 1e-3
    assert stats.kstest(out[1, 0] / 2**31, "uniform").pvalue > 1e-3


@pytest.mark.skipif(lacking() is not None, reason=str(lacking()))
def test_normals_are_normal_and_independent():
    """Their law, tails included, and no correlation along any axis or between squares: 4 standard errors."""
    z = np.empty((1, 4, 8, DRAWS // 32), np.float32)
    philox.normals(z, KEYS, 0)
    z = z[0].astype(float)
    assert stats.kstest(z.ravel(), "norm").pvalue > 1e-3
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs((z**power).mean() - moment) < 4 * np.sqrt(variance / z.size)
    for limit in (3.0, 4.0, 4.5):
        share = 2 * stats.norm.sf(limit)
        assert abs((np.abs(z) > limit).mean() - share) < 4 * np.sqrt(share / z.size)
    square = (z**2 - 1) / np.sqrt(2)
    for axis in range(3):
        for lag in (1, 2, 3, 4):
            for values in (z, square):
                if lag < values.shape[axis]:
                    ahead = np.take(values, range(lag, values.shape[axis]), axis)
                    here = np.take(values, range(values.shape[axis] - lag), axis)
                    assert abs((ahead * here).mean()) < 4.5 / np.sqrt(here.size), (axis, lag)  # 22 are compared


@pytest.mark.skipif(lacking() is not None, reason=str(lacking()))
def test_float32_normals_are_those_of_float64_to_rounding():
    """Relative, down to the smallest: r and the sine or cosine are good to 2^-23 or so each."""
    single, double = np.empty((2, 3, 40, 5000), np.float32), np.empty((2, 3, 40, 5000), np.float64)
    philox.normals(single, KEYS, 1)
    philox.normals_of_64_bits(double, KEYS, 1)
    assert np.abs(double).max() > 4.5 and np.abs(double).min() < 1e-5
    assert (np.abs(single - double) / np.abs(double)).max() < 3e-7


def test_gammas_have_their_law():
    shapes = np.array([0.2, 0.9, 1.0, 1.5, 30.0])
    out = np.empty((5, 1, 2**17))
    philox.gammas(out, np.arange(5, dtype=np.uint64), 0, shapes)
    for shape, drawn in zip(shapes, out[:, 0], strict=True):
        assert stats.kstest(drawn, stats.gamma(shape).cdf).pvalue > 1e-3, shape
