"""Rules: pure functions from what is known of a lineage to its next mask, one file each.

RULES says what each method does. All methods keep the same number of weights in every scope and round (`Prune.kept`). To add one: a
class in `impray/spec/rules/`, a function here, a line in `impray.spec.families`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from impray.masks.past import Past, Rule
from impray.masks.scope import Masks, Scope, density, full, scopes
from impray.spec import families
from impray.spec.errors import MemberError
from impray.spec.family import BUILT_IN, Implementations
from impray.spec.rules import SolverRule

__all__ = ["RULES", "Masks", "Past", "Rule", "Scope", "density", "full", "next_mask", "scopes"]

RULES: Implementations[Rule] = Implementations(families.rules, by_tag=True)


def next_mask(method: str, past: Past, scope: Scope, keep: int) -> Tensor:
    """What a method keeps of a scope, [prunable].

    Raises:  MemberError: the rule does not keep what it must: as many as every other method.
    """
    member = families.rules.member(method)
    assert not issubclass(member.spec, SolverRule), (
        f"{method} has a solver and no rule: its lineages are solved, not trained"
    )
    mask, source = RULES.call(method, past, scope, keep), member.source
    if source != BUILT_IN:  # tests hold the built-in ones to it
        why = _wrong(mask, past, scope, keep)
        if why:
            raise MemberError(method, source, why)
    return mask


def _wrong(mask: object, past: Past, scope: Scope, keep: int) -> str | None:
    size = scope.flat(past.everything).numel()
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool or mask.shape != (size,):
        shown = f"{mask.dtype} of shape {list(mask.shape)}" if isinstance(mask, Tensor) else type(mask).__name__
        return f"must give a mask, torch.bool of shape [{size}], not {shown}"
    if int(mask.sum()) != keep:
        return f"must keep {keep} of {size} weights, as every method does, not {int(mask.sum())}"
    back = int((mask.cpu() & ~scope.flat(past.masks()).cpu()).sum())
    return f"must leave what was pruned as it is; it brings {back} weights back" if back else None
