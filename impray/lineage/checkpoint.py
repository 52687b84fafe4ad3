"""State <-> bytes: safetensors, no pickle. The sink chooses where the bytes go.

A trunk is the dense round 0, in parts: its trained weights, and a snapshot per rewind step that anyone asked for. A record holds one
later round of one lineage: its mask (one bit per parameter) and, if the network was trained, its kept weights (pruned ones are zero).
Scores are numbers of single weights (the cavity score), one file per round, from which the lineage's rows in `fates` are made, and
made again when it is extended.

Every file carries a seal in its header (`impray.seal`). `damage` says what is wrong with a file before anything is read
from it; whoever keeps the files sets a damaged one aside, and what it held is computed again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from impray.nets.base import Params
from impray.seal import BLANK, intact, sealed
from impray.spec.errors import LineageError


@dataclass
class Trunk:
    """The dense round 0 of one network (no net axis): trained weights, batch-norm statistics, snapshots by step."""

    end: Params
    stats: Params
    snapshots: dict[int, Params]
    seconds: float | None = None  # that its training took; None: a version before 0.9.0 did not say


@dataclass
class Record:
    """One round of one lineage (no net axis): its mask, and the trained weights unless the network did not train.

    seconds: core seconds that it took to get here, see `lineage_s` in the schema; None: a version before 0.9.0 did not say.
    lost: there is no such round, for the lineage that it follows has diverged; the mask is that of the round before.
    """

    masks: Params
    end: Params | None = None
    stats: Params = field(default_factory=dict)
    lost: bool = False
    seconds: float | None = None

    @property
    def finite(self) -> bool:
        return self.end is None or all(
            bool(torch.isfinite(v).all()) for v in (*self.end.values(), *self.stats.values())
        )


def weights_to_bytes(params: Params, stats: Params | None = None, seconds: float | None = None) -> bytes:
    """One part of a trunk: weights, batch-norm statistics where there are some, and what it cost."""
    tensors = {f"weights.{name}": _plain(value) for name, value in params.items()}
    tensors |= {f"stats.{name}": _plain(value) for name, value in (stats or {}).items()}
    return _bytes(tensors | _cost(seconds))


def weights_from_bytes(content: bytes, place: str) -> tuple[Params, Params, float | None]:
    """The weights and statistics of one part of a trunk, and the seconds that it cost.

    Raises:  LineageError: the bytes are no such part; `place` names them.
    """
    parts = _parts(_load(content, place))
    if "weights" not in parts:
        raise LineageError(f"{place}: not a part of a trunk; delete the file and run again")
    return parts["weights"], parts.get("stats", {}), _seconds(parts)


def record_to_bytes(record: Record) -> bytes:
    tensors = {}
    for name, mask in record.masks.items():
        tensors[f"mask.{name}"] = torch.from_numpy(np.packbits(mask.cpu().numpy().reshape(-1)))
        tensors[f"shape.{name}"] = torch.tensor(mask.shape)
    for name, value in (record.end or {}).items():
        mask = record.masks.get(name)
        tensors[f"end.{name}"] = _plain(value if mask is None else value[mask])
    tensors |= {f"stats.{name}": _plain(value) for name, value in record.stats.items()}
    return _bytes(tensors | _cost(record.seconds))


def record_from_bytes(content: bytes, place: str) -> Record:
    """Raises:  LineageError: the bytes are not a record; `place` names them."""
    parts = _parts(_load(content, place))
    if "mask" not in parts or "shape" not in parts:
        raise LineageError(f"{place}: not a record of a round; delete the file and run again")
    masks = {name: _unpack(bits, parts["shape"][name]) for name, bits in parts["mask"].items()}
    if "end" not in parts:
        return Record(masks, seconds=_seconds(parts))
    end = {}
    for name, value in parts["end"].items():
        end[name] = value
        if name in masks:
            end[name] = torch.zeros(masks[name].shape, dtype=value.dtype)
            end[name][masks[name]] = value
    return Record(masks, end, parts.get("stats", {}), seconds=_seconds(parts))


def _cost(seconds: float | None) -> Params:
    return {} if seconds is None else {"cost.seconds": torch.tensor(seconds, dtype=torch.float64)}


def _seconds(parts: Mapping[str, Params]) -> float | None:
    return parts["cost"]["seconds"].item() if "cost" in parts else None


Matrices = Mapping[int, Tensor]
"""Layer number -> [unit, input] of one net."""


def scores_to_bytes(scores: Mapping[int, Params], masks: Matrices) -> bytes:
    """Numbers of single weights: layer -> column -> [unit, input]; only those of kept weights are stored."""
    tensors = {}
    for layer, columns in scores.items():
        for column, values in columns.items():
            kept = masks.get(layer)
            tensors[f"{column}.{layer}"] = _plain(values.cpu() if kept is None else values.cpu()[kept.cpu()])
    return _bytes(tensors)


def scores_from_bytes(content: bytes, masks: Matrices, place: str) -> dict[str, dict[int, Tensor]]:
    """Column -> layer -> [unit, input], NaN where the mask keeps nothing.

    Raises:  LineageError: the bytes do not fit the masks; `place` names them.
    """
    scores: dict[str, dict[int, Tensor]] = {}
    for column, of_layers in _parts(_load(content, place)).items():
        for layer, values in of_layers.items():
            mask = masks.get(int(layer))
            if mask is None:
                whole = values
            elif int(mask.sum()) != values.numel():
                raise LineageError(f"{place}: {values.numel()} numbers for a mask that keeps {int(mask.sum())} weights")
            else:
                whole = torch.full(mask.shape, torch.nan, dtype=values.dtype)
                whole[mask] = values
            scores.setdefault(column, {})[int(layer)] = whole
    return scores


def damage(content: bytes, part: str) -> str | None:
    """What is wrong with a file's bytes; None if they are what was written.

    Args:    part: what the file must hold: `weights` (of a trunk), `mask` (of a record), or `` for scores.
    """
    whole = intact(content)
    if whole is False:
        return "its bytes are not those that were written"
    try:
        safetensors.deserialize(content)
    except SafetensorError as error:
        return f"it is not a whole checkpoint ({error})"
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    if whole is None and _SEALED in header.get("__metadata__", {}):
        return "its seal is gone"
    if part and not any(name.startswith(f"{part}.") for name in header):
        return f"it holds no {part}"
    return None


_SEALED = "impray.seal"  # the key of the seal in a header; files of versions before 0.4.0 have none


def _bytes(tensors: Params) -> bytes:
    return sealed(safetensors.torch.save(tensors, {_SEALED: BLANK}))


def _plain(value: Tensor) -> Tensor:
    return value.detach().cpu().contiguous().clone()


def _unpack(bits: Tensor, shape: Tensor) -> Tensor:
    count = int(shape.prod())
    flat = np.unpackbits(bits.numpy(), count=count).astype(bool)
    return torch.from_numpy(flat).reshape(tuple(shape.tolist()))


def _load(content: bytes, place: str) -> Params:
    try:
        return safetensors.torch.load(content)
    except SafetensorError as error:
        raise LineageError(f"{place}: not a checkpoint ({error}); delete the file and run again") from error


def _parts(tensors: Params) -> dict[str, Params]:
    parts: dict[str, Params] = {}
    for key, value in tensors.items():
        part, name = key.split(".", 1)
        parts.setdefault(part, {})[name] = value
    return parts
