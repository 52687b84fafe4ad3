"""Blocks of small linear problems for tests of solvers, and the slow way along a path: `impray.theory.linear`, one mask at a time."""

import numpy as np
from linear_sweeps import linear_sweep

from impray.spec.training import GradientDescent
from impray.theory import linear as theory
from impray.training.solver import Block

METHODS = ("imp", "oneshot", "random", "backward", "alignment", "hard_threshold", "iht", "omp", "lasso")


def block(problems, *, counts=None, start=0.0, rows=None, noise=0.5, train=None, **prune):
    """Of (phi, y) pairs. counts: all rounds', else one weight per round to the last. start: scale of w_init. prune: rewinding."""
    features = problems[0][0].shape[1]
    changes = {f"trial.prune.{name}": value for name, value in prune.items()}
    changes |= {"trial.data.features": features, "trial.data.nonzero": 1, "trial.data.noise_scale": noise}
    trial = linear_sweep(**changes, **{"trial.train": train or {"optimizer": "gradient_flow"}}).trial
    counts = list(range(features, -1, -1)) if counts is None else counts
    return Block(
        trial=trial,
        seeds=range(len(problems)),
        designs=[phi for phi, _ in problems],
        targets=[y for _, y in problems],
        start=start * np.random.default_rng(5).standard_normal((len(problems), features)),
        counts=counts,
        rows=list(range(len(counts))) if rows is None else rows,
    )


def alone(of, place):
    """One problem of a block, in memory of its own."""
    return Block(
        trial=of.trial,
        seeds=[of.seeds[place]],
        designs=[of.designs[place].copy()],
        targets=[of.targets[place].copy()],
        start=of.start[place : place + 1].copy(),
        counts=of.counts,
        rows=of.rows,
    )


def _wide(rng):
    return rng.standard_normal((6, 15))


def _toeplitz(rng, rho=0.999):
    places = np.arange(12)
    root = np.linalg.cholesky(rho ** np.abs(places[:, None] - places))
    return rng.standard_normal((40, 12)) @ root.T


def _duplicated(rng):
    phi = rng.standard_normal((20, 10))
    phi[:, 7], phi[:, 3], phi[:, 4] = phi[:, 1], 0.0, -2 * phi[:, 5]
    return phi


def _dead(rng, samples):
    return np.maximum(rng.standard_normal((samples, 2)) @ rng.standard_normal((2, 14)) + rng.standard_normal(14) - 1, 0)


DESIGNS = {
    "tall": lambda rng: rng.standard_normal((30, 12)),
    "square": lambda rng: rng.standard_normal((10, 10)),
    "wide": _wide,
    "correlated": _toeplitz,
    "duplicated": _duplicated,
    "dead, tall": lambda rng: _dead(rng, 40),
    "dead, wide": lambda rng: _dead(rng, 8),
    "repeated rows": lambda rng: np.repeat(rng.standard_normal((3, 9)), 2, axis=0),
    "one sample": lambda rng: rng.standard_normal((1, 5)),
    "one feature": lambda rng: rng.standard_normal((7, 1)),
    "all zero": lambda rng: np.zeros((6, 4)),
}


def problems(name, count=3, noise=0.5):
    """(phi, y) pairs of a design of `DESIGNS`; the truth has one component in three."""
    made = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        phi = DESIGNS[name](rng)
        truth = rng.standard_normal(phi.shape[1]) * (np.arange(phi.shape[1]) % 3 == 0)
        made.append((phi, phi @ truth + noise * rng.standard_normal(len(phi))))
    return made


def fit(of, place, mask, *, dense=False):
    """The weights of a mask, by the theory's reference, from theta(rewind) (dense: from w_init) and for the length that is due."""
    phi, y, w_init = of.designs[place], of.targets[place], of.start[place]
    train, prune = of.trial.train, of.trial.prune
    everything = np.ones(len(w_init), dtype=bool)

    def advance(mask, start, length):
        if length == 0:
            return np.where(mask, start, 0.0)
        if isinstance(train, GradientDescent):
            return theory.descent(phi, y, mask, start, train.lr, length)
        return theory.flow(phi, y, mask, start, length)

    if dense:
        return advance(everything, w_init, train.length)
    later = train.length - (prune.rewind_step if prune.after_rewind == "remaining" else 0)
    return advance(mask, advance(everything, w_init, prune.rewind_step), later)


def fits(of, place, masks):
    """`fit` of each round's mask."""
    return {round: fit(of, place, mask, dense=round == 0) for round, mask in masks.items()}
