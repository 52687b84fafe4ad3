"""Two masks held against each other, and one against chance: counts of kept weights, as stored in the table `masks`.

    overlap     = |A and B| / |A|            by chance at the same inputs per unit: sum_i a_i b_i / (P sum_i a_i)
    touching    = (kept neighbour pairs) / (E n (n - 1) / (P (P - 1)))

A and B are masks of one layer, a_i and b_i the inputs that unit i keeps in them, P all inputs of a unit; n of P inputs are
kept at random if each of the E pairs of neighbours is kept with probability n (n - 1) / (P (P - 1)).

Source: ours. `touching` is the measure `clustering` at a radius of one pixel (4 neighbours, open border, within a channel).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, UInt8


class Overlap(NamedTuple):
    """Shares of the first mask's kept weights that the second keeps too; see the module's first words. NaN: it keeps none."""

    share: float
    by_fan_in: float  # expected of masks with these inputs per unit
    by_chance: float  # expected of a mask with this density


def overlap(mask: UInt8[np.ndarray, "unit byte"], other: UInt8[np.ndarray, "unit byte"], inputs: int) -> Overlap:
    """Share of `mask`'s kept weights that `other` keeps, and what chance gives.

    Args:    mask, other: packed eight inputs to a byte, the bits beyond `inputs` 0. inputs: number of inputs of a unit.
    Returns: shares in [0, 1].
    """
    both = np.bitwise_count(mask & other).sum()
    fan_in, other_fan_in = (np.bitwise_count(bits).sum(axis=1, dtype=np.int64) for bits in (mask, other))
    with np.errstate(invalid="ignore"):
        by_fan_in = (fan_in * other_fan_in).sum() / np.float64(inputs * fan_in.sum())
        share = both / np.float64(fan_in.sum())
    return Overlap(float(share), float(by_fan_in), float(other_fan_in.sum() / (inputs * len(other))))


def unpacked(bits: bytes, shape: tuple[int, ...]) -> Bool[np.ndarray, "channel row col"]:
    """A stored mask laid out as (channel, row, col); one channel where the inputs are grey, one row on a ring."""
    kept = np.unpackbits(np.frombuffer(bits, dtype=np.uint8))[: int(np.prod(shape))]
    return kept.astype(bool).reshape((1, 1, *shape)[-3:])


def touching(kept: Bool[np.ndarray, "channel row col"]) -> float:
    """Pairs of kept neighbours within a channel over the number expected at random: 1 is chance; NaN below two inputs."""
    n, inputs = int(kept.sum()), kept.size
    channels, rows, cols = kept.shape
    edges = channels * (rows * (cols - 1) + (rows - 1) * cols)
    pairs = (kept[:, :, 1:] & kept[:, :, :-1]).sum() + (kept[:, 1:] & kept[:, :-1]).sum()
    return float(pairs * inputs * (inputs - 1) / (edges * n * (n - 1))) if n > 1 and edges else float("nan")
