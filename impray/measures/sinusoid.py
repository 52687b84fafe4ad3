"""How far a unit's weights are from a wave over all its inputs: the distance to the best single Fourier mode.

    distance = min_{k, a, b} |w - a cos(2 pi k.x) - b sin(2 pi k.x)| / |w|        k: whole cycles per side

Lufkin et al. (2024), Proposition 3.3 and section 4.3: on elliptical data a single neuron's steady state is such a wave. k = 0 is a
constant. By Parseval it is sqrt(1 - the largest mode's share of |w|^2); k and -k are one mode. On a torus the wave is plane.
Blind spot: near 1 for a localised field and for noise alike.
"""

from __future__ import annotations

import numpy as np
import torch

from impray.measures.state import Readings, RoundState
from impray.spec import measure as spec
from impray.theory.localization import sinusoid


def measure(asked: spec.Sinusoid, state: RoundState) -> Readings:
    """Distances of the trained first-layer weights; NaN for a unit without weights."""
    weights = state.weights(1, "end").double().cpu().numpy()
    nearest = sinusoid(weights, state.input_shape)
    nothing = ~(np.abs(weights).sum(axis=-1) > 0)
    columns = {
        "sinusoid_distance": nearest.relative_distance,
        "sinusoid_row_cycles": nearest.frequency[..., 0],
        "sinusoid_col_cycles": nearest.frequency[..., 1],
    }
    return Readings(
        units={1: {name: torch.from_numpy(np.where(nothing, np.nan, values)) for name, values in columns.items()}}
    )
