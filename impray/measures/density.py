"""Density per layer and fan-in per unit: what the masks keep."""

from __future__ import annotations

from impray.measures.state import Readings, RoundState
from impray.spec import measure as spec


def density(asked: spec.Density, state: RoundState) -> Readings:
    """Kept share of each layer's weights, [net][layer]; 1 for layers that are not pruned."""
    layers = [state.mask(layer.number).double().mean(dim=(1, 2)) for layer in state.layers]
    return Readings(
        lineage={"density_by_layer": [list(of_net) for of_net in zip(*(s.tolist() for s in layers), strict=True)]}
    )


def fan_in(asked: spec.FanIn, state: RoundState) -> Readings:
    """Kept inputs of each unit, every layer."""
    return Readings(units={layer.number: {"fan_in": state.mask(layer.number).sum(dim=2)} for layer in state.layers})
