"""How far a network with one hidden ReLU layer is from converged, without a threshold on its course of training.

    optimality_gap = (L - L*) / L        optimality_gap_db = 10 log10(L / L*)

L: the mean squared error of the training set. L*: its least value over the kept weights of the first layer while the gates 1[w_j x > 0]
and the readout stay as they are (`impray.training.relu.fixed_gates`). With its gates fixed the network is linear in these weights, the
gated ReLU network of Mishkin, Sahiner & Pilanci (2022), and the relative optimality gap is that of convex optimisation. A readout that is
trained adds nothing to it: a_j w_j is all that counts.

0 where L is within what rounding the weights to the network's own precision does, as of an exact fit. In float64, one net at a time.
Blind spot: the gates. A network whose gap is 0 may still change them, and one whose gates are wrong has converged where it is. A minimum
where a sample lies on the edge of a gate has a small gap (0.0005 of gradient descent with 400 samples), though no step makes it smaller.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from impray.data.one_thread import one_thread
from impray.measures.state import Readings, RoundState
from impray.spec import measure as spec
from impray.training.relu.fixed_gates import Refit, refit
from impray.training.relu.streamed import Layer, Support


@one_thread()
def measure(asked: spec.OptimalityGap, state: RoundState) -> Readings:
    """Of the training set. None: too large (see the spec)."""
    found = [_refit(state, net) for net in range(state.nets)]
    return Readings(
        lineage={
            "optimality_gap": [None if of_net is None else of_net.share for of_net in found],
            "optimality_gap_db": [None if of_net is None else _gained(of_net) for of_net in found],
        }
    )


def _gained(found: Refit) -> float:
    """dB; infinite where the refit is exact, as the PSNR is."""
    if found.share == 0 or math.isnan(found.loss):
        return 0.0 if found.share == 0 else math.nan
    return math.inf if found.refitted == 0 else max(0.0, 10 * math.log10(found.loss / found.refitted))


def _refit(state: RoundState, net: int) -> Refit | None:
    x, y = state.training_set(net)
    kept = state.mask(1)[net].cpu().numpy()
    weights = np.where(kept, state.weights(1, "end")[net].cpu().double().numpy(), 0.0)
    readout = torch.where(state.mask(2), state.weights(2, "end"), 0)[net, 0].cpu().double().numpy()
    live = np.flatnonzero(weights.any(axis=1) & (readout != 0))
    places = np.flatnonzero(kept & np.isin(np.arange(len(kept)), live)[:, None])
    layer = Layer(x, readout, lambda units: weights[units], False, live)
    return refit(layer, y, Support(places, weights.ravel()[places]), torch.finfo(state.weights(1, "end").dtype).eps / 2)
