"""Inverse participation ratio of a unit's weights.

    IPR(w) = sum_j w_j^4 / (sum_j w_j^2)^2        1/n (n equal weights) to 1 (a single weight)

Lufkin et al. (2024), section 2.3; Ingrosso & Goldt's code has the inverse. Scale and sign of the weights do not matter.
Blind spot: it counts weights, not where they are; two far pixels read as two near ones.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from impray.measures.state import Readings, RoundState
from impray.spec import measure as spec


def ipr(weight: Float[Tensor, "*unit input"]) -> Float[Tensor, "*unit"]:
    """IPR of each unit in float64, in [1/input, 1]; NaN for a unit without a non-zero weight."""
    weight = weight.double()
    # Scaled by the largest weight first: fourth powers of small weights would underflow.
    size = weight.abs().amax(dim=-1, keepdim=True)
    square = (weight / size).square()
    return square.square().sum(dim=-1) / square.sum(dim=-1).square()


def measure(asked: spec.Ipr, state: RoundState) -> Readings:
    """IPR of every layer but the output layer, at the asked points of the round."""
    columns = {"mask": "ipr_mask", "start": "ipr_start", "end": "ipr"}
    units = {}
    for layer in (layer.number for layer in state.hidden):
        weights = {"start": state.weights(layer, "start"), "mask": state.mask(layer).double()}
        weights |= {"end": state.weights(layer, "end")} if "end" in asked.at else {}
        units[layer] = {columns[at]: torch.stack([ipr(w) for w in weights[at]]) for at in asked.at}
    return Readings(units=units)
