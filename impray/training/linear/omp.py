"""Orthogonal matching pursuit, by scikit-learn: the feature most correlated with the residual joins, and all weights are fitted anew.

Pati, Rezaiifar & Krishnaprasad (1993). It stops where no correlation is left (below 1.5e-8 of |y|), or where the next column depends on
those chosen: fewer features than asked for are selected then.

By the Gram matrix, also where it is the larger one: scikit-learn's other form ends at the first feature that is not correlated with y
itself, whatever the residual says (version 1.9; two neighbours can hide a feature so).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from sklearn.linear_model import orthogonal_mp_gram

from impray.training.linear import Block, Solved
from impray.training.linear.counted import Scaled, solved


def omp(block: Block) -> Solved:
    """The solver `omp`: one pursuit gives all counts."""
    return solved(block, _select)


def _select(problem: Scaled, counts: Sequence[int]) -> dict[int, Float[np.ndarray, " feature"]]:
    samples, features = problem.phi.shape
    size = float(np.linalg.norm(problem.y))
    most = min(max(counts), samples) if size else 0
    path = np.zeros((features, most + 1))
    if most:
        # Columns and target of length 1: what scikit-learn counts as nothing is relative to them then.
        columns, target = problem.phi / math.sqrt(samples), problem.y / size
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it has stopped early: the measure `kept` says so
            made = orthogonal_mp_gram(columns.T @ columns, columns.T @ target, n_nonzero_coefs=most, return_path=True)
        made = np.asarray(made).reshape(features, -1) * (size / math.sqrt(samples))
        path[:, 1 : made.shape[1] + 1] = made
        path[:, made.shape[1] + 1 :] = path[:, made.shape[1], None]  # it stopped: nothing joins any more
    return {count: path[:, min(count, most)] for count in counts}
