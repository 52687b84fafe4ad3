"""Graphs over the rounds of a pack, on every kind of data and through whole packs: the rows that rounds have that are made anew."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch
from conftest import assert_same_tables, rounds_of, rows_of, run, tiny_pack
from test_families import SMALL
from training.packs import same, train
from training.recorder import Recorded, on_torch_alone

from impray.data import open_pack, reads_the_same_memory
from impray.data.images import gathered, mapped
from impray.data.nlgp import NlgpPack
from impray.lineage import states
from impray.lineage import training as of_lineages
from impray.masks import density
from impray.nets.mlp import architecture, initial
from impray.spec import families
from impray.spec.data import Arrays, Cifar10
from impray.spec.nets import Mlp
from impray.spec.training import Adam
from impray.training import blocks
from impray.training.blocks import STEPS

pytestmark = pytest.mark.unchecked_shapes

BATCH, LENGTH, ROUNDS = 4, 3 * STEPS + 5, 4
BLENDS, SEEDS = (0.0, 0.5, 0.5), (0, 0, 1)


def rounds_on(open_it, graphs=None):
    """Rounds of nets of which some share a stream; the data opened anew for each where there are no graphs."""
    data, found = open_it(), []
    net = Mlp(hidden=(5,))
    arch = architecture(net, data.inputs, data.classes)
    start = initial(net, arch, range(3), torch.float32, "cpu")
    for round in range(ROUNDS):
        data = data if graphs else open_it()
        data.start(round)
        generator = torch.Generator().manual_seed(round)
        masks = {"weight1": torch.rand(start["weight1"].shape, generator=generator) < 0.7}
        _, targets = data.batch(data.draw(1), 0)
        loss = "mse" if targets.is_floating_point() or data.classes == 1 else "cross_entropy"
        data.start(round)
        spec = Adam(batch=BATCH, steps=LENGTH, loss=loss)
        found.append(train(arch, [spec] * 3, start, masks, data, LENGTH, graphs=graphs).params)
    return found


def opener(kind, folder):
    given = SMALL[kind](folder / "files")
    blended = [{"gaussian_blend": blend} if "gaussian_blend" in kind.model_fields else {} for blend in BLENDS]
    specs = [kind.model_validate({**given, **more}) for more in blended]
    return lambda: open_pack(specs, SEEDS, batch=BATCH, dtype=torch.float32, device=torch.device("cpu"))


def held_to_data_opened_anew(monkeypatch, open_it):
    with monkeypatch.context() as patch:
        on_torch_alone(patch)
        patch.setattr(blocks, "captures", lambda device: False)
        expected = rounds_on(open_it)
    on_torch_alone(monkeypatch)
    graphs = Recorded()
    found = rounds_on(open_it, graphs)
    assert [same(a, b) for a, b in zip(found, expected, strict=True)] == [True] * ROUNDS
    assert not same(*found[-2:]) and graphs.recordings == 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", families.data.specs, ids=lambda kind: kind.__name__)
def test_a_graph_reads_every_kind_of_data_over_rounds(kind, tmp_path, monkeypatch):
    monkeypatch.setenv("IMPRAY_CACHE", str(tmp_path / "cache"))
    open_it = opener(kind, tmp_path)
    assert reads_the_same_memory(open_it())
    held_to_data_opened_anew(monkeypatch, open_it)


@pytest.mark.some(1)
@pytest.mark.parametrize("kind", [Arrays, Cifar10], ids=lambda kind: kind.__name__)
def test_a_graph_reads_rows_that_are_sent(kind, tmp_path, monkeypatch):
    monkeypatch.setenv("IMPRAY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(mapped, "fits", lambda size, device: False)
    for remembered in (gathered.pixels, gathered.clone_rows):
        remembered.cache_clear()
    try:
        open_it = opener(kind, tmp_path)
        assert open_it()._sends
        held_to_data_opened_anew(monkeypatch, open_it)
    finally:
        for remembered in (gathered.pixels, gathered.clone_rows):
            remembered.cache_clear()


# -- whole packs ------------------------------------------------------------------------------------------------------

MADE = {"trial.train.steps": LENGTH, "seeds": 2, "measures": ["accuracy", "loss", "density", "fan_in"]}


@pytest.fixture
def recorded(monkeypatch):
    """Packs are trained as on a GPU; how many graphs each has recorded, and who is still there."""
    on_torch_alone(monkeypatch)
    made, recordings = [], []

    class Counted(Recorded):
        def __init__(self):
            super().__init__()
            self.place = len(made)
            made.append(weakref.ref(self))
            recordings.append(0)

        def captured(self, do):
            recordings[self.place] += 1
            return super().captured(do)

    monkeypatch.setattr(of_lineages, "Graphs", Counted)
    return made, recordings


def anew(pack, folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "captures", lambda device: False)
        return run(pack, folder)


CHANGES = {
    "sgd": {},
    "adam, batch norm": {"trial.train.optimizer": "adam", "trial.train.lr": 0.01, "trial.net.batch_norm": True},
    "remaining": {"trial.prune.after_rewind": "remaining", "trial.train.schedule": {"kind": "cosine"}},
    "a time course": {"measures": ["accuracy", "fan_in", {"course": {"record_every": STEPS + 3, "samples": 8}}]},
}


@pytest.mark.some(1)
@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_a_pack_records_one_graph_for_its_dense_round_and_one_for_all_others(recorded, changes, tmp_path):
    pack = tiny_pack(rounds=4, **{**MADE, **changes})
    anew(pack, tmp_path / "anew")
    run(pack, tmp_path / "kept")
    assert recorded[1] == [0, 2]
    assert_same_tables(tmp_path / "anew", tmp_path / "kept", ("rounds", "units", "fates", "masks", "steps"))


class Louder(NlgpPack):
    """Data of others, whose batches read other memory in every round."""

    def start(self, round):
        super().start(round)
        self.gain = torch.full((1,), 1 + round / 4)

    def streams(self, raw, step):
        x, labels = super().streams(raw, step)
        return x * self.gain, labels


def test_data_of_others_are_opened_anew_with_a_graph_for_each_round(recorded, tmp_path, monkeypatch):
    def opened(*given, **more):
        return Louder(*given, **more)

    monkeypatch.setattr(of_lineages, "open_pack", opened)
    pack = tiny_pack(rounds=3, **MADE)
    anew(pack, tmp_path / "anew")
    run(pack, tmp_path / "kept")
    assert recorded[1] == [0, 4]
    assert_same_tables(tmp_path / "anew", tmp_path / "kept", ("rounds", "units"))


@pytest.mark.slow
@pytest.mark.parametrize("rounds", [4, 2])
def test_a_pack_that_ended_or_was_given_up_holds_nothing(recorded, tmp_path, rounds):
    """While there may still be who measures it."""
    pack = rounds_of(tiny_pack(rounds=4, **MADE), tmp_path)
    for round, _ in pack:
        gc.collect()
        assert recorded[0][0]() is not None
        if round == rounds:
            break
    gc.collect()
    assert recorded[0][0]() is None and pack._training._last is None


@pytest.mark.slow
def test_a_pack_that_goes_on_elsewhere_records_its_own(recorded, tmp_path):
    pack = tiny_pack(rounds=4, **MADE)
    run(pack, tmp_path / "whole")
    run(tiny_pack(rounds=2, **MADE), tmp_path / "two")
    run(pack, tmp_path / "two")
    assert recorded[1] == [2, 2, 1]
    assert_same_tables(tmp_path / "whole", tmp_path / "two", ("rounds", "units"))


@pytest.mark.slow
def test_where_a_lineage_ends_the_others_have_a_graph_of_their_own(recorded, tmp_path, monkeypatch):
    pack = tiny_pack(rounds=5, **MADE)
    ends, inner = pack.lineages[0].id, states.converged

    def converged(training, lineage, record):
        return inner(training, lineage, record) and (lineage.id != ends or density(record.masks) > 0.4)

    monkeypatch.setattr(states, "converged", converged)
    anew(pack, tmp_path / "anew")
    run(pack, tmp_path / "kept")
    rows = rows_of(tmp_path / "kept", "rounds")
    assert rows.filter(status="diverged")["round"].to_list() == [3] and recorded[1][1:] == [3]
    assert_same_tables(tmp_path / "anew", tmp_path / "kept", ("rounds", "units"))
