"""Gates of ReLU units on Gaussian inputs: G_ij = 1[x_i . w_j > 0], x ~ N(0, I).

    share of inputs on which two gates differ       angle(w_j, w_k) / pi        angle = arccos(w_j . w_k / (|w_j| |w_k|))
    share of inputs on which a gate is open         1 / 2

Exact for every sample size in the mean, whatever the lengths of the weights; n inputs are n independent draws of it, so a share's
standard deviation is sqrt(q (1 - q) / n), and by Hoeffding all of `pairs` shares are within

    t = sqrt(log(2 pairs / delta) / (2 n))          of their means with probability 1 - delta or more.

Source: the angle is Grothendieck's identity (E sign(u) sign(v) = 2/pi arcsin rho); Fridovich-Keil & Pilanci (2025) ask of their
matrices that gates differ and are open often enough. The bound is ours.
Blind spot: data that are not isotropic (images, Fourier features) have other shares; two units of one weight each at the same input
and of the same sign have the angle 0: the same gate.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

OPEN = 0.5
"""Share of inputs on which a gate is open."""


def hamming(weights: Float[np.ndarray, "unit input"]) -> Float[np.ndarray, "unit unit"]:
    """Expected share of inputs on which the gates of two units differ, in [0, 1]; NaN for a unit without weights.

    In the form 2 atan2(|u - v|, |u + v|), u and v of length 1: arccos would lose half of the digits near 0 and pi.
    """
    with np.errstate(invalid="ignore"):
        directions = weights / np.linalg.norm(weights, axis=1, keepdims=True)
    # One unit after the other: all differences at once would be units^2 x inputs numbers.
    apart = np.stack([np.linalg.norm(directions - one, axis=1) for one in directions])
    together = np.stack([np.linalg.norm(directions + one, axis=1) for one in directions])
    return 2 * np.arctan2(apart, together) / np.pi


def largest_deviation(shares: int, samples: int, delta: float) -> float:
    """t: with probability 1 - delta or more, so many shares over so many inputs are all within t of their means.

    Args:    delta: in (0, 1).
    """
    return math.sqrt(math.log(2 * shares / delta) / (2 * samples))
