"""A folder's rows are of one device: a sweep goes on under it, and is refused under the other."""

import pytest
import torch
from conftest import rows_of, sweep_into, tiny_sweep

from impray.results.described import described_trials
from impray.results.store import opened
from impray.service import here
from impray.spec import axes
from impray.spec.errors import SweepError

GPU = {"resources": {"gpu": 1}}
SHORT = {"rounds": 1, "seeds": 1, "methods": ["imp"], "measures": ["accuracy"]}
LONGER = {**SHORT, "rounds": 2}


@pytest.fixture
def a_gpu(monkeypatch):
    """One is there, as far as the service sees; what trains is the CPU."""
    monkeypatch.setattr(here, "use_device", lambda cpus, gpus: torch.device("cpu"))


def files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.parent.name != "leases"}


@pytest.mark.some(2)
@pytest.mark.parametrize(("made", "asked"), [({}, GPU), (GPU, {})], ids=["on the CPU", "on a GPU"])
@pytest.mark.parametrize("lost", [None, "sweep.yaml", "provenance.json"])
def test_rows_of_one_device_do_not_go_on_under_the_other(made, asked, lost, a_gpu, tmp_path):
    folder = tmp_path / "s"
    sweep_into(folder, tiny_sweep(**made, **SHORT))
    if lost:
        (folder / lost).unlink()
    before = files(folder)
    with pytest.raises(SweepError) as caught:
        sweep_into(folder, tiny_sweep(**asked, **LONGER))
    (problem,) = caught.value.problems
    assert (problem.path, problem.value) == ("resources.gpu", "1" if asked else "0")
    assert files(folder) == before
    report, _ = sweep_into(folder, tiny_sweep(**made, **LONGER))
    assert report.count("done") == 2 and rows_of(folder, "rounds")["trial"].n_unique() == 2
    sweep_into(tmp_path / "t", tiny_sweep(**asked, **SHORT))
    one, other = (rows_of(place, "rounds") for place in (folder, tmp_path / "t"))
    for name in ("trial", "lineage", "trunk"):
        assert not set(one[name]) & set(other[name])


@pytest.mark.parametrize("changes", [{}, GPU], ids=["cpu", "gpu"])
def test_a_folder_tells_its_trials_again(changes, a_gpu, tmp_path):
    sweep = tiny_sweep(**changes, **SHORT)
    sweep_into(tmp_path / "s", sweep)
    wanted = {trial.id: trial for _, trial in axes.trials(sweep)}
    assert described_trials(opened(tmp_path / "s"), None, set(wanted))[0] == wanted


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_leaves_nothing_behind(tmp_path):
    """It is told, as before devices were in ids; and the CPU's trials are then all that the folder knows of."""
    with pytest.raises(SweepError) as caught:
        sweep_into(tmp_path / "s", tiny_sweep(**GPU, **SHORT))
    assert [(problem.path, problem.value) for problem in caught.value.problems] == [("resources.gpu", "1")]
    report, _ = sweep_into(tmp_path / "s", tiny_sweep(**SHORT))
    assert report.count("done") == 2
    assert set(rows_of(tmp_path / "s", "trials")["trial"]) == {
        trial.id for _, trial in axes.trials(tiny_sweep(**SHORT))
    }
