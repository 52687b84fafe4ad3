"""Rules: pure functions from what is known of a lineage to its next mask, one file each.

RULES says which rule each method uses, and on which numbers. All methods keep the same number of weights in every scope and round
(`Prune.kept`). To add one: a name in `Method` (impray/spec/prune.py), a file here, a line in RULES.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from impray.masks.cavity import cavity, within_units
from impray.masks.magnitude import magnitude
from impray.masks.random import random
from impray.masks.ranked import ranked
from impray.masks.scope import Masks, Scope, density, full, scopes
from impray.spec.counts import counts
from impray.spec.prune import Method

__all__ = [
    "RULES",
    "Masks",
    "Past",
    "Scope",
    "cavity",
    "counts",
    "density",
    "full",
    "magnitude",
    "random",
    "ranked",
    "scopes",
    "within_units",
]


@dataclass(frozen=True)
class Past:
    """What a rule may read of its lineage before round n. What costs something to have is a function.

    everything: a mask of ones. dense: trained weights of round 0. masks(): m(n-1). end(): trained weights of round n-1.
    scores(masks, names): cavity scores of the named parameters at the weights that `masks` keep, NaN where there is none; masks
    are m(n-1), less what the rule has pruned of the scope so far: later scopes see the earlier ones as they were in round n-1.
    rescore: how often the cavity rule asks for them. generator: the stream `prune`, at its start for the first scope.
    """

    everything: Masks
    dense: dict[str, Tensor]
    masks: Callable[[], Masks]
    end: Callable[[], dict[str, Tensor]]
    scores: Callable[[Masks, Sequence[str]], dict[str, Tensor]]
    rescore: int
    generator: torch.Generator


def _imp(past: Past, scope: Scope, keep: int) -> Tensor:
    return magnitude(scope.flat(past.end()), scope.flat(past.masks()), keep)


def _oneshot(past: Past, scope: Scope, keep: int) -> Tensor:
    return magnitude(scope.flat(past.dense), scope.flat(past.everything), keep)


def _random(past: Past, scope: Scope, keep: int) -> Tensor:
    return random(scope.flat(past.everything).numel(), keep, past.generator)


def _cavity(past: Past, scope: Scope, keep: int, highest_first: bool = True) -> Tensor:
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


def _cavity_lowest(past: Past, scope: Scope, keep: int) -> Tensor:
    return _cavity(past, scope, keep, highest_first=False)


RULES: dict[Method, Callable[[Past, Scope, int], Tensor]] = {
    "imp": _imp,
    "oneshot": _oneshot,
    "random": _random,
    "cavity": _cavity,
    "cavity_lowest": _cavity_lowest,
}
