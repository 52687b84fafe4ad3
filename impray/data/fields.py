"""Gaussian fields on a ring or torus, and the stimuli that begin with one: see `impray.data.stimulus`."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from impray.data import streams
from impray.data.base import Raw, select
from impray.data.process import Process, Sources, counters
from impray.data.room import OfBlock, Room, flat
from impray.data.streams import Steps
from impray.kernels import fourier
from impray.kernels import stimuli as kernels
from impray.spec.data import Correlated, Stimulus
from impray.theory.stimuli import covariance, field_correlation, separable_correlation, torus

_NONE = np.zeros(1, np.float32)
_TILE = 16


def root_spectrum(covariance: Float[np.ndarray, "row col"]) -> Float[np.ndarray, "row_mode col_mode"]:
    """Square roots of the eigenvalues of a circulant covariance, given with the input at (0, 0); in the order of the basis's modes."""
    rows, cols = (fourier.frequencies(side) for side in covariance.shape)
    return np.sqrt(np.fft.fft2(covariance).real.clip(min=0))[np.ix_(rows, cols)]


def field_roots(spec: Correlated) -> Float[np.ndarray, "class row_mode col_mode"]:
    """Root spectra of the Gaussian field beneath each class."""
    if spec.covariance == "matched":
        return np.stack([root_spectrum(field_correlation(spec, label)) for label in range(spec.classes)])
    axes = [separable_correlation(spec, label) for label in range(spec.classes)]
    return np.stack([np.outer(*(root_spectrum(axis[None])[0] for axis in of_class)) for of_class in axes])


def per_stream(values: Sequence[float], dtype: torch.dtype, device: torch.device) -> Float[Tensor, "stream 1 1"]:
    """One number per stream, to multiply fields with."""
    return torch.tensor(values, dtype=torch.float64).to(device, dtype).view(-1, 1, 1)


class Coloured:
    """White noise -> correlated Gaussian fields, for several streams of one shape at once, by torch's products."""

    def __init__(
        self, roots: Sequence[Float[np.ndarray, "class row_mode col_mode"]], dtype: torch.dtype, device: torch.device
    ) -> None:
        """roots: of each stream, the root spectrum of each class; what follows linearly may be part of it."""
        self.classes, self.rows, self.cols = roots[0].shape
        to: dict[str, Any] = {"dtype": dtype, "device": device}
        self._row_basis, self._col_basis = (
            torch.from_numpy(fourier.basis(side).copy()).to(**to) for side in (self.rows, self.cols)
        )
        self._roots = torch.from_numpy(np.stack(roots)).to(**to).flatten(2).unsqueeze(-1)  # [stream, class, input, 1]

    def __call__(
        self, noise: Float[Tensor, "stream input padded"], labels: Int[Tensor, "stream sample"]
    ) -> Float[Tensor, "stream input padded"]:
        nets, _, samples = noise.shape
        of_class = torch.nn.functional.pad(labels, (0, samples - labels.shape[1]))[:, None]
        roots = self._roots[:, 0]
        for label in range(1, self.classes):
            roots = torch.where(of_class == label, self._roots[:, label], roots)
        z = noise * roots
        # One product per matrix (bmm), never one over all of them: a stream's sums must not depend on how many there are. Every matrix
        # begins on a cache line (`_padded`): elsewhere MKL's batched product rounds by where in memory a matrix lies (seen at 5 x 9,
        # 7 x 13, 67 x 41), and a net would depend on its place in the pack.
        lines = z.view(nets * self.rows, self.cols, samples)
        z = torch.bmm(self._col_basis.expand(len(lines), -1, -1), lines)
        if self.rows > 1:
            z = torch.bmm(self._row_basis.expand(nets, -1, -1), z.view(nets, self.rows, -1))
        return z.view(nets, -1, samples)


def _padded(samples: int) -> int:
    """Samples in whole tiles, which are cache lines of float32."""
    return -(-samples // _TILE) * _TILE


class Field(Process):
    """What begins with a Gaussian field, of one normal number per input."""

    kernel: int
    """Which of `impray.kernels.stimuli`."""

    def __init__(self, specs: Sequence[Stimulus], sources: Sources, dtype: torch.dtype, device: torch.device) -> None:
        super().__init__(specs, sources, dtype, device)
        roots = [self.roots(spec) for spec in specs]
        self.amplitudes = per_stream([self.factors(spec)[0] for spec in specs], dtype, device)
        if not self.one_pass:
            self.coloured = Coloured(roots, dtype, device)
            return
        in_turn, (rows, cols) = sources.in_turn, roots[0].shape[1:]
        self._seeds = np.arange(len(sources.seeds))
        self._told = (
            sources.begins,
            np.array(in_turn),
            np.stack([roots[stream] for stream in in_turn]).astype(np.float32).ravel(),
            np.array([self.factors(specs[stream]) for stream in in_turn], np.float32).ravel(),
        )
        self._flat = OfBlock(flat), OfBlock(flat), OfBlock(flat)
        self._shape = (self.classes, rows, cols), fourier.table(rows), fourier.table(cols)

    @abstractmethod
    def roots(self, spec: Any) -> Float[np.ndarray, "class row_mode col_mode"]:
        """Root spectra of the field of each class."""

    @abstractmethod
    def factors(self, spec: Any) -> tuple[float, float, float, float]:
        """The amplitude, and what else the kernel is told (`numbers` there)."""

    @abstractmethod
    def finished(self, z: Float[Tensor, "stream input padded"], raw: Raw, step: int) -> Tensor:
        """Inputs from the field; may overwrite it. By torch, where there is no kernel."""

    def draw(self, keys: Mapping[str, Sequence[int]], steps: Steps, labels: Int[Tensor, "seed step sample"]) -> Raw:
        if self.one_pass:
            return {"noise": counters(keys["noise"], steps)}
        wide = steps._replace(samples=_padded(steps.samples))
        return {"noise": streams.normals(keys["noise"], wide, self.inputs, self.dtype, self.device)}

    def put(self, room: Room, raw: Raw, step: int) -> None:
        if self.one_pass:
            self.fill(room, 0, raw["noise"], raw["labels"], self._seeds, step, raw.get("radius"))
            return
        labels = select(raw["labels"][:, step], self.sources.of_stream)
        z = self.coloured(select(raw["noise"][:, step], self.sources.of_stream), labels)
        torch.mul(self.finished(z, raw, step)[:, :, : room.x.shape[2]], self.amplitudes, out=room.x)

    def fill(
        self,
        room: Room,
        first: int,
        noise: Int[Tensor, "seed step 2"],
        labels: Int[Tensor, "label_seed step sample"],
        label_rows: Int[np.ndarray, " seed"],
        step: int,
        radii: Float[Tensor, "entry step sample"] | None = None,
    ) -> None:
        """In one pass, by the kernel; first: of the room's streams that are written to."""
        noises, drawn, of_radii = self._flat
        kernels.sampled(
            self.kernel,
            room.numbers[first * room.apart :],
            room.apart,
            room.x.shape[2],
            noise.shape[1],
            step,
            noises(noise).view(np.uint64),
            drawn(labels),
            label_rows,
            *self._told,
            _NONE if radii is None else of_radii(radii),
            *self._shape,
        )


class Clone(Field):
    """The Gaussian clones of blended streams, times sqrt(blend)."""

    kernel = kernels.CLONE

    def __init__(
        self,
        specs: Sequence[Stimulus],
        sources: Sources,
        label_rows: Sequence[int],
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        """label_rows: whose labels the clones of each seed have."""
        super().__init__(specs, sources, dtype, device)
        self._label_rows = np.array(label_rows)
        self._labels = torch.tensor([label_rows[place] for place in sources.place], device=device)

    def roots(self, spec: Stimulus) -> Float[np.ndarray, "class row_mode col_mode"]:
        roots = [root_spectrum(covariance(spec, label).reshape(torus(spec))) for label in range(spec.classes)]
        return math.sqrt(spec.gaussian_blend) * np.stack(roots)

    def factors(self, spec: Stimulus) -> tuple[float, float, float, float]:
        return 1.0, 0.0, 0.0, 0.0

    def finished(self, z: Float[Tensor, "stream input padded"], raw: Raw, step: int) -> Tensor:
        return z

    def add_to(self, room: Room, first: int, raw: Raw, step: int) -> None:
        """first: of the room's streams that have clones; they are the last."""
        if self.one_pass:
            self.fill(room, first, raw["clone"], raw["labels"], self._label_rows, step)
            return
        x = room.x[first:]
        labels = raw["labels"][:, step].index_select(0, self._labels)
        z = self.coloured(select(raw["clone"][:, step], self.sources.of_stream), labels)
        x.add_(z[:, :, : x.shape[2]])
