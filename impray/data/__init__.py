"""Stimuli and targets, one family per file.

To add one: a class in `impray/spec/data/`, a file here with its pack, and a line in `impray.spec.families`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from impray.data import drawn, images
from impray.data.base import PackData, Raw
from impray.data.drawn import Draw, DrawnPack
from impray.data.stimulus import StimulusPack, draw_samples
from impray.spec import families
from impray.spec.data import DataSpec, FileData, Stimulus
from impray.spec.errors import ShapeError
from impray.spec.family import BUILT_IN, Implementations

__all__ = ["PACKS", "SAMPLES", "PackData", "Raw", "each_class", "open_pack", "reads_the_same_memory", "sample"]

PACKS: Implementations[Callable[..., PackData]] = Implementations(families.data)
SAMPLES: Implementations[Callable[..., tuple[Tensor, Tensor]]] = Implementations(families.data, "draws")


def sample_stimulus(spec: Stimulus, per_class: int, seed: int) -> tuple[Tensor, Tensor]:
    """What SAMPLES has of all stimuli."""
    pack = PACKS[type(spec)]
    assert issubclass(pack, StimulusPack)  # type: ignore[arg-type]
    return draw_samples(pack.process, spec, per_class, seed, "sample", torch.float32, torch.device("cpu"))


def open_pack(
    specs: Sequence[DataSpec], seeds: Sequence[int], *, batch: int, dtype: torch.dtype, device: torch.device
) -> PackData:
    """The data of a pack: net i has specs[i] and seeds[i]. Call `start(round)` before the first `draw`.

    Raises: ShapeError: the specs are not of one kind with the same input shape and number of classes.
    """
    if not specs or len(specs) != len(seeds):
        raise ShapeError(
            f"a pack needs one data spec and one seed per net, not {len(specs)} specs and {len(seeds)} seeds"
        )
    kinds = {(type(spec), spec.input_shape, spec.classes) for spec in specs}
    if len(kinds) > 1:
        shown = ", ".join(sorted(f"{kind.__name__} {shape} with {classes} classes" for kind, shape, classes in kinds))
        raise ShapeError(f"the nets of a pack share one kind of data, input shape and number of classes, not {shown}")
    kind, options = type(specs[0]), {"batch": batch, "dtype": dtype, "device": device}
    member = families.data.member(kind)
    if member.source == BUILT_IN:
        return PACKS[kind](specs, seeds, **options)
    if inspect.isclass(PACKS[kind]):
        return PACKS.call(kind, specs, seeds, **options)
    return DrawnPack(_told(kind), specs, seeds, **options)


def reads_the_same_memory(data: PackData) -> bool:
    """Whether `batch` reads, beside `raw`, the same memory in every round: all packs of ours do, of others nobody knows."""
    return type(data).__module__.partition(".")[0] == __name__.partition(".")[0]


def _told(kind: type[DataSpec]) -> Draw:
    """The function of a plugin that draws inputs; what is wrong with them is told as the plugin's."""

    def draw(*args: object) -> Tensor:
        return PACKS.call(kind, *args)

    return draw


def sample(spec: DataSpec, per_class: int, seed: int = 0) -> tuple[Float[Tensor, "sample ..."], Int[Tensor, " sample"]]:
    """Fresh draws of the (blended) data as inputs of spec.input_shape, sorted by class; float32."""
    x, labels = _sampled(spec, per_class, seed)
    return x.view(-1, *spec.input_shape), labels


def _sampled(spec: DataSpec, per_class: int, seed: int) -> tuple[Tensor, Tensor]:
    member = families.data.member(type(spec))
    if member.draws is None and not inspect.isclass(PACKS[type(spec)]):
        x, labels = drawn.sample(_told(type(spec)), spec, per_class, seed, "sample", torch.device("cpu"))
        return x.float(), labels
    return SAMPLES[type(spec)](spec, per_class, seed)


def each_class(spec: DataSpec, per_class: int, seed: int = 0) -> Iterator[Float[Tensor, "sample ..."]]:
    """As `sample`, one class after the other: all of ImageNet32's classes would not fit into memory."""
    if isinstance(spec, FileData):
        classes = images.each_class(spec, per_class, seed)
    else:
        x, labels = _sampled(spec, per_class, seed)
        classes = (x[labels == label] for label in range(spec.classes))
    return (x.view(len(x), *spec.input_shape) for x in classes)
