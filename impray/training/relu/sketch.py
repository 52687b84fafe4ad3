"""Sums of changes of many places: dense, or in a count sketch (Charikar, Chen & Farach-Colton 2002).

    T[r, h_r(i)] += sigma_r(i) delta_i        estimate of i: the median over the rows r of sigma_r(i) T[r, h_r(i)]

Five rows; h_r and sigma_r are drawn from a stream of the seed: (a i + b mod p) mod width, and whether c i + d mod p is even, p = 2^31 - 1.
A row's estimate has no bias, and a standard deviation of |x| / sqrt(width) over the choice of the hashes.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int

from impray.spec.trial import stream_seed

SKETCH_ROWS = 5
_PRIME = 2**31 - 1


class Dense:
    """A number for each place.

    `array` is all that is held, `add` adds to places of which none is twice there, `at` gives sums; so does `CountSketch`, by estimates.
    """

    def __init__(self, size: int) -> None:
        self.array = np.zeros(size)

    def add(self, places: Int[np.ndarray, " place"], changes: Float[np.ndarray, " place"]) -> None:
        self.array[places] += changes

    def at(self, places: Int[np.ndarray, " place"]) -> Float[np.ndarray, " place"]:
        return self.array[places]


class CountSketch:
    """`SKETCH_ROWS` x width numbers, however many places there are (fewer than 2^31)."""

    def __init__(self, width: int, seed: int) -> None:
        generator = torch.Generator().manual_seed(stream_seed(seed, "sketch"))
        draws = torch.randint(1, _PRIME, (4, SKETCH_ROWS, 1), generator=generator).numpy()
        self._bucket, self._sign = draws[:2], draws[2:]
        self.array = np.zeros((SKETCH_ROWS, width))

    def add(self, places: Int[np.ndarray, " place"], changes: Float[np.ndarray, " place"]) -> None:
        width = self.array.shape[1]
        for row, bucket, sign in zip(self.array, *self._hashed(places), strict=True):
            row += np.bincount(bucket, sign * changes, minlength=width)

    def at(self, places: Int[np.ndarray, " place"]) -> Float[np.ndarray, " place"]:
        bucket, sign = self._hashed(places)
        return np.median(sign * np.take_along_axis(self.array, bucket, axis=1), axis=0)

    def _hashed(
        self, places: Int[np.ndarray, " place"]
    ) -> tuple[Int[np.ndarray, "row place"], Int[np.ndarray, "row place"]]:
        """Columns and signs. Products of two numbers below 2^31 fit into 63 bits."""
        (times, plus), (sign_times, sign_plus) = self._bucket, self._sign
        bucket = (times * places + plus) % _PRIME % self.array.shape[1]
        return bucket, 1 - 2 * ((sign_times * places + sign_plus) % _PRIME % 2)


Sums = Dense | CountSketch
