"""A least-squares pursuit in the fused network y = sum_j a_j relu(w_j x), without a step size. Of ours.

In an epoch, with gates h_j = w_j, and random ones for units that have no weight:

    the k_t columns not in the support with the largest |A_i^T r| / |A_i| join it, r = A w - y
    least squares on it; the k_t weights with the largest |w_i| |A_i| stay; least squares on these

k_t falls geometrically from `growth` times s to s over the first `falling` share of the epochs. Of the epochs with k_t = s the one with the
least error of the network itself counts, its gates being its weights.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.linalg import cho_solve, get_lapack_funcs

from impray.spec.prune import PursuitRule
from impray.spec.trial import stream_seed
from impray.training.relu import gates
from impray.training.relu.problem import Found, Problem, is_same, loss
from impray.training.relu.streamed import NOTHING, Largest, Layer, Ledger, Support

_MOST = 1_000  # weights that a support grows to, unless s is larger: its Gram matrix has a side of twice as much
_DEPENDENT = 1e-10  # squared distance of a column of length 1 from the span of others below which it depends on them
_ROUNDING = 1e-12  # share of the largest |w_i| |A_i| up to which a weight is none
(_FACTORISE,) = get_lapack_funcs(("pstrf",), dtype=np.float64)


def pursued(problem: Problem, count: int, rule: PursuitRule) -> Found:
    """At most `count` weights."""
    ledger = Ledger()
    fitted_on, scored_on = _split(problem, rule.validation)
    weights, best, settled = NOTHING, NOTHING, False
    error, least = np.inf, np.inf
    for epoch, size in enumerate(sizes(count, problem.size, rule)):
        before, last = weights.places, error
        weights = _epoch(_layer(fitted_on, weights, epoch, ledger), fitted_on.y, weights, size, rule.ridge)
        error = loss(scored_on, weights, closed=False, ledger=ledger)
        settled = is_same(before, weights.places, last, error, scored_on.floor)
        if size == count and error < least:
            best, least = weights, error
    return Found(best, loss(problem, best, False, ledger), rule.epochs, settled, ledger.most)


def sizes(count: int, places: int, rule: PursuitRule) -> list[int]:
    """k_t of each epoch; the last is `count` in any case."""
    if count == 0:
        return [0] * rule.epochs
    falling = max(1, round(rule.falling * rule.epochs))
    largest = max(count, min(round(rule.growth * count), _MOST, places))
    shares = [min(1.0, epoch / falling) for epoch in range(rule.epochs)]
    return [*(max(count, round(largest * (count / largest) ** share)) for share in shares[:-1]), count]


def _split(problem: Problem, validation: float) -> tuple[Problem, Problem]:
    """What weights are fitted on, and what the best epoch is chosen on."""
    held = round(validation * len(problem.y))
    if held == 0:
        return problem, problem
    generator = torch.Generator().manual_seed(stream_seed(problem.seed, "pursuit"))
    order = torch.randperm(len(problem.y), generator=generator).numpy()
    fitted, scored = np.sort(order[held:]), np.sort(order[:held])
    return _of(problem, fitted), _of(problem, scored)


def _of(problem: Problem, samples: Int[np.ndarray, " sample"]) -> Problem:
    return replace(problem, x=problem.x[samples], y=problem.y[samples])


def _layer(problem: Problem, weights: Support, epoch: int, ledger: Ledger) -> Layer:
    """A with gates that follow the weights; units without any have random ones, new in each epoch."""
    inputs = problem.x.shape[1]
    random = problem.gates
    if epoch > 0:
        random = gates.own(problem.seed, inputs, "pursuit", 1 + (epoch - 1) * len(problem.signs))
    alive = np.zeros(len(problem.signs), dtype=bool)
    alive[weights.units(inputs)] = True

    def followed(units: Int[np.ndarray, " unit"]) -> Float[np.ndarray, "unit input"]:
        rows = weights.rows(units, inputs)
        rows[~alive[units]] = random(units[~alive[units]])
        return rows

    return Layer(problem.x, problem.signs, followed, False, problem.units, ledger)


def _epoch(layer: Layer, y: np.ndarray, weights: Support, size: int, ridge: float) -> Support:
    """Grow, fit, keep the largest, fit."""
    residual = y - layer.times(weights)
    with layer.ledger.holding(residual):
        grown = _most_correlated(layer, residual, weights, size)
    places = np.union1d(weights.places, grown)
    gram, target = layer.normal(places, y)
    with layer.ledger.holding(gram, gram, gram):  # itself, scaled, factorised
        fitted = fit(gram, target, ridge)
        kept = np.sort(
            np.argsort(np.abs(fitted) * np.sqrt(gram.diagonal()), kind="stable")[max(0, len(places) - size) :]
        )
        values = fit(gram[np.ix_(kept, kept)], target[kept], ridge)
    size_of = np.abs(values) * np.sqrt(gram.diagonal()[kept])
    alive = size_of > _ROUNDING * size_of.max(initial=0.0)
    return Support(places[kept][alive], values[alive])


def _most_correlated(layer: Layer, residual: np.ndarray, weights: Support, size: int) -> Int[np.ndarray, " weight"]:
    """The places without a weight that have the largest |A_i^T r| / |A_i|."""
    chosen = Largest(size, layer.ledger)
    for places, product in layer.chunks(residual):
        lengths = np.sqrt(layer.squares(np.unique(places // layer.inputs))).ravel()
        score = np.divide(np.abs(product), lengths, out=np.zeros_like(product), where=lengths > 0)
        score[np.isin(places, weights.places)] = 0.0
        chosen.add(places, score)
    return chosen.kept.places


def fit(
    gram: Float[np.ndarray, "weight weight"], target: Float[np.ndarray, " weight"], ridge: float
) -> Float[np.ndarray, " weight"]:
    """argmin |A w - y|^2 + ridge * mean |A_i|^2 * |w|^2 from A^T A and A^T y."""
    gram = gram.copy()
    gram[np.diag_indices_from(gram)] += ridge * gram.diagonal().mean() if ridge and len(gram) else 0.0
    lengths = np.sqrt(gram.diagonal())
    alive = lengths > 0
    weights = np.zeros(len(target))
    lengths = lengths[alive]
    scaled = gram[np.ix_(alive, alive)] / np.outer(lengths, lengths)
    weights[alive] = _solved(scaled, target[alive] / lengths) / lengths
    return weights


def _solved(
    gram: Float[np.ndarray, "weight weight"], target: Float[np.ndarray, " weight"]
) -> Float[np.ndarray, " weight"]:
    """By Cholesky's factor with pivots; columns that depend on those before them get 0.

    Two units that have come to be equal have equal columns. The shortest solution would share a weight between them, and both would stay.
    """
    weights = np.zeros(len(target))
    if not np.isfinite(gram).all():
        return np.full(len(target), np.nan)
    if len(gram):
        upper, pivots, rank, _ = _FACTORISE(gram, tol=_DEPENDENT, lower=False)
        first = pivots[:rank] - 1
        weights[first] = cho_solve((upper[:rank, :rank], False), target[first])
    return weights
