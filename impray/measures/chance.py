"""Clustering of random masks: what `clustering` is held against.

    chance(k) = E clustering of k of P inputs drawn uniformly, treated as the measured masks are

1 exactly where masks stay where they are. On a torus they may be centred first (`impray.measures.torus`), which favours pairs:
there it is simulated, from the same masks before and after the shift,

    chance(k) = 1 + mean(pairs after - pairs before) / (expected pairs),

whose noise is that of the difference alone. On 12 x 12 within 2 px it is 1.16 at 4 inputs, 1.13 at 8, 1.08 at 24, 1.06 at 40, and 1 at
all inputs; standard errors are below 0.02 at 2 inputs and below 0.01 from 4 on, where a single unit's clustering spreads by 1.5.

Source: ours.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from impray.measures.autocorrelation import Shape
from impray.measures.torus import centred as moved
from impray.theory.compact import ends, half_steps


def draws(kept: int) -> int:
    """Masks drawn: clustering spreads less the more inputs there are."""
    return max(256, 32768 // kept)


def chance(
    fan_in: Int[Tensor, "*unit"], shape: Shape, radius_px: float = 2.0, *, centred: bool = False
) -> Float[Tensor, "*unit"]:
    """Mean clustering of random masks with so many inputs.

    Args:    centred: whether masks are shifted to the middle of the torus before they are measured.
    Returns: float64; NaN below 2 inputs, as `clustering`.
    """
    means = [
        _of_centred(kept, shape, radius_px) if centred and kept >= 2 else 1.0 for kept in fan_in.flatten().tolist()
    ]
    plain = torch.tensor(means, dtype=torch.float64, device=fan_in.device).reshape(fan_in.shape)
    return torch.where(fan_in >= 2, plain, math.nan)


@lru_cache(4096)
def _of_centred(kept: int, shape: Shape, radius_px: float) -> float:
    """Of centred masks. The draws depend on the fan-in only, so that a unit's neighbours do not show."""
    inputs = math.prod(shape)
    whole = int(_pairs(torch.ones(1, inputs, dtype=torch.bool), shape, radius_px))
    if kept == inputs or whole == 0:
        return 1.0
    order = torch.rand(draws(kept), inputs, generator=torch.Generator().manual_seed(kept)).argsort(dim=1)
    masks = torch.zeros(order.shape, dtype=torch.bool).scatter_(1, order[:, :kept], True)
    more = _pairs(moved(masks, shape), shape, radius_px) - _pairs(masks, shape, radius_px)
    return 1 + float(more.sum()) / len(more) * inputs * (inputs - 1) / (whole * kept * (kept - 1))


def _pairs(masks: Bool[Tensor, "unit input"], shape: Shape, radius_px: float) -> Int[Tensor, " unit"]:
    """Pairs within the radius and a channel, each once."""
    images = masks.reshape(len(masks), -1, *shape[-2:])
    count = torch.zeros(len(masks), dtype=torch.int64)
    for step in half_steps(shape[-2], shape[-1], radius_px):
        start, end = ends(images, step)
        count += (start & end).sum(dim=(1, 2, 3))
    return count
