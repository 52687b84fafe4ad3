"""Stimuli and targets, one family per file.

To add one: a class in `impray/spec/data/`, a file here with its pack, and a line in PACKS and in SAMPLES.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from impray.data import images, photographs
from impray.data.base import PackData, Raw
from impray.data.elliptical import EllipticalPack
from impray.data.images import ImagesPack
from impray.data.ising import IsingPack
from impray.data.kur import KurPack
from impray.data.nlgp import NlgpPack
from impray.data.photographs import PhotographsPack
from impray.data.stimulus import StimulusPack, draw_samples
from impray.spec.data import (
    Arrays,
    Cifar10,
    Cifar100,
    DataSpec,
    Elliptical,
    FileData,
    Idx,
    Imagenet32,
    Ising,
    Kur,
    Nlgp,
    Photographs,
    Stimulus,
)
from impray.spec.errors import ShapeError

__all__ = ["PACKS", "SAMPLES", "PackData", "Raw", "each_class", "open_pack", "sample"]

PACKS: dict[type[DataSpec], Callable[..., PackData]] = {
    Nlgp: NlgpPack,
    Kur: KurPack,
    Ising: IsingPack,
    Elliptical: EllipticalPack,
    Photographs: PhotographsPack,
    Imagenet32: ImagesPack,
    Cifar10: ImagesPack,
    Cifar100: ImagesPack,
    Idx: ImagesPack,
    Arrays: ImagesPack,
}


def _of_stimulus(spec: Stimulus, per_class: int, seed: int) -> tuple[Tensor, Tensor]:
    pack = PACKS[type(spec)]
    assert issubclass(pack, StimulusPack)  # type: ignore[arg-type]
    return draw_samples(pack.process, spec, per_class, seed, "sample", torch.float32, torch.device("cpu"))


SAMPLES: dict[type[DataSpec], Callable[..., tuple[Tensor, Tensor]]] = {
    Nlgp: _of_stimulus,
    Kur: _of_stimulus,
    Ising: _of_stimulus,
    Elliptical: _of_stimulus,
    Photographs: photographs.draw_samples,
    Imagenet32: images.draw_samples,
    Cifar10: images.draw_samples,
    Cifar100: images.draw_samples,
    Idx: images.draw_samples,
    Arrays: images.draw_samples,
}


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
    return PACKS[type(specs[0])](specs, seeds, batch=batch, dtype=dtype, device=device)


def sample(spec: DataSpec, per_class: int, seed: int = 0) -> tuple[Float[Tensor, "sample ..."], Int[Tensor, " sample"]]:
    """Fresh draws of the (blended) data as inputs of spec.input_shape, sorted by class; float32."""
    x, labels = SAMPLES[type(spec)](spec, per_class, seed)
    return x.view(-1, *spec.input_shape), labels


def each_class(spec: DataSpec, per_class: int, seed: int = 0) -> Iterator[Float[Tensor, "sample ..."]]:
    """As `sample`, one class after the other: all of ImageNet32's classes would not fit into memory."""
    if isinstance(spec, FileData):
        drawn = images.each_class(spec, per_class, seed)
    else:
        x, labels = SAMPLES[type(spec)](spec, per_class, seed)
        drawn = (x[labels == label] for label in range(spec.classes))
    return (x.view(len(x), *spec.input_shape) for x in drawn)
