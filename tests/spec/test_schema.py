"""The JSON schema takes sweeps as people write them and refuses misspelt ones."""

from pathlib import Path

import jsonschema
import pytest
import yaml

from impray.spec.load import load
from impray.spec.schema import schema

SWEEPS = sorted((Path(__file__).parents[2] / "sweeps").glob("*.yaml"))

FULL = """\
question: what does a full sweep look like?
trial:
  data:  {kind: nlgp, shape: [28, 28], gain: 1.0, xi: [1.0, 2.0]}
  net:   {kind: mlp, hidden: 100, activation: relu, init: {scale: [1, 2]}}
  train: {optimizer: sgd, lr: 0.1, steps: 5000, batch: 128}
  prune: {fraction: 0.2, rewind_step: 100, layers: [1]}
methods: [imp, oneshot, random]
seeds: 32
rounds: 20
measures: [accuracy, rf_width, {kurtosis: {at: [start, end]}}, {clustering: }, {name: ipr, at: [end]}]
search:
  algorithm: optuna
  trials: 7
  space: {data.gain: [0.1, 0.3], train.lr: {low: 0.1, high: 1, log: true}, data.xi: [[1, 2], [2, 3]]}
  goals: [{measure: rf_width, direction: min, at: {density: 0.1}}, {measure: accuracy, direction: max, at: 3}]
  stop_early: {measure: accuracy, direction: max}
figures: [width_by_gain]
resources: {gpu: 0.5}
"""
SHORT = "{question: q, trial: {data: {kind: photographs}}, seeds: [0, 4], rounds: 0}"

WRONG = [
    ("kind: nlgp", "kind: nlpg"),
    ("kind: nlgp, ", ""),
    ("gain: 1.0", "gian: 1.0"),
    ("gain: 1.0", "crops: 3"),
    ("lr: 0.1, steps", "learning_rate: 0.1, steps"),
    ("hidden: 100", "hidden: x"),
    ("methods: [imp", "methods: [impp"),
    ("seeds: 32", "seeds: 0"),
    ("seeds: 32", "sedes: 32"),
    ("rounds: 20", ""),
    ("rf_width, {", "rf_widht, {"),
    ("{kurtosis: {at", "{kurtosis: {att"),
    ("{kurtosis: {at: [start, end]}}", "{at: [start]}"),
    ("name: ipr, at", "name: ipr, att"),
    ("fraction: 0.2", "fraction: 20"),
    ("space: {data.gain", "space: {data.gian"),
    ("direction: min", "direction: down"),
    ("low: 0.1", "lo: 0.1"),
]


@pytest.fixture(scope="module")
def check():
    made = schema()
    jsonschema.Draft202012Validator.check_schema(made)
    return jsonschema.Draft202012Validator(made)


def test_it_says_what_it_is():
    assert schema()["title"] == "impray sweep"
    assert schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize("text", [FULL, SHORT], ids=["full", "short"])
def test_what_load_takes_passes(check, tmp_path, text):
    path = tmp_path / "sweep.yaml"
    path.write_text(text)
    load(path)
    assert [error.message for error in check.iter_errors(yaml.safe_load(text))] == []


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.name)
def test_every_sweep_of_the_repository_passes_and_loads(check, path):
    load(path)
    assert [error.message for error in check.iter_errors(yaml.safe_load(path.read_text()))] == []


@pytest.mark.parametrize("old, new", WRONG, ids=[new or f"no {old}" for old, new in WRONG])
def test_a_misspelt_sweep_fails(check, old, new):
    assert FULL.count(old) == 1
    assert not check.is_valid(yaml.safe_load(FULL.replace(old, new)))


@pytest.mark.parametrize("data", [{"kind": "idx", "path": "a"}, {"kind": "arrays", "path": "a.npz"}])
def test_what_files_say_may_be_left_out(check, data):
    document = {"question": "q", "seeds": 1, "rounds": 1, "trial": {"data": data}}
    assert check.is_valid(document)
    of_kind = next(part for name, part in schema()["$defs"].items() if name.lower() == data["kind"])
    assert all("default" not in of_kind["properties"][name] for name in ("shape", "class_count"))
