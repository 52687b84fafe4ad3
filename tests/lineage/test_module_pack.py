"""Laws of packs of modules on their journey: neighbours, interruptions, folders without the factory."""

import json
import sys
import warnings

import pytest
from conftest import assert_same_tables, rows_of, sweep_into, tiny, tiny_pack

from impray.journey import run_pack
from impray.results import provenance
from impray.results.paths import Paths
from impray.service.said import layers_of_factory
from impray.spec.errors import SweepError
from impray.spec.load import read

ON_KERNELS = [
    "accuracy",
    "loss",
    "density",
    "fan_in",
    "ipr",
    "masks",
    {"inputs": {"examples": 1}},
    {"rf_width": {"min_fan_in": 4}},
]


def pack_of(name, measures=ON_KERNELS, shape=(6, 6), **changes):
    arguments = changes.pop("arguments", {})
    factory = f"nets.factories:{name}"
    net = {
        "kind": "module",
        "factory": factory,
        "arguments": arguments,
        "sizes": layers_of_factory(factory, arguments, shape, 2),
    }
    return tiny_pack(**{"trial.net": net, "measures": measures, "methods": ["imp", "random"], "rounds": 2, **changes})


def run(pack, folder):
    folder.mkdir(exist_ok=True)
    (folder / "provenance.json").write_text(json.dumps({"axes": pack.axes}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        list(run_pack(pack, folder))


@pytest.mark.some(2)
@pytest.mark.unchecked_shapes
@pytest.mark.parametrize(
    "name, changes",
    [
        ("mlp", {"trial.train": {"optimizer": "adam", "steps": 20, "batch": 8}, "trial.prune.layers": "all"}),
        ("deep", {"trial.prune.biases": "kept", "trial.prune.scope": "global"}),
        ("branching", {}),
        ("cnn", {"arguments": {"dropout": 0.5}, "trial.prune.layers": "all", "trial.prune.biases": "ranked"}),
    ],
)
def test_a_lineage_has_the_same_rows_alone_and_in_a_pack_where_that_is_promised(name, changes, tmp_path):
    pack = pack_of(name, **({} if name == "cnn" else {"measures": ["accuracy", "loss", "kurtosis", "ipr"]}), **changes)
    run(pack, tmp_path / "pack")
    for lineage in pack.lineages:
        run(pack.model_copy(update={"lineages": (lineage,)}), tmp_path / "alone")
    assert_same_tables(tmp_path / "pack", tmp_path / "alone")


@pytest.mark.slow
def test_packed_convolutions_have_nearly_the_numbers_that_they_have_alone(tmp_path):
    pack = pack_of("cnn", **{"trial.train": {"steps": 20, "batch": 8, "dtype": "float64"}, "trial.prune.layers": "all"})
    run(pack, tmp_path / "pack")
    for lineage in pack.lineages:
        run(pack.model_copy(update={"lineages": (lineage,)}), tmp_path / "alone")
    one, other = (rows_of(tmp_path / folder, "rounds").sort("lineage", "round") for folder in ("pack", "alone"))
    assert one["density"].equals(other["density"])
    assert one["loss"].to_list() == pytest.approx(other["loss"].to_list(), rel=1e-9)


@pytest.mark.slow
def test_a_pack_that_is_interrupted_goes_on_to_the_same_numbers(tmp_path):
    pack = pack_of("cnn", **{"trial.prune.layers": "all", "trial.prune.after_rewind": "remaining"})
    run(pack, tmp_path / "whole")
    run(pack.model_copy(update={"rounds": 1}), tmp_path / "parts")
    run(pack, tmp_path / "parts")
    assert_same_tables(tmp_path / "whole", tmp_path / "parts")


MINE = """
from torch import nn

def cnn(input_shape, outputs, channels=2):
    return nn.Sequential(nn.Conv2d(input_shape[0], channels, 3), nn.ReLU(), nn.Flatten(), nn.Linear(channels * 16, outputs))
"""


def test_a_sweep_runs_from_a_file_of_the_users_and_its_folder_is_read_without_it(tmp_path, monkeypatch):
    (tmp_path / "mine_for_test.py").write_text(MINE)
    monkeypatch.syspath_prepend(tmp_path)
    document = tiny(
        **{
            "trial.net": {"kind": "module", "factory": "mine_for_test:cnn"},
            "measures": ["accuracy", "fan_in"],
            "rounds": 1,
            "methods": ["imp", "oneshot"],
        }
    )
    sweep = read(json.dumps(document), "mine.yaml", layers=layers_of_factory)
    out = tmp_path / "out"
    sweep_into(out, sweep)
    rounds = rows_of(out, "rounds")
    assert rounds.height == 2 * 2 * 2 * 2 and set(rounds["status"]) == {"done"}
    monkeypatch.undo()
    del sys.modules["mine_for_test"]
    assert provenance.read_sweep(Paths(out)).trial.kernels == sweep.trial.kernels
    assert "mine_for_test" not in sys.modules


def test_a_factory_that_cannot_be_imported_is_told_when_a_sweep_is_loaded():
    document = tiny(**{"trial.net": {"kind": "module", "factory": "not_there_at_all:cnn"}})
    with pytest.raises(SweepError, match="trial.net.factory = 'not_there_at_all:cnn'    cannot be imported"):
        read(json.dumps(document), "mine.yaml", layers=layers_of_factory)
