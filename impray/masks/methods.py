"""What each built-in method makes of the past of a lineage: which rule it uses, and on which numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from impray.masks.cavity import cavity
from impray.masks.magnitude import magnitude
from impray.masks.random import random
from impray.masks.scope import Masks, Scope
from impray.spec.rules import RuleSpec


@dataclass(frozen=True)
class Past:
    """What a rule may read of its lineage before round n. What costs something to have is a function.

    everything: a mask of ones. dense: trained weights of round 0. masks(): m(n-1). end(): trained weights of round n-1.
    scores(masks, names): cavity scores of the named parameters at the weights that `masks` keep, NaN where there is none; masks
    are m(n-1), less what the rule has pruned of the scope so far: later scopes see the earlier ones as they were in round n-1.
    rescore: how often the cavity rule asks for them. generator: the stream `prune`, at its start for the first scope.
    rule: the method's own parameters.
    """

    everything: Masks
    dense: dict[str, Tensor]
    masks: Callable[[], Masks]
    end: Callable[[], dict[str, Tensor]]
    scores: Callable[[Masks, Sequence[str]], dict[str, Tensor]]
    rescore: int
    generator: torch.Generator
    rule: RuleSpec = RuleSpec()


Rule = Callable[[Past, Scope, int], Tensor]


def imp(past: Past, scope: Scope, keep: int) -> Tensor:
    return magnitude(scope.flat(past.end()), scope.flat(past.masks()), keep)


def oneshot(past: Past, scope: Scope, keep: int) -> Tensor:
    return magnitude(scope.flat(past.dense), scope.flat(past.everything), keep)


def at_random(past: Past, scope: Scope, keep: int) -> Tensor:
    return random(scope.flat(past.everything).numel(), keep, past.generator)


def highest_cavity(past: Past, scope: Scope, keep: int) -> Tensor:
    return _by_cavity(past, scope, keep, highest_first=True)


def lowest_cavity(past: Past, scope: Scope, keep: int) -> Tensor:
    return _by_cavity(past, scope, keep, highest_first=False)


def _by_cavity(past: Past, scope: Scope, keep: int, *, highest_first: bool) -> Tensor:
    masks = past.masks()
    flat = scope.flat(masks)
    left = int(flat.sum())
    if left == keep:  # a small scope's counts may stay, or be 0: no score is asked for, and there may be none
        return flat
    for part in range(1, past.rescore + 1):
        scores = scope.flat(past.scores(masks, scope.names))
        flat = cavity(scores, flat, left - (left - keep) * part // past.rescore, highest_first)
        masks = masks | scope.unflat(flat, masks)
    return flat
