"""The measures that read first-layer masks as images: adapters from a round's state to the pure functions beside this file."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from impray.measures.clustering import clustering
from impray.measures.rf_width import rf_width
from impray.measures.spread import spread
from impray.measures.state import Readings, RoundState
from impray.spec import measure as spec


def measure_rf_width(asked: spec.RfWidth, state: RoundState) -> Readings:
    """Widths and error of the fit to S_i(d), first layer; see `rf_width`."""
    found = _where_counted(
        asked,
        state,
        lambda masks: rf_width(
            masks,
            state.input_shape,
            include_zero=asked.include_zero,
            offset=asked.offset,
            min_fan_in=asked.min_fan_in,
            colours=asked.colours,
        ),
    )
    return Readings(units={1: dict(zip(("rf_width_x_px", "rf_width_y_px", "rf_fit_mse"), found, strict=True))})


def measure_clustering(asked: spec.Clustering, state: RoundState) -> Readings:
    """Pairs within the radius relative to chance, first layer; see `clustering`."""
    (found,) = _where_counted(asked, state, lambda masks: (clustering(masks, state.input_shape, asked.radius_px),))
    return Readings(units={1: {"clustering": found}})


def measure_spread(asked: spec.Spread, state: RoundState) -> Readings:
    """Fit-free width, first layer; see `spread`."""
    (found,) = _where_counted(asked, state, lambda masks: (spread(masks, state.input_shape),))
    return Readings(units={1: {"spread_px": found}})


def measure_masks(asked: spec.Masks, state: RoundState) -> Readings:
    """First-layer masks of the most connected units, bit-packed."""
    masks = state.layer_mask(1)
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
    return Readings(images={1: images})


def _where_counted(asked: spec.MaskOnImage, state: RoundState, function) -> list[Tensor]:  # noqa: ANN001
    """The function's results [net, unit] for the units that count, NaN for the others."""
    masks = state.layer_mask(1)
    fan_in = masks.sum(dim=2)
    counted = fan_in >= asked.min_fan_in
    if asked.most_connected is not None:
        counted &= _most_connected(fan_in, asked.most_connected)
    results = []
    for values in function(masks[counted]):
        whole = torch.full(counted.shape, torch.nan, dtype=torch.float64, device=masks.device)
        whole[counted] = values.double()
        results.append(whole)
    return results


def _most_connected(fan_in: Tensor, most: int) -> Tensor:
    """[net, unit] bool: the `most` units of each net with the largest fan-in, ties to the lower unit."""
    order = torch.argsort(fan_in, dim=1, descending=True, stable=True)[:, :most]
    return torch.zeros_like(fan_in, dtype=torch.bool).scatter_(1, order, True)
