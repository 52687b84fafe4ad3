"""Cavity rule: remove the weights whose removal makes their unit's preactivation least Gaussian (or, mirrored, most Gaussian).

    keep the lowest cavity scores (`cavity`), or the highest (`cavity_lowest`)

Redman et al. (2025) hypothesise (H*) that IMP removes exactly the weights with the highest scores (eq. 5), and show that those
it removes have positive ones on average. Here the score itself decides, with the counts and rounds of IMP: if H* holds, the
masks are like IMP's; the mirror image is the control. The paper does not do this; the rule is ours.

Blind spot: scores are of single weights, one at a time; 30 % of them removed together do not add up.
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
