"""Data that one function draws: labels in, an input for each out. What a plugin needs to write of a new stimulus.

    def moons(spec, labels, generator) -> inputs [sample, *spec.input_shape]

Labels are drawn here, uniformly and by counters of the stream `order`; the function draws all else from the generator it is given (stream
`data`). So a net's inputs depend on its own spec and seed only, and nets that share both share them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from impray.data.base import Blocks, Raw, Streams, distinct, generator, select, steps_at_once, view_selection
from impray.data.streams import Steps, whole_numbers
from impray.spec import families
from impray.spec.data import DataSpec
from impray.spec.errors import MemberError
from impray.spec.trial import stream_seed

_NUMBERS, _LONGEST_BLOCK = 2**15, 64  # drawn per seed and call, and the most steps that they are for
_HELD_OUT = 500  # per class, where the spec has no field `held_out`

Draw = Callable[[Any, Int[Tensor, " sample"], torch.Generator], Tensor]


def drawn(
    draw: Draw, spec: DataSpec, labels: Int[Tensor, " sample"], stream: torch.Generator
) -> Float[Tensor, "sample input"]:
    """An input for each label, flat.

    Raises:  MemberError: the function gives something else.
    """
    member = families.data.member(type(spec))
    tag = families.data.tag_of(member.spec)
    inputs = draw(spec, labels, stream)
    shape = (len(labels), *spec.input_shape)
    if not isinstance(inputs, Tensor) or tuple(inputs.shape) not in (shape, (len(labels), spec.inputs)):
        shown = list(inputs.shape) if isinstance(inputs, Tensor) else type(inputs).__name__
        raise MemberError(tag, member.source, f"must give inputs of shape {list(shape)}, not {shown}")
    if not inputs.dtype.is_floating_point or not bool(torch.isfinite(inputs).all()):
        raise MemberError(tag, member.source, "must give inputs that are finite floats")
    return inputs.reshape(len(labels), spec.inputs)


class DrawnPack(Streams, Blocks):
    """The data of a pack, as `PackData`: fresh samples in every step."""

    def __init__(
        self,
        draw: Draw,
        specs: Sequence[DataSpec],
        seeds: Sequence[int],
        *,
        batch: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self.nets, self.inputs, self.classes = len(specs), specs[0].inputs, specs[0].classes
        self.block = steps_at_once(_NUMBERS // (batch * self.inputs), _LONGEST_BLOCK, device)
        self._draw, self._specs, self._seeds = draw, specs, seeds
        self._batch, self._dtype, self._device = batch, dtype, device
        self._streams, places = distinct(list(zip(specs, seeds, strict=True)))
        self.stream_of_net = view_selection(places, len(self._streams), device)

    def start(self, round: int) -> None:
        self._forget()
        self._next = 0
        self._orders = [stream_seed(seed, "order", round) for _, seed in self._streams]
        self._noises = [generator(self._device, seed, "data", round) for _, seed in self._streams]

    def _fill(self) -> Raw:
        window, classes = Steps(self._next, self.block, self._batch), [self.classes] * len(self._streams)
        self._next += self.block
        labels = whole_numbers(self._orders, window, classes, self._device)
        of_streams = zip(self._streams, labels, self._noises, strict=True)
        return {
            "inputs": torch.stack([self._inputs(spec, own, noise) for (spec, _), own, noise in of_streams]),
            "labels": labels,
        }

    def _inputs(self, spec: DataSpec, labels: Int[Tensor, "step sample"], noise: torch.Generator) -> Tensor:
        inputs = drawn(self._draw, spec, labels.flatten(), noise).to(self._device, self._dtype)
        return inputs.view(self.block, self._batch, self.inputs)

    def streams(self, raw: Raw, step: int) -> tuple[Float[Tensor, "stream sample input"], Int[Tensor, "net sample"]]:
        return raw["inputs"][:, step], select(raw["labels"][:, step], self.stream_of_net)

    def held_out(self, net: int) -> tuple[Float[Tensor, "sample input"], Int[Tensor, " sample"]]:
        spec = self._specs[net]
        per_class = int(getattr(spec, "held_out", None) or _HELD_OUT)
        inputs, labels = sample(self._draw, spec, per_class, self._seeds[net], "held_out", self._device)
        return inputs.to(self._dtype), labels


def sample(
    draw: Draw, spec: DataSpec, per_class: int, seed: int, stream: str, device: torch.device
) -> tuple[Float[Tensor, "sample input"], Int[Tensor, " sample"]]:
    """`per_class` samples per class, sorted by class."""
    labels = torch.arange(spec.classes, device=device).repeat_interleave(per_class)
    return drawn(draw, spec, labels, generator(device, seed, stream)), labels
