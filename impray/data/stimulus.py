"""What the stimuli on a ring or torus share: white noise to correlated fields, Gaussian clones, and packs of streams.

    z = F (sqrt(eigenvalues of the sample's class) * noise)          x = sqrt(1 - b) stimulus(z, ...) + sqrt(b) clone

Every covariance here is even and circulant along each axis, so one orthogonal matrix, the real Fourier basis
(`impray.kernels.fourier`), has all their eigenvectors, whatever the class and the length scale; F is the product of one factor per
axis. So classes and nets differ in an elementwise factor only, and one pair of short products serves all classes. It differs from a
product with the symmetric root of each class's covariance by a rotation of the noise only.

`gaussian_blend` b adds an independent Gaussian clone of exactly the covariance of the stimulus; the excess kurtosis of x is
(1 - b)^2 times the stimulus's.

A kind of stimulus is a `Process`: what it draws, and how samples follow. Nets with one seed (or one `draw`) share the drawn
numbers; nets that share all that decides their samples share these. Numbers are drawn by counters (`impray.data.streams`): those of
a sample depend on its seed, round, step and place in the batch alone.

In float32 on a CPU that can, a step's inputs are made in one pass from its counters (`impray.kernels.stimuli`), and what is drawn
before is no more than these and the labels. Elsewhere noise is drawn, and torch makes the same inputs to rounding. Either way they
lie [net, input, sample] in memory, each net on a cache line, and batches are views of that.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from impray.data import streams
from impray.data.base import Fresh, Raw, Streams, select, steps_at_once, view_selection
from impray.data.fields import Clone
from impray.data.process import Process, Sources
from impray.data.room import OfBlock, Room
from impray.data.streams import Steps
from impray.spec.data import Stimulus
from impray.spec.trial import stream_seed

_LABELS = 2**14  # drawn per seed and call where inputs are made in one pass
_LONGEST_BLOCK = 64
_STREAMS = {"noise": "data"}  # names of streams that are not those of what is drawn


class StimulusPack(Streams, Fresh):
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
        self._specs, self._dtype, self._device, self._samples = specs, dtype, device, batch
        self._seeds = [seed if spec.draw is None else spec.draw for spec, seed in zip(specs, seeds, strict=True)]
        self._like = torch.empty(0, dtype=dtype, device=device)
        self._views = OfBlock(lambda labels: select(labels, self._labels_of_net).unbind(1))
        self._held_out: dict[tuple[Stimulus, int], tuple[Tensor, Tensor]] = {}
        # What is computed once: blended streams last, for only they have a clone. The number of held-out samples
        # does not matter here.
        alike = [spec.model_copy(update={"held_out": 2, "draw": None}) for spec in specs]
        of_net = list(zip(alike, self._seeds, strict=True))
        made = sorted(dict.fromkeys(of_net), key=lambda stream: stream[0].gaussian_blend > 0)
        places = [made.index(stream) for stream in of_net]
        self.stream_of_net = view_selection(places, len(made), device)
        self._sources = Sources([seed for _, seed in made], device)
        self._process = self.process([spec for spec, _ in made], self._sources, dtype, device)
        numbers = (
            _LABELS // batch if self._process.one_pass else self._process.numbers[device.type] // (batch * self.inputs)
        )
        self.block = steps_at_once(numbers, _LONGEST_BLOCK, device)
        self._labels_of_net = view_selection(
            [self._sources.place[place] for place in places], len(self._sources.seeds), device
        )
        blended = [(spec, seed) for spec, seed in made if spec.gaussian_blend > 0]
        self._plain = len(made) - len(blended)
        self._clone = None
        if blended:
            self._clone_sources = Sources([seed for _, seed in blended], device)
            rows = [self._sources.seeds.index(seed) for seed in self._clone_sources.seeds]
            self._clone = Clone([spec for spec, _ in blended], self._clone_sources, rows, dtype, device)

    def start(self, round: int) -> None:
        self._next = 0
        names = {name: _STREAMS.get(name, name) for name in self._process.drawn}
        self._order = self._sources.keys("order", round)
        self._keys = {name: self._sources.keys(stream, round) for name, stream in names.items()}
        if self._clone is not None:
            self._clone_keys = {"noise": self._clone_sources.keys("clone", round)}

    def draw(self, steps: int) -> Raw:
        assert steps >= 1, steps
        window = Steps(self._next, steps, self._samples)
        self._next += steps
        labels = streams.whole_numbers(self._order, window, [self.classes] * len(self._order), self._device)
        raw = {"labels": labels, **self._process.draw(self._keys, window, labels)}
        if self._clone is not None:
            raw["clone"] = self._clone.draw(self._clone_keys, window, labels)["noise"]
        return raw

    def streams(self, raw: Raw, step: int) -> tuple[Float[Tensor, "stream sample input"], Int[Tensor, "net sample"]]:
        """See `impray.data.base.Streams`."""
        room = self.room(len(self._process.specs), self.inputs, raw["labels"].shape[2], self._like)
        self._process.put(room, raw, step)
        if self._clone is not None:
            self._clone.add_to(room, self._plain, raw, step)
        return room.turned, self._targets(raw["labels"], step)

    def _targets(self, labels: Int[Tensor, "seed step sample"], step: int) -> Int[Tensor, "net sample"]:
        if isinstance(self._labels_of_net, Tensor):
            return select(labels[:, step], self._labels_of_net)
        return self._views(labels)[step]

    def held_out(self, net: int) -> tuple[Float[Tensor, "sample input"], Int[Tensor, " sample"]]:
        key = self._specs[net], self._seeds[net]
        if key not in self._held_out:
            spec, seed = key
            drawn = draw_samples(self.process, spec, spec.held_out, seed, "held_out", self._dtype, self._device)
            self._held_out[key] = drawn
        return self._held_out[key]


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
    sources, steps = Sources([seed], device), Steps(0, 1, len(labels))

    def keys(name: str) -> list[int]:
        return [stream_seed(seed, stream if name == "noise" else f"{stream}_{name}")]

    of_one = process([spec], sources, dtype, device)
    raw = {"labels": labels[None, None]}
    raw.update(of_one.draw({name: keys(name) for name in of_one.drawn}, steps, raw["labels"]))
    room = Room(1, spec.inputs, len(labels), torch.empty(0, dtype=dtype, device=device))
    of_one.put(room, raw, 0)
    if spec.gaussian_blend > 0:
        clone = Clone([spec], sources, [0], dtype, device)
        raw["clone"] = clone.draw({"noise": keys("clone")}, steps, raw["labels"])["noise"]
        clone.add_to(room, 0, raw, 0)
    return room.turned[0].contiguous(), labels
