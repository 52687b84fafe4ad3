"""A CUDA graph on the CPU: operations are recorded with the memory that they work on, and made again in that memory.

As CUDA has it, recording runs nothing; a graph holds the memory of what comes and goes within it, and nothing else: what it reads or writes
beside that must be there when it is replayed. Kernels that torch does not know of are not recorded: `on_torch_alone` switches them off.
"""

from __future__ import annotations

import sys

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from impray.training import blocks
from impray.training.blocks import Graphs

# Operations that ask the host, or are told by it.
HOST = {"_local_scalar_dense", "equal", "is_nonzero", "nonzero", "lift_fresh"}


class MemoryIsGone(AssertionError):
    """A graph works on memory that nobody holds any more."""


def memory_of(tensor):
    return torch.empty(0, dtype=torch.uint8).set_(tensor.untyped_storage())


class _Place:
    """A tensor's place in memory: held, or not."""

    def __init__(self, tensor, held):
        storage = tensor.untyped_storage()
        self.storage, self.weak = (storage if held else None), StorageWeakRef(storage)
        self.empty = tensor.numel() == 0
        self.view = tensor.dtype, tensor.storage_offset(), tuple(tensor.shape), tensor.stride()

    def tensor(self):
        storage = self.storage
        if storage is None and self.weak.expired():
            raise MemoryIsGone(self.view)
        if storage is None:
            storage = torch.UntypedStorage._new_with_weak_ptr(self.weak.cdata)
        dtype, offset, shape, stride = self.view
        return torch.empty(0, dtype=dtype).set_(storage, offset, shape, stride)


class Recorder(TorchDispatchMode):
    """What `do` does to memory, recorded; called, it is done again."""

    def __init__(self, do):
        super().__init__()
        self._own, self._before, self._calls = {}, {}, []
        with self:
            do()
        for tensor, before in self._before.values():
            if not torch.equal(memory_of(tensor), before):  # files may be mapped that nobody may write to
                memory_of(tensor).copy_(before)
        own = set(self._own)

        def placed(value):
            return _Place(value, key(value) in own) if isinstance(value, Tensor) else value

        self._calls = [(func, *(tree_map(placed, part) for part in parts)) for func, *parts in self._calls]
        self._own = self._before = None

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func.overloadpacket.__name__ in HOST:
            raise RuntimeError(f"operation not permitted when stream is capturing: {func}")
        given = tensors((args, kwargs))
        for tensor in given:
            if key(tensor) not in self._own and key(tensor) not in self._before:
                self._before[key(tensor)] = tensor.detach(), memory_of(tensor.detach()).clone()
        made = func(*args, **kwargs)
        for tensor in tensors(made):
            if key(tensor) not in self._before:
                self._own.setdefault(key(tensor), tensor)
        self._calls.append((func, args, kwargs, made))
        return made

    @torch.no_grad()
    def __call__(self):
        def there(place):
            return place.tensor() if isinstance(place, _Place) else place

        for func, *parts in self._calls:
            args, kwargs, expected = (tree_map(there, part) for part in parts)
            made = func(*args, **kwargs)
            for new, old in zip(tensors(made), tensors(expected), strict=True):
                if key(new) != key(old):
                    old.copy_(new)


def key(tensor):
    return tensor.untyped_storage()._cdata


def tensors(tree):
    found = []
    tree_map(lambda value: found.append(value) if isinstance(value, Tensor) else None, tree)
    return found


class Recorded(Graphs):
    """Graphs of a pack, by the recorder. Attributes: recordings: how many there were."""

    def __init__(self):
        super().__init__()
        self.recordings = 0

    def captured(self, do):
        self.recordings += 1
        return Recorder(do)


def on_torch_alone(monkeypatch):
    """As on a GPU: no kernels of ours, and steps are captured."""
    for name, module in list(sys.modules.items()):
        if name.startswith("impray.") and hasattr(module, "lacking"):
            monkeypatch.setattr(module, "lacking", lambda: "another processor")
    monkeypatch.setattr(blocks, "captures", lambda device: True)
    monkeypatch.setattr(blocks, "_on_a_side_stream", lambda do, side=None: do())
