"""Linear models with a sparse truth: y = phi s + noise.

    s_j of the k first features of a drawn order, z_j ~ N(0, 1):    gaussian  gamma z_j      signs  gamma sign(z_j)
                                                                    at_least  gamma sign(z_j) (1 + |z_j|)
    noise of standard deviation sigma:    gaussian    uniform on [-sqrt(3) sigma, sqrt(3) sigma]    rademacher  sigma or -sigma

A hub's truth is its own: gamma on the hub, weak gamma on each spoke. Streams: `data` and `design` for phi (`impray.data.designs`),
`truth` for s, `noise`; `held_out` and `held_out_noise` for new rows. So s does not depend on the number of samples, the design or the
noise; laws of one seed share z; and a noise of another size is the same noise, scaled.

Held-out rows are drawn from the population, never exact, scaled by the training sample's columns. Of a given matrix there is no population
but its rows: they are drawn from these, evenly and with replacement, with new noise.

All is drawn in float64 on the CPU, on one thread, and kept for a while; a problem is a function of its spec and seed alone.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from impray.data.base import numbers
from impray.data.designs import population, training_rows
from impray.data.one_thread import one_thread
from impray.data.recent import Recent
from impray.data.rows import RowsPack
from impray.spec.data import Linear
from impray.spec.data.designs import Hub


class Problem(NamedTuple):
    """Of one spec and seed, float64; shared, so not to be written to."""

    features: Float[np.ndarray, "sample feature"]
    targets: Float[np.ndarray, " sample"]
    truth: Float[np.ndarray, " feature"]
    scale: Float[np.ndarray, " feature"]  # what normalised columns were divided by; 1 elsewhere


_PROBLEMS: Recent[Problem] = Recent(2**28)


def problem(data: Linear, seed: int) -> Problem:
    """The training set of a seed, and its truth.

    Raises:  DataError: the design's file is missing, or holds no such matrix.
    """
    return _PROBLEMS.of((data, seed), lambda: _drawn(data, seed))


def _drawn(data: Linear, seed: int) -> Problem:
    with one_thread():
        phi = training_rows(data, seed)
        scale = _mean_squares_root(phi) if data.design.normalised else np.ones(data.features)
        phi, truth = phi / scale, true_weights(data, seed)
        targets = phi @ truth + noise(data, data.samples, numbers(seed, "noise"))
    return Problem(phi, targets, truth, scale)


def _mean_squares_root(phi: Float[np.ndarray, "sample feature"]) -> Float[np.ndarray, " feature"]:
    size = np.sqrt(np.square(phi).mean(axis=0))
    return np.where(size > 0, size, 1.0)


def true_weights(data: Linear, seed: int) -> Float[np.ndarray, " feature"]:
    """s: see the head of this file. Stream: `truth`, which also says which features are a hub and its spokes."""
    draws = numbers(seed, "truth")
    places = draws.permutation(data.features)[: data.support]
    truth = np.zeros(data.features)
    if isinstance(data.design, Hub):
        truth[places] = data.amplitude * np.where(np.arange(data.support) == 0, 1.0, data.design.weak)
    else:
        truth[places] = data.amplitude * _LAWS[data.law](draws.standard_normal(data.features)[: data.support])
    return truth


_LAWS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "gaussian": lambda z: z,
    "signs": lambda z: np.copysign(1.0, z),
    "at_least": lambda z: np.copysign(1.0 + np.abs(z), z),
}


def noise(data: Linear, samples: int, draws: np.random.Generator) -> Float[np.ndarray, " sample"]:
    """Of standard deviation `noise_scale`, whatever its law."""
    return data.noise_scale * _NOISES[data.noise](draws, samples)


_NOISES: Mapping[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "gaussian": lambda draws, samples: draws.standard_normal(samples),
    "uniform": lambda draws, samples: np.sqrt(3) * (2 * draws.random(samples) - 1),
    "rademacher": lambda draws, samples: 2.0 * draws.integers(2, size=samples) - 1,
}


class LinearPack(RowsPack):
    """The data of a pack, as `PackData`."""

    def __init__(
        self, specs: Sequence[Linear], seeds: Sequence[int], *, batch: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        samples = [spec.samples for spec in specs]
        first = specs[0]
        super().__init__(first.inputs, first.classes, samples, seeds, batch=batch, dtype=dtype, device=device)
        self._specs, self._seeds = specs, seeds

    def training(self, net: int) -> tuple[Float[Tensor, "sample input"], Float[Tensor, "sample output"]]:
        """See `RowsPack.training`."""
        own = problem(self._specs[net], self._seeds[net])
        return self._tensor(own.features), self._tensor(own.targets)[:, None]

    def truth(self, net: int) -> dict[str, Tensor]:
        """See `PackData.truth`."""
        return {"weight1": self._tensor(true_weights(self._specs[net], self._seeds[net]))[None]}

    def held_out(self, net: int) -> tuple[Float[Tensor, "sample input"], Float[Tensor, "sample output"]]:
        """See `PackData.held_out`: rows of the same population that training has not seen, with noise."""
        spec, seed = self._specs[net], self._seeds[net]
        own = problem(spec, seed)
        with one_thread():
            phi = population(spec, seed)(spec.held_out, numbers(seed, "held_out"), False) / own.scale
            targets = phi @ own.truth + noise(spec, spec.held_out, numbers(seed, "held_out_noise"))
        return self._tensor(phi), self._tensor(targets)[:, None]

    def known_by(self, net: int) -> tuple[Hashable, Hashable]:
        """See `RowsPack.known_by`."""
        problem_of_net = self._specs[net], self._seeds[net]
        return problem_of_net, problem_of_net


def draw_samples(
    data: Linear, per_class: int, seed: int
) -> tuple[Float[Tensor, "sample input"], Int[Tensor, " sample"]]:
    """The first training rows of a seed, for `impray data`; there are no classes, so all are of class 0."""
    phi = torch.tensor(problem(data, seed).features[:per_class], dtype=torch.float32)
    return phi, torch.zeros(len(phi), dtype=torch.int64)
