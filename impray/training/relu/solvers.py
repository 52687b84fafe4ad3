"""The solvers `iht` and `pursuit`: whole problems in (`impray.training.solver.Block`), masks and weights of all counts out.

A fused network (a single output whose readout is fixed) has the scope `weight1`; a network with several outputs has `weight1` and then
`weight2`, row by row, and targets [sample, output]. A mask has exactly the count asked for: where a method ends with fewer weights, it is
filled up with weights that stay 0, those with the largest gradients.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float

from impray.data.one_thread import one_thread
from impray.nets.mlp import fixed_readout
from impray.spec.data import Planted
from impray.spec.nets import Mlp
from impray.training.linear import iht as of_linear
from impray.training.relu import gates, vector
from impray.training.relu.iht import thresholded
from impray.training.relu.problem import Found, Problem, layer_of
from impray.training.relu.pursuit import pursued
from impray.training.relu.streamed import Largest, Ledger
from impray.training.solver import Block, Solved

Find = Callable[[int, int], tuple[Float[np.ndarray, " weight"], Bool[np.ndarray, " weight"], Found]]
"""(problem, count) -> weights, mask and what is said of them."""


def iht(block: Block) -> Solved:
    """The solver `iht`, of linear models too."""
    net = block.trial.net
    if not isinstance(net, Mlp):
        return of_linear.iht(block)
    rule = block.trial.prune.iht
    if net.readout == "trained":
        return _solved(block, _vector(block))
    return _solved(
        block, _fused(block, lambda problem, count: thresholded(problem, count, rule), rule.gate == "closed")
    )


def pursuit(block: Block) -> Solved:
    """The solver `pursuit`, of fused networks alone."""
    rule = block.trial.prune.pursuit
    return _solved(block, _fused(block, lambda problem, count: pursued(problem, count, rule), closed=False))


def _fused(block: Block, find: Callable[[Problem, int], Found], closed: bool) -> Find:
    problems = [problem_of(block, place) for place in range(len(block.seeds))]

    def solve(place: int, count: int) -> tuple[np.ndarray, np.ndarray, Found]:
        problem = problems[place]
        found = find(problem, count)
        return found.support.dense(problem.size), filled(problem, found, count, closed), found

    return solve


def _vector(block: Block) -> Find:
    net, trial = block.trial.net, block.trial
    assert isinstance(net, Mlp) and len(net.hidden) == 1 and trial.train.loss in ("mse", "cross_entropy"), "only these"
    problems = []
    for seed, design, target in zip(block.seeds, block.designs, block.targets, strict=True):
        x, y = (np.ascontiguousarray(array, dtype=np.float64) for array in (design, target))
        problems.append(vector.Problem(x, y, net.hidden[0], trial.train.loss, gates.own(seed, x.shape[1]), seed))

    def solve(place: int, count: int) -> tuple[np.ndarray, np.ndarray, Found]:
        problem = problems[place]
        found = vector.thresholded(problem, count, trial.prune.iht)
        mask = np.zeros(problem.size, dtype=bool)
        mask[found.support.places] = True
        mask[np.flatnonzero(~mask)[problem.size - count :]] = True
        return found.support.dense(problem.size), mask, found

    return solve


def problem_of(block: Block, place: int) -> Problem:
    """One problem of a block of fused networks."""
    net, data, seed = block.trial.net, block.trial.data, block.seeds[place]
    assert isinstance(net, Mlp) and len(net.hidden) == 1 and net.readout in ("sum", "signed"), "only these are solved"
    (units,) = net.hidden
    x = np.ascontiguousarray(block.designs[place], dtype=np.float64)
    signs = fixed_readout(net.readout, units).numpy()
    theirs = isinstance(data, Planted) and data.stream == "authors"
    random = gates.authors(seed, units, x.shape[1]) if theirs else gates.own(seed, x.shape[1])
    return Problem(x, np.ascontiguousarray(block.targets[place], dtype=np.float64), signs, random, seed)


def filled(problem: Problem, found: Found, count: int, closed: bool) -> Bool[np.ndarray, " weight"]:
    """A mask of exactly `count` weights."""
    mask = np.zeros(problem.size, dtype=bool)
    mask[found.support.places] = True
    lacking = count - len(found.support)
    assert lacking >= 0, "a method chooses no more than it is asked for"
    if lacking == 0:
        return mask
    layer = layer_of(problem, problem.x, found.support, closed, Ledger())
    residual = layer.times(found.support) - problem.y
    chosen = Largest(lacking, layer.ledger)
    for places, product in layer.chunks(residual):
        chosen.add(places, np.where(mask[places], 0.0, product))
    mask[chosen.kept.places] = True
    # Units without a weight have no gradient at all where gates are open: the last places of those that are left.
    mask[np.flatnonzero(~mask)[problem.size - count :]] = True
    return mask


def _solved(block: Block, solve: Find) -> Solved:
    """Each problem by itself, every count from scratch."""
    shape = block.start.shape
    masks = {round: np.zeros(shape, dtype=bool) for round in block.rows}
    weights = {round: np.zeros(shape) for round in block.rows}
    facts = {round: _no_facts(len(block.seeds)) for round in block.rows}
    seconds = {round: np.zeros(len(block.seeds)) for round in block.rows}
    with one_thread():
        for place in range(len(block.seeds)):
            of_counts, took = {}, {}
            for count in sorted({block.counts[round] for round in block.rows}):
                start = time.perf_counter()
                of_counts[count] = solve(place, count)
                took[count] = time.perf_counter() - start
            for round in block.rows:
                weights[round][place], masks[round][place], found = of_counts[block.counts[round]]
                seconds[round][place] = took[block.counts[round]]
                for name, values in facts[round].items():
                    values[place] = getattr(found, name)
    return Solved(masks, weights, facts=facts, seconds=seconds)


def _no_facts(problems: int) -> dict[str, np.ndarray]:
    return {
        "optimizer_bytes": np.zeros(problems, dtype=np.int64),
        "converged": np.zeros(problems, dtype=bool),
        "epochs": np.zeros(problems, dtype=np.int64),
        "loss": np.zeros(problems),
    }
