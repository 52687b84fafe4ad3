"""A graph that is kept over the rounds of a pack gives what rounds give that are made anew, step by step and bit for bit."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch
from conftest import heavier
from training import test_module_training as modules
from training.packs import OPTIMIZERS, FixedData, problem, same, train
from training.recorder import MemoryIsGone, Recorded, Recorder, on_torch_alone

from impray.spec.nets import Mlp
from impray.spec.training import Adam, Constant, Cosine, Sgd
from impray.training import blocks, loop
from impray.training.batch_norm import BatchNorm
from impray.training.blocks import STEPS
from impray.training.mlp import MlpEngine

pytestmark = pytest.mark.unchecked_shapes

BATCH, ROUNDS = 6, 4
LENGTH = 4 * STEPS + 5
BLOCK = 2 * STEPS + 3
SCHEDULES = {"constant": Constant(), "cosine": Cosine(final=0.1, warm_up=3)}


class OfRounds(FixedData):
    """Other batches in every round, from one memory."""

    def start(self, round):
        self.next = round


def pack(net, specs, inputs=5, outputs=3, dtype=torch.float32):
    arch, params, _, data = problem(net, inputs, outputs, len(specs), BATCH, LENGTH + ROUNDS, dtype)
    return arch, specs, params, OfRounds(data.x, data.y, BLOCK)


def of_steps(spec, schedule="constant", **changes):
    return spec.model_copy(update={"batch": BATCH, "steps": LENGTH, "schedule": SCHEDULES[schedule], **changes})


def masks_of(params, round, names=("weight",)):
    """None in round 0; then fewer and fewer."""
    if round == 0:
        return None
    generator = torch.Generator().manual_seed(round)
    maskable = {k: v for k, v in params.items() if k.startswith(names)}
    return {k: torch.rand(v.shape, generator=generator) < 0.8**round for k, v in maskable.items()}


def round_of(given, round, graphs, steps=LENGTH, masks=masks_of, **more):
    """A round as `lineage` asks for it: rewound to the first weights, under its own masks."""
    arch, specs, params, data = given
    data.start(round)
    own = masks(params, round)
    start = {k: v * own[k] if own and k in own else v for k, v in params.items()}
    return train(arch, specs, start, own, data, steps, [STEPS + 2], graphs=graphs, **more)


def equal(one, other):
    parts = [(one.params, other.params), (one.stats, other.stats)]
    parts += [(one.snapshots[step], other.snapshots[step]) for step in one.snapshots]
    return all(same(a, b) for a, b in parts)


def rounds(given, graphs=None, **more):
    return [round_of(given, round, graphs, **more) for round in range(ROUNDS)]


def held_to_rounds_made_anew(monkeypatch, given, recordings=2, **more):
    """As on a CPU, step by step, nothing kept; then as on a GPU: the first round has no masks, so it has a graph of its own."""
    with monkeypatch.context() as patch:
        on_torch_alone(patch)
        patch.setattr(blocks, "captures", lambda device: False)
        expected = rounds(given, **more)
    on_torch_alone(monkeypatch)
    graphs = Recorded()
    found = rounds(given, graphs, **more)
    assert [equal(a, b) for a, b in zip(found, expected, strict=True)] == [True] * ROUNDS
    assert graphs.recordings == recordings
    return found


@pytest.mark.some(2)
@pytest.mark.parametrize("schedule", heavier(SCHEDULES, ["cosine"]))
@pytest.mark.parametrize("rule", OPTIMIZERS)
def test_rounds_of_every_update_rule_are_those_made_anew(monkeypatch, rule, schedule):
    specs = [of_steps(OPTIMIZERS[rule], schedule), of_steps(OPTIMIZERS[rule], schedule, lr=0.02)]
    held_to_rounds_made_anew(monkeypatch, pack(Mlp(hidden=(7, 4)), specs))


@pytest.mark.parametrize("rule", heavier(["sgd", "momentum", "adam"], ["momentum"]))
def test_batch_norm_begins_with_the_first_batch_of_each_round(monkeypatch, rule):
    specs = [of_steps(OPTIMIZERS[rule])] * 2
    given = pack(Mlp(hidden=(7,), batch_norm=True), specs)
    found = held_to_rounds_made_anew(monkeypatch, given)
    assert not same(found[-2].stats, found[-1].stats)


@pytest.mark.parametrize("readout", ["sum", "mean"])
def test_readouts_that_are_fixed_stay(monkeypatch, readout):
    specs = [of_steps(Sgd(lr=0.05, momentum=0.9), loss="mse")] * 2
    given = pack(Mlp(hidden=(7,), outputs=1, readout=readout, bias=False), specs, outputs=1)
    # A single output is padded to two and its weights are masked in every round: the first one is of the form of the others.
    held_to_rounds_made_anew(monkeypatch, given, recordings=1)


@pytest.mark.slow
def test_groups_of_another_arithmetic_go_on_together(monkeypatch):
    rules = [OPTIMIZERS["sgd"], OPTIMIZERS["momentum"], OPTIMIZERS["decay"], OPTIMIZERS["sgd"]]
    held_to_rounds_made_anew(monkeypatch, pack(Mlp(hidden=(7,)), [of_steps(rule, "cosine") for rule in rules]))


@pytest.mark.slow
@pytest.mark.parametrize("name", heavier(["mlp", "cnn", "norms"], ["mlp"]))
def test_modules_go_on_too(monkeypatch, name):
    """Batch norm of modules has a state that begins anew."""
    rule = "adamw" if name == "cnn" else "momentum"
    net, params, _, data = modules.problem(name, 3, torch.float32)
    x, y = (torch.cat([part] * 3, dim=1) for part in (data.x, data.y))
    x[:, modules.STEPS :] *= 1.1
    given = net, [of_steps(OPTIMIZERS[rule], "cosine")] * 3, params, OfRounds(x, y, BLOCK)
    names = tuple(layer.weight for layer in net.layers)
    held_to_rounds_made_anew(monkeypatch, given, masks=lambda params, round: masks_of(params, round, names))


def test_a_module_whose_nets_run_one_by_one_has_no_graph(monkeypatch):
    net, params, _, data = modules.problem("branching", 2, torch.float32)
    x, y = (torch.cat([part] * 3, dim=1) for part in (data.x, data.y))
    given = net, [of_steps(OPTIMIZERS["sgd"])] * 2, params, OfRounds(x, y, BLOCK)
    held_to_rounds_made_anew(monkeypatch, given, recordings=0, masks=lambda *_: None)


# -- where a round is of another form ---------------------------------------------------------------------------------


@pytest.fixture
def given(monkeypatch):
    on_torch_alone(monkeypatch)
    return pack(Mlp(hidden=(7,), batch_norm=True), [of_steps(Adam(lr=0.01), "cosine")] * 2)


def eager(given, round, **more):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "runner", lambda steps, *_: steps)
        return round_of(given, round, None, **more)


def then(given, graphs, *others):
    """A round by a graph that is kept, and others after it; whether each is what it is alone, and how often was recorded."""
    found = []
    for own, round, more in ((given, 1, {}), (given, 2, {}), *others):
        found.append(equal(round_of(own, round, graphs, **more), eager(own, round, **more)))
    return found, graphs.recordings


@pytest.mark.slow
def test_other_nets_data_steps_and_masks_have_graphs_of_their_own(given):
    arch, specs, params, data = given
    again = OfRounds(data.x.clone(), data.y.clone(), BLOCK)
    fewer = {k: v[:1] for k, v in params.items()}
    others = [
        ((arch, specs, params, again), 3, {}),
        ((arch, specs[:1], fewer, OfRounds(data.x[:1], data.y[:1], BLOCK)), 3, {}),
        (given, 3, {}),
        (given, 3, {"steps": 3 * STEPS}),  # another table of rates
        (given, 3, {"begin": 3, "steps": 3 * STEPS}),  # other rates, in a table of one size: no other graph
        (given, 3, {"masks": lambda params, round: masks_of(params, round, ("weight1",))}),
        ((arch, [of_steps(Sgd(lr=0.05))] * 2, params, data), 3, {}),
        ((arch, [of_steps(Sgd(lr=0.05), loss="mse")] * 2, params, data), 3, {}),
    ]
    assert then(given, Recorded(), *others) == ([True] * 10, 1 + 7)


def test_other_rates_are_other_numbers_in_the_same_memory(given):
    arch, _, params, data = given
    other = arch, [of_steps(Adam(lr=lr, beta1=0.5), "cosine") for lr in (0.02, 0.03)], params, data
    assert then(given, Recorded(), (other, 3, {}))[0] == [True] * 3


@pytest.mark.slow
def test_a_net_that_diverged_leaves_nothing(given):
    arch, specs, params, data = given
    lost = {k: v * (torch.nan if k == "weight1" else 1) for k, v in params.items()}
    graphs = Recorded()
    assert then(given, graphs, ((arch, specs, lost, data), 3, {}), (given, 4, {})) == ([True] * 4, 1)


class Stopped(Exception):
    pass


@pytest.mark.some(1)
@pytest.mark.parametrize("error", heavier([Stopped, KeyboardInterrupt, torch.OutOfMemoryError], [Stopped]))
@pytest.mark.parametrize("at", [0, STEPS + 2, LENGTH])
def test_a_round_that_fails_leaves_no_graph(given, at, error):
    def stop(step, params):
        if step == at:
            raise error

    graphs = Recorded()
    then(given, graphs)
    with pytest.raises(error):
        round_of(given, 3, graphs, observe=(1, stop) if at == 0 else (at, stop))
    assert graphs._kept is None and equal(round_of(given, 3, graphs), eager(given, 3)) and graphs.recordings == 2


@pytest.mark.slow
def test_where_a_graph_could_not_be_recorded_the_next_round_tries_again(given):
    class Unable(Recorded):
        def captured(self, do):
            super().captured(do)
            if self.recordings == 1:
                raise RuntimeError("operation not permitted when stream is capturing")
            return Recorder(do)

    graphs = Unable()
    with pytest.warns(RuntimeWarning, match="one by one"):
        assert equal(round_of(given, 1, graphs), eager(given, 1))
    assert then(given, graphs) == ([True, True], 2)


def test_rounds_without_a_graph_keep_nothing(given):
    graphs = Recorded()
    round_of(given, 1, graphs, steps=2 * STEPS - 1)
    assert graphs.recordings == 0 and graphs._kept is None


def test_full_memory_is_tried_again_without_what_was_kept(given):
    graphs = Recorded()
    then(given, graphs)

    def make():
        if graphs._kept is not None:
            raise torch.OutOfMemoryError
        return "made"

    assert graphs.made(make) == "made" and graphs._kept is None

    def never():
        raise torch.OutOfMemoryError

    with pytest.raises(torch.OutOfMemoryError):
        graphs.made(never)


@pytest.mark.slow
def test_what_is_kept_goes_with_its_pack(given):
    """At once: nothing of it waits for a collection of garbage."""
    then(given, Recorded())  # torch remembers frames of whoever first calls an operation that is recorded
    gc.disable()
    try:
        graphs = Recorded()
        then(given, graphs)
        held = [weakref.ref(part) for part in (graphs, graphs._kept.nets, graphs._kept.run)]
        del graphs
        assert [part() for part in held] == [None] * 3
    finally:
        gc.enable()


# -- what the recorder finds ------------------------------------------------------------------------------------------


def test_the_recorder_records_without_running_and_replays_in_the_same_memory():
    x, y = torch.ones(3), torch.zeros(3)

    def do():
        y.add_(x * 2)
        y.view(3)[1:].mul_(x.sum())

    graph = Recorder(do)
    assert y.tolist() == [0, 0, 0]
    graph()
    x.fill_(2)
    graph()
    assert y.tolist() == [6, 60, 60]
    with pytest.raises(RuntimeError, match="capturing"):
        Recorder(lambda: x.sum().item())


@pytest.mark.slow
def test_a_buffer_that_is_replaced_between_rounds_is_found(given):
    graphs = Recorded()
    then(given, graphs)
    nets = graphs._kept.nets
    (_, _, engine), *_ = nets._groups
    assert isinstance(engine, MlpEngine) and isinstance(engine._layers[0].norm, BatchNorm)
    left = engine._layers[0].norm.mean
    engine._layers[0].norm.mean = left.clone()
    assert not equal(round_of(given, 3, graphs), eager(given, 3))  # it works on what the last round has left behind
    del left
    with pytest.raises(MemoryIsGone):
        round_of(given, 3, graphs)


def test_data_in_other_memory_are_found(given):
    class Elsewhere(OfRounds):
        def start(self, round):
            super().start(round)
            self.scale = torch.full((1,), float(round))

        def batch(self, raw, step):
            x, y = super().batch(raw, step)
            return x * self.scale, y

    arch, specs, params, data = given
    graphs = Recorded()
    with pytest.raises(MemoryIsGone):
        then((arch, specs, params, Elsewhere(data.x, data.y, BLOCK)), graphs)
