"""What the cavity rule reads: scores of single weights on the inputs that training draws."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from impray.data import PackData
from impray.lineage.checkpoint import Params
from impray.masks import Masks, within_units
from impray.measures.forward import affine
from impray.measures.on_weights import layer_scores
from impray.nets.mlp import Architecture
from impray.spec.prune import CavityRule

Sample = tuple[Float[Tensor, "sample input"], Int[Tensor, " sample"]]


def training_sample(data: PackData, batch: int, round: int, samples: int) -> Sample:
    """The first inputs, and their labels, that training in `round` draws for the only net of `data`."""
    data.start(round)
    batches = -(-samples // batch)
    found = []
    while batches > 0:
        steps = min(batches, data.block)
        raw = data.draw(steps)
        found += [tuple(part[0].clone() for part in data.batch(raw, step)) for step in range(steps)]
        batches -= steps
    inputs, labels = (torch.cat(parts)[:samples] for parts in zip(*found, strict=True))
    return inputs, labels


def rule_scores(
    rule: CavityRule, arch: Architecture, weights: Params, masks: Masks, names: Sequence[str], sample: Sample
) -> Params:
    """Scores of the named parameters at the weights that `masks` keep, as `rule` ranks them.

    Args:    weights: of one net, on the CPU.
    Returns: on the CPU; NaN where there is no score: biases, what is undefined (`cavity_scores`), and then perhaps all. The rule
             removes by position there.
    """
    inputs, labels = sample
    masked = {name: value * masks[name] if name in masks else value for name, value in weights.items()}
    params = {name: value[None].to(inputs.device) for name, value in masked.items()}
    layers = [int(name.removeprefix("weight")) for name in names if name.startswith("weight")]
    found = layer_scores(arch, params, affine(params), inputs, labels, layers)
    scores = {name: torch.full(masks[name].shape, torch.nan, dtype=weights[name].dtype) for name in names}
    for layer, values in found.items():
        name = f"weight{layer}"
        scores[name] = within_units(values.cpu(), masks[name]) if rule.within == "unit" else values.cpu()
    return scores
