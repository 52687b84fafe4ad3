"""Receptive fields on a ring: how local they are, and how far apart two places are.

    ipr = sum w^4 / (sum w^2)^2         1 is one input, 1/N all alike, 1.5/N a wave, 3/(N + 2) white noise on average
    arc = the shortest stretch of the ring with half of sum w^2, as a share of the ring

The IPR does not know which inputs are neighbours, and its size is set by the stimuli: a field one length scale wide has
an IPR near 1 at xi = 0.3/0.7 and of 0.1 to 0.2 at 1/3, where white noise of 40 inputs has 0.071 and exceeds 0.126 in one
case of a hundred. So "localised" is judged by the IPR where a single neuron's fields are sharp (above `LOCAL` times white
noise; below `NOT_LOCAL` times it is "not localised"), and by the arc where the weights themselves are at hand and fields are
wide: a wave has an arc of 1/2, white noise of 40 inputs 0.33, and below `LOCAL_ARC` in one case of a thousand.

Source: the IPR as in Lufkin, Saxe & Grant (2024); the arc and the bounds are ours.
Blind spot: of two equal bumps each has half of the squared weight, so that the arc sees only one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float, Int

LOCAL, NOT_LOCAL = 5.0, 2.0  # times the IPR of white noise
LOCAL_ARC = 1 / 8


def noise_ipr(inputs: int) -> float:
    """Mean IPR of a Gaussian random vector, 3 / (N + 2): exact, for sum w^4 / (sum w^2)^2 does not depend on the length."""
    return 3 / (inputs + 2)


def local_ipr(inputs: int) -> float:
    """Above it a field is localised; of a small ring half of the largest IPR, as 5 times white noise is hardly possible."""
    return min(LOCAL * noise_ipr(inputs), 0.5)


def ipr(w: Float[np.ndarray, "*any input"]) -> Float[np.ndarray, "*any"]:
    """Inverse participation ratio, in [1/N, 1]; NaN for weights that are all 0.

    Fourth powers are formed as they are: weights within 1e-70 to 1e70, as networks have (`impray.measures.ipr` takes any).
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        return (w**4).sum(axis=-1) / (w**2).sum(axis=-1) ** 2


def arc(w: Float[np.ndarray, "*any input"]) -> Float[np.ndarray, "*any"]:
    """Share of the ring in the shortest stretch with half of the squared weight, in (0, 1]; NaN for weights that are all 0.

    Half is met to 1e-12 of the whole, so that a wave's stretch does not hang on rounding.
    """
    inputs = w.shape[-1]
    power = np.concatenate([w, w], axis=-1) ** 2
    before = np.concatenate([np.zeros((*w.shape[:-1], 1)), np.cumsum(power, axis=-1)], axis=-1)
    half = (w**2).sum(axis=-1) / 2 * (1 - 1e-12)
    share = np.full(w.shape[:-1], np.nan)
    for length in range(inputs, 0, -1):
        most = (before[..., length : length + inputs] - before[..., :inputs]).max(axis=-1)
        share = np.where(most >= half, length / inputs, share)
    return np.where(half > 0, share, np.nan)


def apart(one: Any, other: Any, inputs: Any) -> Int[np.ndarray, "*any"]:
    """Distance of two inputs around the ring, elementwise, the number of inputs too: 0 to inputs // 2."""
    gap = np.abs(np.asarray(one) - np.asarray(other)) % inputs
    return np.minimum(gap, inputs - gap)
