"""Problems for solvers whose masks do not nest."""

from __future__ import annotations

import numpy as np

from impray.spec.trial import Trial
from impray.training.solver import Block


def trial(samples, features, noise=0.0):
    return Trial.model_validate(
        {
            "data": {"kind": "linear", "samples": samples, "features": features, "nonzero": 1, "noise_scale": noise},
            "net": {"kind": "linear"},
            "train": {"optimizer": "gradient_flow"},
            "prune": {"remove": 1, "layers": "all"},
        }
    )


def block(problems, counts, noise=0.0):
    """Of (phi, y), with a round for each of the falling `counts` after the dense one; rows of all but round 0."""
    samples, features = problems[0][0].shape
    designs, targets = zip(*problems, strict=True)
    rows = list(range(1, len(counts) + 1))
    start = np.zeros((len(problems), features))
    return Block(
        trial(samples, features, noise), range(len(problems)), designs, targets, start, [features, *counts], rows
    )


def drawn(seed, samples, features, nonzero, noise=0.0):
    """phi, y and the truth: independent Gaussian columns, components of size 1 to 3."""
    generator = np.random.default_rng(seed)
    phi, truth = generator.standard_normal((samples, features)), np.zeros(features)
    truth[generator.permutation(features)[:nonzero]] = generator.uniform(1, 3, nonzero) * generator.choice(
        [-1, 1], nonzero
    )
    return phi, phi @ truth + noise * generator.standard_normal(samples), truth


def least_squares(phi, y, kept):
    """Weights and residual of the fit on the kept features."""
    weights = np.zeros(phi.shape[1])
    weights[kept] = np.linalg.lstsq(phi[:, kept], y, rcond=None)[0]
    return weights, y - phi @ weights
