"""Solvers: whole problems in, masks and weights of whole paths out, without rounds of training one after another.

A solver is a function (block) that gives `Solved`. Linear models have theirs in `impray.training.linear`, networks with one hidden layer in
`impray.training.relu`. All work on the CPU in float64, problem by problem in fixed memory layout: a problem's numbers do not depend, in a
single bit, on the problems beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Int

from impray.spec import families
from impray.spec.family import Implementations
from impray.spec.trial import Trial


@dataclass(frozen=True)
class Block:
    """Problems of one trial, one per seed: min |phi w - y|^2 / (2 n) over the weights that are kept.

    Args:
        trial: how they are trained (`trial.train`, `trial.prune.rewind_step`) and how weights are ranked.
        seeds: one per problem.
        designs: phi [sample, feature] of each, float64; of a network x [sample, input], and its features are the weights of the scope.
        targets: y [sample] of each; of a network with several outputs [sample, output], classes as one-hot.
        start: w_init [problem, feature], before the first update.
        counts: weights that each round keeps, rounds 0 to the last one that is asked for; counts[0] is the number of features.
        rows: the rounds that are asked for, rising; the last is len(counts) - 1.
    """

    trial: Trial
    seeds: Sequence[int]
    designs: Sequence[Float[np.ndarray, "sample input"]]
    targets: Sequence[Float[np.ndarray, "sample ..."]]
    start: Float[np.ndarray, "problem feature"]
    counts: Sequence[int]
    rows: Sequence[int]


@dataclass(frozen=True)
class Solved:
    """What a method made of a block. A problem that diverged has NaN weights from that round on; its masks count for nothing then.

    Args:
        masks, weights: round that was asked for -> [problem, feature]; weights (trained, at the round's end) are 0 where the mask is.
        facts: round -> name -> [problem], what a solver says of itself: `optimizer_bytes`, `converged`; empty where it says nothing.
        order: the features that went, in order, [problem, removal], counts[0] - counts[-1] removals; None where masks do not nest.
        seconds: round -> [problem], what solving that round's count from scratch took; empty where rounds are made together.
        gone: each one's weight at the end of the round before it went, [problem, removal]; None with `order`.
    """

    masks: Mapping[int, Bool[np.ndarray, "problem feature"]]
    weights: Mapping[int, Float[np.ndarray, "problem feature"]]
    order: Int[np.ndarray, "problem removal"] | None = None
    gone: Float[np.ndarray, "problem removal"] | None = None
    facts: Mapping[int, Mapping[str, np.ndarray]] = field(default_factory=dict)
    seconds: Mapping[int, Float[np.ndarray, " problem"]] = field(default_factory=dict)


Solver = Callable[[Block], Solved]

SOLVERS: Implementations[Solver] = Implementations(families.rules, "solves", by_tag=True)
"""Method -> its solver, where it has one."""
