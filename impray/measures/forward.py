"""Preactivations of one net on many inputs, in portions: 50,000 inputs of 3,072 numbers would be copied several times at once.

Without batch norm, or with its statistics given, an input's preactivations do not depend on the other inputs. Statistics of the
sample itself do; then everything is computed at once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from impray.nets import mlp
from impray.nets.mlp import Architecture, Params

PORTION = 4096
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def preactivations(
    arch: Architecture,
    params: Params,
    inputs: Float[Tensor, "sample input"],
    stats: Params | None,
    layers: Sequence[int],
) -> list[Float[Tensor, "sample unit"]]:
    """z_l of the layers asked for, in that order; see `mlp.preactivations`.

    Args:    params, stats: of one net, its net axis kept.
    """
    if not layers:
        return []
    lower = dataclasses.replace(arch, sizes=arch.sizes[: max(layers) + 1])
    params, stats = (
        {name: value for name, value in (part or {}).items() if int(name.lstrip(_LETTERS)) <= max(layers)}
        for part in (params, stats)
    )
    portion = len(inputs) if arch.batch_norm and not stats else PORTION
    found = [inputs.new_empty(len(inputs), arch.sizes[layer]) for layer in layers]
    for first in range(0, len(inputs), max(portion, 1)):
        some = slice(first, first + portion)
        of_part = mlp.preactivations(lower, params, inputs[some][None], stats)
        for whole, layer in zip(found, layers, strict=True):
            whole[some] = of_part[layer - 1][0]
    return found


def affine(params: Params) -> Params | None:
    """Statistics that make batch norm its affine part alone, gamma x + beta (Redman et al. 2025, after eq. 3)."""
    stats = {}
    for name, value in params.items():
        if name.startswith("gamma"):
            stats[f"mean{name[5:]}"] = torch.zeros_like(value)
            stats[f"var{name[5:]}"] = torch.ones_like(value)
    return stats or None


def first_of_each_class(
    inputs: Float[Tensor, "sample input"], labels: Tensor, samples: int | None, classes: int | None = None
) -> tuple[Tensor, Tensor]:
    """The first `samples` inputs of each of the first `classes` classes, and their labels; None is all of them."""
    if samples is None and classes is None:
        return inputs, labels
    wanted = labels.unique()[:classes]
    chosen = torch.cat([(labels == label).nonzero()[:samples, 0] for label in wanted])
    return inputs[chosen], labels[chosen]


LEAST = 8  # samples of a class below which a kurtosis within it means nothing (of 2 samples it is 1, of 3 it is 1.5)


def frequent_classes(inputs: Float[Tensor, "sample input"], labels: Tensor) -> tuple[Tensor, Tensor]:
    """The samples of classes that have `LEAST` or more of them; all samples where no class has.

    For what is computed within every class: one rare class would make it undefined, or noise, for all.
    """
    found, counts = labels.unique(return_counts=True)
    frequent = found[counts >= LEAST]
    if len(frequent) in (0, len(found)):
        return inputs, labels
    chosen = torch.isin(labels, frequent)
    return inputs[chosen], labels[chosen]
