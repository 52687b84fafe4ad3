"""Rules: pure functions from what is known of a lineage to its next mask, one file each.

RULES says what each method does. All methods keep the same number of weights in every scope and round (`Prune.kept`). To add one: a
class in `impray/spec/rules/`, a function here, a line in `impray.spec.families`.
"""

from __future__ import annotations

from collections.abc import MutableMapping

import torch
from torch import Tensor

from impray.masks.past import Past, Rule
from impray.masks.scope import Masks, Scope, density, full, scopes
from impray.spec import families
from impray.spec.errors import MemberError
from impray.spec.family import Implementations

__all__ = ["RULES", "Masks", "Past", "Rule", "Scope", "density", "full", "next_mask", "scopes"]

RULES: MutableMapping[str, Rule] = Implementations(families.rules, by_tag=True)


def next_mask(method: str, past: Past, scope: Scope, keep: int) -> Tensor:
    """What a method keeps of a scope, [prunable]; on the CPU.

    Raises:  MemberError: the rule does not keep what it must: as many as every other method.
    """
    mask = RULES[method](past, scope, keep)
    size = scope.flat(past.everything).numel()
    where = families.rules.member(method).source
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool or mask.shape != (size,):
        shown = f"{mask.dtype} of shape {list(mask.shape)}" if isinstance(mask, Tensor) else type(mask).__name__
        raise MemberError(method, where, f"must give a mask, torch.bool of shape [{size}], not {shown}")
    if int(mask.sum()) != keep:
        raise MemberError(
            method, where, f"must keep {keep} of {size} weights, as every method does, not {int(mask.sum())}"
        )
    return mask
