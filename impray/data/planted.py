"""Targets of a sparse ReLU network that is drawn.

    two layers      y = sum_j a_j relu(w_j x) + noise                    a_j = 1 (`sum`), or +1, -1 in turn (`signed`)
    three layers    y = sum_j a_j relu(v_j relu(W x)) + noise            x ~ N(0, I)

`nonzero` weights are N(0, 1), at places drawn without replacement, all others 0; with three layers half of them (rounded up) are in W,
the rest in v. Streams: `data` for x, `truth` for the weights, `noise`; `held_out` for new inputs, whose targets have no noise. So the
weights do not depend on the number of samples, nor x on the weights; places and values of fewer weights are the first ones of more; and
a noise of another size is the same noise, scaled.

`stream: authors` are the numbers of Fridovich-Keil & Pilanci's code instead: numpy's legacy generator, seeded with the seed + 1 for
the places and then the values (float32) of a matrix [input, unit], with the seed + 2 for x; x and y are rounded to float32. Their code
trains and scores on the same samples; held-out inputs are our stream's, rounded alike.

Source: Fridovich-Keil & Pilanci (2025), the planted networks of their Fig. 1; signed readouts and noise are ours.
All is drawn in float64 on the CPU, on one thread, and kept for a while; it is a function of spec and seed alone.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from impray.data.base import numbers
from impray.data.one_thread import one_thread
from impray.data.recent import Recent
from impray.data.rows import RowsPack
from impray.spec.data import Planted

_PORTION = 4096  # samples whose hidden units are in memory at once
Weights = tuple[Float[np.ndarray, "_ _"], ...]


class _Inputs(NamedTuple):
    rows: Float[np.ndarray, "sample input"]


class _Targets(NamedTuple):
    values: Float[np.ndarray, " sample"]


_INPUTS: Recent[_Inputs] = Recent(2**28)
_TARGETS: Recent[_Targets] = Recent(2**26)


def training_set(data: Planted, seed: int) -> tuple[Float[np.ndarray, "sample input"], Float[np.ndarray, " sample"]]:
    """x and y of a seed, float64; shared, so not to be written to."""
    x = _INPUTS.of(_known_by(data, seed), lambda: _Inputs(_training_inputs(data, seed))).rows
    return x, _TARGETS.of((data, seed, "training"), lambda: _Targets(_training_targets(data, seed, x))).values


def held_out_set(data: Planted, seed: int) -> tuple[Float[np.ndarray, "sample input"], Float[np.ndarray, " sample"]]:
    """As `training_set`, of samples that training has not seen, without noise."""
    key = data.held_out, data.inputs, data.stream, seed, "held_out"
    x = _INPUTS.of(key, lambda: _Inputs(_as_theirs(data, _gaussian(seed, "held_out", data.held_out, data.inputs)))).rows
    return x, _TARGETS.of((data, seed, "held_out"), lambda: _Targets(_as_theirs(data, outputs(data, seed, x)))).values


def true_weights(data: Planted, seed: int) -> Weights:
    """W [unit, input]; with three layers also v [unit, unit]. Stream: `truth`."""
    if data.stream == "authors":
        return (_weights_of_authors(data, seed),)
    draws = numbers(seed, "truth")
    counts = (data.nonzero,) if data.layers == 2 else (-(-data.nonzero // 2), data.nonzero // 2)
    shapes = ((data.units, data.inputs), (data.units, data.units))
    return tuple(_sparse(count, shape, draws) for count, shape in zip(counts, shapes, strict=False))


def outputs(data: Planted, seed: int, x: Float[np.ndarray, "sample input"]) -> Float[np.ndarray, " sample"]:
    """What the planted network gives, without noise."""
    weights, signs = true_weights(data, seed), np.ones(data.units)
    if data.readout == "signed":
        signs[1::2] = -1
    with one_thread():
        parts = [_hidden(weights, x[first : first + _PORTION]) @ signs for first in range(0, len(x), _PORTION)]
    return np.concatenate(parts)


def _hidden(weights: Weights, x: Float[np.ndarray, "sample _"]) -> Float[np.ndarray, "sample _"]:
    for of_layer in weights:
        x = np.maximum(x @ of_layer.T, 0)
    return x


def _sparse(count: int, shape: tuple[int, int], draws: np.random.Generator) -> Float[np.ndarray, "unit input"]:
    """All places and values are drawn, whatever the count, so that those of fewer are the first ones of more."""
    weights = np.zeros(shape[0] * shape[1])
    places = draws.permutation(len(weights))[:count]
    weights[places] = draws.standard_normal(len(weights))[:count]
    return weights.reshape(shape)


def _weights_of_authors(data: Planted, seed: int) -> Float[np.ndarray, "unit input"]:
    draws = np.random.RandomState(seed + 1)
    weights = np.zeros(data.inputs * data.units)
    places = draws.choice(len(weights), size=data.nonzero, replace=False)
    weights[places] = draws.normal(size=data.nonzero).astype(np.float32)
    return np.ascontiguousarray(weights.reshape(data.inputs, data.units).T)


def _training_inputs(data: Planted, seed: int) -> Float[np.ndarray, "sample input"]:
    if data.stream == "authors":
        return _as_theirs(data, np.random.RandomState(seed + 2).normal(size=(data.samples, data.inputs)))
    return _gaussian(seed, "data", data.samples, data.inputs)


def _training_targets(data: Planted, seed: int, x: Float[np.ndarray, "sample input"]) -> Float[np.ndarray, " sample"]:
    noise = data.noise_scale * numbers(seed, "noise").standard_normal(data.samples) if data.noise_scale else 0.0
    return _as_theirs(data, outputs(data, seed, x) + noise)


def _gaussian(seed: int, stream: str, samples: int, inputs: int) -> Float[np.ndarray, "sample input"]:
    return numbers(seed, stream).standard_normal((samples, inputs))


def _as_theirs(data: Planted, values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32).astype(np.float64) if data.stream == "authors" else values


def _known_by(data: Planted, seed: int) -> Hashable:
    """The training inputs depend on nothing else."""
    return data.samples, data.inputs, data.stream, seed


class PlantedPack(RowsPack):
    """The data of a pack, as `PackData`."""

    def __init__(
        self, specs: Sequence[Planted], seeds: Sequence[int], *, batch: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        samples = [spec.samples for spec in specs]
        super().__init__(specs[0].inputs, 1, samples, seeds, batch=batch, dtype=dtype, device=device)
        self._specs, self._seeds = specs, seeds

    def training(self, net: int) -> tuple[Float[Tensor, "sample input"], Float[Tensor, "sample output"]]:
        """See `RowsPack.training`."""
        x, y = training_set(self._specs[net], self._seeds[net])
        return self._tensor(x), self._tensor(y)[:, None]

    def held_out(self, net: int) -> tuple[Float[Tensor, "sample input"], Float[Tensor, "sample output"]]:
        """See `PackData.held_out`: new inputs, with their targets, without noise."""
        x, y = held_out_set(self._specs[net], self._seeds[net])
        return self._tensor(x), self._tensor(y)[:, None]

    def truth(self, net: int) -> dict[str, Tensor]:
        """See `PackData.truth`: `weight1` [unit, input], and of three layers `weight2` [unit, unit]."""
        weights = true_weights(self._specs[net], self._seeds[net])
        return {f"weight{layer}": self._tensor(of_layer) for layer, of_layer in enumerate(weights, start=1)}

    def known_by(self, net: int) -> tuple[Hashable, Hashable]:
        """See `RowsPack.known_by`: nets of a seed whose truths differ share their inputs."""
        spec, seed = self._specs[net], self._seeds[net]
        return _known_by(spec, seed), (spec, seed)


def draw_samples(
    data: Planted, per_class: int, seed: int
) -> tuple[Float[Tensor, "sample input"], Int[Tensor, " sample"]]:
    """The first training inputs of a seed, for `impray data`; there are no classes, so all are of class 0."""
    x = torch.tensor(training_set(data, seed)[0][:per_class], dtype=torch.float32)
    return x, torch.zeros(len(x), dtype=torch.int64)
