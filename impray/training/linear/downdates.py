"""Infinite time: the weights of many problems as features go, one after another, by downdates (`impray.training.linear.factors`).

All that is done to several problems at once is elementwise, so that a problem cannot see its neighbours. Removals are gathered:
K = K0 - sum_t v_t v_t^T with v_t = K_i / sqrt(K_ii), so that a removal costs (pending + 1) vectors rather than a matrix. After a fixed
number of them K0 takes them in, by one product per problem, and the features that are gone are left out of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from impray.training.linear.factors import Factors, factors

_SMALL = 256  # features up to which few removals are gathered
_PENDING = {True: 16, False: 64}
# A downdate by N divides by N_ii, and the rounding errors of several add up. Columns of very different length have small ones: with a
# threshold of 1e-6 weights were off by 1e-7 of the largest, with this one by less than 1e-10. Random designs rarely come below it.
_PIVOT = 1e-3  # N_ii below which what is left is factorised anew


class Downdates:
    """Problems on their way. The same number of features has gone from each; columns are those that are left, in order."""

    def __init__(
        self,
        designs: Sequence[Float[np.ndarray, "sample feature"]],
        targets: Sequence[Float[np.ndarray, " sample"]],
        start: Float[np.ndarray, "problem feature"],
        dense: Sequence[Factors],
    ) -> None:
        """start: what each round starts from, not masked. dense: of each problem with all of its features."""
        self._designs, self._targets, self._start = designs, targets, start
        self.total = start.shape[1]
        self._problems = np.arange(len(designs))
        self.features: Int[np.ndarray, "problem column"] = np.tile(np.arange(start.shape[1]), (len(designs), 1))
        self.left = np.ones(self.features.shape, dtype=bool)
        self.weights = np.stack([made.weights for made in dense])
        self.diverged: Bool[np.ndarray, " problem"] = np.zeros(len(designs), dtype=bool)  # none does
        self._matrix = np.stack([made.matrix for made in dense])
        self._diagonal = np.stack([np.diag(made.matrix).copy() for made in dense])
        self._nullity = np.array([made.nullity for made in dense])
        self._well = np.array([made.well for made in dense])
        self._most = _PENDING[start.shape[1] <= _SMALL]
        self._pending: list[Float[np.ndarray, "problem column"]] = []

    @property
    def increase(self) -> Float[np.ndarray, "problem column"]:
        """w_i^2 / K_ii: twice what the loss rises by when i goes; where it does not rise, what the squared distance from the start does."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self._diagonal > 0, np.square(self.weights) / self._diagonal, np.inf)

    def remove(self, columns: Int[np.ndarray, " problem"]) -> None:
        """One feature of each problem goes."""
        at = self._problems, columns
        row = self._matrix[at]
        for gathered in self._pending:
            row -= gathered * gathered[at][:, None]
        row *= self.left
        pivot = row[at]
        # What follows is wrong for these, and made anew below.
        anew = ~self._well | (self._nullity == 1) | ((self._nullity > 0) & (pivot < _PIVOT)) | ~(pivot > 0)
        root = np.sqrt(np.where(anew, 1.0, pivot))
        row = np.where(anew[:, None], 0.0, row / root[:, None])
        self.weights -= row * (self.weights[at] / root)[:, None]
        self._diagonal -= np.square(row)
        self.left[at] = False
        self.weights[at] = 0.0
        self._nullity -= ~anew & (self._nullity > 0)
        self._pending.append(row)
        for problem in np.flatnonzero(anew).tolist():
            self._make_anew(problem)
        if len(self._pending) == self._most:
            self._take_in()

    def settle(self) -> None:
        """Nothing: the weights are always those of what is left."""

    def _make_anew(self, problem: int) -> None:
        columns = np.flatnonzero(self.left[problem])
        features = self.features[problem, columns]
        phi = np.ascontiguousarray(self._designs[problem][:, features])
        made = factors(phi, self._targets[problem], self._start[problem, features])
        for gathered in self._pending:
            gathered[problem] = 0.0
        self._matrix[problem] = 0.0
        self._matrix[problem][np.ix_(columns, columns)] = made.matrix
        self._diagonal[problem] = 0.0
        self._diagonal[problem, columns] = np.diag(made.matrix)
        self.weights[problem] = 0.0
        self.weights[problem, columns] = made.weights
        self._nullity[problem], self._well[problem] = made.nullity, made.well

    def _take_in(self) -> None:
        """Put the gathered removals into the matrices, and leave out columns that are gone."""
        stay = np.stack([np.flatnonzero(left) for left in self.left])
        rows = self._problems[:, None]
        gathered = np.stack([part[rows, stay] for part in self._pending], axis=1)
        matrix = np.empty((*stay.shape, stay.shape[1]))
        for problem, own in enumerate(stay):
            taken = gathered[problem].T @ gathered[problem]
            np.subtract(self._matrix[problem][own][:, own], taken, out=matrix[problem])
        self._matrix = matrix
        self._diagonal, self.weights = self._diagonal[rows, stay], self.weights[rows, stay]
        self.features, self.left = self.features[rows, stay], self.left[rows, stay]
        self._pending = []
