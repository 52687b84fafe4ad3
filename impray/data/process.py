"""Kinds of stimuli as a pack of streams has them: what seeds draw, and samples from that."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from impray.data.base import Raw, distinct, view_selection
from impray.data.room import Room
from impray.data.streams import Steps
from impray.kernels.compiled import lacking
from impray.spec.data import Stimulus
from impray.spec.trial import stream_seed

_LARGEST_TABLE = 2**18  # numbers of one pass's products along an axis: 1 MiB, in the second-level cache


def in_one_pass(spec: Stimulus, dtype: torch.dtype, device: torch.device) -> bool:
    """Whether `impray.kernels` makes inputs of this kind from their counters."""
    tables = max(side * side // (2 if side % 2 else 4) for side in spec.shape)
    return tables <= _LARGEST_TABLE and dtype == torch.float32 and device.type == "cpu" and lacking() is None


class Sources:
    """The seeds whose numbers several streams have: which is whose, and what a kernel asks of it."""

    def __init__(self, seeds: Sequence[int], device: torch.device) -> None:
        """seeds: of each stream."""
        self.seeds, self.place = distinct(seeds)
        self.of_stream = view_selection(self.place, len(self.seeds), device)
        self.in_turn = sorted(range(len(seeds)), key=lambda stream: self.place[stream])
        """Streams by their seeds: a kernel's entries."""
        self.begins = np.searchsorted([self.place[stream] for stream in self.in_turn], np.arange(len(self.seeds) + 1))

    def keys(self, stream: str, round: int) -> list[int]:
        return [stream_seed(seed, stream, round) for seed in self.seeds]


def counters(keys: Sequence[int], steps: Steps) -> Int[Tensor, "seed step 2"]:
    """What a kernel draws a step's numbers from: the stream's key, and the step's number."""
    numbers = torch.arange(steps.first, steps.first + steps.length).expand(len(keys), -1)
    return torch.stack([torch.tensor(keys)[:, None].expand_as(numbers), numbers], dim=2)


class Process(ABC):
    """A kind of stimulus: what its seeds draw, and samples of variance 1 - blend from that."""

    # Numbers drawn per seed and call: long against a call's overhead, and on the CPU a pack's numbers stay in its cache. On CUDA every
    # call is a launch: longer.
    numbers: Mapping[str, int] = {"cpu": 2**15, "cuda": 2**19}
    drawn: tuple[str, ...] = ("noise",)  # streams that it draws from, one of each per seed
    specs: Sequence[Any]

    def __init__(self, specs: Sequence[Stimulus], sources: Sources, dtype: torch.dtype, device: torch.device) -> None:
        """specs: of each stream."""
        self.specs, self.sources, self.dtype, self.device = specs, sources, dtype, device
        self.inputs, self.classes = specs[0].inputs, specs[0].classes
        self.one_pass = in_one_pass(specs[0], dtype, device)

    @abstractmethod
    def draw(self, keys: Mapping[str, Sequence[int]], steps: Steps, labels: Int[Tensor, "seed step sample"]) -> Raw:
        """The numbers of some steps: tensors [seed or stream, step, ...]; keys: of each seed, by the names in `drawn`."""

    @abstractmethod
    def put(self, room: Room, raw: Raw, step: int) -> None:
        """Writes a step's samples, times sqrt(1 - blend), of all streams; raw: what `draw` gave, and the labels [seed, step, sample]."""
