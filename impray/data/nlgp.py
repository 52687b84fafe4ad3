"""Non-linear Gaussian process on a ring or a torus: the stimulus whose non-Gaussianity has a dial.

    x = erf(g z) / Z(g)      z ~ N(0, C)      C_ij = exp(-d_ij^2 / xi^2)
    Z(g)^2 = (2/pi) asin(2 g^2 / (1 + 2 g^2))

d is the circular distance in pixels, on a torus d^2 = d_row^2 + d_col^2. Every input has mean 0 and variance
1, and cov(x_i, x_j) = (2/pi) asin(2 g^2 C_ij / (1 + 2 g^2)) / Z^2. g -> 0 is Gaussian, g -> infinity binary
(+1 or -1).

Source: Lufkin, Saxe & Grant (2024), section 2, after Ingrosso & Goldt (2022), whose erf has a further
1/sqrt(2) in its argument: our gain g is theirs divided by sqrt(2). Class c has the length scale xi[c]; labels
are uniform over the classes.
Where we differ: C has negative eigenvalues when xi is long for the side; we
clip them to 0 as others do and then bring the diagonal back to 1, so that the variance stays 1 (the
correlations then differ from exp(-d^2 / xi^2)).

`gaussian_blend` b: x = sqrt(1 - b) x_nlgp + sqrt(b) clone, with an independent Gaussian clone of exactly the
covariance of x. Its excess kurtosis is (1 - b)^2 times that of x_nlgp.

How it is sampled. Both covariances are even and circulant along each axis, so one real, symmetric, orthogonal
matrix has their eigenvectors, Hartley's H_jk = (cos(2 pi jk/n) + sin(2 pi jk/n)) / sqrt(n), whatever the
class, length scale and gain. White noise stays white in that basis: z = H (sqrt(eigenvalues of the sample's
class) * noise), and H is the product of one factor per axis. So classes and nets differ in an elementwise
factor only, and one pair of short products serves all classes. It differs from a product with the symmetric
root of each class's C by a rotation of the noise only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from impray.data.base import Blocks, Raw, distinct, generator, select, selection
from impray.spec.data import Nlgp

# Numbers drawn per seed and call: long against a call's overhead, and on the CPU a pack's numbers stay in its
# cache (12 x 12, batch 64, 32 nets: 53 us per net and step, of which 26 draw; blocks of 2^17 numbers 63). On
# CUDA every call is a launch: longer.
_NUMBERS = {"cpu": 2**15, "cuda": 2**19}
_LONGEST_BLOCK = 64
# Samples are drawn in whole tiles, so that every stream's matrices start on a cache line: elsewhere MKL's
# batched product rounds by where in memory a matrix lies (seen at 5 x 9, 7 x 13, 67 x 41), and a net would
# depend on its place in the pack.
_TILE = 16


def normaliser(gain: float) -> float:
    """Z(g), the standard deviation of erf(g z) for a standard normal z; in (0, 1)."""
    return math.sqrt(2 / math.pi * math.asin(2 * gain**2 / (1 + 2 * gain**2)))


def correlation(side: int, xi: float) -> Float[np.ndarray, " distance"]:
    """C(d), d = 0 ... side - 1, of one axis: exp(-d^2 / xi^2) on the ring, eigenvalues clipped, C(0) = 1."""
    d = np.arange(side)
    eigenvalues = np.fft.fft(np.exp(-(np.minimum(d, side - d) ** 2) / xi**2)).real.clip(min=0)
    return np.fft.ifft(eigenvalues).real / eigenvalues.mean()


def covariance(spec: Nlgp, label: int) -> Float[np.ndarray, "row col"]:
    """Exact covariance of x with its input at (0, 0), for one class; a ring is one row. Entry (0, 0) is 1."""
    c = np.outer(*(correlation(side, spec.xi[label]) for side in _torus(spec)))
    g2 = 2 * spec.gain**2 / (1 + 2 * spec.gain**2)
    return np.arcsin((g2 * c).clip(-1, 1)) / math.asin(g2)


def hartley(side: int) -> Float[Tensor, "side side"]:
    """Hartley's orthogonal and symmetric basis of a ring, float64."""
    jk = torch.arange(side).outer(torch.arange(side)) % side
    angle = jk.double() * (2 * math.pi / side)
    return (angle.cos() + angle.sin()) / math.sqrt(side)


def _torus(spec: Nlgp) -> tuple[int, int]:
    return (1, spec.shape[0]) if len(spec.shape) == 1 else (spec.shape[0], spec.shape[1])


def _root_spectrum(covariance: Float[np.ndarray, "row col"]) -> Float[np.ndarray, "row col"]:
    return np.sqrt(np.fft.fft2(covariance).real.clip(min=0))


def _roots(spec: Nlgp) -> Float[np.ndarray, "class row col"]:
    """g sqrt(eigenvalues of C): the gain is part of it, as erf follows."""
    axes = [[_root_spectrum(correlation(side, xi)[None])[0] for side in _torus(spec)] for xi in spec.xi]
    return spec.gain * np.stack([np.outer(rows, cols) for rows, cols in axes])


def _clone_roots(spec: Nlgp) -> Float[np.ndarray, "class row col"]:
    roots = [_root_spectrum(covariance(spec, label)) for label in range(spec.classes)]
    return math.sqrt(spec.gaussian_blend) * np.stack(roots)


class Field:
    """White noise and labels -> samples, for several streams at once: own specs, one shape.

    Streams with a Gaussian blend stand last: only they have a clone.
    """

    def __init__(self, specs: Sequence[Nlgp], dtype: torch.dtype, device: torch.device) -> None:
        blends = [spec.gaussian_blend for spec in specs]
        self.plain = sum(blend == 0 for blend in blends)
        assert all(blend > 0 for blend in blends[self.plain :]), blends
        self.rows, self.cols = _torus(specs[0])
        self.classes = specs[0].classes
        to: dict[str, Any] = {"dtype": dtype, "device": device}
        self._rows_basis, self._cols_basis = hartley(self.rows).to(**to), hartley(self.cols).to(**to)
        self._roots = self._table([_roots(spec) for spec in specs]).to(**to)
        self._first = self._offsets(len(specs)).to(device)
        amplitudes = [math.sqrt(1 - spec.gaussian_blend) / normaliser(spec.gain) for spec in specs]
        self._amplitudes = torch.tensor(amplitudes, dtype=torch.float64).to(**to).view(-1, 1, 1, 1)
        if self.plain < len(specs):
            self._clone_roots = self._table([_clone_roots(spec) for spec in specs[self.plain :]]).to(**to)
            self._clone_first = self._offsets(len(specs) - self.plain).to(device)

    def _table(self, roots: list[Float[np.ndarray, "class row col"]]) -> Float[Tensor, "stream_row_class col"]:
        # A row's classes side by side: the noise is laid out [stream, row, sample, col], where both products
        # are long.
        return torch.from_numpy(np.stack(roots)).transpose(1, 2).reshape(-1, self.cols)

    def _offsets(self, streams: int) -> Int[Tensor, "stream row 1"]:
        return torch.arange(0, streams * self.rows * self.classes, self.classes).view(streams, self.rows, 1)

    def _colour(self, noise: Tensor, roots: Tensor, index: Int[Tensor, "stream row sample"]) -> Tensor:
        """White noise -> correlated fields [stream, row, sample, col]."""
        streams, rows, samples = index.shape
        shape = streams, rows, samples, self.cols
        z = noise.view(shape) * roots.index_select(0, index.flatten()).view(shape)
        # One product per stream (bmm), never one over all of them: a stream's sums must not depend on how
        # many there are.
        if rows > 1:
            z = torch.bmm(self._rows_basis.expand(streams, -1, -1), z.view(streams, rows, -1))
        z = torch.bmm(z.view(streams, -1, self.cols), self._cols_basis.expand(streams, -1, -1))
        return z.view(shape)

    @staticmethod
    def padded(samples: int) -> int:
        """Samples to draw noise and labels for: whole tiles."""
        return -(-samples // _TILE) * _TILE

    def __call__(
        self,
        noise: Float[Tensor, "stream number"],
        labels: Int[Tensor, "stream padded"],
        clone_noise: Float[Tensor, "blended_stream number"] | None,
        samples: int,
    ) -> Float[Tensor, "stream {samples} input"]:
        """The first `samples` of the samples drawn, mean 0 and variance 1.

        Args: noise: white; a number per input of every padded sample.
              labels: of every padded sample.
              clone_noise: as `noise`, for the last streams, which have a blend.
        """
        z = self._colour(noise, self._roots, labels[:, None] + self._first).erf_()
        streams, rows, _, cols = z.shape
        x = z.new_empty(streams, samples, rows, cols)
        torch.mul(z.transpose(1, 2)[:, :samples], self._amplitudes, out=x)  # scales and lays out in one pass
        if clone_noise is not None:
            index = labels[self.plain :, None] + self._clone_first
            x[self.plain :] += self._colour(clone_noise, self._clone_roots, index).transpose(1, 2)[:, :samples]
        return x.flatten(2)


class NlgpPack(Blocks):
    """Fresh samples every step. Streams: `data` (noise), `order` (labels), `clone` (its noise)."""

    def __init__(
        self,
        specs: Sequence[Nlgp],
        seeds: Sequence[int],
        *,
        batch: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self.nets, self.inputs, self.classes = len(specs), specs[0].inputs, specs[0].classes
        self.block = max(1, min(_LONGEST_BLOCK, _NUMBERS[device.type] // (batch * self.inputs)))
        self._specs, self._seeds, self._dtype, self._device = specs, seeds, dtype, device
        self._samples, self._drawn_samples = batch, Field.padded(batch)
        self._held_out: dict[tuple[Nlgp, int], tuple[Tensor, Tensor]] = {}
        # What is computed once: blended streams last (see Field). The number of held-out samples does not
        # matter here.
        stream_of = [(s.gaussian_blend, s.gain, s.xi, seed) for s, seed in zip(specs, seeds, strict=True)]
        streams = sorted(set(stream_of))
        first = [stream_of.index(stream) for stream in streams]
        self._field = Field([specs[net] for net in first], dtype, device)
        self._stream_of_net = selection([streams.index(stream) for stream in stream_of], len(streams), device)
        stream_seeds = [seeds[net] for net in first]
        # What is drawn once.
        self._noise_seeds, places = distinct(stream_seeds)
        self._seed_of_stream = selection(places, len(self._noise_seeds), device)
        self._clone_seeds, places = distinct(stream_seeds[self._field.plain :])
        self._clone_of_stream = selection(places, len(self._clone_seeds), device)

    def start(self, round: int) -> None:
        self._forget()
        self._streams = {
            name: [generator(self._device, seed, stream, round) for seed in seeds]
            for name, stream, seeds in (
                ("noise", "data", self._noise_seeds),
                ("labels", "order", self._noise_seeds),
                ("clone", "clone", self._clone_seeds),
            )
        }

    def _fill(self) -> Raw:
        shape = len(self._noise_seeds), self.block, self._drawn_samples
        raw = {"labels": torch.empty(shape, dtype=torch.int64, device=self._device)}
        for row, stream in zip(raw["labels"], self._streams["labels"], strict=True):
            row.random_(0, self.classes, generator=stream)
        for name in ("noise", "clone") if self._clone_seeds else ("noise",):
            shape = len(self._streams[name]), self.block, self._drawn_samples * self.inputs
            numbers = torch.empty(shape, dtype=self._dtype, device=self._device)
            for row, stream in zip(numbers, self._streams[name], strict=True):
                row.normal_(generator=stream)
            raw[name] = numbers
        return raw

    def batch(self, raw: Raw, step: int) -> tuple[Float[Tensor, "net sample input"], Int[Tensor, "net sample"]]:
        noise = select(raw["noise"][:, step], self._seed_of_stream)
        labels = select(raw["labels"][:, step], self._seed_of_stream)
        clone = select(raw["clone"][:, step], self._clone_of_stream) if self._clone_seeds else None
        x = self._field(noise, labels, clone, self._samples)
        return select(x, self._stream_of_net), select(labels, self._stream_of_net)[:, : self._samples]

    def held_out(self, net: int) -> tuple[Float[Tensor, "sample input"], Int[Tensor, " sample"]]:
        key = self._specs[net], self._seeds[net]
        if key not in self._held_out:
            spec, seed = key
            self._held_out[key] = draw_samples(spec, spec.held_out, seed, "held_out", self._dtype, self._device)
        return self._held_out[key]


def draw_samples(
    spec: Nlgp, per_class: int, seed: int, stream: str, dtype: torch.dtype, device: torch.device
) -> tuple[Float[Tensor, "sample input"], Int[Tensor, " sample"]]:
    """`per_class` samples per class, sorted by class, from a seed's streams `stream` and `stream`_clone."""
    labels = torch.arange(spec.classes, device=device).repeat_interleave(per_class)
    samples, padded = len(labels), Field.padded(len(labels))

    def noise(name: str) -> Tensor:
        numbers = torch.empty((1, padded * spec.inputs), dtype=dtype, device=device)
        return numbers.normal_(generator=generator(device, seed, name))

    clone = noise(f"{stream}_clone") if spec.gaussian_blend > 0 else None
    filled = torch.nn.functional.pad(labels, (0, padded - samples))[None]
    return Field([spec], dtype, device)(noise(stream), filled, clone, samples)[0], labels
