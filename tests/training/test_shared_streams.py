"""Large nets that share streams of samples: trained as if alone, from samples that are read where they lie."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from conftest import heavier
from torch.profiler import ProfilerActivity, profile
from training.packs import OPTIMIZERS, FixedData, StreamedData, problem, unlike_alone

from impray.nets import layout
from impray.spec.nets import Mlp
from impray.spec.training import Sgd
from impray.training import engine, mlp
from impray.training.engine import Groups
from impray.training.mlp import MlpEngine
from impray.training.shared import shared

ORDERS = {
    "seeds first": [0, 1, 2, 0, 1, 2],
    "methods first": [0, 0, 1, 1, 2, 2],
    "backwards": [1, 1, 1, 0, 0, 0],
    "irregular": [2, 0, 1, 0, 0, 2],
    "one by itself": [0, 0, 0, 1, 0, 0],
    "more streams than nets": [5, 0, 7, 0, 5, 2],
    "own": [0, 1, 2, 3, 4, 5],
    "one": [0] * 6,
}
DENSITIES = {  # of each net: two engines at least where they are mixed
    "dense": [1.0, 0.9] * 3,
    "sparse": [0.4, 0.1, 0.2, 0.02, 0.3, 0.0],
    "mixed": [1.0, 0.44, 0.9, 0.2, 0.01, 0.3],
}
KINDS = {
    "sgd": {},
    "momentum": {"bias": False},
    "adamw": {"batch_norm": True},
    "decay": {"batch_norm": True, "bias": False},
}


def samples_first(x):
    """A batch whose samples lie side by side in memory, as rooms have them."""
    return layout.copied(x.mT).mT


class TurnedAlone(FixedData):
    def batch(self, raw, step):
        x, targets = super().batch(raw, step)
        return samples_first(x), targets

    def of(self, nets):
        return TurnedAlone(self.x[nets].clone(), self.y[nets].clone(), self.block)


class Turned(StreamedData):
    def streams(self, raw, step):
        x, targets = super().streams(raw, step)
        return samples_first(x), targets

    def of(self, nets):
        alone = super().of(nets)
        return TurnedAlone(alone.x, alone.y, alone.block)


DATA = {"inputs first": StreamedData, "samples first": Turned}


@pytest.fixture(params=[0, 2**40], ids=["read", "copied"])
def few(request, monkeypatch):
    """Streams are read where they lie however small they are, or copied however large."""
    monkeypatch.setattr(mlp, "LEAST_OF_A_RUN", request.param)
    return request.param


@pytest.fixture
def read(monkeypatch):
    monkeypatch.setattr(mlp, "LEAST_OF_A_RUN", 0)


def pack(net, inputs, batch, densities, dtype=torch.float32):
    """Six nets, too large for `impray.training.small`."""
    arch, params, masks, data = problem(net, inputs, 10, 6, batch, 3, dtype, 1.0)
    draw = torch.Generator().manual_seed(3)
    for name in (name for name in params if name.startswith("weight")):
        masks[name] = torch.rand(params[name].shape, generator=draw) < torch.tensor(densities).view(-1, 1, 1)
    return arch, params, masks, data


def streamed(given, order, kind=StreamedData):
    """Targets of each net, samples of each stream."""
    places = ORDERS[order]
    draw = torch.Generator().manual_seed(5)
    x = torch.randn(max(places) + 1, *given.x.shape[1:], generator=draw, dtype=torch.float64).to(given.x.dtype)
    return kind(x, given.y, {"one": 6, "own": None}.get(order, torch.tensor(places)))


@pytest.mark.some(20)
@pytest.mark.unchecked_shapes
@pytest.mark.parametrize("data", [pytest.param("inputs first", marks=pytest.mark.slow), "samples first"])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    ("optimizer", "densities"), [*product(("sgd", "adamw"), DENSITIES), ("momentum", "mixed"), ("decay", "mixed")]
)
def test_nets_that_share_streams_equal_nets_alone(optimizer, order, densities, data, read):
    net = Mlp(hidden=(150, 120), **KINDS[optimizer])
    arch, params, masks, given = pack(net, 200, 40, DENSITIES[densities])
    spec = OPTIMIZERS[optimizer].model_copy(update={"batch": 40, "steps": 3})
    assert unlike_alone(arch, [spec] * 6, params, masks, streamed(given, order, DATA[data]), 3) == []


@pytest.mark.some(8)
@pytest.mark.unchecked_shapes
@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("order", ["seeds first", "irregular"])
@pytest.mark.parametrize("batch", heavier([8, 57, 200], (57,)))
def test_batches_of_every_size_are_shared(batch, order, batch_norm, data, few):
    arch, params, masks, given = pack(Mlp(hidden=(150, 120), batch_norm=batch_norm), 200, batch, DENSITIES["mixed"])
    spec = Sgd(lr=0.05, batch=batch, steps=3)
    assert unlike_alone(arch, [spec] * 6, params, masks, streamed(given, order, DATA[data]), 3) == []


@pytest.mark.unchecked_shapes
@pytest.mark.parametrize("order", ORDERS)
def test_double_precision_is_shared(order, few):
    arch, params, masks, given = pack(Mlp(hidden=(30, 20)), 50, 20, DENSITIES["mixed"], torch.float64)
    specs = [OPTIMIZERS["adam"].model_copy(update={"batch": 20, "steps": 3, "lr": lr}) for lr in (0.01, 0.02) * 3]
    assert unlike_alone(arch, specs, params, masks, streamed(given, order), 3) == []


@pytest.mark.parametrize("densities", DENSITIES)
def test_how_samples_lie_in_memory_is_the_same_in_every_group(densities):
    """Also of data that make no streams: batch norm sums otherwise where they lie the other way round."""
    arch, params, masks, given = pack(Mlp(hidden=(150, 120), batch_norm=True), 200, 40, DENSITIES[densities])
    spec = Sgd(lr=0.05, batch=40, steps=3)
    for x in (given.x, given.x[:1].expand_as(given.x)):
        assert unlike_alone(arch, [spec] * 6, params, masks, TurnedAlone(x, given.y), 3) == []


def allocated(do):
    """The largest piece of memory that torch takes meanwhile, in bytes."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        do()
    sizes = [event.nbytes() for event in seen.profiler.kineto_results.events() if event.name() == "[memory]"]
    assert sizes, "nothing was seen"
    return max(sizes)


@pytest.mark.some(16)
@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("densities", DENSITIES)
@pytest.mark.parametrize("order", ORDERS)
def test_a_step_copies_no_stream(order, densities, batch_norm, data):
    """Not a single one; where kernels want samples side by side, these have memory of their own already."""
    arch, params, masks, given = pack(Mlp(hidden=(41,), batch_norm=batch_norm), 2000, 40, DENSITIES[densities])
    whole = streamed(given, order, DATA[data])
    nets = Groups(MlpEngine, arch, [Sgd(batch=40, steps=3)] * 6, params, masks, 0, 3)
    assert nets.share(whole.stream_of_net)
    x, targets = whole.streams(whole.draw(1), 0)
    nets.step(x, targets)
    assert allocated(lambda: nets.step(x, targets)) < min(x[0].nbytes, 4 * 41 * 2000)  # nor a net's matrix


def test_streams_are_copied_where_that_costs_less_than_calls():
    """Of dense layers; kernels of kept weights take no more calls for more streams."""
    taken = {}
    for order in ("methods first", "own", "one"):
        for densities in ("dense", "sparse"):
            arch, params, masks, given = pack(Mlp(hidden=(400,)), 200, 40, DENSITIES[densities])
            whole = streamed(given, order)
            nets = Groups(MlpEngine, arch, [Sgd(batch=40, steps=3)] * 6, params, masks, 0, 3)
            assert nets.share(whole.stream_of_net)
            x, targets = whole.streams(whole.draw(1), 0)
            nets.step(x, targets)
            taken[order, densities] = allocated(lambda nets=nets, x=x, y=targets: nets.step(x, y)) >= 6 * x[0].nbytes
    assert taken.pop(("methods first", "dense")) and not any(taken.values())


def test_samples_are_laid_once_for_each_stream_that_a_group_has(monkeypatch):
    laid = []
    monkeypatch.setattr("impray.training.weights.turned", lambda *given: laid.append(given[4]))
    for order, streams in [("irregular", 3), ("more streams than nets", 4), ("own", 6), ("one", 1)]:
        arch, params, masks, given = pack(Mlp(hidden=(41,)), 1000, 40, DENSITIES["sparse"])
        whole = streamed(given, order)
        nets = Groups(MlpEngine, arch, [Sgd(batch=40, steps=3)] * 6, params, masks, 0, 3)
        assert nets.share(whole.stream_of_net)
        laid.clear()
        nets.step(*whole.streams(whole.draw(1), 0))
        assert sum(laid) == streams


def test_where_steps_are_captured_every_net_has_its_own(monkeypatch):
    arch, params, masks, given = pack(Mlp(hidden=(41,)), 1000, 40, DENSITIES["dense"])
    whole = streamed(given, "irregular")
    nets = Groups(MlpEngine, arch, [Sgd(batch=40, steps=3)] * 6, params, masks, 0, 3)
    monkeypatch.setattr(engine, "captures", lambda device: True)
    assert not nets.share(whole.stream_of_net)
    assert whole.lent(whole.draw(1), 0)[0].shape == (6, 40, 1000)


# -- runs -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(200))
def test_runs_have_every_net_once_beside_its_stream_as_views(seed):
    draw = torch.Generator().manual_seed(seed)
    nets, streams = (int(torch.randint(1, most, (1,), generator=draw)) for most in (12, 6))
    of_net = torch.randint(streams, (nets,), generator=draw)
    own, samples = torch.arange(nets), torch.arange(streams)
    found = {}
    for run in shared(of_net.tolist()).runs:
        some, read = run.own(own), run.read(samples)
        assert some.untyped_storage().data_ptr() == own.untyped_storage().data_ptr()
        assert read.untyped_storage().data_ptr() == samples.untyped_storage().data_ptr()
        assert not found.keys() & set(some.tolist())
        found |= zip(some.tolist(), read.tolist(), strict=True)
    assert found == dict(enumerate(of_net.tolist()))


@pytest.mark.parametrize(("seeds", "methods"), [(2, 4), (4, 2), (3, 3), (16, 3), (1, 5), (5, 1)])
def test_a_grid_of_seeds_and_methods_has_one_run_for_each_stream_or_one_for_all(seeds, methods):
    grids = [seed for seed in range(seeds) for _ in range(methods)], list(range(seeds)) * methods
    for grid in grids:
        assert len(shared(grid).runs) == (1 if 1 in (seeds, methods) else seeds)
