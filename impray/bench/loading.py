"""Training from files against training from memory: what it costs that images are read where the files are mapped.

The network of Redman et al. (2025), 3072:1024:1024:1000 with batch norm, batch 40, one network, one thread. Ours: every
batch is gathered from the memory maps of an ImageNet32-like data set and of its Gaussian clone, made floats, centred and
blended half and half. The reference: the same training, given one batch of floats that is in memory already. The files
are made here, noise of 20,000 images in 1,000 classes, and removed. Both run in this process, in turns.

Blind spot: the files are in the page cache. Where they do not fit there, a step waits for the disk.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from impray.bench.threads import one_torch_thread
from impray.data import PackData, Raw, open_pack
from impray.nets.mlp import architecture, initial
from impray.scratch import scratch
from impray.spec.data import Imagenet32
from impray.spec.nets import Mlp
from impray.spec.training import Sgd
from impray.training import TRAINERS, Task

BATCH = 40
HIDDEN = (1024, 1024)
IMAGES = 20_000  # with their clones 184 MB: far more than a processor's caches hold
CLASSES = 1000
STEPS = 25  # of a run, for both
RUNS = 15


def compare() -> dict[str, str | float]:
    """Milliseconds per step: name, ours, reference, ratio = reference / ours, unit, note; medians over alternating runs."""
    with one_torch_thread():
        with _files() as folder:
            spec = Imagenet32(path=str(folder), gaussian_blend=0.5)
            data = open_pack([spec], [0], batch=BATCH, dtype=torch.float32, device=torch.device("cpu"))
            ours, reference = _run(data), _run(_OneBatch(data))
            _ = ours(), reference()  # warm
            times = [(ours(), reference()) for _ in range(RUNS)]
    files, memory = (statistics.median(side) for side in zip(*times, strict=True))
    return {
        "name": "training from files",
        "ours": files,
        "reference": memory,
        "ratio": memory / files,
        "unit": "ms/step",
        "note": f"3072:1024:1024:{CLASSES} with batch norm, batch {BATCH}, one thread, gaussian_blend 0.5; batches from the memory "
        f"maps of {IMAGES} images and their clones take {100 * (files / memory - 1):.1f} % longer than one that is "
        f"in memory as float32; median of {RUNS} runs of {STEPS} steps",
    }


class _OneBatch:
    """The same batch in every step."""

    def __init__(self, data: PackData) -> None:
        self.nets, self.inputs, self.classes, self.block = data.nets, data.inputs, data.classes, data.block
        data.start(0)
        self._batch = data.batch(data.draw(1), 0)

    def start(self, round: int) -> None:
        pass

    def draw(self, steps: int) -> Raw:
        return {}

    def batch(self, raw: Raw, step: int) -> tuple[Tensor, Tensor]:
        return self._batch

    def held_out(self, net: int) -> tuple[Tensor, Tensor]:
        raise NotImplementedError

    def whole(self, net: int) -> tuple[Tensor, Tensor]:
        raise NotImplementedError

    def truth(self, net: int) -> dict[str, Tensor]:
        raise NotImplementedError


def _run(data: PackData) -> Callable[[], float]:
    """A run of the training: its milliseconds per step."""
    net, sgd = Mlp(hidden=HIDDEN, batch_norm=True), Sgd(lr=0.1, batch=BATCH)
    arch = architecture(net, data.inputs, data.classes)
    params = initial(net, arch, [0], torch.float32, torch.device("cpu"))

    def run() -> float:
        begin = time.perf_counter()
        data.start(0)
        TRAINERS[Sgd](Task(arch, [sgd], params, None, data, STEPS))
        return 1e3 * (time.perf_counter() - begin) / STEPS

    return run


@contextmanager
def _files() -> Iterator[Path]:
    """A folder as image-net.org has it, of noise, with a cache of its own."""
    before = os.environ.get("IMPRAY_CACHE")
    random = np.random.default_rng(0)
    with scratch("bench") as place:
        folder = Path(place, "imagenet32")
        folder.mkdir()
        for name in (*(f"train_data_batch_{number}" for number in range(1, 11)), "val_data"):
            data = random.integers(0, 256, (IMAGES // 10, 3072), dtype=np.uint8)
            labels = np.arange(len(data)) % CLASSES + 1
            np.savez(folder / f"{name}.npz", data=data, labels=labels, mean=np.full(3072, 127.5))
        os.environ["IMPRAY_CACHE"] = str(Path(place, "cache"))
        try:
            yield folder
        finally:
            del os.environ["IMPRAY_CACHE"]
            if before is not None:
                os.environ["IMPRAY_CACHE"] = before
