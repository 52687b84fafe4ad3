"""The measures that read masks as images: adapters from a round's state to the pure functions beside this file.

They read first-layer masks. `rf_width` also reads later layers, as numbers of paths from an input to the unit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from impray.measures.chance import chance
from impray.measures.clustering import ceiling, clustering
from impray.measures.pieces import pieces
from impray.measures.rf_width import rf_width
from impray.measures.spread import spread
from impray.measures.state import Readings, RoundState
from impray.measures.torus import centred
from impray.spec import measure as spec
from impray.spec.data import Stimulus


def measure_rf_width(asked: spec.RfWidth, state: RoundState) -> Readings:
    """Widths and error of the fit to S_i(d), per asked layer; see `rf_width`. A unit's width is the mean of those in x and y.

    Of a later layer's units, fan-in is the number of inputs with at least one path to the unit. Layers that the network has
    not, and its output layer (unless it is the only one), are left out.
    """

    def widths(masks: Tensor) -> tuple[Tensor, ...]:
        x, y, error = rf_width(
            masks,
            state.input_shape,
            include_zero=asked.include_zero,
            offset=asked.offset,
            min_fan_in=asked.min_fan_in,
            colours=asked.colours,
            weighted=masks.dtype != torch.bool,
        )
        return (x + y) / 2, x, y, error

    columns = ("rf_width_px", "rf_width_x_px", "rf_width_y_px", "rf_fit_mse")
    units: dict[int, dict[str, Tensor]] = {}
    if 1 in asked.layers:
        units[1] = dict(zip(columns, _where_counted(asked, state, state.mask(1), widths), strict=True))
    later: dict[int, list[Tensor]] = {layer: [] for layer in asked.layers if 1 < layer < len(state.layers)}
    for net in range(state.nets if later else 0):  # one at a time: its paths are numbers of eight bytes, not bits
        for layer, reached in paths(state, net, max(later)):
            if layer in later:
                later[layer].append(torch.cat(_where_counted(asked, state, reached[None], widths)))
    for layer, parts in later.items():
        units[layer] = dict(zip(columns, torch.stack(parts, dim=1), strict=True))
    return Readings(units=units)


def paths(state: RoundState, net: int, last: int) -> Iterator[tuple[int, Float[Tensor, "unit input"]]]:
    """(layer, number of paths over kept weights from each input to each unit) of one net's layers 2 to `last`.

    m_l ... m_2 m_1 in float64: exact integers up to 2^53.
    """
    reached = state.mask(1)[net].double()
    for layer in range(2, last + 1):
        reached = state.mask(layer)[net].double() @ reached
        yield layer, reached


def measure_clustering(asked: spec.Clustering, state: RoundState) -> Readings:
    """Pairs within the radius relative to chance and to the most that the fan-in allows, first layer; see `clustering`."""

    def against_chance_and_most(masks: Tensor) -> tuple[Tensor, ...]:
        measured = clustering(masks, state.input_shape, asked.radius_px)
        fan_in = (masks != 0).sum(dim=1)
        most = ceiling(fan_in, state.input_shape, asked.radius_px)
        least = chance(fan_in, state.input_shape, asked.radius_px, centred=_is_centred(asked, state))
        share = torch.where(most > least, (measured - least) / (most - least), math.nan)
        return measured, most, least, share

    columns = ("clustering", "clustering_ceiling", "clustering_chance", "clustering_of_ceiling")
    values = _where_counted(asked, state, state.mask(1), against_chance_and_most)
    return Readings(units={1: dict(zip(columns, values, strict=True))})


def measure_spread(asked: spec.Spread, state: RoundState) -> Readings:
    """Fit-free width, first layer; see `spread`."""
    shape = state.input_shape
    (widths,) = _where_counted(asked, state, state.mask(1), lambda masks: (spread(masks, shape),))
    return Readings(units={1: {"spread_px": widths}})


def measure_pieces(asked: spec.Pieces, state: RoundState) -> Readings:
    """Connected pieces and the share of the largest, first layer; see `pieces`."""
    count, largest = _where_counted(
        asked,
        state,
        state.mask(1),
        lambda masks: pieces(masks, state.input_shape, asked.neighbours),
    )
    return Readings(units={1: {"pieces": count, "largest_piece": largest}})


def measure_masks(asked: spec.Masks, state: RoundState) -> Readings:
    """First-layer masks of the most connected units, bit-packed."""
    masks = state.mask(1)
    fan_in = masks.sum(dim=2)
    chosen = _most_connected(fan_in, asked.most_connected).cpu()
    packed = np.packbits(masks.cpu().numpy(), axis=2)
    images = [
        [
            (
                unit,
                {
                    "fan_in": int(fan_in[net, unit]),
                    "bits": packed[net, unit].tobytes(),
                    "shape": list(state.input_shape),
                },
            )
            for unit in chosen[net].nonzero()[:, 0].tolist()
        ]
        for net in range(state.nets)
    ]
    return Readings(masks={1: images})


def counted(asked: spec.MaskOnImage, masks: Shaped[Tensor, "net unit input"]) -> Bool[Tensor, "net unit"]:
    """Units that count: with enough inputs left (of numbers of paths: inputs with a path), and among the most connected."""
    fan_in = (masks != 0).sum(dim=2)
    enough = fan_in >= asked.min_fan_in
    return enough if asked.most_connected is None else enough & _most_connected(fan_in, asked.most_connected)


def _where_counted(
    asked: spec.MaskOnImage,
    state: RoundState,
    masks: Shaped[Tensor, "net unit input"],
    function: Callable[[Tensor], Sequence[Tensor]],
) -> list[Float[Tensor, "net unit"]]:
    """The function's results for the units that count, NaN for the others."""
    chosen = counted(asked, masks)
    some = masks[chosen]
    if _is_centred(asked, state):
        some = centred(some, state.input_shape)
    results = []
    for values in function(some):
        whole = torch.full(chosen.shape, torch.nan, dtype=torch.float64, device=masks.device)
        whole[chosen] = values.double()
        results.append(whole)
    return results


def _is_centred(asked: spec.MaskOnImage, state: RoundState) -> bool:
    return asked.centred and any(isinstance(trial.data, Stimulus) for trial in state.trials)


def _most_connected(fan_in: Int[Tensor, "net unit"], most: int) -> Bool[Tensor, "net unit"]:
    """The `most` units of each net with the largest fan-in, ties to the lower unit."""
    order = torch.argsort(fan_in, dim=1, descending=True, stable=True)[:, :most]
    return torch.zeros_like(fan_in, dtype=torch.bool).scatter_(1, order, True)
