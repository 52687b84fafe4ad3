"""Models held against the sparse truth that made their targets: is the support found, and how far off are the weights?

    precision = |kept and S| / |kept|        recall = |kept and S| / |S|        S: the features whose true weight s is not 0
    estimation_error = |w - s| / |s|         prediction_error = |phi (w - s)|^2 / n, phi the training set

Kept is what the mask keeps, the round's exact count; `kept` is how many of these are not 0, which is fewer where a method found no use
for more. A false exclusion is a feature with |s_i| >= amplitude that is not kept (Elesedy et al. 2020, Theorem 5 (ii)).

Source: the usual ones of sparse regression. NaN: nothing is kept (precision), or the truth is all 0 (recall, estimation_error).
Blind spot: recovery is all or nothing; a component of the truth near 0, as the law `gaussian` draws them, decides it as a large one does.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from impray.data.one_thread import one_thread
from impray.measures.state import Readings, RoundState
from impray.spec import measure as spec


def support(asked: spec.Support, state: RoundState) -> Readings:
    """The kept features against the truth's support. false_exclusions: null where the data say no amplitude."""
    kept = state.mask(1).cpu().numpy()
    weights = state.weights(1, "end").cpu().numpy()
    columns: dict[str, list] = {column.name: [] for column in asked.lineage_columns}
    for nets in state.by_problem():
        true = state.true_matrix(nets[0])
        for net in nets:
            data = state.trials[net].data
            amplitude = getattr(data, "amplitude", None)
            signed = getattr(data, "readout", "") == "signed"
            for name, value in _of_mask(kept[net], true, amplitude, signed).items():
                columns[name].append((net, value))
            columns["kept"].append((net, int((kept[net] & (weights[net] != 0)).sum())))
    return Readings(lineage={name: _by_net(values) for name, values in columns.items()})


def _of_mask(
    kept: np.ndarray, true: np.ndarray, amplitude: float | None, signed: bool
) -> dict[str, float | int | None]:
    """Of a mask [unit, input] and true weights [unit of the truth, input]."""
    inside = true != 0
    both, of_mask, of_truth = shared(kept, inside, signed), int(kept.sum()), int(inside.sum())
    return {
        "exact_recovery": float(both == of_mask == of_truth),
        "support_precision": _share(both, of_mask),
        "support_recall": _share(both, of_truth),
        "false_exclusions": None if amplitude is None else int((~kept & (np.abs(true) >= amplitude * _ROUNDED)).sum()),
    }


_ROUNDED = 1 - 1e-6  # a truth of size 0.7 is below 0.7 in float32


def shared(kept: np.ndarray, inside: np.ndarray, signed: bool) -> int:
    """Places that two masks [unit, input] share, under the permutation of units that makes them most.

    Args:    signed: whether units alternate between two signs, and only those of one sign stand for each other.
    """
    overlap = kept.astype(np.int64) @ inside.astype(np.int64).T
    if signed:
        overlap[np.arange(len(kept))[:, None] % 2 != np.arange(len(inside)) % 2] = 0
    return int(overlap[linear_sum_assignment(overlap, maximize=True)].sum())


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
