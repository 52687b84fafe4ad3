"""A trained single neuron against the theory of its localization, from the same initial weights over the same time.

    (2 / tau) dw/dt = phi(Sigma_1 w / sqrt(w Sigma_1 w)) - (Sigma_0 + Sigma_1) w         Lufkin et al. (2024), eq. 5

integrated by explicit Euler steps of the learning rate, as many as the training made. Section 4.2 compares the positions of the
peaks. The theory is of one ReLU neuron without bias, two classes and squared error; it is early-time: where one weight comes to
dominate, only the position is predicted (Fig. 8).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from impray.measures.ipr import ipr
from impray.measures.scale import norm
from impray.measures.state import Readings, RoundState
from impray.spec import measure as spec
from impray.spec.data import Stimulus
from impray.spec.training import Sgd
from impray.spec.trial import Trial
from impray.theory.localization import euler

_COLUMNS = ("peak", "peak_flow", "peak_agrees", "ipr_flow", "flow_distance")


def measure(asked: spec.Flow, state: RoundState) -> Readings:
    """Peaks, IPR and distance of every net's neuron; NaN after round 0."""
    ends = state.weights(1, "end").double().cpu()
    columns: dict[str, Tensor] = dict.fromkeys(_COLUMNS, torch.full(ends.shape[:2], torch.nan, dtype=torch.float64))
    if state.round == 0:
        theory = torch.empty_like(ends)
        starts = state.weights(1, "start").double().cpu().numpy()
        for (data, rate, steps), nets in _alike(state.trials).items():
            # Together: elementwise and by transforms of single rows, so that a neuron's neighbours do not show.
            end = euler(data, starts[nets], rate, steps, form=asked.form)
            theory[nets] = torch.from_numpy(np.ascontiguousarray(end))
        columns = _compared(ends, theory)
    return Readings(units={1: columns})


def _alike(trials: Sequence[Trial]) -> dict[tuple[Stimulus, float, int], list[int]]:
    """Data, learning rate and steps -> the nets that have them: the flow tells these apart by their weights alone."""
    groups: dict[tuple[Stimulus, float, int], list[int]] = {}
    for net, trial in enumerate(trials):
        data, train = trial.data, trial.train
        assert isinstance(data, Stimulus) and isinstance(train, Sgd), "checked before the sweep ran"
        groups.setdefault((data, train.lr, train.steps), []).append(net)
    return groups


def _compared(end: Float[Tensor, "net unit input"], theory: Float[Tensor, "net unit input"]) -> dict[str, Tensor]:
    peak, peak_flow = (w.abs().argmax(dim=2) for w in (end, theory))
    return {
        "peak": peak.double(),
        "peak_flow": peak_flow.double(),
        "peak_agrees": (peak == peak_flow).double(),
        "ipr_flow": ipr(theory),
        "flow_distance": norm(end - theory) / norm(end),
    }
