"""Bytes that tensors take, counted from what holds them rather than from a formula."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import torch
from torch import Tensor


def bytes_of(*holders: object) -> int:
    """Of all tensors and arrays that these objects hold, however deep.

    Memory that several tensors are views of counts once, as the largest of them; gaps that only align it (`impray.nets.layout`) do not.
    """
    largest: dict[int, int] = {}
    for tensor in _tensors(holders, set()):
        memory = tensor.untyped_storage().data_ptr()
        largest[memory] = max(largest.get(memory, 0), tensor.numel() * tensor.element_size())
    return sum(largest.values())


def _tensors(holder: object, seen: set[int]) -> Iterator[Tensor]:
    """The tensors and arrays in an object's attributes, in containers, and in theirs."""
    if id(holder) in seen:
        return
    seen.add(id(holder))
    if isinstance(holder, Tensor):
        yield holder
        return
    if isinstance(holder, np.ndarray):
        yield torch.from_numpy(holder)
        return
    inner: Iterable[object] = ()
    if isinstance(holder, Mapping):
        inner = holder.values()
    elif isinstance(holder, (list, tuple, set, frozenset)):
        inner = holder
    elif hasattr(holder, "__dict__") and not isinstance(holder, type):
        inner = vars(holder).values()
    for part in inner:
        yield from _tensors(part, seen)
