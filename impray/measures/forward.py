"""Preactivations of one net on many inputs, in portions: 50,000 inputs of 3,072 numbers would be copied several times at once.

Without batch norm, or with its statistics given, an input's preactivations do not depend on the other inputs. Statistics of the
sample itself do; then everything is computed at once.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from impray.nets.base import Network, Params

PORTION = 4096


def preactivations(
    network: Network,
    params: Params,
    inputs: Float[Tensor, "sample input"],
    stats: Params | None,
    layers: Sequence[int],
) -> list[Float[Tensor, "sample unit"]]:
    """What the units of the layers asked for (dense ones) add up, in that order; see `Network.preactivations`.

    Args:    params, stats: of one net, its net axis kept.
    """
    if not layers:
        return []
    portion = len(inputs) if network.joins_samples(stats) else PORTION
    of_layers = [inputs.new_empty(len(inputs), network.layers[layer - 1].units) for layer in layers]
    for first in range(0, len(inputs), max(portion, 1)):
        some = slice(first, first + portion)
        of_part = network.preactivations(params, inputs[some][None], stats, max(layers))
        for whole, layer in zip(of_layers, layers, strict=True):
            whole[some] = of_part[layer - 1][0]
    return of_layers


def first_of_each_class(
    inputs: Float[Tensor, "sample input"], labels: Tensor, samples: int | None, classes: int | None = None
) -> tuple[Tensor, Tensor]:
    """The first `samples` inputs of each of the first `classes` classes, and their labels; None is all of them.

    With real targets there are no classes: the first `samples` inputs, and their targets.
    """
    if labels.is_floating_point():
        return inputs[:samples], labels[:samples]
    if (samples is None and classes is None) or len(labels) == 0:
        return inputs, labels
    wanted = labels.unique()[:classes]
    chosen = torch.cat([(labels == label).nonzero()[:samples, 0] for label in wanted])
    return inputs[chosen], labels[chosen]


LEAST = 8  # samples of a class below which a kurtosis within it means nothing (of 2 samples it is 1, of 3 it is 1.5)


def frequent(inputs: Float[Tensor, "sample input"], labels: Tensor, *, fresh: bool = False) -> Bool[Tensor, " sample"]:
    """The samples of classes that have `LEAST` or more different ones; all samples where no class has.

    For what is computed within every class: one rare class would make it undefined, or noise, for all. The same sample twice is
    one sample: training draws from data sets with replacement, and users' files repeat some. The repeats of a frequent class stay.

    Args:    fresh: every sample was drawn for itself, as a stimulus's are: two that are alike (spins of few inputs) are two.
    """
    chosen = torch.zeros_like(labels, dtype=torch.bool)
    for label in labels.unique():
        places = (labels == label).nonzero()[:, 0]
        if len(places) >= LEAST and (fresh or _has_different(inputs, places)):
            chosen[places] = True
    return chosen if bool(chosen.any()) else torch.ones_like(chosen)


def _has_different(inputs: Float[Tensor, "sample input"], places: Int[Tensor, " some"]) -> bool:
    """Whether `LEAST` of these samples differ. The first few nearly always do: the others are looked at only if these do not."""
    few = (2 * LEAST, 64 * LEAST, len(places))
    return any(len(inputs[places[:first]].unique(dim=0)) >= LEAST for first in few)


def frequent_classes(
    inputs: Float[Tensor, "sample input"], labels: Tensor, *, fresh: bool = False
) -> tuple[Tensor, Tensor]:
    """The `frequent` samples and their labels."""
    chosen = frequent(inputs, labels, fresh=fresh)
    return (inputs, labels) if bool(chosen.all()) else (inputs[chosen], labels[chosen])
