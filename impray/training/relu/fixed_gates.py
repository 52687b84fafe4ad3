"""How much a network's loss would still fall by least squares on its kept weights, were its gates to stay as they are.

    A: columns of the kept weights at the gates 1[w_j x > 0]        r = y - A w        P r: the projection of r on their span
    loss |r|^2 / n        refitted |r - P r|^2 / n        share |P r|^2 / |r|^2

|P r|^2 is taken from r, not as a difference of two losses, so that a small share has right digits.

Up to `GRAM` weights by their Gram matrix and Cholesky's factor with pivots: columns may depend on others. Of more, by conjugate gradients
on the normal equations, from below: each of their steps adds to |P r|^2. With H_jk = a_j a_k mean_i G_ij G_ik of the gates and C = X^T X
of the inputs the Gram matrix of all weights is near the Kronecker product of H and C (equal to it where gates do not depend on inputs),
so H^-1 (gradient) C^-1 preconditions it: some 15 steps of Gaussian inputs, where the product is near.

A loss within rounding is none: weights of the relative precision u change the outputs by up to u sum_i |w_i| |A_i|, targets by u |y|, and
sums of s products in float64 add s + 1 roundings of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from impray.training.relu.pursuit import fit
from impray.training.relu.streamed import GRAM, Layer, Support

LARGEST = 500_000_000  # samples x units x inputs of a product, where more than `GRAM` weights are kept
_STEPS = 100
_SMALL = 1e-6  # the expected rest of |P r|^2 / |r|^2 at which steps end; what is left may be some ten times as much
_RIDGE = 1e-8  # of matrices with a diagonal of ones that may be singular
_UNIT = np.finfo(np.float64).eps / 2

Linear = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Refit:
    """Mean squared errors of a network and of its refit at the same gates, and the share of the first that is gone, in [0, 1]."""

    loss: float
    refitted: float
    share: float


def refit(layer: Layer, y: Float[np.ndarray, " sample"], kept: Support, precision: float = _UNIT) -> Refit | None:
    """Least squares on the kept weights.

    Args:    layer: at gates that are the weights; `live` its units with a weight. kept: weights of these units that may change, also
             those that are 0. precision: u, the unit roundoff that weights and targets were rounded to.
    Returns: None: its products would be larger than `LARGEST`. NaN: the network's outputs are too large for floating point.
    """
    if len(kept) > GRAM and len(y) * len(layer.live) * layer.inputs > LARGEST:
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        residual = y - layer.times(kept)
        square = float(residual @ residual)
    if not np.isfinite(square):
        return Refit(np.nan, np.nan, np.nan)
    loss = square / len(y)
    if len(kept) == 0 or loss <= _rounding(layer, y, kept, precision):
        return Refit(loss, loss, 0.0)
    change, gone = (_by_gram if len(kept) <= GRAM else _by_conjugate_gradients)(layer, kept.places, residual)
    rest = residual - layer.times(kept.with_values(change))
    return Refit(loss, float(rest @ rest) / len(y), min(1.0, max(0.0, gone / square)))


def _rounding(layer: Layer, y: np.ndarray, kept: Support, precision: float) -> float:
    """A mean squared error that is none."""
    squares = layer.squares(layer.live).ravel()[_places_among(layer, kept.places)]
    reach = float(np.abs(kept.values) @ np.sqrt(squares))
    own = precision * (reach + float(np.linalg.norm(y))) + (len(kept) + 1) * _UNIT * reach
    return own**2 / len(y)


def _places_among(layer: Layer, places: Int[np.ndarray, " weight"]) -> Int[np.ndarray, " weight"]:
    """Places in the matrix [live unit, input], row by row."""
    units, inputs = np.divmod(places, layer.inputs)
    return np.searchsorted(layer.live, units) * layer.inputs + inputs


def _by_gram(layer: Layer, places: np.ndarray, residual: np.ndarray) -> tuple[Float[np.ndarray, " weight"], float]:
    """The change of the weights, and |P r|^2."""
    gram, slope = layer.normal(places, residual)
    change = fit(gram, slope, 0.0)
    return change, float(change @ slope)


def _by_conjugate_gradients(
    layer: Layer, places: np.ndarray, residual: np.ndarray
) -> tuple[Float[np.ndarray, " weight"], float]:
    """As `_by_gram`, from below."""
    conditioned = _kronecker(layer, places)
    slope, change, gone = layer.onto(places, residual), np.zeros(len(places)), 0.0
    direction = step = conditioned(slope)
    size, enough = float(slope @ step), _SMALL * float(residual @ residual)
    for _ in range(_STEPS):
        image = layer.times(Support(places, direction))
        curvature = float(image @ image)
        if size <= enough or curvature == 0:
            break
        length = size / curvature
        change, gone = change + length * direction, gone + length * size
        slope = slope - length * layer.onto(places, image)
        step = conditioned(slope)
        size, before = float(slope @ step), size
        direction = step + size / before * direction
    return change, gone


def _kronecker(layer: Layer, places: np.ndarray) -> Linear:
    """g -> (H^-1 g C^-1) at the places, g being 0 elsewhere."""
    units, inputs, among = len(layer.live), layer.inputs, _places_among(layer, places)
    both, covariance = np.zeros((units, units)), np.zeros((inputs, inputs))
    for block in layer.blocks():
        rows = layer.x[block]
        open_ = layer.active(rows, layer.live).astype(np.float64)
        both += open_.T @ open_
        covariance += rows.T @ rows
    signs = layer.signs[layer.live]
    of_units, of_inputs = _inverse(both / len(layer.x) * np.outer(signs, signs)), _inverse(covariance)

    def conditioned(slope: np.ndarray) -> np.ndarray:
        dense = np.zeros(units * inputs)
        dense[among] = slope
        return (of_units @ dense.reshape(units, inputs) @ of_inputs).ravel()[among]

    return conditioned


def _inverse(gram: Float[np.ndarray, "row row"]) -> Float[np.ndarray, "row row"]:
    """Of a Gram matrix, with a small ridge."""
    lengths = np.sqrt(gram.diagonal())
    lengths = np.where(lengths > 0, lengths, 1.0)
    scaled = gram / np.outer(lengths, lengths)
    return np.linalg.inv(scaled + _RIDGE * np.eye(len(gram))) / np.outer(lengths, lengths)
