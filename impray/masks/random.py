"""Random rule: one seeded permutation per scope, cut shorter every round, so that masks are nested; the control."""

from __future__ import annotations

import torch
from jaxtyping import Bool
from torch import Tensor

from impray.masks.past import Past
from impray.masks.scope import Scope


def permuted(past: Past, scope: Scope, keep: int) -> Bool[Tensor, " prunable"]:
    """The rule `random`."""
    return random(scope.flat(past.everything).numel(), keep, past.generator)


def random(prunable: int, keep: int, generator: torch.Generator) -> Bool[Tensor, " prunable"]:
    """The first `keep` places of the generator's permutation.

    Args:    prunable: size of the scope. keep: how many stay. generator: on the CPU, seeded alike in every round (so masks nest).
    Returns: a mask with exactly `keep` entries, on the CPU.
    """
    mask = torch.zeros(prunable, dtype=torch.bool)
    mask[torch.randperm(prunable, generator=generator)[:keep]] = True
    return mask
