"""The cavity score as a measure: adapters from a round's state, or a lineage's weights, to the pure function in `cavity`.

With batch norm the inputs of a product are gamma x + beta (eq. 3; `batch_norm: network` whitens them first). beta shifts, and
a shift changes no kurtosis, so gamma goes into the weights and the inputs are never copied.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.stats
import torch
from jaxtyping import Float, Int
from torch import Tensor

from impray.measures.cavity import cavity_scores
from impray.measures.forward import first_of_each_class, frequent_classes, preactivations
from impray.measures.state import Readings, RoundState
from impray.nets.base import Network, Params
from impray.spec import measure as spec


def layer_scores(
    network: Network,
    params: Params,
    stats: Params | None,
    inputs: Float[Tensor, "sample input"],
    labels: Int[Tensor, " sample"],
    layers: Sequence[int],
) -> dict[int, Tensor]:
    """Cavity scores [unit, input] of every weight of `layers` (dense ones), per class and averaged over classes; a layer reads the
    activations below it.

    Args:    params, stats: of one net, its net axis kept; stats as `Network.preactivations` takes them.
    """
    beneath = [layer - 1 for layer in layers if layer > 1 and network.layers[layer - 2].dense]
    below = dict(zip(beneath, preactivations(network, params, inputs, stats, beneath), strict=True))
    scores = {}
    for number in layers:
        layer = network.layers[number - 1]
        scores[number] = cavity_scores(*network.addends(params, inputs, stats, below.get(number - 1), layer), labels)
    return scores


def measure_cavity(asked: spec.Cavity, state: RoundState) -> Readings:
    """Scores of the kept weights at the round's start, from all the inputs asked for and from half of them."""
    layers = [layer for layer in asked.layers if layer <= len(state.layers) and state.layers[layer - 1].dense]
    columns = ("cavity", "cavity_half") if asked.half else ("cavity",)
    # Filled in place: at full size all nets' scores are hundreds of megabytes, and stacking would double them.
    weights = {layer: {c: torch.empty_like(state.weights(layer, "start")) for c in columns} for layer in layers}
    units: dict[int, dict[str, list[Tensor]]] = {layer: {"cavity": []} for layer in layers}
    histograms: list[list[dict]] = []
    for net in range(state.nets):
        chosen = first_of_each_class(*state.held_out(net), asked.samples, asked.classes)
        inputs, labels = frequent_classes(*chosen, fresh=state.fresh(net))
        params, _ = state.one(net, "start")
        stats = state.network.affine(params) if asked.batch_norm == "affine" else None
        histograms.append([])
        for column in columns:
            sample = (inputs, labels) if column == "cavity" else _half(inputs, labels)
            for layer, scores in layer_scores(state.network, params, stats, *sample, layers).items():
                kept = state.mask(layer)[net]
                counted = kept & (kept.sum(dim=1, keepdim=True) >= asked.min_fan_in)
                whole = weights[layer][column][net].copy_(scores).masked_fill_(~counted, torch.nan)
                name = "weight_" + column
                histograms[-1] += _histogram(layer, name, state.weights(layer, "start")[net], whole, asked.bins)
        for layer in layers:
            units[layer]["cavity"].append(weights[layer]["cavity"][net].double().nanmean(dim=1))
    return Readings(
        units={layer: {c: torch.stack(v) for c, v in columns.items()} for layer, columns in units.items()},
        weights=weights,
        histograms=histograms,
    )


def _half(inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The first half of each class."""
    halves = [labels.new_empty(0, dtype=torch.int64)]
    for label in labels.unique():
        places = (labels == label).nonzero()[:, 0]
        halves.append(places[: max(2, len(places) // 2)])
    chosen = torch.cat(halves)
    return inputs[chosen], labels[chosen]


def _histogram(layer: int, name: str, weight: Tensor, scores: Tensor, bins: int) -> list[dict]:
    """Weight (x) against cavity score (y), over the weights that have one; the outermost bins take what lies beyond."""
    defined = torch.isfinite(scores)
    x, y = (values[defined].double().cpu().numpy() for values in (weight, scores))
    if len(x) < 2:
        return []
    edges = [np.linspace(*_range(values), bins + 1) for values in (x, y)]
    inside = [np.clip(values, e[0], e[-1]) for values, e in zip((x, y), edges, strict=True)]
    counts, _, _ = np.histogram2d(*inside, bins=edges)
    return [
        {
            "layer": layer,
            "name": name,
            "x_edges": edges[0].tolist(),
            "y_edges": edges[1].tolist(),
            "counts": counts.astype(np.int64).ravel().tolist(),
            "spearman": _rank_correlation(x, y),
            "spearman_magnitude": _rank_correlation(abs(x), y),
        }
    ]


def _rank_correlation(x: np.ndarray, y: np.ndarray) -> float:
    if not (x.max() > x.min() and y.max() > y.min()):
        return float("nan")
    ranks = [scipy.stats.rankdata(values) for values in (x, y)]  # Spearman's: Pearson's of the ranks
    return float(np.corrcoef(*ranks)[0, 1])


def _range(values: np.ndarray) -> tuple[float, float]:
    """From the 0.5th to the 99.5th percentile: a few scores are far larger than all others."""
    low, high = np.quantile(values, (0.005, 0.995))
    return (float(low), float(high)) if high > low else (float(low) - 0.5, float(low) + 0.5)
