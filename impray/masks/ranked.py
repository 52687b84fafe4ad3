"""Ranking: keep the largest of one number per weight, in exact counts; what all rules but `random` come down to."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def ranked(value: Float[Tensor, " prunable"], mask: Bool[Tensor, " prunable"], keep: int) -> Bool[Tensor, " prunable"]:
    """The next mask of one scope: the `keep` largest values among the kept; of equal ones, the earlier are removed first.

    By rank, not by threshold: `value > cut` removes every weight tied at the cut, and in one well-known code base one too many.

    Args:    value: one number per weight, no NaN. mask: the current mask. keep: how many stay, at most `mask.sum()`.
    Returns: a mask with exactly `keep` entries, none of which was pruned before.
    """
    assert keep <= int(mask.sum()), "a mask never grows"
    value = torch.where(mask, value, -torch.inf)  # pruned ones rank below every kept one: nothing comes back
    order = torch.argsort(value, stable=True)
    # Two stable sorts: a kept value of -inf ties with pruned ones, which must still go first.
    order = order[torch.argsort(mask[order].to(torch.uint8), stable=True)]
    survivors = torch.zeros_like(mask)
    survivors[order[mask.numel() - keep :]] = True
    return survivors
