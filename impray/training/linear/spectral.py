"""Finite time, and gradient descent: a filter on the eigenvalues of Sigma of the kept features.

Y = V L V^T        w = V [d(L) V^T w(0) + f(L) V^T c]
flow, time T       d = exp(-l T)             f = (1 - exp(-l T)) / l, T where l = 0
descent, K steps   d = (1 - lr l)^K          f = (1 - (1 - lr l)^K) / l, lr K where l = 0
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from impray.spec.training import ClosedForm, GradientDescent
from impray.training.linear.factors import CUT_OFF

Filters = tuple[np.ndarray, np.ndarray]


def filters(train: ClosedForm, length: int | float, values: Float[np.ndarray, "*any feature"]) -> Filters:
    """d and f at eigenvalues, which are clipped at 0, after `length` (a time, or steps; a time may be infinite).

    Beyond a learning rate of 2 / l the powers grow, to infinity and NaN in the end: the problem has diverged.
    """
    values = np.maximum(values, 0.0)
    if isinstance(train, GradientDescent):
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            decay = np.power(1 - train.lr * values, length)
            # log1p and expm1 keep the digits that 1 - (1 - x)^K loses where x is small.
            rate = train.lr * values
            small = -np.expm1(length * np.log1p(-np.minimum(rate, 0.5)))
            reached = np.where(rate < 0.5, small, 1 - decay)
        return decay, np.divide(reached, values, out=np.full_like(values, train.lr * length), where=values > 0)
    if math.isinf(length):
        alive = values > CUT_OFF * values.max(axis=-1, keepdims=True, initial=0.0)
        return np.where(alive, 0.0, 1.0), np.divide(1.0, values, out=np.zeros_like(values), where=alive)
    reached = -np.expm1(-values * length)
    return 1 - reached, np.divide(reached, values, out=np.full_like(values, length), where=values > 0)


def trained(
    train: ClosedForm,
    length: int | float,
    values: Float[np.ndarray, " feature"],
    vectors: Float[np.ndarray, "feature feature"],
    projections: Float[np.ndarray, " feature"],
    start: Float[np.ndarray, " feature"],
) -> Float[np.ndarray, " feature"]:
    """w of one problem. projections: c = phi^T y / n. start: w(0)."""
    decay, reach = filters(train, length, values)
    with np.errstate(over="ignore", invalid="ignore"):
        mixed = reach * (vectors.T @ projections)
        if start.any():
            mixed = mixed + decay * (vectors.T @ start)
        return vectors @ mixed


class Spectra:
    """Problems on their way, as `Downdates`, by eigenvectors in every round."""

    def __init__(
        self,
        train: ClosedForm,
        lengths: tuple[int | float, int | float],
        designs: Sequence[Float[np.ndarray, "sample feature"]],
        targets: Sequence[Float[np.ndarray, " sample"]],
        starts: tuple[Float[np.ndarray, "problem feature"], Float[np.ndarray, "problem feature"]],
    ) -> None:
        """lengths, starts: how far the dense round goes and from where, and all others."""
        self._train, self._lengths, self._starts = train, lengths, starts
        self._covariances = [phi.T @ phi / len(y) for phi, y in zip(designs, targets, strict=True)]
        self._projections = [phi.T @ y / len(y) for phi, y in zip(designs, targets, strict=True)]
        problems, features = starts[0].shape
        self.total = features
        self.features: Int[np.ndarray, "problem column"] = np.tile(np.arange(features), (problems, 1))
        self.left = np.ones(self.features.shape, dtype=bool)
        self.weights = np.zeros(self.features.shape)
        self._diagonal = np.zeros(self.features.shape)
        self._stale, self._dense = True, True
        self.settle()

    @property
    def increase(self) -> Float[np.ndarray, "problem column"]:
        """w_i^2 / K_ii, as of `Downdates`, of the weights that are trained."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self._diagonal > 0, np.square(self.weights) / self._diagonal, np.inf)

    def remove(self, columns: Int[np.ndarray, " problem"]) -> None:
        """One feature of each problem goes; the weights are those of before until `settle`."""
        self.left[np.arange(len(self.left)), columns] = False
        self._stale = True

    def settle(self) -> None:
        """Train what is left."""
        if not self._stale:
            return
        place = 0 if self._dense else 1
        self.weights[:] = 0.0
        for problem, left in enumerate(self.left):
            kept = self.features[problem, left]
            values, vectors = np.linalg.eigh(self._covariances[problem][np.ix_(kept, kept)])
            start, projections = self._starts[place][problem, kept], self._projections[problem][kept]
            self.weights[problem, left] = trained(
                self._train, self._lengths[place], values, vectors, projections, start
            )
            self._diagonal[problem, left] = _diagonal(values, vectors)
        self._stale, self._dense = False, False


def _diagonal(values: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Of Y^-1; where the rank is not full, of the projector on the null space."""
    if not len(values):
        return values
    alive = values > CUT_OFF * max(values[-1], 0.0)
    if alive.all():
        return (np.square(vectors) / values).sum(axis=1)
    return np.square(vectors[:, ~alive]).sum(axis=1)
