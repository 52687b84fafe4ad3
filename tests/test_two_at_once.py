"""Two sweeps at the same moment: into one store that is not there yet, and into one folder."""

import os
import subprocess
import sys

import pytest
import yaml
from conftest import tiny

SMALL = {"seeds": 1, "rounds": 1, "methods": ["imp"], "measures": ["accuracy"]}


def begin(*words):
    command = [sys.executable, "-m", "impray.cli", "sweep", *map(str, words), "--where", "here", "--no-figures"]
    environment = os.environ | {"COLUMNS": "200", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)


@pytest.mark.slow
def test_two_sweeps_on_one_fresh_store_leave_one_run_each(tmp_path):
    from mlflow import MlflowClient

    store = f"sqlite:///{tmp_path}/shared.db"
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(tiny(**SMALL)))
    files = [tmp_path / f"{name}.yaml" for name in ("one", "two")]
    begun = [begin(file, "--out", tmp_path / "out", "--mlflow", store) for file in files]
    told = [process.communicate(timeout=180)[0] for process in begun]
    assert [process.returncode for process in begun] == [0, 0], told
    there = MlflowClient(tracking_uri=store)
    for name in ("one", "two"):
        experiment = there.get_experiment_by_name(name)
        trials = [run.data.tags.get("impray.trial", "") for run in there.search_runs([experiment.experiment_id])]
        assert len(trials) == len(set(trials)) == 3, trials  # the sweep's own, and one for each gain


@pytest.mark.slow
def test_of_two_sweeps_in_one_folder_one_works_and_the_other_says_so(tmp_path):
    (tmp_path / "one.yaml").write_text(yaml.safe_dump(tiny(**{**SMALL, "trial.train.steps": 3000})))
    begun = [begin(tmp_path / "one.yaml", "--out", tmp_path / "out", "--mlflow", "off") for _ in range(2)]
    told = {process: process.communicate(timeout=180)[0] for process in begun}
    codes = sorted(process.returncode for process in begun)
    assert codes in ([0, 2], [0, 0]), told  # one after the other where the first was quick: then nothing is left to do
    if codes == [0, 2]:
        assert any("is working in this folder" in text for text in told.values())
