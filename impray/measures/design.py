"""The design of a linear model: rank, spectrum and coherence of the training sample's features, and what Theorem 5 makes of them.

    Sigma = phi^T phi / n = V L V^T        rank = #{l > 1e-12 l_max}        coherence = max |phi_i . phi_j| / (|phi_i| |phi_j|), i < j

Source: Elesedy, Kanade & Teh (2020), Example 3 (of normalised features, delta_PW is the coherence) and Theorem 5; our bound is the one of
`impray.theory.linear`. Features are not centred. All of it belongs to a problem's data, and is the same in every round and for every
method. Columns of zeros (dead ReLU features) have no correlation and are left out; NaN where there are not two others.
Cost: an eigenvalue problem of the smaller side of phi, once per problem: 1 ms for 100 features.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import scipy.linalg
import torch
from threadpoolctl import threadpool_limits

from impray.measures.state import Readings, RoundState
from impray.spec import measure as spec
from impray.spec.data import Linear
from impray.theory.linear import bound_theorem5

_RANK = 1e-12  # of the largest eigenvalue: those below are rounding


class Spectrum(NamedTuple):
    """Of Sigma; lambda_min is 0, and condition infinite, where the rank is not full."""

    rank: int
    lambda_min: float
    condition: float


def spectrum(phi: np.ndarray) -> Spectrum:
    """Of a sample's Sigma = phi^T phi / n; phi [sample, feature]."""
    samples, features = phi.shape
    products = phi.T @ phi if samples >= features else phi @ phi.T
    values = scipy.linalg.eigvalsh(products / samples, overwrite_a=True, check_finite=False)
    rank = int((values > _RANK * values[-1]).sum())
    if rank < features:
        return Spectrum(rank, 0.0, math.inf)
    return Spectrum(rank, float(values[0]), float(values[-1] / values[0]))


def coherence(phi: np.ndarray) -> float:
    """Largest |correlation| of two of the features, in [0, 1] up to rounding; NaN where there are not two that are not all 0."""
    lengths = np.linalg.norm(phi, axis=0)
    alive = lengths > 0
    if alive.sum() < 2:
        return math.nan
    of_length_1 = phi[:, alive] / lengths[alive]
    cosines = np.abs(of_length_1.T @ of_length_1)
    np.fill_diagonal(cosines, 0)
    return float(cosines.max())


def _spectrum(phi: np.ndarray, y: np.ndarray) -> Spectrum:
    return spectrum(phi)


def _coherence(phi: np.ndarray, y: np.ndarray) -> float:
    return coherence(phi)


@threadpool_limits.wrap(limits=1, user_api="blas")  # products round by how many threads there are
def design(asked: spec.Design, state: RoundState) -> Readings:
    """Rank, smallest eigenvalue, condition and coherence of each net's training sample."""
    spectra = [state.once(_spectrum, net) for net in range(state.nets)]
    columns: dict[str, torch.Tensor | list] = {
        name: torch.tensor([getattr(of_net, name) for of_net in spectra], dtype=dtype)
        for name, dtype in (("rank", torch.int64), ("lambda_min", torch.float64), ("condition", torch.float64))
    }
    columns["coherence"] = [state.once(_coherence, net) for net in range(state.nets)]
    return Readings(lineage=columns)


@threadpool_limits.wrap(limits=1, user_api="blas")
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
