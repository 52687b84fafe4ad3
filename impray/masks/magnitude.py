"""Magnitude rule: keep the largest |w| of those still kept; ties go by position.

Frankle & Carbin (2019); Redman et al. (2025), section 2.1, word it as a threshold tau; we rank (see `ranked`).
"""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor

from impray.masks.past import Past
from impray.masks.ranked import ranked
from impray.masks.scope import Scope


def imp(past: Past, scope: Scope, keep: int) -> Bool[Tensor, " prunable"]:
    """The rule `imp`: by the weights that the round before trained."""
    return magnitude(scope.flat(past.end()), scope.flat(past.masks()), keep)


def oneshot(past: Past, scope: Scope, keep: int) -> Bool[Tensor, " prunable"]:
    """The rule `oneshot`: by the weights of the dense round."""
    return magnitude(scope.flat(past.dense), scope.flat(past.everything), keep)


def magnitude(
    weights: Float[Tensor, " prunable"], mask: Bool[Tensor, " prunable"], keep: int
) -> Bool[Tensor, " prunable"]:
    """The next mask of one scope: the `keep` largest magnitudes among the kept; of equal ones, the earlier are removed first.

    Args:    weights: trained weights, finite. mask: the current mask. keep: how many stay, at most `mask.sum()`.
    Returns: a mask with exactly `keep` entries, none of which was pruned before.
    """
    return ranked(weights.abs(), mask, keep)
