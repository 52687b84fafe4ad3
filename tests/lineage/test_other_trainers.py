"""A trainer need not be a loop of steps: least squares in closed form, on the whole training set, through a pack's whole journey."""

import json
from typing import ClassVar, Literal

import numpy as np
import pytest
import torch
from conftest import rows_of, tiny_sweep

from impray.data import open_pack
from impray.journey import run_pack
from impray.spec import families
from impray.spec.family import Member
from impray.spec.pack import Pack
from impray.spec.training import Sgd, TrainingSpec
from impray.training import TrainingEnd

DATA = {"kind": "photographs", "shape": [4, 4], "crops": 80, "held_out": 30, "images": ["camera", "coins", "moon"]}


class LeastSquares(TrainingSpec):
    """min |x W' + b - y|^2 over the training set, by the weights that are kept; y one-hot."""

    needs: ClassVar[frozenset[str]] = frozenset({"whole"})

    optimizer: Literal["least_squares"] = "least_squares"
    loss: Literal["mse"] = "mse"
    dtype: Literal["float64"] = "float64"

    @property
    def length(self):
        return 1.0

    def words(self):
        return "least squares"


def solve(task):
    (layer,) = task.network.layers
    params = {name: torch.zeros_like(value) for name, value in task.start.items()}
    for net in range(task.data.nets):
        x, labels = task.data.whole(net)
        y = torch.nn.functional.one_hot(labels, task.data.classes).to(x)
        for unit in range(layer.units):
            kept = torch.ones(layer.inputs, dtype=torch.bool)
            if task.masks is not None:
                kept = task.masks[layer.weight][net, unit].bool()
            design = torch.cat([x[:, kept], torch.ones(len(x), 1, dtype=x.dtype)], dim=1)
            best = torch.linalg.lstsq(design, y[:, unit : unit + 1]).solution[:, 0]
            params[layer.weight][net, unit, kept], params[layer.bias][net, unit] = best[:-1], best[-1]
    return TrainingEnd(params, {}, {at: params if at else task.start for at in task.snapshots})


@pytest.fixture
def pack(monkeypatch):
    monkeypatch.setitem(families.training.members, "least_squares", Member(LeastSquares, solve, source="this test"))
    sweep = tiny_sweep(
        **{
            "trial": {
                "data": DATA,
                "net": {"hidden": [], "activation": "linear"},
                "train": {"loss": "mse"},
                "prune": {"fraction": 0.3, "rewind_step": 0, "layers": "all"},
            },
            "measures": ["accuracy", "loss", "density", "fan_in"],
            "methods": ["imp", "random"],
            "search": {"space": {"data.gaussian_blend": [0.0]}},
        }
    )
    trial = sweep.trial.model_copy(update={"train": LeastSquares()})
    return Pack(
        lineages=tuple(trial.lineages(sweep.methods, sweep.seeds)), rounds=sweep.rounds, measures=sweep.measures
    )


def slow(lineage, rounds):
    """Held-out loss of every round of imp, in numpy: solve, keep the largest, solve again."""
    data = open_pack([lineage.trial.data], [0], batch=1, dtype=torch.float64, device=torch.device("cpu"))
    (x, y), (new_x, new_y) = (tuple(map(np.asarray, part)) for part in (data.whole(0), data.held_out(0)))
    x, new_x = (np.column_stack([part, np.ones(len(part))]) for part in (x, new_x))
    targets, new_targets = np.eye(3)[y], np.eye(3)[new_y]
    kept = np.ones((3, 17), dtype=bool)
    for round in range(rounds + 1):
        weights = np.zeros((3, 17))
        for unit in range(3):
            design = x[:, kept[unit]]
            weights[unit, kept[unit]] = np.linalg.solve(design.T @ design, design.T @ targets[:, unit])
        yield kept[:, :16].sum(axis=1).tolist(), np.square(new_x @ weights.T - new_targets).mean()
        size = np.abs(weights[:, :16])
        cut = np.sort(size, axis=None)[::-1][lineage.trial.prune.kept(48, round + 1) - 1]
        kept[:, :16] = size >= cut


def test_a_solver_goes_through_a_pack_and_prunes_as_backward_elimination_does(pack, tmp_path):
    (tmp_path / "provenance.json").write_text(json.dumps({"axes": {}}))
    assert list(run_pack(pack, tmp_path)) == [0, 1, 2, 3]
    rounds, units = rows_of(tmp_path, "rounds"), rows_of(tmp_path, "units")
    assert rounds.height == 2 * 2 * 4 and set(rounds["status"]) == {"done"}
    for lineage in pack.lineages:
        if lineage.method == "imp":
            of_lineage = rounds.filter(lineage=lineage.id).sort("round")
            for round, (fan_in, loss) in enumerate(slow(lineage, pack.rounds)):
                row = of_lineage.filter(round=round)
                own = units.filter(lineage=lineage.id, round=round).sort("unit")
                assert own["fan_in"].to_list() == fan_in
                assert row["loss"].item() == pytest.approx(loss, rel=1e-9)
    before = sorted(path.stat().st_mtime_ns for path in (tmp_path / "tables").rglob("*.parquet"))
    list(run_pack(pack, tmp_path))  # what is done is done
    assert sorted(path.stat().st_mtime_ns for path in (tmp_path / "tables").rglob("*.parquet")) == before


def test_a_training_that_needs_what_the_data_do_not_have_is_refused(pack):
    fine = pack.lineages[0].trial
    assert fine.impossible() == []
    wrong = fine.model_copy(update={"data": tiny_sweep().trial.data}).impossible()
    assert [path for path, _ in wrong] == ["train.optimizer"]
    assert "nlgp" in wrong[0][1] and "photographs" in wrong[0][1]


def test_real_targets_take_the_mean_squared_error_and_any_number_of_outputs():
    trial = tiny_sweep().trial

    class Real(type(trial.data)):
        targets: ClassVar[str] = "real"

        @property
        def classes(self):
            return 1

    data = Real.model_construct(**trial.data.__dict__)
    mse, cross_entropy = (
        trial.model_copy(update={"data": data, "train": Sgd(loss=loss)}) for loss in ("mse", "cross_entropy")
    )
    assert mse.impossible() == []
    assert [path for path, _ in cross_entropy.impossible()] == ["train.loss"]
