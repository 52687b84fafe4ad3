"""The design of a linear model: rank, spectrum and coherence of the training sample's features, and what Theorem 5 makes of them.

    Sigma = phi^T phi / n = V L V^T        rank = #{l > 1e-12 l_max}        coherence = max |phi_i . phi_j| / (|phi_i| |phi_j|), i < j

Source: Elesedy, Kanade & Teh (2020), Example 3 (of normalised features, delta_PW is the coherence) and Theorem 5; our bound is the one of
`impray.theory.linear`. Features are not centred. All of it belongs to a problem's data, and is the same in every round and for every
method. Columns of zeros (dead ReLU features) have no correlation and are left out; NaN where there are not two others.
Cost: an eigenvalue problem of the smaller side of phi, once per problem: 1 ms for 100 features.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from impray.data.one_thread import one_thread
from impray.measures.state import Readings, RoundState
from impray.spec import measure as spec
from impray.spec.data import Linear
from impray.theory.linear import Spectrum, bound_theorem5, coherence, spectrum


def _spectrum(phi: np.ndarray, y: np.ndarray) -> Spectrum:
    return spectrum(phi)


def _coherence(phi: np.ndarray, y: np.ndarray) -> float:
    return coherence(phi)


@one_thread()
def design(asked: spec.Design, state: RoundState) -> Readings:
    """Rank, smallest eigenvalue, condition and coherence of each net's training sample."""
    spectra = [state.once(_spectrum, net) for net in range(state.nets)]
    columns: dict[str, torch.Tensor | list] = {
        name: torch.tensor([getattr(of_net, name) for of_net in spectra], dtype=dtype)
        for name, dtype in (("rank", torch.int64), ("lambda_min", torch.float64), ("condition", torch.float64))
    }
    columns["coherence"] = [state.once(_coherence, net) for net in range(state.nets)]
    return Readings(lineage=columns)


@one_thread()
def theorem5(asked: spec.Theorem5, state: RoundState) -> Readings:
    """Theorem 5's bound, at the sample's lambda_min and rank, and the safe one.

    NaN: the sample's rank is not full, or the mask keeps fewer weights than the truth has components (q > p - k): the theorem does not
    say anything then. The other conditions are checked before a sweep runs.
    """
    kept = state.mask(1).sum(dim=(1, 2)).tolist()
    bounds, safe = [], []
    for net in range(state.nets):
        of_net = state.once(_spectrum, net)
        bounds.append(_bound(state, net, kept[net], of_net.lambda_min, safe=False))
        safe.append(_bound(state, net, kept[net], of_net.lambda_min, safe=True))
    return Readings(lineage={"bound_theorem5": bounds, "bound_safe": safe})


def _bound(state: RoundState, net: int, kept: int, lambda_min: float, *, safe: bool) -> float:
    data = state.trials[net].data
    assert isinstance(data, Linear), "checked before a sweep runs"
    if lambda_min == 0 or kept < data.support:
        return math.nan
    return bound_theorem5(
        data.samples, data.features, data.support, data.amplitude, data.noise_scale, lambda_min, safe=safe
    )
