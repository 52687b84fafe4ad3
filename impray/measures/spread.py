"""Spread of a unit's kept inputs on the image, in pixels, without a fit.

    spread = sqrt(sum_j m_j |r_j - c|^2 / (2 sum_j m_j))        c = sum_j m_j r_j / sum_j m_j

r_j is the place (row, col) of input j, whatever its channel; m_j its mask, or the magnitude of its weight.
The root mean squared distance per axis: one input gives 0, a flat L x L field sqrt((L^2 - 1) / 12), a
Gaussian bump of standard deviation s gives s.

Source: ours, to hold against the fitted width of Redman et al. (2025), `rf_width`, which is larger by sqrt(2)
for a single bump (differences of two places spread more than places).
Blind spot: several fine clusters far from one another read as one wide field, and a few scattered inputs
widen it.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from impray.measures.autocorrelation import Shape
from impray.measures.scale import scaled
from impray.spec.errors import ShapeError


def spread(mask: Shaped[Tensor, "*unit input"], shape: Shape) -> Float[Tensor, "*unit"]:
    """Root mean squared distance per axis of kept inputs from their centroid.

    Args:    mask: bool, or real weights, of which the magnitudes count.
             shape: (row, col) or (channel, row, col) of the inputs; channels are added up.
    Returns: pixels (float64), in [0, sqrt(((row - 1)^2 + (col - 1)^2) / 8)]; 0 for one input, NaN for none
             (and for weights that are NaN).
    Raises:  ShapeError: `shape` does not multiply to the last axis.
    """
    if len(shape) not in (2, 3) or mask.ndim < 1 or mask.shape[-1] != math.prod(shape):
        raise ShapeError(
            f"mask {tuple(mask.shape)}: its last axis must be the {math.prod(shape)} inputs of shape {shape}"
        )
    flat, _ = scaled(mask.reshape(-1, mask.shape[-1]).to(torch.float64).abs(), 1)  # their scale does not matter
    images = flat.reshape(-1, shape[0] if len(shape) == 3 else 1, *shape[-2:]).sum(1)
    total = images.sum((1, 2))
    square = _square_deviation(images.sum(2), total) + _square_deviation(images.sum(1), total)
    return torch.sqrt(square / (2 * total)).reshape(mask.shape[:-1])  # 0 / 0 is the NaN of no input


def _square_deviation(weight: Float[Tensor, "unit place"], total: Float[Tensor, " unit"]) -> Float[Tensor, " unit"]:
    """Sum of weight times squared distance from the centroid along one axis."""
    place = torch.arange(weight.shape[1], dtype=torch.float64, device=weight.device)
    centroid = (weight * place).sum(1) / total
    return (weight * (place - centroid[:, None]).square()).sum(1)
