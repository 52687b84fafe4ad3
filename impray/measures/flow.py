"""A trained single neuron against the theory of its localization, from the same initial weights over the same time.

    (2 / tau) dw/dt = phi(Sigma_1 w / sqrt(w Sigma_1 w)) - (Sigma_0 + Sigma_1) w         Lufkin et al. (2024), eq. 5

integrated by explicit Euler steps of the learning rate, as many as the training made. Section 4.2 compares the positions of the
peaks. The theory is of one ReLU neuron without bias, two classes and squared error; it is early-time: where one weight comes to
dominate, only the position is predicted (Fig. 8).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from impray.measures.ipr import ipr
from impray.measures.state import Readings, RoundState
from impray.spec import measure as spec
from impray.spec.data import Stimulus
from impray.theory.localization import euler

_COLUMNS = ("peak", "peak_flow", "peak_agrees", "ipr_flow", "flow_distance")


def measure(asked: spec.Flow, state: RoundState) -> Readings:
    """Peaks, IPR and distance of every net's neuron; NaN after round 0."""
    starts, ends = state.start["weight1"].double().cpu(), state.trained["weight1"].double().cpu()
    found: dict[str, list[Tensor]] = {name: [] for name in _COLUMNS}
    for start, end, trial in zip(starts, ends, state.trials, strict=True):
        if state.round > 0:
            nothing = torch.full((len(end),), torch.nan, dtype=torch.float64)
            of_net: dict[str, Tensor] = dict.fromkeys(_COLUMNS, nothing)
        else:
            assert isinstance(trial.data, Stimulus), "checked before the sweep ran"
            theory = euler(trial.data, start.numpy(), trial.train.lr, trial.train.steps, form=asked.form)
            of_net = _compared(end, torch.from_numpy(np.ascontiguousarray(theory)))
        for name, values in of_net.items():
            found[name].append(values)
    return Readings(units={1: {name: torch.stack(values) for name, values in found.items()}})


def _compared(end: Tensor, theory: Tensor) -> dict[str, Tensor]:
    peak, peak_flow = (w.abs().argmax(dim=1) for w in (end, theory))
    return {
        "peak": peak.double(),
        "peak_flow": peak_flow.double(),
        "peak_agrees": (peak == peak_flow).double(),
        "ipr_flow": ipr(theory),
        "flow_distance": torch.linalg.vector_norm(end - theory, dim=1) / torch.linalg.vector_norm(end, dim=1),
    }
