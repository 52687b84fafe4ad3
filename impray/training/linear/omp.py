"""Orthogonal matching pursuit, by scikit-learn: the feature most correlated with the residual joins, and all weights are fitted anew.

Pati, Rezaiifar & Krishnaprasad (1993). It stops where the residual is 0 to rounding, or where the next column depends on those chosen:
fewer features than asked for are selected then.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from sklearn.linear_model import orthogonal_mp

from impray.training.linear import Block, Solved
from impray.training.linear.counted import Scaled, solved


def omp(block: Block) -> Solved:
    """The solver `omp`: one pursuit gives all counts."""
    return solved(block, _select)


def _select(problem: Scaled, counts: Sequence[int]) -> dict[int, Float[np.ndarray, " feature"]]:
    samples, features = problem.phi.shape
    alive = np.flatnonzero(problem.alive)
    most = min(max(counts), len(alive), samples)
    path = np.zeros((features, most + 1))
    if most and problem.y.any():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it has stopped early: the measure `kept` says so
            made = orthogonal_mp(
                np.asfortranarray(problem.phi[:, alive]), problem.y, n_nonzero_coefs=most, return_path=True
            )
        made = np.asarray(made).reshape(len(alive), -1)
        path[alive, 1 : made.shape[1] + 1] = made
        path[:, made.shape[1] + 1 :] = path[:, made.shape[1], None]  # it stopped: nothing joins any more
    return {count: path[:, min(count, most)] for count in counts}
