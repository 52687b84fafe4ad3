"""Models held against the sparse truth that made their targets: is the support found, and how far off are the weights?

    precision = |kept and S| / |kept|        recall = |kept and S| / |S|        S: the features whose true weight s is not 0
    estimation_error = |w - s| / |s|         prediction_error = |phi (w - s)|^2 / n, phi the training set

Kept is what the mask keeps, the round's exact count; `kept` is how many of these are not 0, which is fewer where a method found no use
for more. A false exclusion is a feature with |s_i| >= amplitude that is not kept (Elesedy et al. 2020, Theorem 5 (ii)).

Of networks, the found one and the true one are held against each other in the form that their function decides: parallel units are
merged (`impray.measures.merged`). Precision and recall then count weights of merged units, and kept weights that are 0 do not count as
far as the truth's own merging set their places free. Without parallel units that is the mask against the support.

Source: the usual ones of sparse regression. NaN: nothing is kept (precision), or the truth is all 0 (recall, estimation_error).
Blind spot: recovery is all or nothing; a component of the truth near 0, as the law `gaussian` draws them, decides it as a large one does.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from impray.data.one_thread import one_thread
from impray.measures.merged import Units, merged, shared
from impray.measures.state import Readings, RoundState
from impray.spec import measure as spec


def support(asked: spec.Support, state: RoundState) -> Readings:
    """The kept features against the truth's support. false_exclusions: null where the data say no amplitude."""
    kept = state.mask(1).cpu().numpy()
    weights = np.where(kept, state.weights(1, "end").cpu().numpy(), 0)
    columns: dict[str, list] = {column.name: [] for column in asked.lineage_columns}
    hidden = len(state.layers) > 1
    for nets in state.by_problem():
        true = state.true_matrix(nets[0])
        for net in nets:
            data = state.trials[net].data
            amplitude = getattr(data, "amplitude", None)
            signed = getattr(data, "readout", "") == "signed"
            units = _units(kept[net], weights[net] != 0, signed)
            found = _merged(state, net, units, weights[net]) if hidden else units
            for name, value in _of_support(found, true, hidden, signed).items():
                columns[name].append((net, value))
            large = None if amplitude is None else ~kept[net] & (np.abs(true) >= amplitude * _ROUNDED)
            columns["false_exclusions"].append((net, None if large is None else int(large.sum())))
            columns["kept"].append((net, int((weights[net] != 0).sum())))
    return Readings(lineage={name: _by_net(values) for name, values in columns.items()})


_ROUNDED = 1 - 1e-6  # a truth of size 0.7 is below 0.7 in float32


def _units(kept: np.ndarray, solid: np.ndarray, signed: bool) -> Units:
    """signed: whether units alternate between two signs, and stand for those of one sign alone."""
    return Units(kept, solid, np.arange(len(kept)) % 2 if signed else np.zeros(len(kept), dtype=np.int64))


def _merged(state: RoundState, net: int, units: Units, weights: np.ndarray) -> Units:
    """A found network that its function decides; with biases, units whose biases are parallel too."""
    bias = state.layers[0].bias
    if bias is not None:
        weights = np.concatenate([weights, state.trained[bias][net].cpu().numpy()[:, None]], axis=1)
    readout = torch.where(state.mask(2), state.weights(2, "end"), 0)[net, 0].cpu().double().numpy()
    return merged(units, weights.astype(np.float64), readout)


def _of_support(found: Units, true: np.ndarray, hidden: bool, signed: bool) -> dict[str, float]:
    """Of a network and true weights [unit of the truth, input]."""
    signs = np.where(np.arange(len(true)) % 2, -1.0, 1.0) if signed else np.ones(len(true))
    truth = _units(true != 0, true != 0, signed)
    truth = merged(truth, true, signs) if hidden else truth
    of_truth, (both, solid) = int(truth.kept.sum()), shared(found, truth)
    # Places that a merged truth has no weights for: they may be kept, as long as they are 0.
    spare = int((true != 0).sum()) - of_truth
    idle = int(found.kept.sum() - found.solid.sum()) - (both - solid)
    of_mask = int(found.kept.sum()) - min(spare, idle)
    return {
        "exact_recovery": float(both == of_mask == of_truth),
        "support_precision": _share(both, of_mask),
        "support_recall": _share(both, of_truth),
    }


def _share(some: int, of: int) -> float:
    return some / of if of else math.nan


@one_thread()
def estimation(asked: spec.Estimation, state: RoundState) -> Readings:
    """Distance of the trained weights from the truth, and of what they predict from what it does, without the noise."""
    weights = torch.where(state.mask(1), state.weights(1, "end"), 0)[:, 0].cpu().double().numpy()
    errors: list[tuple[int, float]] = []
    of_predictions: list[tuple[int, float]] = []
    # One net at a time: a product with all weights of a problem rounds by how many there are.
    for nets in state.by_problem():
        phi, _ = state.training_set(nets[0])
        true = state.true_weights(nets[0])
        size = np.linalg.norm(true)
        for net in nets:
            off = weights[net] - true
            errors.append((net, float(np.linalg.norm(off) / size) if size else math.nan))
            of_predictions.append((net, float(np.mean((phi @ off) ** 2))))
    return Readings(lineage={"estimation_error": _by_net(errors), "prediction_error": _by_net(of_predictions)})


def _by_net(values: list[tuple[int, float]] | list[tuple[int, float | int | None]]) -> list:
    return [value for _, value in sorted(values, key=lambda entry: entry[0])]
