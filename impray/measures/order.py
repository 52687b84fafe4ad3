"""The order in which a linear model's weights go, held against two orders that are fixed from the start.

    alignment heuristic: |phi_j^T y|, smallest first        one-shot pruning: |w_j| of the dense round, smallest first
    agreement = share of the removals that took the smallest |phi_j^T y| among the features then left, ties by position
    tau = (concordant - discordant) / sqrt((N - T_x) (N - T_y)),  N = p (p - 1) / 2 pairs, T those that are tied       (tau-b)

Those that are left are tied in the last place: the order so far knows no more. So a perfect order of all but m of p features has tau
sqrt(1 - m (m - 1) / (p (p - 1))), 0.995 for p = 100, m = 10. Agreement counts one feature only, and falls to 1 / p for a random order;
tau sees that another removal was nearly the right one. Several that go in one round are taken one after the other, in the order in which
the method ranks them.

Source: Elesedy, Kanade & Teh (2020), section 2, has the heuristic and no numbers; the two measures are ours. Kendall (1945) for tau-b.
Null: masks of the method do not nest. NaN: nothing has gone yet (both), or all are tied (tau).
"""

from __future__ import annotations

import math

import numpy as np

from impray.data.one_thread import one_thread
from impray.measures.state import Readings, RemovalOrder, RoundState
from impray.spec import measure as spec

_PAIRS = 512  # features: above, a matrix of all pairs costs more than sorting does


def alignments(phi: np.ndarray, y: np.ndarray) -> np.ndarray:
    """|phi_j^T y| / n of each feature; phi [sample, feature]."""
    return np.abs(phi.T @ y) / len(y)


def agrees(gone: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Whether each removal, in order, took the smallest score of those left, the first of equal ones: bool [removal].

    Args:    gone: the features that went, int [removal]. score: of each feature, [feature].
    """
    place = np.empty(len(score), dtype=np.int64)
    place[np.argsort(score, kind="stable")] = np.arange(len(score))
    never = np.delete(place, gone).min(initial=len(score))
    least = np.minimum.accumulate(np.append(place[gone], never)[::-1])[::-1][:-1]
    return place[gone] == least


def tau_b(one: np.ndarray, other: np.ndarray) -> float:
    """Kendall's tau-b of two rankings of the same features, in [-1, 1]; NaN where one of them has nothing but ties."""
    if len(one) > _PAIRS:
        import scipy.stats  # half a second, of which small problems have no need

        tau, _ = scipy.stats.kendalltau(one, other)
        return float(tau)  # type: ignore[arg-type]  # scipy's result is a tuple of floats
    first, second = _signs(one), _signs(other)
    # Sums of whole numbers: exact, whatever the order. Both halves of the matrix, so twice the pairs, in all three.
    scale = math.sqrt(np.count_nonzero(first)) * math.sqrt(np.count_nonzero(second))
    return int(np.vdot(first, second)) / scale if scale else math.nan


def _signs(values: np.ndarray) -> np.ndarray:
    """Of values_i - values_j, float64 [feature, feature]."""
    return np.sign(values[:, None] - values, dtype=np.float64)


def places(order: RemovalOrder) -> np.ndarray:
    """When each feature went, int64 [feature], from 0; those that are left are tied after all others."""
    when = np.full(len(order.dense), len(order.features), dtype=np.int64)
    when[order.features] = np.arange(len(order.features))
    return when


@one_thread()
def order(asked: spec.Order, state: RoundState) -> Readings:
    """Agreement with the alignment heuristic, and tau with it and with the dense weights."""
    of_nets = [_compared(state, net) for net in range(state.nets)]
    names = [column.name for column in asked.lineage_columns]
    return Readings(lineage=dict(zip(names, map(list, zip(*of_nets, strict=True)), strict=True)))


def _compared(state: RoundState, net: int) -> tuple[float | None, float | None, float | None]:
    so_far = state.orders[net] if state.orders else None
    if so_far is None:
        return None, None, None
    if not len(so_far.features):
        return math.nan, math.nan, math.nan
    score, when = state.once(alignments, net), places(so_far)
    agreement = float(agrees(so_far.features, score).mean())
    return agreement, tau_b(when, score), tau_b(when, np.abs(so_far.dense))


@one_thread()
def removals(asked: spec.Removals, state: RoundState) -> Readings:
    """A row for each weight that has gone so far, in order; none where masks do not nest."""
    return Readings(removals=[_rows(state, net) for net in range(state.nets)])


def _rows(state: RoundState, net: int) -> list[dict]:
    so_far = state.orders[net] if state.orders else None
    if so_far is None:
        return []
    score = state.once(alignments, net)
    true = state.true_weights(net)[so_far.features]
    columns = {
        "removal": range(1, len(so_far.features) + 1),
        "round": so_far.rounds.tolist(),
        "feature": so_far.features.tolist(),
        "weight": so_far.weights.tolist(),
        "abs_weight": np.abs(so_far.weights).tolist(),
        "alignment": score[so_far.features].tolist(),
        "in_truth": (true != 0).tolist(),
        "true_weight": true.tolist(),
        "agrees": agrees(so_far.features, score).tolist(),
    }
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
