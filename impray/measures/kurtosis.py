"""Kurtosis of each unit's preactivations: how far the representation is from Gaussian (3).

    lambda_i(X) = sum_j W_ij X~_j + b_i                      eq. 3        X~ = gamma X + beta with batch norm, else X
    kurt(lambda_i) = E[(lambda_i - E lambda_i)^4] / E[(lambda_i - E lambda_i)^2]^2        eq. 4

Redman et al. (2025), section 3.2 and, for deeper layers, eq. 7 (Appendix D): layer 2 reads the activations of layer 1. The
paper's X~ drops the whitening of batch norm; `batch_norm: network` keeps it (the statistics of evaluation at the end of a
round, those of the measured sample at its start). Pooled: E over all classes; per class: the mean over classes of the
kurtosis within each. The paper's "excess" is |3 - kurt|; ours is not taken.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from impray.measures.state import Readings, RoundState
from impray.nets import mlp
from impray.nets.mlp import Params
from impray.spec import measure as spec


def kurtosis(values: Float[Tensor, "sample unit"]) -> Float[Tensor, " unit"]:
    """Fourth standardised moment over samples, in float64, at least 1; NaN for a constant."""
    centred = values.double() - values.double().mean(dim=0)
    # A unit without inputs is constant up to rounding: its kurtosis is undefined, not the kurtosis of rounding errors.
    variance = centred.square().mean(dim=0)
    floor = (1e-6 * values.double().abs().amax(dim=0)).square()
    return torch.where(variance > floor, centred.square().square().mean(dim=0) / variance.square(), torch.nan)


def per_class(values: Float[Tensor, "sample unit"], labels: Int[Tensor, " sample"]) -> Float[Tensor, " unit"]:
    """Mean over classes of the kurtosis within a class; NaN where it is undefined in any class."""
    return torch.stack([kurtosis(values[labels == label]) for label in labels.unique()]).mean(dim=0)


def measure(asked: spec.Kurtosis, state: RoundState) -> Readings:
    """Both kurtoses of every hidden layer's units, at the asked points of the round."""
    layers = range(1, max(state.arch.layers, 2))
    found: dict[int, dict[str, list[Tensor]]] = {layer: {} for layer in layers}
    for net in range(state.nets):
        inputs, labels = _first_of_each_class(*state.held_out(net), asked.samples)
        for at in asked.at:
            params, stats = state.one(net, at)
            if asked.batch_norm == "affine":
                stats = _no_whitening(params)
            suffix = "_end" if at == "end" else ""
            of_layer = mlp.preactivations(state.arch, params, inputs[None], stats)
            for layer in layers:
                values = of_layer[layer - 1][0]
                found[layer].setdefault("kurtosis" + suffix, []).append(kurtosis(values))
                found[layer].setdefault("kurtosis_per_class" + suffix, []).append(per_class(values, labels))
    return Readings(units={layer: {c: torch.stack(v) for c, v in columns.items()} for layer, columns in found.items()})


def _first_of_each_class(inputs: Tensor, labels: Tensor, samples: int | None) -> tuple[Tensor, Tensor]:
    if samples is None:
        return inputs, labels
    chosen = torch.cat([(labels == label).nonzero()[:samples, 0] for label in labels.unique()])
    return inputs[chosen], labels[chosen]


def _no_whitening(params: Params) -> Params | None:
    """Statistics that make batch norm its affine part alone: gamma x + beta."""
    stats = {}
    for name, value in params.items():
        if name.startswith("gamma"):
            stats[f"mean{name[5:]}"] = torch.zeros_like(value)
            stats[f"var{name[5:]}"] = torch.ones_like(value)
    return stats or None
