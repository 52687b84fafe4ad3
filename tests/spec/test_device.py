"""A trial's ids name the device that makes its numbers; those of the CPU are as they were before ids knew of devices."""

import json

import pytest
import yaml
from conftest import tiny, tiny_sweep

from impray.spec import axes
from impray.spec.base import canonical
from impray.spec.errors import SweepError
from impray.spec.load import load
from impray.spec.pack import Pack
from impray.spec.schema import schema
from impray.spec.sweep import Resources, Sweep, written
from impray.spec.trial import Lineage, Trial, _digest
from impray.spec.wording import vocabulary

LINEAR = {
    "trial.data": {"kind": "linear", "samples": 40, "features": 20, "nonzero": 3},
    "trial.net": {"kind": "linear"},
    "trial.train": {"optimizer": "gradient_flow"},
    "trial.prune": {"remove": 1, "layers": "all"},
}
ON_GPU = {"resources": {"gpu": 0.5}}


def of(**changes):
    return tiny_sweep(**changes).trial


def ids(trial):
    lineage = Lineage(trial=trial, method="imp", seed=3)
    return {trial.id, lineage.id, lineage.trunk}


@pytest.mark.parametrize("changes", [{}, LINEAR], ids=["trained", "solved"])
def test_every_id_of_a_gpus_trial_differs_from_the_cpus(changes):
    here, there = of(**changes), of(**changes, **ON_GPU)
    assert (here.device, there.device) == ("cpu", "cuda")
    assert len(ids(here) | ids(there)) == 6
    assert there.id == of(**changes, resources={"gpu": 4, "cpu": 2}).id  # of whatever share


def test_a_cpus_trial_is_written_and_hashed_as_if_there_were_no_devices():
    trial = of()
    assert "device" not in canonical(trial) and "device" not in trial.model_dump(mode="json")
    assert "device" not in json.loads(trial.model_dump_json())
    assert trial.id == _digest(
        {"trial": {k: v for k, v in canonical(trial).items() if k != "device"}, **trial.revisions}
    )


@pytest.mark.parametrize("changes", [{}, ON_GPU], ids=["cpu", "gpu"])
def test_a_trial_is_read_again_from_whatever_it_is_written_in(changes):
    sweep = tiny_sweep(**changes, **{"search.space": {"data.gain": [1, 3]}})
    for trial in (sweep.trial, *(trial for _, trial in axes.trials(sweep))):
        assert trial.device == sweep.trial.device
        for again in (
            Trial.model_validate(canonical(trial, whole=True)),
            Trial.model_validate_json(trial.model_dump_json()),
            trial.model_copy(update={"net": trial.net}),
        ):
            assert again == trial and ids(again) == ids(trial)
    pack = Pack(lineages=tuple(sweep.trial.lineages(("imp",), (0,))), rounds=1, measures=())
    assert Pack.model_validate_json(pack.model_dump_json()).lineages[0].id == pack.lineages[0].id


def test_earlier_versions_knew_no_device():
    """What they wrote is found under a GPU's trial, too: so their folders are read as ever."""
    here, there = of(), of(**ON_GPU)
    both = there.earlier_ids.keys() & here.earlier_ids.keys()
    assert len(both) == 1 and {*there.earlier_ids.values(), *here.earlier_ids.values()} == {"engine"}
    assert of(**LINEAR).earlier_ids == {}
    assert of(**LINEAR, **ON_GPU).earlier_ids == {of(**LINEAR).id: "device"}


def test_the_device_follows_from_the_resources_of_a_sweep_made_in_python():
    for gpu, device in ((0, "cpu"), (1, "cuda")):
        for trial in (of(), of(**ON_GPU)):
            fields = {name: getattr(tiny_sweep(), name) for name in Sweep.model_fields}
            made = Sweep(**{**fields, "trial": trial, "resources": Resources(gpu=gpu)})
            assert made.trial.device == device
            assert made.trial.id == of(resources={"gpu": gpu}).id
            assert axes.at(made, {"data.gain": 2}).device == device


def test_nobody_writes_a_device(tmp_path):
    """It is no key, no axis and no override; a file that says another one than its resources is refused where it says so."""
    path = tmp_path / "sweep.yaml"
    sweep = tiny_sweep(**ON_GPU)
    assert "device" not in written(sweep)["trial"] and "device" not in schema()["$defs"]["Trial"]["properties"]
    assert ("trial", "device") not in vocabulary()
    path.write_text(yaml.safe_dump(written(sweep)))
    assert load(path) == sweep and load(path).trial.device == "cuda"
    assert load(path, ["resources.gpu=0"]).trial == of()
    wrong = [
        (tiny(**{"trial.device": "cuda"}), [], "trial.device"),
        (tiny(**{"trial.device": "cpu"}, **ON_GPU), [], "trial.device"),
        (tiny(**{"search.space.device": ["cpu", "cuda"]}), [], "search.space.device"),
        (tiny(), ["device=cuda"], "device"),
    ]
    for document, sets, place in wrong:
        path.write_text(yaml.safe_dump(document))
        with pytest.raises(SweepError) as caught:
            load(path, sets)
        assert [problem.path for problem in caught.value.problems] == [place]


@pytest.mark.parametrize("gpu", ["many", [1], True, -1, float("nan"), None])
def test_what_is_no_number_of_gpus_is_told_as_such(gpu, tmp_path):
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(tiny(resources={"gpu": gpu})))
    with pytest.raises(SweepError) as caught:
        load(tmp_path / "sweep.yaml")
    assert [problem.path for problem in caught.value.problems] == ["resources.gpu"]
