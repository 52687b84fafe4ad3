"""What the stimuli on a ring or torus share: white noise to correlated fields, Gaussian clones, and packs of streams.

    z = H (sqrt(eigenvalues of the sample's class) * noise)          x = sqrt(1 - b) stimulus(z, ...) + sqrt(b) clone

Every covariance here is even and circulant along each axis, so one real, symmetric, orthogonal matrix has all their eigenvectors,
Hartley's H_jk = (cos(2 pi jk/n) + sin(2 pi jk/n)) / sqrt(n), whatever the class and the length scale. White noise stays white in
that basis, and H is the product of one factor per axis. So classes and nets differ in an elementwise factor only, and one pair of
short products serves all classes. It differs from a product with the symmetric root of each class's covariance by a rotation of
the noise only.

`gaussian_blend` b adds an independent Gaussian clone of exactly the covariance of the stimulus; the excess kurtosis of x is
(1 - b)^2 times the stimulus's.

A kind of stimulus is a `Process`: what it draws, and how samples follow. Nets with one seed (or one `draw`) share the drawn
numbers; nets that share all that decides their samples share these.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from impray.data.base import Blocks, Raw, distinct, generator, select, view_selection
from impray.spec.data import Stimulus
from impray.theory.stimuli import covariance, torus

# Numbers drawn per seed and call: long against a call's overhead, and on the CPU a pack's numbers stay in its
# cache (12 x 12, batch 64, 32 nets: 53 us per net and step, of which 26 draw; blocks of 2^17 numbers 63). On
# CUDA every call is a launch: longer.
_NUMBERS = {"cpu": 2**15, "cuda": 2**19}
_LONGEST_BLOCK = 64
# Samples are drawn in whole tiles, so that every stream's matrices start on a cache line: elsewhere MKL's
# batched product rounds by where in memory a matrix lies (seen at 5 x 9, 7 x 13, 67 x 41), and a net would
# depend on its place in the pack.
_TILE = 16


def padded(samples: int) -> int:
    """Samples to draw numbers and labels for: whole tiles."""
    return -(-samples // _TILE) * _TILE


def hartley(side: int) -> Float[Tensor, "side side"]:
    """Hartley's orthogonal and symmetric basis of a ring, float64."""
    jk = torch.arange(side).outer(torch.arange(side)) % side
    angle = jk.double() * (2 * math.pi / side)
    return (angle.cos() + angle.sin()) / math.sqrt(side)


def root_spectrum(covariance: Float[np.ndarray, "row col"]) -> Float[np.ndarray, "row col"]:
    """Square roots of the eigenvalues of a circulant covariance, given with the input at (0, 0)."""
    return np.sqrt(np.fft.fft2(covariance).real.clip(min=0))


class Coloured:
    """White noise -> correlated Gaussian fields, for several streams of one shape at once."""

    def __init__(
        self, roots: Sequence[Float[np.ndarray, "class row col"]], dtype: torch.dtype, device: torch.device
    ) -> None:
        """roots: of each stream, the root spectrum of each class; what follows linearly may be part of it."""
        classes, self.rows, self.cols = roots[0].shape
        to: dict[str, Any] = {"dtype": dtype, "device": device}
        self._rows_basis, self._cols_basis = hartley(self.rows).to(**to), hartley(self.cols).to(**to)
        # A row's classes side by side: the noise is laid out [stream, row, sample, col], where both products
        # are long.
        table = torch.from_numpy(np.stack(roots)).transpose(1, 2).reshape(-1, self.cols)
        self._roots = table.to(**to)
        first = torch.arange(0, len(roots) * self.rows * classes, classes)
        self._first = first.view(len(roots), self.rows, 1).to(device)

    def __call__(
        self, noise: Float[Tensor, "stream number"], labels: Int[Tensor, "stream sample"]
    ) -> Float[Tensor, "stream row sample col"]:
        index = labels[:, None] + self._first
        streams, rows, samples = index.shape
        shape = streams, rows, samples, self.cols
        z = noise.view(shape) * self._roots.index_select(0, index.flatten()).view(shape)
        # One product per stream (bmm), never one over all of them: a stream's sums must not depend on how
        # many there are.
        if rows > 1:
            z = torch.bmm(self._rows_basis.expand(streams, -1, -1), z.view(streams, rows, -1))
        z = torch.bmm(z.view(streams, -1, self.cols), self._cols_basis.expand(streams, -1, -1))
        return z.view(shape)


def per_stream(values: Sequence[float], dtype: torch.dtype, device: torch.device) -> Float[Tensor, "stream 1 1 1"]:
    """One number per stream, to multiply fields with."""
    return torch.tensor(values, dtype=torch.float64).to(device, dtype).view(-1, 1, 1, 1)


class Process(ABC):
    """A kind of stimulus: what one seed draws, and samples of variance 1 - blend from that."""

    numbers = _NUMBERS
    drawn: tuple[str, ...] = ()  # names of what `draw` gives, one generator per seed and name

    def __init__(self, specs: Sequence[Stimulus], dtype: torch.dtype, device: torch.device) -> None:
        """specs: of each stream."""
        self.specs, self.dtype, self.device = specs, dtype, device
        self.inputs = specs[0].inputs

    @abstractmethod
    def draw(self, name: str, stream: torch.Generator, shape: tuple[int, int]) -> Tensor:
        """The numbers of one seed, for a block of (steps, padded samples): [step, ...]."""

    def white(self, stream: torch.Generator, shape: tuple[int, int]) -> Float[Tensor, "step number"]:
        """White noise of (steps, padded samples), one number per input."""
        steps, samples = shape
        numbers = torch.empty(steps, samples * self.inputs, dtype=self.dtype, device=self.device)
        return numbers.normal_(generator=stream)

    def prepared(self, raw: Raw, seed_of_stream: Sequence[int]) -> Raw:
        """Once per block, on what `draw` gave of all seeds [seed, step, ...]; may give names of streams [stream, step, ...]."""
        return raw

    of_streams: frozenset[str] = frozenset()  # names in `prepared` that have a stream axis, not one of seeds

    @abstractmethod
    def samples(
        self, numbers: Raw, labels: Int[Tensor, "stream padded"], samples: int
    ) -> Float[Tensor, "stream {samples} row col"]:
        """The first `samples` of the samples of a step, times sqrt(1 - blend); `numbers` have a stream axis."""


class Noisy(Process):
    """The processes that begin with Gaussian noise, one number per input."""

    drawn = ("noise",)

    def draw(self, name: str, stream: torch.Generator, shape: tuple[int, int]) -> Tensor:
        return self.white(stream, shape)


def laid_out(
    z: Float[Tensor, "stream row sample col"], amplitudes: Float[Tensor, "stream 1 1 1"], samples: int
) -> Float[Tensor, "stream {samples} row col"]:
    """Scales and lays out in one pass."""
    streams, rows, _, cols = z.shape
    x = z.new_empty(streams, samples, rows, cols)
    return torch.mul(z.transpose(1, 2)[:, :samples], amplitudes, out=x)


class StimulusPack(Blocks):
    """Fresh samples every step. Streams: `data` (noise), `order` (labels), `clone` (its noise), and what the process has."""

    process: type[Process]

    def __init__(
        self,
        specs: Sequence[Stimulus],
        seeds: Sequence[int],
        *,
        batch: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self.nets, self.inputs, self.classes = len(specs), specs[0].inputs, specs[0].classes
        self.block = max(1, min(_LONGEST_BLOCK, self.process.numbers[device.type] // (batch * self.inputs)))
        self._specs, self._dtype, self._device = specs, dtype, device
        self._seeds = [seed if spec.draw is None else spec.draw for spec, seed in zip(specs, seeds, strict=True)]
        self._samples, self._drawn_samples = batch, padded(batch)
        self._held_out: dict[tuple[Stimulus, int], tuple[Tensor, Tensor]] = {}
        # What is computed once: blended streams last, for only they have a clone. The number of held-out samples
        # does not matter here.
        alike = [spec.model_copy(update={"held_out": 2, "draw": None}) for spec in specs]
        of_net = list(zip(alike, self._seeds, strict=True))
        streams = sorted(dict.fromkeys(of_net), key=lambda stream: stream[0].gaussian_blend > 0)
        self._stream_of_net = view_selection([streams.index(stream) for stream in of_net], len(streams), device)
        self._process = self.process([spec for spec, _ in streams], dtype, device)
        # What is drawn once.
        self._noise_seeds, self._places = distinct([seed for _, seed in streams])
        self._seed_of_stream = view_selection(self._places, len(self._noise_seeds), device)
        blended = [(spec, seed) for spec, seed in streams if spec.gaussian_blend > 0]
        self._plain = len(streams) - len(blended)
        self._clone_seeds, places = distinct([seed for _, seed in blended])
        self._clone_of_stream = view_selection(places, len(self._clone_seeds), device)
        self._clone = Coloured([clone_roots(spec) for spec, _ in blended], dtype, device) if blended else None

    def start(self, round: int) -> None:
        self._forget()
        self._order = [generator(self._device, seed, "order", round) for seed in self._noise_seeds]
        self._clones = [generator(self._device, seed, "clone", round) for seed in self._clone_seeds]
        self._streams = {
            name: [generator(self._device, seed, _STREAMS.get(name, name), round) for seed in self._noise_seeds]
            for name in self._process.drawn
        }

    def _fill(self) -> Raw:
        shape = self.block, self._drawn_samples
        labels = torch.empty((len(self._noise_seeds), *shape), dtype=torch.int64, device=self._device)
        for row, stream in zip(labels, self._order, strict=True):
            row.random_(0, self.classes, generator=stream)
        raw = {
            name: torch.stack([self._process.draw(name, stream, shape) for stream in streams])
            for name, streams in self._streams.items()
        }
        raw = self._process.prepared({"labels": labels, **raw}, self._places)
        if self._clone_seeds:
            raw["clone"] = torch.stack([self._process.white(stream, shape) for stream in self._clones])
        return raw

    def batch(self, raw: Raw, step: int) -> tuple[Float[Tensor, "net sample input"], Int[Tensor, "net sample"]]:
        numbers = {
            name: values[:, step] if name in self._process.of_streams else select(values[:, step], self._seed_of_stream)
            for name, values in raw.items()
            if name != "clone"
        }
        labels = numbers["labels"]
        x = self._process.samples(numbers, labels, self._samples)
        if self._clone is not None:
            noise = select(raw["clone"][:, step], self._clone_of_stream)
            x[self._plain :] += self._clone(noise, labels[self._plain :]).transpose(1, 2)[:, : self._samples]
        return (
            select(x.flatten(2), self._stream_of_net),
            select(labels, self._stream_of_net)[:, : self._samples],
        )

    def held_out(self, net: int) -> tuple[Float[Tensor, "sample input"], Int[Tensor, " sample"]]:
        key = self._specs[net], self._seeds[net]
        if key not in self._held_out:
            spec, seed = key
            drawn = draw_samples(self.process, spec, spec.held_out, seed, "held_out", self._dtype, self._device)
            self._held_out[key] = drawn
        return self._held_out[key]


_STREAMS = {"noise": "data"}  # names of streams that are not those of what is drawn


def clone_roots(spec: Stimulus) -> Float[np.ndarray, "class row col"]:
    """Root spectra of the Gaussian clone, sqrt(blend) included."""
    roots = [root_spectrum(covariance(spec, label)) for label in range(spec.classes)]
    return math.sqrt(spec.gaussian_blend) * np.stack(roots).reshape(spec.classes, *torus(spec))


def draw_samples(
    process: type[Process],
    spec: Stimulus,
    per_class: int,
    seed: int,
    stream: str,
    dtype: torch.dtype,
    device: torch.device,
) -> tuple[Float[Tensor, "sample input"], Int[Tensor, " sample"]]:
    """`per_class` samples per class, sorted by class, from a seed's streams `stream`, `stream`_clone and so on."""
    labels = torch.arange(spec.classes, device=device).repeat_interleave(per_class)
    samples = len(labels)
    shape = 1, padded(samples)
    of_one = process([spec], dtype, device)
    filled = torch.nn.functional.pad(labels, (0, shape[1] - samples))[None]

    def drawn(name: str) -> Tensor:
        whole = stream if name == "noise" else f"{stream}_{name}"
        return of_one.draw(name, generator(device, seed, whole), shape)[None]

    raw = of_one.prepared({"labels": filled[None], **{name: drawn(name) for name in of_one.drawn}}, [0])
    x = of_one.samples({name: values[:, 0] for name, values in raw.items()}, filled, samples)
    if spec.gaussian_blend > 0:
        noise = of_one.white(generator(device, seed, f"{stream}_clone"), shape)
        x = x + Coloured([clone_roots(spec)], dtype, device)(noise, filled).transpose(1, 2)[:, :samples]
    return x.flatten(2)[0], labels
