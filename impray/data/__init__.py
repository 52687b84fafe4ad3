"""Stimuli and targets, one family per file.

To add one: a class in `impray/spec/data/`, a file here with its pack, and a line in `impray.spec.families`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from impray.data import images
from impray.data.base import PackData, Raw
from impray.data.stimulus import StimulusPack, draw_samples
from impray.spec import families
from impray.spec.data import DataSpec, FileData, Stimulus
from impray.spec.errors import ShapeError
from impray.spec.family import Implementations

__all__ = ["PACKS", "SAMPLES", "PackData", "Raw", "each_class", "open_pack", "sample"]

PACKS: MutableMapping[type[DataSpec], Callable[..., PackData]] = Implementations(families.data)
SAMPLES: MutableMapping[type[DataSpec], Callable[..., tuple[Tensor, Tensor]]] = Implementations(families.data, "draws")


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
