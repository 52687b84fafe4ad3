"""Cavity rule: remove the weights whose removal makes their unit's preactivation least Gaussian (or, mirrored, most Gaussian).

    keep the lowest cavity scores (`cavity`), or the highest (`cavity_lowest`)

Redman et al. (2025) hypothesise (H*) that IMP removes exactly the weights with the highest scores (eq. 5), and show that those
it removes have positive ones on average. Here the score itself decides, with the counts and rounds of IMP: if H* holds, the
masks are like IMP's; the mirror image is the control. The paper does not do this; the rule is ours.

Scores are of the inputs that training draws. Classes with few different samples in the draw are left out: a kurtosis of theirs
means nothing. Data sets are drawn from with replacement: repeated draws count in the scores, as they do in training.

Blind spot: scores are of single weights, and do not add up: removed together, the highest scores of a unit can make it more
Gaussian. Two remedies, both off unless asked for: new scores after every part of a round's share (`prune.cavity.rescore`), and
equal shares of each unit (`prune.cavity.within: unit`), since a few very non-Gaussian units hold most of the highest scores.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from impray.masks.past import Past, Sample
from impray.masks.ranked import ranked
from impray.masks.scope import Masks, Scope
from impray.measures.forward import frequent_classes
from impray.measures.on_weights import layer_scores
from impray.nets.base import Network, Params
from impray.spec.prune import CavityRule


def highest_first(past: Past, scope: Scope, keep: int) -> Bool[Tensor, " prunable"]:
    """The rule `cavity`."""
    return _pruned(past, scope, keep, highest_first=True)


def lowest_first(past: Past, scope: Scope, keep: int) -> Bool[Tensor, " prunable"]:
    """The rule `cavity_lowest`."""
    return _pruned(past, scope, keep, highest_first=False)


def _pruned(past: Past, scope: Scope, keep: int, highest_first: bool) -> Bool[Tensor, " prunable"]:
    masks, rule = past.masks(), past.prune.cavity
    flat = scope.flat(masks)
    left = int(flat.sum())
    if left == keep:  # a small scope's counts may stay, or be 0: no score is asked for, and there may be none
        return flat
    weights = past.end() if rule.at == "end" else past.start()
    sample = frequent_classes(*past.sample(rule.samples), fresh=past.fresh)
    for part in range(1, rule.rescore + 1):
        # Later scopes see the earlier ones as they were in round n-1.
        scores = scope.flat(rule_scores(rule, past.network, weights, masks, scope.names, sample))
        flat = cavity(scores, flat, left - (left - keep) * part // rule.rescore, highest_first)
        masks = masks | scope.unflat(flat, masks)
    return flat


def rule_scores(
    rule: CavityRule, network: Network, weights: Params, masks: Masks, names: Sequence[str], sample: Sample
) -> Params:
    """Scores of the named parameters at the weights that `masks` keep, as `rule` ranks them.

    Args:    weights: of one net, on the CPU.
    Returns: on the CPU; NaN where there is no score: biases, kernels that are no dense layer, what is undefined (`cavity_scores`),
             and then perhaps all. The rule removes by position there.
    """
    inputs, labels = sample
    masked = {name: value * masks[name] if name in masks else value for name, value in weights.items()}
    params = {name: value[None].to(inputs.device) for name, value in masked.items()}
    layers = [layer for layer in network.layers if layer.weight in names and layer.dense]
    numbers = [layer.number for layer in layers]
    of_layers = layer_scores(network, params, network.affine(params), inputs, labels, numbers)
    scores = {name: torch.full(masks[name].shape, torch.nan, dtype=weights[name].dtype) for name in names}
    for layer in layers:
        values, mask = of_layers[layer.number].cpu(), masks[layer.weight]
        scores[layer.weight] = within_units(values, mask) if rule.within == "unit" else values
    return scores


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


def within_units(scores: Float[Tensor, "unit input"], mask: Bool[Tensor, "unit input"]) -> Float[Tensor, "unit input"]:
    """Each kept weight's place in its own unit, as a share in (0, 1): ranked together, every unit loses equal shares.

    Args:    scores: NaN where undefined. mask: the current mask.
    Returns: (place - 1/2) / kept, 1 <= place <= kept from the lowest score up; NaN where the score is, or the weight is pruned.
    """
    defined = mask & ~scores.isnan()
    order = torch.where(defined, scores, torch.inf).argsort(dim=1, stable=True)
    place = torch.empty_like(order).scatter_(1, order, torch.arange(scores.shape[1]).expand_as(order).contiguous())
    share = (place + 0.5) / defined.sum(dim=1, keepdim=True)
    return torch.where(defined, share.to(scores.dtype), torch.nan)
