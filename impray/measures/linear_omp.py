"""The line that a network has to beat: a linear model of as many weights, by orthogonal matching pursuit on the inputs themselves.

    f(x) = c + sum over S of w_i x_i        |S| = min(s, inputs), S by linear OMP; c, w by least squares on the training set

s: the weights that the network keeps, of all layers that are pruned. Features and target are centred on the training set, which is an
intercept: a network without biases has none, but its hidden units make one, and without it the line would be low for no other
reason than a mean (digits 3 against 8 at s = 20: .962 instead of .980 held out, mean of twelve divisions; an image's pixels: up to 6 dB).
Scores are those of `psnr` and `accuracy`; labels are 0 and 1.

Source: Pati, Rezaiifar & Krishnaprasad (1993), by `impray.training.linear.omp`, whose columns have equal lengths. Selected once per problem
for all counts.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from impray.data.one_thread import one_thread
from impray.measures.recovery import decibels
from impray.measures.state import Readings, RoundState
from impray.spec import measure as spec
from impray.training.linear.counted import Scaled, fitted, scaled
from impray.training.linear.omp import joining


@one_thread()
def measure(asked: spec.LinearOmp, state: RoundState) -> Readings:
    """At the count of each net's mask. accuracy_linear, accuracy_train_linear: None where targets are real."""
    columns: dict[str, list] = {column.name: [None] * state.nets for column in asked.lineage_columns}
    for nets in state.by_problem():
        training, held_out = state.training_set(nets[0]), state.held_out_set(nets[0])
        peak, labelled = float(np.abs(training[1]).max(initial=0)), not state.held_out(nets[0])[1].is_floating_point()
        for net in nets:
            count = sum(int(mask[net].sum()) for mask in state.masks.values())
            model = state.once(_fit, net, state.once(_joining, net)[:count])
            for suffix, (x, y) in (("linear", held_out), ("train_linear", training)):
                outputs = model(x)
                columns[f"psnr_{suffix}"][net] = decibels(peak, float(np.mean((outputs - y) ** 2)))
                if labelled:
                    columns[f"accuracy_{suffix}"][net] = float(np.mean((outputs > 0.5) == y))
    return Readings(lineage={**columns})


class _Affine(NamedTuple):
    constant: float
    weights: Float[np.ndarray, " feature"]

    def __call__(self, x: Float[np.ndarray, "sample feature"]) -> Float[np.ndarray, " sample"]:
        return self.constant + x @ self.weights


def _joining(x: Float[np.ndarray, "sample feature"], y: Float[np.ndarray, " sample"]) -> tuple[int, ...]:
    """All features of the pursuit, in order."""
    return tuple(joining(_centred(x, y)).tolist())


def _fit(x: Float[np.ndarray, "sample feature"], y: Float[np.ndarray, " sample"], features: tuple[int, ...]) -> _Affine:
    """Least squares on some features."""
    problem, kept = _centred(x, y), np.zeros(x.shape[1], dtype=bool)
    kept[list(features)] = True
    weights = fitted(problem, kept) * problem.height / problem.lengths
    return _Affine(float(y.mean() - x.mean(axis=0) @ weights), weights)


def _centred(x: Float[np.ndarray, "sample feature"], y: Float[np.ndarray, " sample"]) -> Scaled:
    """Constant columns become exactly 0: what rounding leaves of them would be scaled up."""
    return scaled(np.where(np.ptp(x, axis=0) > 0, x - x.mean(axis=0), 0.0), y - y.mean() if np.ptp(y) > 0 else 0 * y)
