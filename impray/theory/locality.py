"""How local a component of the inputs is on the image, without a fit.

    p = share of squared weight at each pixel (summed over channels)        c = sum p z
    spread = sqrt(sum p |z - c|^2 / 2)              area = 1 / (P sum p^2), P pixels

A flat field of side L has sqrt((L^2 - 1)/12) and 1; a single pixel 0 and 1/P; a cosine along one axis has an area of 2/3.

Source: ours, for Redman et al. (2025), Fig. 2 and Appendix B, who show components and give no number. The spread is the measure
`spread` of squared weights; the area is the participation ratio of the pixels over their number.
Blind spot: two far bumps have a large spread and a small area; sign and scale do not matter.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class Locality(NamedTuple):
    """spread_px in [0, half the diagonal / sqrt 2]; area in [1/P, 1]; flat_px, the spread of a flat field of this size."""

    spread_px: float
    area: float
    flat_px: float


def locality(values: Float[np.ndarray, "channel row col"]) -> Locality:
    """Spread and area of one component; NaN for nothing but zeros."""
    p = (values**2).sum(axis=0)
    if not p.sum() > 0:
        return Locality(float("nan"), float("nan"), float("nan"))
    p = p / p.sum()
    y, x = np.indices(p.shape)
    variance = sum(float((p * z**2).sum() - (p * z).sum() ** 2) for z in (x, y)) / 2
    flat = sum(side**2 - 1 for side in p.shape) / 24
    return Locality(max(variance, 0.0) ** 0.5, float(1 / (p.size * (p**2).sum())), flat**0.5)
