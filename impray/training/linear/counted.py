"""What solvers whose masks do not nest have in common: a problem with columns of one length, exact counts, and a last fit.

Selection is on columns scaled to length sqrt(n), so that a feature's units do not decide; weights are given back in the features' own
units. Columns of zeros are not shown to a method. A mask has exactly the count asked for: where a method selects fewer, the mask is filled
up with the features most correlated with what is left of the target (columns of zeros last), and their weights stay 0, so that the measure
`kept` says what the method itself selected. Time, learning rate and w_init do not matter to these methods: their last fit is least squares.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from impray.data.one_thread import one_thread
from impray.training.linear import Block, Solved


@dataclass(frozen=True)
class Scaled:
    """One problem with columns of length sqrt(n), none of zeros. `lengths`: what they were divided by."""

    phi: Float[np.ndarray, "sample feature"]
    y: Float[np.ndarray, " sample"]
    lengths: Float[np.ndarray, " feature"]


Select = Callable[[Scaled, Sequence[int]], Mapping[int, Float[np.ndarray, " feature"]]]
"""(problem, counts) -> for each count weights of the scaled problem, at most so many of them not 0. No count is beyond its features."""


def solved(block: Block, select: Select) -> Solved:
    """Each problem by itself, at every count that is asked for."""
    shape = block.start.shape
    masks = {round: np.zeros(shape, dtype=bool) for round in block.rows}
    weights = {round: np.zeros(shape) for round in block.rows}
    with one_thread():
        for place, (phi, y) in enumerate(zip(block.designs, block.targets, strict=True)):
            alive = np.asarray(phi.any(axis=0))
            most = int(alive.sum())
            problem = scaled(phi[:, alive], y)
            of_counts = select(problem, sorted({min(block.counts[round], most) for round in block.rows}))
            for round in block.rows:
                own = of_counts[min(block.counts[round], most)]
                masks[round][place] = _filled(problem, own, alive, block.counts[round])
                weights[round][place, alive] = own / problem.lengths
    return Solved(masks, weights)


def scaled(phi: Float[np.ndarray, "sample feature"], y: Float[np.ndarray, " sample"]) -> Scaled:
    """The problem with its columns scaled."""
    lengths = np.sqrt(np.square(phi).mean(axis=0))
    return Scaled(np.ascontiguousarray(phi / lengths), np.ascontiguousarray(y), lengths)


def fitted(problem: Scaled, kept: Bool[np.ndarray, " feature"]) -> Float[np.ndarray, " feature"]:
    """Least squares on the kept features (the shortest, where several fit alike)."""
    weights = np.zeros(len(kept))
    if kept.any():
        own = np.ascontiguousarray(problem.phi[:, kept])
        weights[kept] = np.linalg.lstsq(own, problem.y, rcond=1e-12)[0]
    return weights


def largest(values: Float[np.ndarray, " feature"], count: int) -> Bool[np.ndarray, " feature"]:
    """The `count` largest, of equal ones the later: the earlier goes first, as `impray.masks.ranked` has it."""
    mask = np.zeros(len(values), dtype=bool)
    mask[np.argsort(values, kind="stable")[len(values) - count :]] = True
    return mask


def _filled(
    problem: Scaled, weights: Float[np.ndarray, " alive"], alive: Bool[np.ndarray, " feature"], count: int
) -> Bool[np.ndarray, " feature"]:
    """A mask of exactly `count` features: those with a weight, and as many as are lacking, by their correlation with the residual."""
    chosen = weights != 0
    assert chosen.sum() <= count, "a method selects no more than it is asked for"
    rank = np.full(len(alive), -1.0)  # of columns of zeros
    rank[alive] = np.where(chosen, np.inf, np.abs(problem.phi.T @ (problem.y - problem.phi @ weights)))
    return largest(rank, count)
