"""Finite time, and gradient descent: a filter on the eigenvalues of Sigma of the kept features (infinite time: `factors`).

Y = V L V^T        w = V [d(L) V^T w(0) + f(L) V^T c]
flow, time T       d = exp(-l T)             f = (1 - exp(-l T)) / l, T where l = 0
descent, K steps   d = (1 - lr l)^K          f = (1 - (1 - lr l)^K) / l, lr K where l = 0
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from impray.spec.training import ClosedForm, GradientDescent
from impray.theory.linear import CUT_OFF

Filters = tuple[np.ndarray, np.ndarray]


def filters(train: ClosedForm, length: int | float, values: Float[np.ndarray, "*any feature"]) -> Filters:
    """d and f at eigenvalues, which are clipped at 0, after `length` (a time, or steps), which is finite.

    Beyond a learning rate of 2 / l the powers grow, to infinity in the end.
    """
    values = np.maximum(values, 0.0)
    if isinstance(train, GradientDescent):
        rate = train.lr * values
        # 1 - x has lost the digits of a small x, and the power loses K times as much: there logarithms.
        exponent = length * np.log1p(-np.minimum(rate, 0.5))
        with np.errstate(over="ignore"):
            power = np.power(1 - rate, length)
        decay = np.where(rate < 0.5, np.exp(exponent), power)
        reached = np.where(rate < 0.5, -np.expm1(exponent), 1 - power)
        return decay, np.divide(reached, values, out=np.full_like(values, train.lr * length), where=values > 0)
    reached = -np.expm1(-values * length)
    return np.exp(-values * length), np.divide(reached, values, out=np.full_like(values, length), where=values > 0)


def trained(
    train: ClosedForm,
    length: int | float,
    values: Float[np.ndarray, " feature"],
    vectors: Float[np.ndarray, "feature feature"],
    projections: Float[np.ndarray, " feature"],
    start: Float[np.ndarray, " feature"],
) -> Float[np.ndarray, " feature"]:
    """w of one problem; NaN, all of it, where it has diverged. projections: c = phi^T y / n. start: w(0)."""
    decay, reach = filters(train, length, values)
    with np.errstate(over="ignore", invalid="ignore"):
        mixed = _product(reach, vectors.T @ projections)
        if start.any():
            mixed = mixed + _product(decay, vectors.T @ start)
        weights = vectors @ mixed
    return weights if np.isfinite(weights).all() else np.full_like(weights, np.nan)


def _product(growth: np.ndarray, component: np.ndarray) -> np.ndarray:
    """What is 0 stays so, also where others grow to infinity."""
    return np.multiply(growth, component, out=np.zeros_like(component), where=component != 0)


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
        self.diverged: Bool[np.ndarray, " problem"] = np.zeros(problems, dtype=bool)
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
        """Train what is left, of the problems that have not diverged before."""
        if not self._stale:
            return
        place = 0 if self._dense else 1
        self.weights[:] = np.where(self.diverged[:, None], np.nan, 0.0)
        for problem in np.flatnonzero(~self.diverged).tolist():
            left = self.left[problem]
            kept = self.features[problem, left]
            values, vectors = np.linalg.eigh(self._covariances[problem][np.ix_(kept, kept)])
            start, projections = self._starts[place][problem, kept], self._projections[problem][kept]
            self.weights[problem, left] = trained(
                self._train, self._lengths[place], values, vectors, projections, start
            )
            self._diagonal[problem, left] = _diagonal(values, vectors)
        self.diverged |= np.isnan(self.weights).any(axis=1)
        # The next round trains even what has lost nothing: from theta(rewind), and for another length perhaps.
        self._stale, self._dense = self._dense, False


def _diagonal(values: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Of Y^-1; where the rank is not full, of the projector on the null space."""
    if not len(values):
        return values
    alive = values > CUT_OFF * max(values[-1], 0.0)
    if alive.all():
        return (np.square(vectors) / values).sum(axis=1)
    return np.square(vectors[:, ~alive]).sum(axis=1)
