"""Linear data through a pack's whole journey, trained by updates: all measures and methods that have a meaning there, and only those."""

import math

import pytest
import yaml
from conftest import assert_same_tables, rows_of, run, tiny

from impray.spec.errors import SweepError
from impray.spec.load import read
from impray.spec.pack import Pack
from impray.spec.sweep import Sweep

DATA = {"kind": "linear", "samples": 30, "features": 8, "nonzero": 2, "noise_scale": 0.1, "held_out": 50}
WITH_MEANING = [
    "loss",
    "density",
    "fan_in",
    {"ipr": {"at": ["mask", "start", "end"]}},
    "sinusoid",
    {"course": {"record_every": 7, "samples": 20}},
    {"components": {"count": 3, "samples": 40}},
]
NETS = [{"kind": "linear", "init": {"scale": 0.3}}, {"hidden": [5], "outputs": 1}]


def sweep(net, **more):
    trial = {
        "data": DATA,
        "net": net,
        "train": {"loss": "mse", "steps": 20, "batch": 8, "lr": 0.05},
        "prune": {"fraction": 0.3, "rewind_step": 3, "layers": "all"},
    }
    methods = ["imp", "oneshot", "random", "reinit", "shuffled"]
    changes = {"trial": trial, "methods": methods, "measures": WITH_MEANING, "search": {}, **more}
    return Sweep.model_validate(tiny(**changes))


def pack_of(asked, lineages=None):
    every = tuple(asked.trial.lineages(asked.methods, asked.seeds))
    return Pack(lineages=lineages or every, rounds=asked.rounds, measures=asked.measures)


@pytest.mark.some(1)
@pytest.mark.parametrize("net", NETS, ids=["linear", "mlp"])
def test_a_pack_on_linear_data_equals_its_lineages_alone(net, tmp_path):
    pack = pack_of(sweep(net))
    run(pack, tmp_path / "together")
    for lineage in pack.lineages:
        run(pack_of(sweep(net), (lineage,)), tmp_path / "alone")
    assert_same_tables(tmp_path / "together", tmp_path / "alone")
    rounds = rows_of(tmp_path / "together", "rounds")
    assert len(rounds) == 10 * 4 and {*rounds["status"]} == {"done"}
    assert all(math.isfinite(value) and value > 0 for value in rounds["loss"])


REFUSED = [
    "accuracy",
    "kurtosis",
    "cavity",
    "inputs",
    "rf_width",
    "clustering",
    "spread",
    "pieces",
    "correlation",
    "flow",
]


def test_what_has_no_meaning_without_classes_is_refused_all_at_once():
    document = tiny(**{"trial": sweep(NETS[0]).trial.model_dump(mode="json"), "measures": REFUSED, "search": {}})
    document["methods"] = ["imp", "cavity", "cavity_lowest"]
    with pytest.raises(SweepError) as caught:
        read(yaml.safe_dump(document), "mine.yaml", [])
    told = {problem.path for problem in caught.value.problems}
    assert {f"measures[{place}]" for place in range(len(REFUSED))} | {"trial.data.kind"} == told
