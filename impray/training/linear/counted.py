"""What solvers whose masks do not nest have in common: a problem with columns of one length, exact counts, and a last fit.

Selection is on columns scaled to length sqrt(n) and a target whose largest magnitude is 1, so that units do not decide, and tolerances of
libraries, which are absolute, mean the same for all; weights are given back in the problem's own units. A column of zeros is never chosen
while another is left. A mask has exactly the count asked for: where a method selects fewer, the mask is filled up with the features most
correlated with what is left of the target (ties by position), and their weights stay 0, so that the measure `kept` says what the method
itself selected. A target that no feature is correlated with has no weights, whatever the method.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from impray.data.one_thread import one_thread
from impray.theory.linear import SINGULAR_CUT_OFF
from impray.training.solver import Block, Solved

_NOTHING = (
    1e-10  # correlations below it are rounding errors: those of a problem whose target was fitted are about 1e-15
)


@dataclass(frozen=True)
class Scaled:
    """One problem with columns of length sqrt(n) (or 0) and a target of largest magnitude 1 (or 0).

    lengths: what the columns were divided by; height: what the target was; 1 for what is 0.
    """

    phi: Float[np.ndarray, "sample feature"]
    y: Float[np.ndarray, " sample"]
    lengths: Float[np.ndarray, " feature"]
    height: float

    @property
    def alive(self) -> Bool[np.ndarray, " feature"]:
        """Columns that are not 0."""
        return np.asarray(self.phi.any(axis=0))

    def correlations(self, weights: Float[np.ndarray, " feature"]) -> Float[np.ndarray, " feature"]:
        """|phi_j^T (y - phi w)| / n of each feature, in [0, 1] for w = 0; 0 where it is a rounding error."""
        values = np.abs(self.phi.T @ (self.y - self.phi @ weights)) / len(self.y)
        return np.where(values > _NOTHING, values, 0.0)


Select = Callable[[Scaled, Sequence[int]], dict[int, Float[np.ndarray, " feature"]]]
"""(problem, counts) -> for each count weights of the scaled problem, at most so many of them not 0. Some feature is correlated with y."""


def solved(block: Block, select: Select) -> Solved:
    """Each problem by itself, at every count that is asked for."""
    shape = block.start.shape
    masks = {round: np.zeros(shape, dtype=bool) for round in block.rows}
    weights = {round: np.zeros(shape) for round in block.rows}
    with one_thread():
        for place, (phi, y) in enumerate(zip(block.designs, block.targets, strict=True)):
            problem, counts = scaled(phi, y), sorted({block.counts[round] for round in block.rows})
            none = np.zeros(shape[1])
            of_counts = select(problem, counts) if problem.correlations(none).any() else dict.fromkeys(counts, none)
            for round in block.rows:
                own = of_counts[block.counts[round]]
                masks[round][place] = filled(problem, own, block.counts[round])
                weights[round][place] = own * problem.height / problem.lengths
    return Solved(masks, weights)


def scaled(phi: Float[np.ndarray, "sample feature"], y: Float[np.ndarray, " sample"]) -> Scaled:
    """The problem with its columns and its target scaled."""
    phi = np.ascontiguousarray(phi)  # sums round by the layout
    sizes = _or_one(np.abs(phi).max(axis=0))  # first of all: the squares of very small ones would be 0
    lengths = sizes * _or_one(np.sqrt(np.square(phi / sizes).mean(axis=0)))
    height = float(np.abs(y).max()) or 1.0
    return Scaled(np.ascontiguousarray(phi / lengths), np.ascontiguousarray(y / height), lengths, height)


def _or_one(sizes: np.ndarray) -> np.ndarray:
    return np.where(sizes > 0, sizes, 1.0)


def fitted(problem: Scaled, kept: Bool[np.ndarray, " feature"]) -> Float[np.ndarray, " feature"]:
    """Least squares on the kept features (the shortest, where several fit alike)."""
    weights = np.zeros(len(kept))
    if kept.any():
        own = np.ascontiguousarray(problem.phi[:, kept])
        weights[kept] = np.linalg.lstsq(own, problem.y, rcond=SINGULAR_CUT_OFF)[0]
    return weights


def largest(values: Float[np.ndarray, " feature"], count: int) -> Bool[np.ndarray, " feature"]:
    """The `count` largest, of equal ones the later: the earlier goes first, as `impray.masks.ranked` has it."""
    mask = np.zeros(len(values), dtype=bool)
    mask[np.argsort(values, kind="stable")[len(values) - count :]] = True
    return mask


def filled(problem: Scaled, weights: Float[np.ndarray, " feature"], count: int) -> Bool[np.ndarray, " feature"]:
    """A mask of exactly `count` features: those with a weight, and as many as are lacking, by their correlation with the residual."""
    chosen = weights != 0
    lacking = count - int(chosen.sum())
    assert lacking >= 0, "a method selects no more than it is asked for"
    if lacking == 0:
        return chosen
    lacks = np.where(problem.alive, problem.correlations(weights), -1.0)
    return largest(np.where(chosen, np.inf, lacks), count)
