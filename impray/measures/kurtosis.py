"""Kurtosis of each unit's preactivations: how far the representation is from Gaussian (3).

    lambda_i(X) = sum_j W_ij X~_j + b_i                      eq. 3        X~ = gamma X + beta with batch norm, else X
    kurt(lambda_i) = E[(lambda_i - E lambda_i)^4] / E[(lambda_i - E lambda_i)^2]^2        eq. 4

Redman et al. (2025), section 3.2 and, for deeper layers, eq. 7 (Appendix D): layer 2 reads the activations of layer 1. The
paper's X~ drops the whitening of batch norm; `batch_norm: network` keeps it (the statistics of evaluation at the end of a
round, those of the measured sample at its start). Pooled: E over all classes; per class: the mean over classes of the
kurtosis within each that has 8 different samples or more. The paper's "excess" is |3 - kurt|; ours is not taken.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from impray.measures.forward import affine, first_of_each_class, frequent, preactivations
from impray.measures.scale import scaled
from impray.measures.state import Readings, RoundState
from impray.spec import measure as spec

_UNITS = 128  # at a time: in double precision, 50,000 samples of 1,024 units would be 0.4 GB, several times
# A unit without inputs is constant up to rounding: its kurtosis is undefined, not the kurtosis of rounding errors. What varies less
# than this share of its largest magnitude is constant.
_CONSTANT = 1e-6
_CONSTANT_DOUBLE = 1e-12


def kurtosis(values: Float[Tensor, "sample unit"]) -> Float[Tensor, " unit"]:
    """Fourth standardised moment over samples, in float64, at least 1; scale and offset do not matter.

    NaN for a constant, for one sample and none, and for numbers that are not finite. Constant is what varies by less than 1e-6 of
    its largest magnitude, values given in float64 by less than 1e-12.
    """
    floor = _CONSTANT_DOUBLE if values.dtype == torch.float64 else _CONSTANT
    return torch.cat([_kurtosis(some.double(), floor) for some in values.split(_UNITS, dim=1)])


def _kurtosis(values: Float[Tensor, "sample unit"], floor: float) -> Float[Tensor, " unit"]:
    if len(values) == 0:
        return values.new_full(values.shape[1:], torch.nan)
    values, _ = scaled(values, 0)
    centred = values - values.mean(dim=0)
    variance = centred.square().mean(dim=0)
    largest = values.abs().amax(dim=0)
    # Beside a huge offset the mean's own rounding would count as spread.
    offset = variance <= (_CONSTANT * largest).square()
    if floor < _CONSTANT and bool(offset.any()):
        centred = torch.where(offset, centred - centred.mean(dim=0), centred)
        variance = torch.where(offset, centred.square().mean(dim=0), variance)
    fourth = centred.square().square().mean(dim=0)
    return torch.where(variance > (floor * largest).square(), fourth / variance.square(), torch.nan)


def per_class(
    values: Float[Tensor, "sample unit"], labels: Int[Tensor, " sample"], classes: Int[Tensor, " class"] | None = None
) -> Float[Tensor, " unit"]:
    """Mean over classes (those given; None: all) of the kurtosis within a class; NaN where it is undefined in any, and without samples."""
    if len(values) == 0:
        return kurtosis(values)
    classes = labels.unique() if classes is None else classes
    return torch.stack([kurtosis(values[labels == label]) for label in classes]).mean(dim=0)


def measure(asked: spec.Kurtosis, state: RoundState) -> Readings:
    """Both kurtoses of every hidden layer's units, at the asked points of the round."""
    layers = range(1, max(state.arch.layers, 2))
    found: dict[int, dict[str, list[Tensor]]] = {layer: {} for layer in layers}
    for net in range(state.nets):
        inputs, labels = first_of_each_class(*state.held_out(net), asked.samples)
        classes = labels[frequent(inputs, labels, fresh=state.fresh(net))].unique()
        for at in asked.at:
            params, stats = state.one(net, at)
            if asked.batch_norm == "affine":
                stats = affine(params)
            suffix = "_end" if at == "end" else ""
            of_layer = preactivations(state.arch, params, inputs, stats, layers)
            for layer in layers:
                values = of_layer[layer - 1]
                found[layer].setdefault("kurtosis" + suffix, []).append(kurtosis(values))
                within = per_class(values, labels, classes)
                found[layer].setdefault("kurtosis_per_class" + suffix, []).append(within)
    return Readings(units={layer: {c: torch.stack(v) for c, v in columns.items()} for layer, columns in found.items()})
