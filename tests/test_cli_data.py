"""Data from files on the command line: what is left out is read, what is wrong with files is told with all else, nothing leaks."""

import shutil

import numpy as np
import pytest
from data import dataset_files as files
from typer.testing import CliRunner

from impray.cli import app
from impray.results.tables import scan

SWEEP = """
question: q
trial:
  data: {data}
  net: {{hidden: [4], batch_norm: false}}
  train: {{steps: 8, batch: 4}}
methods: [imp]
seeds: 1
rounds: 1
measures: [accuracy]
"""
HERE = ("--where", "here", "--mlflow", "off", "--no-figures")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMPRAY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("IMPRAY_WORKING_FOLDER", "")
    return tmp_path


def impray(*words):
    result = CliRunner().invoke(app, list(words))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def ask(folder, data, *words):
    (folder / "mine.yaml").write_text(SWEEP.format(data=data))
    return impray("sweep", "mine.yaml", *words)


WRONG = [
    (
        "{kind: idx, path: nowhere, draw: -1}",
        ["trial.data.path = 'nowhere'", "there is no such folder", "trial.data.draw"],
    ),
    ("{kind: arrays, path: nowhere.npz}", ["trial.data.path = 'nowhere.npz'", "there is no such file"]),
    ("{kind: arrays, path: text.npz}", ["trial.data.path = 'text.npz'", "cannot be read"]),
    ("{kind: arrays, path: a.npz, held_out_path: ./a.npz}", ["trial.data.held_out_path = './a.npz'", "is path too"]),
    (
        "{kind: arrays, path: a.npz, labels_name: y}",
        ["trial.data.path = 'a.npz'", "has no array y; it holds inputs, labels"],
    ),
]


@pytest.mark.parametrize("data, words", WRONG, ids=[data for data, _ in WRONG])
@pytest.mark.parametrize("more", [(), ("--plan",)], ids=["run", "plan"])
def test_what_is_wrong_with_files_is_told_before_anything_is_begun(folder, data, words, more):
    (folder / "text.npz").write_text("text")
    files.arrays(folder, name="a", classes=2)
    result = ask(folder, data, *HERE, *more)
    assert result.exit_code == 2 and result.stderr.startswith("mine.yaml: ")
    assert all(word in result.stderr for word in words)
    assert not (folder / "runs").exists()


def test_a_copy_of_the_training_rows_is_told(folder):
    files.arrays(folder, name="a", classes=2)
    shutil.copy("a.npz", "b.npz")
    result = ask(folder, "{kind: arrays, path: a.npz, held_out_path: b.npz}", *HERE)
    assert result.exit_code == 2
    assert result.stderr.startswith("b.npz: 20 of 20 held-out inputs are, byte for byte, training inputs")


def test_random_labels_are_not_learnt_by_a_set_of_keras_form(folder):
    """Three classes by chance: a leak would be seen as an accuracy near 1."""
    random = np.random.default_rng(0)
    x, y = random.normal(size=(900, 3, 2)).astype(np.float32), random.integers(0, 3, (900, 1))
    np.savez("keras.npz", x_train=x[:100], y_train=y[:100], x_test=x[100:], y_test=y[100:])
    names = "inputs_name: x_train, labels_name: y_train, held_out_inputs_name: x_test, held_out_labels_name: y_test"
    result = ask(folder, f"{{kind: arrays, path: keras.npz, {names}}}", *HERE, "--set", "train.steps=1500")
    assert result.exit_code == 0
    accuracy = scan("rounds", folder / "runs" / "mine").collect()["accuracy"].to_list()
    # 800 independent rows: chance is 1/3 with a standard deviation of 0.017; 6 of them.
    assert len(accuracy) == 2 and all(abs(one - 1 / 3) < 0.1 for one in accuracy)


def test_a_finished_sweep_goes_on_from_its_own_file_where_the_data_are_not(folder):
    files.idx(folder / "digits", counts=(60, 40), sides=(6, 6), classes=2)
    assert ask(folder, "{kind: idx, path: digits}", *HERE).exit_code == 0
    shutil.rmtree(folder / "digits")
    assert ask(folder, "{kind: idx, path: digits}", *HERE).exit_code == 2
    again = impray("sweep", "runs/mine/sweep.yaml", *HERE)
    assert again.exit_code == 0 and "nothing to do" in again.output
    assert "idx" in (folder / "runs" / "mine" / "sweep.yaml").read_text()


def test_data_shows_files_without_being_told_their_size(folder):
    files.idx(folder / "digits", counts=(60, 40), sides=(6, 6), classes=2)
    result = impray("data", "--set", "data.kind=idx", "--set", "data.path=digits", "--samples", "8")
    assert result.exit_code == 0 and "shape: [6, 6]" in result.output and "class_count: 2" in result.output
    assert impray("data", "--set", "data.kind=idx", "--set", "data.path=elsewhere").exit_code == 2
