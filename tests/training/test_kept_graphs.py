"""A graph that is kept over the rounds of a pack gives what rounds give that are made anew, step by step and bit for bit."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch
from nets import factories  # noqa: F401 - of modules
from training import test_module_training as modules
from training.packs import OPTIMIZERS, FixedData, problem, same, train
from training.recorder import MemoryIsGone, Recorded, Recorder, on_torch_alone

from impray.spec.nets import Mlp
from impray.spec.training import Adam, Constant, Cosine, Sgd
from impray.training import blocks, loop
from impray.training.batch_norm import BatchNorm
from impray.training.blocks import STEPS, Graphs
from impray.training.mlp import MlpEngine

BATCH, ROUNDS = 6, 5
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


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("rule", OPTIMIZERS)
def test_rounds_of_every_update_rule_are_those_made_anew(monkeypatch, rule, schedule):
    specs = [of_steps(OPTIMIZERS[rule], schedule), of_steps(OPTIMIZERS[rule], schedule, lr=0.02)]
    held_to_rounds_made_anew(monkeypatch, pack(Mlp(hidden=(7, 4)), specs))


@pytest.mark.parametrize("rule", ["sgd", "momentum", "adam"])
def test_batch_norm_begins_with_the_first_batch_of_each_round(monkeypatch, rule):
    specs = [of_steps(OPTIMIZERS[rule])] * 2
    given = pack(Mlp(hidden=(7,), batch_norm=True), specs)
    found = held_to_rounds_made_anew(monkeypatch, given)
    assert not same(found[-2].stats, found[-1].stats)


@pytest.mark.parametrize("readout", ["sum", "mean"])
def test_readouts_that_are_fixed_stay(monkeypatch, readout):
    specs = [of_steps(Sgd(lr=0.05, momentum=0.9), loss="mse")] * 2
    given = pack(Mlp(hidden=(7,), outputs=1, readout=readout, bias=False), specs, outputs=1)
    held_to_rounds_made_anew(monkeypatch, given)
