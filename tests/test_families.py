"""Each family has two sides, the class in `spec` and its implementation; they hold each other's members."""

import ast
from pathlib import Path
from typing import get_args

import pytest

from impray.data import PACKS
from impray.data.describe import describe
from impray.masks import RULES
from impray.nets import NETS
from impray.service.driver import analysis_folder
from impray.spec.data import DATA_KINDS, Data
from impray.spec.load import load
from impray.spec.measure import MEASURE_KINDS, Measure
from impray.spec.net import Mlp
from impray.spec.train import Sgd
from impray.training import OPTIMIZERS

SWEEPS = sorted((Path(__file__).parent.parent / "sweeps").glob("*.yaml"))


def members(union):
    return set(get_args(get_args(union)[0]))


def test_kinds_and_implementations_are_the_same_sets():
    assert set(PACKS) == set(DATA_KINDS) == members(Data)
    assert set(MEASURE_KINDS) == members(Measure)
    assert set(NETS) == {Mlp} and set(OPTIMIZERS) == {Sgd}
    assert all(callable(rule) for rule in RULES.values())


@pytest.mark.parametrize("kind", DATA_KINDS, ids=lambda k: k.__name__)
def test_packable_fields_exist(kind):
    assert kind.packable <= set(kind.model_fields)


@pytest.mark.parametrize("kind", DATA_KINDS, ids=lambda k: k.__name__)
def test_every_kind_of_data_describes_itself(kind):
    small = {"crops": 20, "held_out": 4} if "crops" in kind.model_fields else {}
    found = describe(kind(**small), 16)
    assert len(found["classes"]) == kind(**small).classes


@pytest.mark.parametrize("path", SWEEPS, ids=lambda p: p.stem)
def test_shipped_sweeps_load_and_say_what_they_draw(path):
    sweep, head = load(path), path.read_text().split("question:")[0]
    for figure in sweep.figures:
        assert (analysis_folder() / f"{figure}.py").is_file() and f"{figure}.py" in head
    assert "Run:" in head and sweep.question in path.read_text()


@pytest.mark.parametrize("path", sorted((Path(__file__).parent.parent / "impray").rglob("*.py")), ids=lambda p: p.name)
def test_every_module_says_what_it_is(path):
    assert ast.get_docstring(ast.parse(path.read_text())), path
