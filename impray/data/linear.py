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

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from impray.data.base import OrderedBlocks, Raw, distinct, select, selection
from impray.data.designs import numbers, population, training_rows
from impray.data.one_thread import one_thread
from impray.data.recent import Recent
from impray.spec.data import Linear
from impray.spec.data.designs import Hub

_NUMBERS, _LONGEST_BLOCK = 2**14, 256  # places drawn per seed and call, and the most steps that they are for


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


class LinearPack(OrderedBlocks):
    """The data of a pack, as `PackData`: batches are rows of the training set, drawn with replacement. Stream: `order`."""

    def __init__(
        self, specs: Sequence[Linear], seeds: Sequence[int], *, batch: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        self.nets, self.inputs, self.classes = len(specs), specs[0].inputs, specs[0].classes
        self.block = max(1, min(_LONGEST_BLOCK, _NUMBERS // batch))
        self._specs, self._seeds, self._batch, self._dtype, self._device = specs, seeds, batch, dtype, device
        self._orders, self._order_of = distinct([(seed, spec.samples) for spec, seed in zip(specs, seeds, strict=True)])
        self._rows: tuple[Tensor, Tensor] | None = None

    def whole(self, net: int) -> tuple[Float[Tensor, "sample input"], Float[Tensor, "sample output"]]:
        """See `PackData.whole`."""
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

    def start(self, round: int) -> None:
        """See `PackData.start`."""
        super().start(round)
        if self._rows is None:
            self._gather()

    def _gather(self) -> None:
        """The training sets of all nets below one another; made when batches are first drawn: who solves needs none."""
        problems, place_of = distinct(list(zip(self._specs, self._seeds, strict=True)))
        parts = [self.whole(place_of.index(place)) for place in range(len(problems))]
        self._rows = torch.cat([x for x, _ in parts]), torch.cat([y for _, y in parts])
        firsts = np.cumsum([0, *(len(x) for x, _ in parts)])[place_of]
        self._first = torch.from_numpy(firsts).to(self._device)[:, None]
        self._of_net = selection(self._order_of, len(self._orders), self._device)

    def batch(
        self, raw: Raw, step: int
    ) -> tuple[Float[Tensor, "net sample input"], Float[Tensor, "net sample output"]]:
        """See `PackData.batch`."""
        assert self._rows is not None, "call `start` first"
        places = select(raw["order"][:, step], self._of_net) + self._first
        inputs, targets = (rows.index_select(0, places.flatten()) for rows in self._rows)
        return inputs.view(*places.shape, -1), targets.view(*places.shape, -1)

    def _tensor(self, numbers: np.ndarray) -> Tensor:
        return torch.tensor(numbers, dtype=self._dtype, device=self._device)


def draw_samples(
    data: Linear, per_class: int, seed: int
) -> tuple[Float[Tensor, "sample input"], Int[Tensor, " sample"]]:
    """The first training rows of a seed, for `impray data`; there are no classes, so all are of class 0."""
    phi = torch.tensor(problem(data, seed).features[:per_class], dtype=torch.float32)
    return phi, torch.zeros(len(phi), dtype=torch.int64)
