"""Magnitude rule: keep the largest |w| of those still kept; ties go by position.

Frankle & Carbin (2019); Redman et al. (2025), section 2.1, word it as a threshold tau. We rank instead of comparing with a
threshold: `|w| > tau` removes every weight tied at the cut, and one too many.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def magnitude(
    weights: Float[Tensor, " prunable"], mask: Bool[Tensor, " prunable"], keep: int
) -> Bool[Tensor, " prunable"]:
    """The next mask of one scope: the `keep` largest magnitudes among the kept; of equal ones, the earlier are removed first.

    Args:    weights: trained weights, finite. mask: the current mask. keep: how many stay, at most `mask.sum()`.
    Returns: a mask with exactly `keep` entries, none of which was pruned before.
    """
    assert keep <= int(mask.sum()), "a mask never grows"
    size = torch.where(mask, weights.abs(), -1.0)  # pruned ones rank below every kept one: nothing comes back
    order = torch.argsort(size, stable=True)
    survivors = torch.zeros_like(mask)
    survivors[order[mask.numel() - keep :]] = True
    return survivors
