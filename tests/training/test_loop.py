"""The loop: snapshots, records, masks, and blocks that are run from static buffers."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from training.packs import problem, same, train

from impray.spec.nets import Mlp
from impray.spec.training import Adam, AdamW, Constant, Cosine, Sgd
from impray.training import blocks, loop
from impray.training.engine import Groups
from impray.training.mlp import MlpEngine

MIXED = [Sgd(batch=6, momentum=0.9), Sgd(batch=6)]
ADAMS = [
    AdamW(batch=6, steps=17, schedule=Cosine(warm_up=3)),
    AdamW(batch=6, weight_decay=0, steps=17, schedule=Cosine(warm_up=3)),
]


def test_masks_may_be_bool_or_numbers_and_arguments_are_not_modified():
    arch, params, masks, data = problem(Mlp(hidden=(7,)), density=0.5)
    before = {name: value.clone() for name, value in params.items()}
    specs = [Sgd(batch=6, momentum=0.9, weight_decay=0.1), Sgd(batch=6)]
    a = train(arch, specs, params, masks, data, 4)
    b = train(arch, specs, params, {k: m.double() for k, m in masks.items()}, data.again(), 4)
    assert same(a.params, b.params) and same(params, before)
    full = {"weight2": torch.ones_like(masks["weight2"])}
    c = train(arch, specs, params, full, data.again(), 4)
    d = train(arch, specs, params, None, data.again(), 4)
    assert same(c.params, d.params)


@pytest.mark.parametrize("specs", [MIXED, ADAMS], ids=["sgd", "adamw"])
@pytest.mark.parametrize("block", [1, 3, 4, 100])
def test_snapshots_and_records_are_prefixes_of_the_round_and_change_nothing(block, specs):
    arch, params, masks, data = problem(Mlp(hidden=(7,)), steps=10, density=0.5)
    data.block = block
    recorded = {}
    end = train(arch, specs, params, masks, data, 10, snapshots=[10, 0, 4, 7], observe=(4, recorded.__setitem__))
    assert sorted(end.snapshots) == [0, 4, 7, 10] and sorted(recorded) == [0, 4, 8, 10]
    for steps, snapshot in (recorded | end.snapshots).items():
        alone = train(arch, specs, params, masks, data.again(), steps)
        assert same(alone.params, snapshot)
    assert same(end.params, end.snapshots[10])
    with pytest.raises(ValueError, match="from 0 to steps = 3"):
        train(arch, specs, params, None, data, 3, snapshots=[4])


class Observer:
    """Stands for the CUDA calls: counts, and replays what it was given."""

    def __init__(self, able=True):
        self.warmed = self.captured = self.replayed = 0
        self.able = able

    def warm_up(self, do):
        self.warmed += 1
        do()

    def capture(self, do):
        self.captured += 1
        if not self.able:
            raise RuntimeError("operation not permitted when stream is capturing")

        def replay():
            self.replayed += 1
            do()

        return replay


@pytest.mark.parametrize("able", [True, False])
@pytest.mark.parametrize("specs", [MIXED, ADAMS], ids=["sgd", "adamw"])
@pytest.mark.parametrize(("block", "replayed"), [(3, 3), (8, 3)])
def test_steps_run_from_static_buffers_equal_steps_run_one_by_one(monkeypatch, block, replayed, able, specs):
    arch, params, masks, data = problem(Mlp(hidden=(7,), batch_norm=True), steps=17, density=0.5)
    plain = train(arch, specs, params, masks, data, 17, snapshots=[6, 10])
    observer = Observer(able)
    graphed = lambda steps, *_: blocks.CapturedSteps(steps, None, 3, observer.warm_up, observer.capture)  # noqa: E731
    data.block = block
    monkeypatch.setattr(loop, "runner", graphed)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        end = train(arch, specs, params, masks, data.again(), 17, snapshots=[6, 10])
    assert same(end.params, plain.params) and same(end.stats, plain.stats)
    assert all(same(end.snapshots[step], plain.snapshots[step]) for step in (6, 10))
    # Graphs of 3 steps, the first of which warm up. In blocks of 3, those from 9 to 12, with a snapshot inside, and the last 2 are not
    # replayed; in blocks of 8, which snapshots and the end part as 0 6 8 10 16 17: those from 3, 10 and 13.
    assert (observer.warmed, observer.captured, observer.replayed) == (1, 1, replayed if able else 0)
    assert [w.category for w in caught] == ([] if able else [RuntimeWarning])


def test_a_full_memory_is_not_a_graph_that_cannot_be(monkeypatch):
    def capture(do):
        raise torch.OutOfMemoryError("CUDA out of memory")

    run = blocks.CapturedSteps(lambda raw, first, last: None, None, 2, lambda do: do(), capture)
    with pytest.raises(torch.OutOfMemoryError):
        run({"x": torch.zeros(1, 4)}, 0, 4)


class HostCalls(TorchDispatchMode):
    """Notes operations that read a tensor on the host, or bring a number of the host to the device."""

    def __init__(self):
        super().__init__()
        self.seen = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if name in ("_local_scalar_dense", "lift_fresh", "nonzero", "equal", "is_nonzero"):
            self.seen.add(name)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("schedule", [Constant(), Cosine(warm_up=2)], ids=lambda schedule: schedule.kind)
@pytest.mark.parametrize("kind", [Sgd, Adam, AdamW], ids=lambda kind: kind.__name__)
def test_a_step_neither_asks_the_host_nor_is_told_by_it(kind, schedule):
    """So a CUDA graph of it replays the whole update, with the learning rate and the bias corrections of its time."""
    arch, params, masks, data = problem(Mlp(hidden=(7,), batch_norm=True), steps=2, density=0.5)
    specs = [kind(batch=6, steps=5, schedule=schedule, weight_decay=decay) for decay in (0.0, 0.1)]
    with torch.no_grad():
        pack = Groups(MlpEngine, arch, specs, params, masks, 0, 5)
        with HostCalls() as asked:
            pack.step(data.x[:, 0], data.y[:, 0])
            pack.step(data.x[:, 1], data.y[:, 1])
        assert asked.seen == set()
        with HostCalls() as asked:
            assert torch.ones(1).item() and torch.tensor(1.0) is not None
        assert asked.seen == {"_local_scalar_dense", "lift_fresh"}  # the means of asking are seen
