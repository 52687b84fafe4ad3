"""Scopes: the parameters that are ranked together; how many of them each round keeps is in `impray.spec.counts`.

A mask is a dict from parameter name, as the network's layers have it, to a boolean tensor; parameters without an entry are never
pruned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from impray.nets.base import Layer
from impray.spec.prune import Prune

Masks = dict[str, Tensor]


@dataclass(frozen=True)
class Scope:
    """Names of the parameters that are ranked together, in the order in which they are laid end to end."""

    names: tuple[str, ...]

    def flat(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """All elements of this scope's parameters as one vector, [prunable]."""
        return torch.cat([tensors[name].reshape(-1) for name in self.names])

    def unflat(self, flat: Tensor, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The inverse of `flat`: one tensor per parameter, shaped as in `like`."""
        parts = torch.split(flat, [like[name].numel() for name in self.names])
        return {name: part.reshape(like[name].shape) for name, part in zip(self.names, parts, strict=True)}


def scopes(prune: Prune, layers: Sequence[Layer]) -> list[Scope]:
    """One scope per pruned layer, or a single one over all of them (`scope: global`)."""
    pruned = [layers[number - 1] for number in prune.pruned_layers(len(layers))]
    ranked = prune.biases == "ranked"
    per_layer = [(layer.weight, layer.bias) if ranked and layer.bias else (layer.weight,) for layer in pruned]
    if prune.scope == "global":
        return [Scope(tuple(name for names in per_layer for name in names))]
    return [Scope(names) for names in per_layer]


def full(prune_scopes: Sequence[Scope], params: Mapping[str, Tensor]) -> Masks:
    """The mask of round 0: everything is kept."""
    return {name: torch.ones_like(params[name], dtype=torch.bool) for scope in prune_scopes for name in scope.names}


def density(masks: Mapping[str, Tensor]) -> float:
    """Kept over prunable parameters."""
    prunable = sum(mask.numel() for mask in masks.values())
    return sum(int(mask.sum()) for mask in masks.values()) / prunable
