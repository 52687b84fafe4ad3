"""What a rule may read of its lineage before it makes the next mask."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from impray.masks.scope import Masks, Scope
from impray.nets.base import Network, Params
from impray.spec.prune import Prune
from impray.spec.rules import RuleSpec

Sample = tuple[Float[Tensor, "sample input"], Int[Tensor, " sample"]]


@dataclass(frozen=True)
class Past:
    """What a rule may read of its lineage before round n; tensors are of one net. What costs something to have is a function.

    Args:
        prune, network: of the lineage. rule: the method, with parameters of its own.
        everything: a mask of ones. dense: trained weights of round 0.
        masks(): m(n-1). start(): theta(rewind), not masked, whatever rounds start from. end(): trained weights of round n-1.
        leader(): m(n) of the method that the rule follows, for the same trial and seed.
        sample(count): the first inputs, and their labels, that training in round n draws.
        fresh: whether every sample is drawn for itself; those of a data set may be the same one twice.
        generator: the stream `prune`, at its start for the first scope.
    """

    prune: Prune
    network: Network
    everything: Masks
    dense: Params
    masks: Callable[[], Masks]
    start: Callable[[], Params]
    end: Callable[[], Params]
    leader: Callable[[], Masks]
    sample: Callable[[int], Sample]
    fresh: bool
    generator: torch.Generator
    rule: RuleSpec = RuleSpec()


Rule = Callable[[Past, Scope, int], Tensor]
"""rule(past, scope, keep): the next mask of a scope, [prunable], bool, with `keep` entries."""
