"""Stimuli and targets, one family per file.

To add one: a class in `impray/spec/data.py`, a file here with its pack, and a line in PACKS and in SAMPLES.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from impray.data import nlgp, photographs
from impray.data.base import PackData, Raw
from impray.data.nlgp import NlgpPack
from impray.data.photographs import PhotographsPack
from impray.spec.data import DataSpec, Nlgp, Photographs
from impray.spec.errors import ShapeError

__all__ = ["PACKS", "SAMPLES", "PackData", "Raw", "open_pack", "sample"]

PACKS: dict[type[DataSpec], Callable[..., PackData]] = {
    Nlgp: NlgpPack,
    Photographs: PhotographsPack,
}


def _nlgp_samples(spec: Nlgp, per_class: int, seed: int) -> tuple[Tensor, Tensor]:
    return nlgp.draw_samples(spec, per_class, seed, "sample", torch.float32, torch.device("cpu"))


SAMPLES: dict[type[DataSpec], Callable[..., tuple[Tensor, Tensor]]] = {
    Nlgp: _nlgp_samples,
    Photographs: photographs.draw_samples,
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
