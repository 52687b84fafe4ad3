"""Clustering: how many kept inputs lie close together, relative to chance.

    clustering = sum_{0 < |d| <= r} S(d) / (sum_{0 < |d| <= r} N(d) * k (k - 1) / (P (P - 1)))

S(d) counts a unit's pairs of kept inputs at displacement d within a channel (Redman et al. 2025, eq. 1), N(d)
the pairs of places that the image has there (open border), k is the number of kept inputs and P that of all
inputs. The denominator is what k inputs placed uniformly at random among all P give on average: 1 is chance
at any density.

The largest clustering there can be, the ceiling, falls with fan-in: few inputs can all be neighbours of one another, many cannot
(16 x 16 within 2 px: 17.8 at 8 inputs, 8.3 at 24, 5.4 at 40). So units of different fan-in compare by

    of_ceiling = (clustering - chance) / (ceiling - chance)          0 is chance, 1 the most compact mask of this fan-in

`impray.theory.compact` says which mask that is. Chance is 1, but for masks that are centred first (`impray.measures.chance`).

Source: ours; pair counts relative to chance, as Ripley's K function has them at one radius.
Blind spot: nothing beyond the radius is seen: one large cluster and many small ones can read the same.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from impray.measures.autocorrelation import Shape, autocorrelation
from impray.theory.compact import most_pairs

_UNITS = 1024  # at a time: S is four times as large as the mask


def clustering(mask: Shaped[Tensor, "*unit input"], shape: Shape, radius_px: float = 2.0) -> Float[Tensor, "*unit"]:
    """Number of pairs of kept inputs within a distance, relative to what chance gives at the same fan-in.

    Args:    mask: bool or real; an input is kept if it is not 0.
             shape: (row, col) or (channel, row, col) of the inputs; pairs of different channels do not count.
             radius_px: Euclidean distance in pixels up to which (inclusive) a pair counts; d = 0 does not.
    Returns: a ratio >= 0 (float64): 1 is chance, 0 no such pair. NaN for fewer than 2 kept inputs, and where
             the image has no pair that close (`radius_px` below 1).
    Raises:  ShapeError: `shape` does not multiply to the last axis.
    """
    flat = mask.reshape(-1, mask.shape[-1]) if mask.ndim > 1 else mask[None]
    pairs = torch.cat([_pairs_within(part, shape, radius_px) for part in flat.split(_UNITS)])
    channel = shape[0] if len(shape) == 3 else 1
    places = channel * _pairs_within(mask.new_ones((1, shape[-2] * shape[-1])), shape[-2:], radius_px)
    return _ratio(pairs, places, (flat != 0).sum(-1), math.prod(shape)).reshape(mask.shape[:-1])


def ceiling(fan_in: Int[Tensor, "*unit"], shape: Shape, radius_px: float = 2.0) -> Float[Tensor, "*unit"]:
    """`clustering` of the most compact mask with so many kept inputs on this image; see `impray.theory.compact`.

    Returns: a ratio >= 1 (float64): 1 for all inputs, and where every pair is within the radius. NaN as for `clustering`.
    """
    inputs = math.prod(shape)
    pairs = torch.tensor([2 * most_pairs(kept, shape, radius_px) for kept in fan_in.flatten().tolist()])
    places = torch.tensor(2 * most_pairs(inputs, shape, radius_px))
    on = fan_in.device
    return _ratio(pairs.to(on, torch.float64), places.to(on), fan_in.flatten(), inputs).reshape(fan_in.shape)


def _ratio(
    pairs: Float[Tensor, " unit"], places: Shaped[Tensor, "*one"], fan_in: Int[Tensor, " unit"], inputs: int
) -> Float[Tensor, " unit"]:
    """Ordered pairs relative to chance; `places`: those of all inputs."""
    kept = fan_in.to(torch.float64)
    # Multiplied out, so that only the last step rounds: the rest are integers.
    ratio = pairs * (inputs * (inputs - 1)) / (places * (kept * (kept - 1)))
    return torch.where(fan_in >= 2, ratio, math.nan)


def _pairs_within(mask: Shaped[Tensor, "unit input"], shape: Shape, radius_px: float) -> Float[Tensor, " unit"]:
    """Ordered pairs at 0 < |d| <= radius_px."""
    counts = autocorrelation(mask, shape)
    row, col = (torch.arange(1 - side, side, device=mask.device, dtype=torch.float64).square() for side in shape[-2:])
    square = row[:, None] + col
    return counts[:, (square > 0) & (square <= radius_px**2)].sum(-1)
