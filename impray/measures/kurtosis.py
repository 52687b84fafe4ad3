"""Kurtosis of each unit's preactivations: how far the representation is from Gaussian (3).

    lambda_i(X) = sum_j W_ij X~_j + b_i                      eq. 3        X~ = gamma X + beta with batch norm, else X
    kurt(lambda_i) = E[(lambda_i - E lambda_i)^4] / E[(lambda_i - E lambda_i)^2]^2        eq. 4

Redman et al. (2025), section 3.2 and, for deeper layers, eq. 7 (Appendix D): layer 2 reads the activations of layer 1. The
paper's X~ drops the whitening of batch norm; `batch_norm: network` keeps it (the statistics of evaluation at the end of a
round, those of the measured sample at its start). Pooled: E over all classes; per class: the mean over classes of the
kurtosis within each that has 8 samples or more. The paper's "excess" is |3 - kurt|; ours is not taken.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from impray.measures.forward import affine, first_of_each_class, frequent_classes, preactivations
from impray.measures.state import Readings, RoundState
from impray.spec import measure as spec

_UNITS = 128  # at a time: in double precision, 50,000 samples of 1,024 units would be 0.4 GB, several times


def kurtosis(values: Float[Tensor, "sample unit"]) -> Float[Tensor, " unit"]:
    """Fourth standardised moment over samples, in float64, at least 1; NaN for a constant."""
    return torch.cat([_kurtosis(some.double()) for some in values.split(_UNITS, dim=1)])


def _kurtosis(values: Float[Tensor, "sample unit"]) -> Float[Tensor, " unit"]:
    centred = values - values.mean(dim=0)
    # A unit without inputs is constant up to rounding: its kurtosis is undefined, not the kurtosis of rounding errors.
    variance = centred.square().mean(dim=0)
    floor = (1e-6 * values.abs().amax(dim=0)).square()
    return torch.where(variance > floor, centred.square().square().mean(dim=0) / variance.square(), torch.nan)


def per_class(values: Float[Tensor, "sample unit"], labels: Int[Tensor, " sample"]) -> Float[Tensor, " unit"]:
    """Mean over classes of the kurtosis within a class; NaN where it is undefined in any class."""
    return torch.stack([kurtosis(values[labels == label]) for label in labels.unique()]).mean(dim=0)


def measure(asked: spec.Kurtosis, state: RoundState) -> Readings:
    """Both kurtoses of every hidden layer's units, at the asked points of the round."""
    layers = range(1, max(state.arch.layers, 2))
    found: dict[int, dict[str, list[Tensor]]] = {layer: {} for layer in layers}
    for net in range(state.nets):
        inputs, labels = first_of_each_class(*state.held_out(net), asked.samples)
        for at in asked.at:
            params, stats = state.one(net, at)
            if asked.batch_norm == "affine":
                stats = affine(params)
            suffix = "_end" if at == "end" else ""
            of_layer = preactivations(state.arch, params, inputs, stats, layers)
            for layer in layers:
                values = of_layer[layer - 1]
                found[layer].setdefault("kurtosis" + suffix, []).append(kurtosis(values))
                within = per_class(*frequent_classes(values, labels))
                found[layer].setdefault("kurtosis_per_class" + suffix, []).append(within)
    return Readings(units={layer: {c: torch.stack(v) for c, v in columns.items()} for layer, columns in found.items()})
