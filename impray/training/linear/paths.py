"""Paths of methods whose masks nest: one feature after another goes, and what is left is trained.

    imp              the smallest |w| of the round before             oneshot      the smallest |w| of round 0
    backward         the smallest w_i^2 / K_ii (see `Downdates`)      alignment    the smallest |phi_i^T y|
    hard_threshold   as oneshot; the weights of round 0 stay          random       a permutation, the last places first

Elesedy et al. (2020), Algorithm 1, is imp with one weight per round. Of equal ones, the earlier feature goes first.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, Int

from impray.data.one_thread import one_thread
from impray.spec.training import ClosedForm, GradientFlow
from impray.spec.trial import stream_seed
from impray.training.linear.downdates import Downdates
from impray.training.linear.factors import Factors, factors
from impray.training.linear.spectral import Spectra
from impray.training.solver import Block, Solved

Problems = Downdates | Spectra
_LARGEST = np.finfo(np.float64).max
Rank = Callable[[Problems], Float[np.ndarray, "problem column"]]
"""What decides who goes: the smallest first, of the features that are left."""


def imp(block: Block) -> Solved:
    """The solver `imp`."""
    return _path(block, lambda problems: np.abs(problems.weights))


def backward(block: Block) -> Solved:
    """The solver `backward`. With a finite time K is of the kept Sigma, and w what was trained."""
    return _path(block, lambda problems: problems.increase)


def oneshot(block: Block) -> Solved:
    """The solver `oneshot`."""
    with one_thread():
        size = np.abs(_opened(block).weights)
    return _path(block, _fixed(size))


def alignment(block: Block) -> Solved:
    """The solver `alignment`: the alignment heuristic's order, which is fixed from the start."""
    with one_thread():
        size = np.stack([np.abs(phi.T @ y) for phi, y in zip(block.designs, block.targets, strict=True)])
    return _path(block, _fixed(size))


def random(block: Block) -> Solved:
    """The solver `random`: the masks of the rule `random` (`impray.masks.random`)."""
    places = np.empty(block.start.shape)
    for problem, seed in enumerate(block.seeds):
        generator = torch.Generator().manual_seed(stream_seed(seed, "prune"))
        order = torch.randperm(block.start.shape[1], generator=generator).numpy()
        places[problem, order] = -np.arange(len(order))
    return _path(block, _fixed(places))


def hard_threshold(block: Block) -> Solved:
    """The solver `hard_threshold`."""
    with one_thread():
        opened = _opened(block)
    dense = opened.weights.copy()
    order = np.argsort(np.abs(dense), axis=1, kind="stable")[:, : block.counts[0] - block.counts[-1]]
    masks = {round: _mask(order, block.counts[0], block.counts[round]) for round in block.rows}
    weights = {round: np.where(mask | opened.diverged[:, None], dense, 0.0) for round, mask in masks.items()}
    return Solved(masks, weights, order, np.take_along_axis(dense, order, axis=1))


def _fixed(value: Float[np.ndarray, "problem feature"]) -> Rank:
    """An order that is known from the start."""
    return lambda problems: np.take_along_axis(value, problems.features, axis=1)


def _mask(order: Int[np.ndarray, "problem removal"], features: int, kept: int) -> np.ndarray:
    mask = np.ones((len(order), features), dtype=bool)
    np.put_along_axis(mask, order[:, : features - kept], False, axis=1)
    return mask


# -- the path -------------------------------------------------------------------------------------------------------------


def _path(block: Block, rank: Rank) -> Solved:
    """Remove, train, remove: rounds 0 to the last that is asked for."""
    with one_thread():
        problems = _opened(block)
        every = np.arange(len(block.designs))
        order, gone, weights = [], [], {}
        for round, kept in enumerate(block.counts):
            if round:
                goes = block.counts[round - 1] - kept
                smallest = _smallest(rank(problems), problems.left, goes)
                # By feature: columns may be left out between two removals of a round.
                chosen = [problems.features[every, columns] for columns in smallest]
                before = _spread(problems)
                for features in chosen:
                    order.append(features)
                    gone.append(before[every, features])
                    problems.remove((problems.features == features[:, None]).argmax(axis=1))
                problems.settle()
            if round in block.rows:
                weights[round] = _spread(problems)
    features = block.counts[0]
    removed = np.stack(order, axis=1) if order else np.zeros((len(every), 0), dtype=np.int64)
    sizes = np.stack(gone, axis=1) if gone else np.zeros((len(every), 0))
    masks = {round: _mask(removed, features, block.counts[round]) for round in block.rows}
    return Solved(masks, weights, removed, sizes)


def _smallest(ranked: np.ndarray, left: np.ndarray, goes: int) -> list[np.ndarray]:
    """The columns that go, the first one first, each [problem]; NaN counts as smallest: that problem has diverged."""
    if goes == 0:
        return []
    # What is left may rank at infinity: those that are gone come after it all the same.
    finite = np.nan_to_num(ranked, nan=-np.inf, posinf=_LARGEST, neginf=-np.inf)
    ranked = np.where(left, finite, np.inf)
    if goes == 1:
        return [ranked.argmin(axis=1)]
    return list(np.argsort(ranked, axis=1, kind="stable")[:, :goes].T)


def _spread(problems: Problems) -> Float[np.ndarray, "problem feature"]:
    """The weights at the places of their features, 0 where they are gone; NaN of a problem that has diverged."""
    weights = np.zeros((len(problems.features), problems.total))
    np.put_along_axis(weights, problems.features, np.where(problems.left, problems.weights, 0.0), axis=1)
    weights[problems.diverged] = np.nan
    return weights


# -- the start ------------------------------------------------------------------------------------------------------------


def _opened(block: Block) -> Problems:
    """The dense round, trained."""
    train, step = block.trial.train, block.trial.prune.rewind_step
    assert isinstance(train, ClosedForm), "only these are solved"
    rewound = _rewound(block, step)
    if isinstance(train, GradientFlow) and math.isinf(train.length):
        return Downdates(block.designs, block.targets, rewound, _dense(block, rewound))
    later = train.length - (step if block.trial.prune.after_rewind == "remaining" else 0)
    return Spectra(train, (train.length, later), block.designs, block.targets, (block.start, rewound))


def _rewound(block: Block, step: int) -> Float[np.ndarray, "problem feature"]:
    """What the rounds after the dense one start from, not masked: the dense weights after `step` (a time, or updates)."""
    train = block.trial.train
    assert isinstance(train, ClosedForm), "only these are solved"
    if step == 0:
        return block.start
    return Spectra(train, (step, step), block.designs, block.targets, (block.start, block.start)).weights


_LAST: list[tuple[weakref.ref[Block], list[Factors]]] = []


def _dense(block: Block, start: Float[np.ndarray, "problem feature"]) -> list[Factors]:
    """Factors of all features; those of the last block are kept, since one method after another asks for them."""
    if not _LAST or _LAST[0][0]() is not block:
        made = [factors(*problem) for problem in zip(block.designs, block.targets, start, strict=True)]
        _LAST[:] = [(weakref.ref(block, lambda _: _LAST.clear()), made)]
    return _LAST[0][1]
