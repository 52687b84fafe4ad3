"""The graphs of a pack's rounds, on a device that keeps CUDA's rules of graphs and their pools and runs on the CPU."""

from __future__ import annotations

import gc
import weakref
from contextlib import contextmanager

import pytest
import torch
from conftest import run, tiny_pack
from training.packs import problem, same, train

from impray.lineage import training as of_lineages
from impray.spec.nets import Mlp
from impray.spec.training import Adam, Cosine, Sgd
from impray.training import blocks, loop
from impray.training.blocks import STEPS, CapturedSteps, Graphs


class Device:
    """Counts graphs by pool. As CUDA has it, a pool whose graphs are all gone cannot be taken up again."""

    def __init__(self):
        self.pools, self.alive, self.recording, self.streams, self.able = [], {}, None, [], True
        self.most_alive = self.captures = 0

    def graph_pool_handle(self):
        self.pools.append(len(self.pools))
        return self.pools[-1]

    def make_graph(device):  # noqa: N805
        class Graph:
            def capture_begin(self, pool):
                assert device.recording is None and pool in device.pools
                assert pool not in device.alive or device.alive[pool] > 0, "a pool that is gone is taken up again"
                device.alive[pool] = device.alive.get(pool, 0) + 1
                device.most_alive = max(device.most_alive, device.alive[pool])
                weakref.finalize(self, device.let_go, pool)
                device.recording, device.captures = self, device.captures + 1

            def capture_end(self):
                device.recording = None
                if not device.able:
                    raise RuntimeError("operation failed due to a previous error during capture")

            def replay(self):
                self.do()

        return Graph()

    def let_go(self, pool):
        self.alive[pool] -= 1

    def Stream(self):  # noqa: N802
        self.streams.append(Stream())
        return self.streams[-1]


class Stream:
    def wait_stream(self, other):
        pass


@pytest.fixture
def device(monkeypatch):
    made = Device()
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", made.graph_pool_handle)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", made.make_graph)
    monkeypatch.setattr(torch.cuda, "Stream", made.Stream)
    monkeypatch.setattr(torch.cuda, "current_stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", stream)
    inner = CapturedSteps._of_buffers

    def of_buffers(self):
        """What is recorded is kept rather than run."""
        if made.recording is None:
            inner(self)
        else:
            steps = weakref.ref(self)  # CUDA's graphs hold nobody
            made.recording.do = lambda: inner(steps())

    monkeypatch.setattr(CapturedSteps, "_of_buffers", of_buffers)
    monkeypatch.setattr(loop, "runner", lambda steps, _, graphs: blocks.runner(steps, torch.device("cuda"), graphs))
    return made


@contextmanager
def stream(side):
    yield


def rounds(graphs, count=3):
    """Rounds of a pack, as `lineage` asks for them: each begins where the last one ended, on data of its own, so with its own graph."""
    steps = 4 * STEPS + 5
    arch, params, masks, data = problem(Mlp(hidden=(7,), batch_norm=True), steps=steps, density=0.5)
    data.block = steps
    ends = []
    for _ in range(count):
        spec = Adam(batch=6, steps=steps, schedule=Cosine(final=0.1))
        ends.append(train(arch, [spec] * 2, params, masks, data.again(), steps, graphs=graphs))
        params = ends[-1].params
    return ends


@pytest.mark.slow
def test_the_rounds_of_a_pack_share_one_pool(device):
    """Of two graphs at most: the last one keeps the pool until the next is recorded. And one stream, or memory would not come back."""
    graphs = Graphs()
    shared = rounds(graphs, 4)
    gc.collect()
    assert device.pools == [0] and device.captures == 4
    assert device.most_alive == 2 and device.alive == {0: 1}
    assert len(device.streams) == 4 + 1  # those on which rounds warm up
    del graphs
    gc.collect()
    assert device.alive == {0: 0}
    alone = rounds(None, 4)
    assert len(device.pools) == 5
    for one, other in zip(shared, alone, strict=True):
        assert same(one.params, other.params) and same(one.stats, other.stats)


def test_rounds_on_the_same_data_have_one_graph(device, monkeypatch):
    steps = 4 * STEPS + 5
    arch, params, masks, data = problem(Mlp(hidden=(7,)), steps=steps, density=0.5)
    data.block, spec, graphs = steps, Sgd(batch=6, steps=steps, momentum=0.9), Graphs()

    def ends(graphs):
        for scale in (1, 0.5, 0.1):
            data.start(0)
            yield train(arch, [spec] * 2, {k: scale * v for k, v in params.items()}, masks, data, steps, graphs=graphs)

    found = list(ends(graphs))
    gc.collect()
    assert device.captures == 1 and device.alive == {0: 1}
    graphs.let_go()
    gc.collect()
    assert device.alive == {0: 1}  # the pool is taken up again by the next one
    list(ends(graphs))
    assert device.pools == [0] and device.captures == 2 and device.most_alive == 2
    monkeypatch.setattr(loop, "runner", lambda steps, *_: steps)
    assert all(same(one.params, other.params) for one, other in zip(found, ends(None), strict=True))


def test_graphs_give_what_steps_one_by_one_give(device, monkeypatch):
    found = rounds(Graphs())
    monkeypatch.setattr(loop, "runner", lambda steps, *_: steps)
    for one, other in zip(found, rounds(None), strict=True):
        assert same(one.params, other.params) and same(one.stats, other.stats)


def test_after_a_capture_that_failed_another_pool_is_taken(device):
    graphs = Graphs()
    right = rounds(graphs, 2)
    device.able = False
    with pytest.warns(RuntimeWarning, match="one by one"):
        failed = rounds(graphs, 1)
    device.able = True
    after = rounds(graphs, 1)
    assert device.pools == [0, 1] and same(failed[0].params, right[0].params) and same(after[0].params, right[0].params)


@pytest.mark.slow
def test_a_packs_rounds_are_given_what_they_share(monkeypatch, tmp_path):
    given = []
    inner = of_lineages.train_round
    monkeypatch.setattr(of_lineages, "train_round", lambda task: given.append(task.graphs) or inner(task))
    run(tiny_pack(rounds=2), tmp_path / "one")
    assert len(given) >= 3 and len(set(map(id, given))) == 1 and isinstance(given[0], Graphs)
    first = given[0]
    run(tiny_pack(rounds=1), tmp_path / "other")
    assert given[-1] is not first
