"""Controls that follow IMP's masks: what is it in a mask, and in the weights that it is of, that matters?

`reinit` trains imp's mask from new initial weights (Frankle & Carbin 2019, section 1); `shuffled` keeps, in each layer, as many
weights as imp does, at places of their own: a permutation per layer, the same in every round, so that masks are nested.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool
from torch import Tensor

from impray.masks.past import Past
from impray.masks.scope import Scope


def leaders(past: Past, scope: Scope, keep: int) -> Bool[Tensor, " prunable"]:
    """The rule `reinit`: the very mask."""
    return scope.flat(past.leader())


def shuffled(past: Past, scope: Scope, keep: int) -> Bool[Tensor, " prunable"]:
    """The rule `shuffled`: in each of the scope's tensors the mask's entries, permuted."""
    masks = past.leader()
    places = {name: torch.randperm(masks[name].numel(), generator=past.generator) for name in scope.names}
    return scope.flat({name: masks[name].reshape(-1)[places[name]] for name in scope.names})
