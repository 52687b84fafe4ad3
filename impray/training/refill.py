"""An engine begun anew in memory that is there already: that of the round before, which a CUDA graph works on.

What the next round would begin with is made as ever, and copied over. Tensors are found by what holds them rather than by name: so nothing
of an engine, an optimizer or a schedule can be left as the last round ended.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

_OURS = __name__.partition(".")[0]
_PLAIN = (bool, int, float, str, type(None), torch.dtype, torch.device, torch.Size)
_Pair = tuple[Tensor, Tensor]


class _Unlike(Exception):
    """Two things are not of one form."""


def refilled(kept: object, made: object) -> bool:
    """Gives `kept` all that `made` has, in the memory of `kept`, if they are of one form; else changes nothing.

    Of one form: the same classes of this package, the same numbers and words, tensors of the same shape, strides, dtype and device, which
    share memory where the other's do. What is not of this package is alike where it is the very same object. What `kept` has beyond that,
    steps have left: they may leave nothing there that a later step reads.

    Returns: whether they are.
    """
    places: dict[int, _Pair] = {}  # a pair for each memory, by where it is
    behind: dict[int, int] = {}
    try:
        for old, new in _pairs(kept, made, set()):
            to, source = (tensor.untyped_storage() for tensor in (old, new))
            if _form(old) != _form(new) or behind.setdefault(source.data_ptr(), to.data_ptr()) != to.data_ptr():
                return False
            place = places.setdefault(to.data_ptr(), (old, new))
            if place[1].untyped_storage().data_ptr() != source.data_ptr():
                return False
    except _Unlike:
        return False
    for at, (old, new) in places.items():
        if at != new.untyped_storage().data_ptr():
            _bytes(old).copy_(_bytes(new))
    return True


def _pairs(kept: object, made: object, seen: set[tuple[int, int]]) -> Iterator[_Pair]:
    """Tensors at the same place in both, empty ones aside.

    Raises: _Unlike.
    """
    if kept is made or (id(kept), id(made)) in seen:
        return
    seen.add((id(kept), id(made)))
    if type(kept) is not type(made):
        raise _Unlike
    if isinstance(kept, Tensor) and isinstance(made, Tensor):
        if kept.numel() or made.numel():
            yield kept, made
        return
    old, new = _parts(kept), _parts(made)
    if old is None or new is None:
        if not isinstance(made, _PLAIN) or kept != made:
            raise _Unlike
        return
    if not new.keys() <= old.keys() or (len(old) > len(new) and isinstance(made, (Mapping, list, tuple))):
        raise _Unlike
    for name, part in new.items():
        yield from _pairs(old[name], part, seen)


def _parts(holder: object) -> Mapping[Any, object] | None:
    """What it holds, by name or number; None of what is not to be looked into."""
    if isinstance(holder, Mapping):
        return holder
    if isinstance(holder, (list, tuple)):
        return dict(enumerate(holder))
    ours = type(holder).__module__.partition(".")[0] == _OURS
    return vars(holder) if ours and hasattr(holder, "__dict__") else None


def _form(tensor: Tensor) -> tuple[object, ...]:
    memory = tensor.untyped_storage().nbytes()
    return tensor.shape, tensor.stride(), tensor.storage_offset(), tensor.dtype, tensor.device, memory


def _bytes(tensor: Tensor) -> Tensor:
    """All of its memory, gaps and what other tensors have of it included."""
    return torch.empty(0, dtype=torch.uint8, device=tensor.device).set_(tensor.untyped_storage())
