"""Cavity rule: remove the weights whose removal makes their unit's preactivation least Gaussian (or, mirrored, most Gaussian).

    keep the lowest cavity scores (`cavity`), or the highest (`cavity_lowest`)

Redman et al. (2025) hypothesise (H*) that IMP removes exactly the weights with the highest scores (eq. 5), and show that those
it removes have positive ones on average. Here the score itself decides, with the counts and rounds of IMP: if H* holds, the
masks are like IMP's; the mirror image is the control. The paper does not do this; the rule is ours.

Blind spot: scores are of single weights, and do not add up: removed together, the highest scores of a unit can make it more
Gaussian. Two remedies, both off unless asked for: new scores after every part of a round's share (`prune.cavity.rescore`), and
equal shares of each unit (`prune.cavity.within: unit`), since a few very non-Gaussian units hold most of the highest scores.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from impray.masks.ranked import ranked


def cavity(
    scores: Float[Tensor, " prunable"], mask: Bool[Tensor, " prunable"], keep: int, highest_first: bool = True
) -> Bool[Tensor, " prunable"]:
    """The next mask of one scope, by cavity score; of equal scores, the earlier weight is removed first.

    Args:    scores: NaN where undefined (a bias, the last weight of a unit): such weights are removed last.
             mask: the current mask. keep: how many stay. highest_first: which end is removed.
    Returns: a mask with exactly `keep` entries, none of which was pruned before.
    """
    value = -scores if highest_first else scores
    return ranked(torch.where(scores.isnan(), torch.inf, value), mask, keep)


def within_units(scores: Float[Tensor, "unit input"], mask: Bool[Tensor, "unit input"]) -> Float[Tensor, "unit input"]:
    """Each kept weight's place in its own unit, as a share in (0, 1): ranked together, every unit loses equal shares.

    Args:    scores: NaN where undefined. mask: the current mask.
    Returns: (place - 1/2) / kept, 1 <= place <= kept from the lowest score up; NaN where the score is, or the weight is pruned.
    """
    defined = mask & ~scores.isnan()
    order = torch.where(defined, scores, torch.inf).argsort(dim=1, stable=True)
    place = torch.empty_like(order).scatter_(1, order, torch.arange(scores.shape[1]).expand_as(order).contiguous())
    share = (place + 0.5) / defined.sum(dim=1, keepdim=True)
    return torch.where(defined, share.to(scores.dtype), torch.nan)
