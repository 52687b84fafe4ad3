"""Linear data on the command line: what they look like, and designs from files, which are looked at before anything is begun."""

import json

import numpy as np
import pytest
from test_cli_data import HERE, impray

SWEEP = """
question: q
trial:
  data: {{kind: linear, samples: 20, features: 5, nonzero: 2, noise_scale: 0.1, held_out: 10, design: {design}}}
  net: {{kind: linear}}
  train: {{steps: 8, batch: 4, loss: mse}}
  prune: {{layers: all}}
methods: [imp]
seeds: 1
rounds: 1
measures: [loss]
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMPRAY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("IMPRAY_WORKING_FOLDER", "")
    return tmp_path


def ask(folder, design, *words):
    (folder / "mine.yaml").write_text(SWEEP.format(design=design))
    return impray("sweep", "mine.yaml", *words)


def data(*more):
    sets = ("kind=linear", "samples=40", "features=6", "nonzero=2", *more)
    return [word for one in sets for word in ("--set", f"data.{one}")]


def test_data_says_what_the_features_are_together(folder):
    shown = impray("data", *data("design.kind=uniform", "design.alpha=0.5", "design.exact=true", "noise_scale=1"))
    assert shown.exit_code == 0, shown.output
    assert "rank 6" in shown.output and "eigenvalues of Sigma 0.5 to 3.5" in shown.output
    assert "2 of 6 weights are not 0" in shown.output and (folder / "runs" / "data-linear.png").is_file()
    told = json.loads(impray("data", "--json", *data("samples=4")).stdout)["design"]
    assert told["rank"] == 4 and told["lambda_min"] == 0 and 0 < told["coherence"] <= 1


@pytest.mark.parametrize("more", [(), ("--plan",)], ids=["run", "plan"])
@pytest.mark.parametrize("kind", ["matrix", "covariance"])
@pytest.mark.parametrize("there", [False, True])
def test_a_designs_file_that_is_missing_or_wrong_is_told_before_anything_is_begun(folder, kind, there, more):
    if there:
        np.save("own.npy", np.ones((3, 3)))
    result = ask(folder, f"{{kind: {kind}, path: own.npy}}", *HERE, *more)
    assert result.exit_code == 2 and "own.npy" in result.stderr
    assert ("[3, 3]" if there else "cannot be read") in result.stderr
    assert there or ("data.design.path must be" in result.stderr and "data.features" in result.stderr)
    assert not (folder / "runs" / "mine" / "rounds").exists()


def test_rows_of_another_files_content_are_not_mixed(folder):
    numbers = np.random.default_rng(0)
    np.save("own.npy", numbers.normal(size=(20, 5)))
    assert ask(folder, "{kind: matrix, path: own.npy}", *HERE).exit_code == 0
    np.save("own.npy", numbers.normal(size=(20, 5)))
    result = ask(folder, "{kind: matrix, path: own.npy}", *HERE, "--set", "rounds=2")
    assert result.exit_code == 2 and "trial.data.design.path" in result.stderr
