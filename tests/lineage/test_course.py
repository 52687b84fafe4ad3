"""Time courses: they change nothing, end where the round ends, and can be recorded afterwards."""

import polars as pl
import pytest
import torch
from conftest import assert_same_tables, rows_of, run, tiny_pack

from impray.lineage.checkpoint import weights_from_bytes
from impray.measures.course import Observer
from impray.nets import mlp
from impray.spec.data import Ising
from impray.spec.measure import Course
from impray.spec.nets import Mlp
from impray.spec.training import Sgd
from impray.training import TRAINERS

COURSE = {"course": {"record_every": 6, "weights_every": 1}}
RING = {
    "trial.data": {"kind": "ising", "shape": [8], "held_out": 30},
    "trial.net": {
        "hidden": [1],
        "activation": "relu",
        "bias": False,
        "outputs": 1,
        "readout": "mean",
        "init": {"scale": 0.3},
    },
    "trial.train": {"steps": 20, "batch": 8, "lr": 0.05, "loss": "mse"},
    "trial.prune": {"rewind_step": 0},
}


@pytest.mark.slow
def test_a_course_begins_and_ends_with_its_round_and_changes_nothing(tmp_path):
    measures = ["loss", {"ipr": {"at": ["start", "end"]}}]
    run(tiny_pack(measures=[*measures, COURSE], **RING), tmp_path / "recorded")
    run(tiny_pack(measures=measures, **RING), tmp_path / "plain")
    columns = ["lineage", "round", "loss", "ipr_mean", "ipr_start_mean"]
    rounds = rows_of(tmp_path / "recorded", "rounds").select(columns)
    assert rounds.equals(rows_of(tmp_path / "plain", "rounds").select(columns))
    steps = rows_of(tmp_path / "recorded", "steps")
    assert steps["step"].unique().sort().to_list() == [0, 6, 12, 18, 20]
    for step, column in ((0, "ipr_start_mean"), (20, "ipr_mean")):
        found = steps.filter(pl.col("step") == step).join(rounds, on=["lineage", "round"])
        assert found["ipr"].equals(found[column].alias("ipr"))
    ends = steps.filter(pl.col("step") == 20).join(rounds, on=["lineage", "round"])
    assert ends["loss"].to_list() == pytest.approx(ends["loss_right"].to_list(), rel=1e-12)  # all 30 are measured
    weights = torch.tensor(steps["weights"].to_list(), dtype=torch.float64)
    assert torch.equal(weights.abs().argmax(1), torch.tensor(steps["peak"].to_list()))
    assert torch.allclose(weights.norm(dim=1), torch.tensor(steps["norm"].to_list(), dtype=torch.float64))


@pytest.mark.slow
def test_a_course_asked_for_later_is_recorded_by_training_once_more(tmp_path):
    run(tiny_pack(measures=["loss", COURSE], **RING), tmp_path / "at_once")
    run(tiny_pack(measures=["loss"], **RING), tmp_path / "later")
    later = tiny_pack(measures=["loss", COURSE], **RING).model_copy(update={"known": True})
    run(later, tmp_path / "later")
    assert_same_tables(tmp_path / "at_once", tmp_path / "later", ("rounds", "steps"))


def test_a_course_is_recorded_while_a_round_trains_not_by_another_run(tmp_path, monkeypatch):
    trained = []

    def counting(task, real=TRAINERS[Sgd]):
        trained.append(task.until)
        return real(task)

    monkeypatch.setitem(TRAINERS, Sgd, counting)
    run(tiny_pack(measures=["loss", COURSE], **RING), tmp_path)
    assert trained == [20] * 4  # one trunk run, three rounds


def test_weights_are_kept_as_often_as_asked(tmp_path):
    few = {"course": {"record_every": 5, "weights_every": 3}}
    run(tiny_pack(measures=["loss", few], rounds=0, **RING), tmp_path / "few")
    kept = rows_of(tmp_path / "few", "steps").drop_nulls("weights")["step"].unique().sort().to_list()
    assert kept == [0, 15, 20]
    run(tiny_pack(measures=["loss", "course"], rounds=0, **RING), tmp_path / "none")
    assert rows_of(tmp_path / "none", "steps")["weights"].null_count() == rows_of(tmp_path / "none", "steps").height


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_losses_read_together_are_those_read_one_by_one(loss, monkeypatch):
    net = Mlp(hidden=(4,))
    arch = mlp.architecture(net, 8, 2)
    params = mlp.initial(net, arch, [0, 1, 2], torch.float32, "cpu")
    generator = torch.Generator().manual_seed(0)
    held_out = [(torch.randn(12, 8, generator=generator), torch.arange(12) % 2) for _ in range(3)]
    together = Observer(Course(), arch, held_out, loss)
    monkeypatch.setattr("impray.measures.course._TOGETHER", 0)
    apart = Observer(Course(), arch, held_out, loss)
    for observer in (together, apart):
        observer(0, params)
    assert together.rows() == apart.rows()


def test_the_readout_of_a_committee_never_moves(tmp_path):
    ring = {**RING, "trial.net": {**RING["trial.net"], "hidden": [4], "activation": "sigmoid", "bias": True}}
    pack = tiny_pack(measures=["loss"], rounds=1, **ring)
    run(pack, tmp_path)
    for lineage in pack.lineages[:2]:
        end = weights_from_bytes(
            (tmp_path / "checkpoints" / "trunks" / lineage.trunk / "end.safetensors").read_bytes(), "test"
        )[0]
        assert (end["weight2"] == 0.25).all() and (end["bias2"] == 0).all()
        assert end["bias1"].abs().sum() > 0
    assert isinstance(pack.lineages[0].trial.data, Ising)
