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
        self.weak = StorageWeakRef(tensor.untyped_storage())
        self.view = tensor.dtype, tensor.storage_offset(), tuple(tensor.shape), tensor.stride()
        self.held = self._of(tensor.untyped_storage()) if held else None

    def _of(self, storage):
        dtype, *where = self.view
        return torch.empty(0, dtype=dtype).set_(storage, *where)

    def tensor(self):
        if self.held is not None:
            return self.held
        if self.weak.expired():
            raise MemoryIsGone(self.view)
        return self._of(torch.UntypedStorage._new_with_weak_ptr(self.weak.cdata))


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

        self._calls = [
            (func, mapped(placed, args), mapped(placed, kwargs), [placed(one) for one in tensors(made)])
            for func, args, kwargs, made in self._calls
        ]
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

        for func, args, kwargs, expected in self._calls:
            made = func(*mapped(there, args), **mapped(there, kwargs))
            for new, old in zip(tensors(made), map(there, expected), strict=True):
                if key(new) != key(old):
                    old.copy_(new)


def mapped(do, tree):
    """What operations are given: numbers, tensors and such, in tuples, lists and dictionaries."""
    if isinstance(tree, tuple | list):
        return type(tree)([mapped(do, one) for one in tree])
    return {name: mapped(do, one) for name, one in tree.items()} if isinstance(tree, dict) else do(tree)


def key(tensor):
    return tensor.untyped_storage()._cdata


def tensors(tree):
    if isinstance(tree, dict):
        tree = list(tree.values())
    if isinstance(tree, tuple | list):
        return [found for one in tree for found in tensors(one)]
    return [tree] if isinstance(tree, Tensor) else []


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
