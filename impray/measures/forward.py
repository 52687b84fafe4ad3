"""Preactivations of one net on many inputs, in portions: 50,000 inputs of 3,072 numbers would be copied several times at once.

Without batch norm, or with its statistics given, an input's preactivations do not depend on the other inputs. Statistics of the
sample itself do; then everything is computed at once.
"""

from __future__ import annotations

import dataclasses

import torch
from jaxtyping import Float
from torch import Tensor

from impray.nets import mlp
from impray.nets.mlp import Architecture, Params

PORTION = 4096


def preactivations(
    arch: Architecture,
    params: Params,
    inputs: Float[Tensor, "sample input"],
    stats: Params | None,
    layers: int | None = None,
) -> list[Float[Tensor, "sample unit"]]:
    """z_l of layers 1 to `layers` (all by default); see `mlp.preactivations`.

    Args:    params, stats: of one net, its net axis kept.
    """
    layers = arch.layers if layers is None else layers
    lower = dataclasses.replace(arch, sizes=arch.sizes[: layers + 1])
    if arch.batch_norm and not stats:
        return [z[0] for z in mlp.preactivations(lower, params, inputs[None], stats)]
    parts = [mlp.preactivations(lower, params, part[None], stats) for part in inputs.split(PORTION)]
    return [torch.cat([part[layer][0] for part in parts]) for layer in range(layers)]


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
