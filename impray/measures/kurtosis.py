"""Kurtosis of each unit's preactivations: how far the representation is from Gaussian (3).

    lambda_i(X) = sum_j W_ij X~_j + b_i                      eq. 3        X~ = gamma X + beta with batch norm, else X
    kurt(lambda_i) = E[(lambda_i - E lambda_i)^4] / E[(lambda_i - E lambda_i)^2]^2        eq. 4

Redman et al. (2025), section 3.2 and, for deeper layers, eq. 7 (Appendix D): layer 2 reads the activations of layer 1. The
paper's X~ drops the whitening of batch norm; `batch_norm: network` keeps it (the statistics of evaluation at the end of a
round, those of the measured sample at its start). Pooled: E over all classes; per class: the mean over classes of the
kurtosis within each that has 8 different samples or more. The paper's "excess" is |3 - kurt|; ours is not taken.

The mean over classes is ruled by a few heavy-tailed ones: on the quickstart's last masks three of ten photographs have 9 to 22, the
others 2 to 6; their mean is 7.5, their median 3.8. So the median over classes stands beside the mean, and each class by itself.
"""

from __future__ import annotations

import math
from itertools import product
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from impray.measures.forward import first_of_each_class, frequent, preactivations
from impray.measures.moments import Classes, kurtoses, kurtosis
from impray.measures.state import Readings, RoundState
from impray.spec import measure as spec


def by_class(
    values: Float[Tensor, "sample unit"], labels: Int[Tensor, " sample"], classes: Int[Tensor, " class"]
) -> Float[Tensor, "class unit"]:
    """The kurtosis within each of these classes; NaN where it is undefined."""
    return kurtoses(values, Classes(labels, classes)).within


def per_class(
    values: Float[Tensor, "sample unit"], labels: Int[Tensor, " sample"], classes: Int[Tensor, " class"] | None = None
) -> Float[Tensor, " unit"]:
    """Mean over classes (those given; None: all) of the kurtosis within a class; NaN where it is undefined in any, and without samples."""
    if len(values) == 0:
        return kurtosis(values)
    return by_class(values, labels, labels.unique() if classes is None else classes).mean(dim=0)


def median(values: Float[Tensor, "class unit"]) -> Float[Tensor, " unit"]:
    """Over classes, of an even number the mean of the middle two; NaN where it is undefined in any, as the mean is."""
    ordered, classes = values.sort(dim=0).values, len(values)
    middle = (ordered[(classes - 1) // 2] + ordered[classes // 2]) / 2
    return torch.where(values.isnan().any(dim=0), torch.nan, middle)


def by_label(
    values: Float[Tensor, " class"], classes: Int[Tensor, " class"], labels: Int[Tensor, " sample"]
) -> list[float]:
    """A number for each label from 0 to the largest; NaN for those that are not among `classes`."""
    listed = [math.nan] * (int(labels.max()) + 1 if len(labels) else 0)
    for label, value in zip(classes.tolist(), values.tolist(), strict=True):
        listed[label] = value
    return listed


def measure(asked: spec.Kurtosis, state: RoundState) -> Readings:
    """All kurtoses of every dense hidden layer's units, and the first layer's by class, at the asked points of the round."""
    layers = [layer.number for layer in state.hidden if layer.dense]
    by_layer: dict[int, dict[str, list[Tensor]]] = {layer: {} for layer in layers}
    named = [f"kurtosis_by_class{_SUFFIX[at]}" for at in asked.at if 1 in layers]
    listed: dict[str, Tensor | list] = {name: [[]] * state.nets for name in named}
    for nets in state.by_problem():
        inputs, labels = first_of_each_class(*state.held_out(nets[0]), asked.samples)
        classes = labels[frequent(inputs, labels, fresh=state.fresh(nets[0]))].unique()
        of = Classes(labels, classes)
        for net, at in product(nets, asked.at):
            of_layer = _of_layers(asked, state, net, at, inputs, layers)
            for layer, values in zip(layers, of_layer, strict=True):
                found = kurtoses(values, of)
                within = found.within if len(values) else found.pooled[None]
                for column, of_units in _columns(found.pooled, within).items():
                    of_nets = by_layer[layer].setdefault(column + _SUFFIX[at], [of_units] * state.nets)
                    of_nets[net] = of_units
                if layer == 1:
                    means = within.nanmean(dim=1) if len(values) else within.new_empty(0)
                    listed[f"kurtosis_by_class{_SUFFIX[at]}"][net] = by_label(means, classes, labels)  # type: ignore[index]
    units = {layer: {c: torch.stack(v) for c, v in columns.items()} for layer, columns in by_layer.items()}
    return Readings(units=units, lineage=listed)


def _of_layers(
    asked: spec.Kurtosis, state: RoundState, net: int, at: Literal["start", "end"], inputs: Tensor, layers: list[int]
) -> list[Float[Tensor, "sample unit"]]:
    if asked.samples is None:
        return state.passes.read(state, net, layers, "held_out", at, asked.batch_norm)
    params, stats = state.one(net, at)
    if asked.batch_norm == "affine":
        stats = state.network.affine(params)
    return preactivations(state.network, params, inputs, stats, layers)


_SUFFIX = {"start": "", "end": "_end"}


def _columns(pooled: Float[Tensor, " unit"], within: Float[Tensor, "class unit"]) -> dict[str, Tensor]:
    return {
        "kurtosis": pooled,
        "kurtosis_per_class": within.mean(dim=0),
        "kurtosis_class_median": median(within),
    }
