"""Each family has two sides, the class in `spec` and its implementation; they hold each other's members."""

import ast
import math
from pathlib import Path

import pytest
from data import dataset_files
from family_laws import LAWS

from impray.data.describe import describe
from impray.shipped import shipped
from impray.spec import families
from impray.spec.axes import trials as listed
from impray.spec.data import (
    Arrays,
    Cifar10,
    Cifar100,
    Digits,
    Elliptical,
    Idx,
    ImageCoordinates,
    Imagenet32,
    Ising,
    Kur,
    Linear,
    Nlgp,
    Photographs,
    Planted,
)
from impray.spec.load import load
from impray.theory.naming import family

SWEEPS = sorted((Path(__file__).parent.parent / "sweeps").glob("*.yaml"))


MEMBERS = [
    pytest.param(family, tag, member, id=f"{family.name}-{tag}")
    for family in families.ALL.values()
    for tag, member in family.members.items()
]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("family, tag, member", MEMBERS)
def test_every_member_keeps_to_the_laws(law, family, tag, member):
    law(family, tag, member)


@pytest.mark.parametrize("family, tag, member", MEMBERS)
def test_data_alone_can_be_drawn_from(family, tag, member):
    assert (member.draws is not None) == (family is families.data)


def _defaults(folder):
    return {}


def _photographs(folder):
    return {"crops": 20, "held_out": 4}


def _imagenet32(folder):
    dataset_files.imagenet32(folder, classes=2)
    return {"path": str(folder), "keep_classes": 2}


def _cifar10(folder):
    dataset_files.cifar10(folder, counts=(60,) * 5 + (20,))
    return {"path": str(folder)}


def _cifar100(folder):
    dataset_files.cifar100(folder, counts=(600, 20))
    return {"path": str(folder), "labels": "coarse", "keep_classes": 3}


def _idx(folder):
    dataset_files.idx(folder, counts=(60, 20), classes=2)
    return {"path": str(folder), "class_count": 2}


def _arrays(folder):
    path, *_ = dataset_files.arrays(folder, count=60)
    return {"path": str(path), "shape": [2, 3], "class_count": 3}


def _linear(folder):
    return {"samples": 30, "features": 6, "nonzero": 2}


def _planted(folder):
    return {"samples": 30, "inputs_count": 6, "units": 3, "nonzero": 4}


SMALL = {
    Nlgp: _defaults,
    Kur: _defaults,
    Ising: _defaults,
    Elliptical: _defaults,
    Photographs: _photographs,
    Imagenet32: _imagenet32,
    Cifar10: _cifar10,
    Cifar100: _cifar100,
    Idx: _idx,
    Arrays: _arrays,
    Linear: _linear,
    Planted: _planted,
    Digits: _defaults,
    ImageCoordinates: _defaults,
}


@pytest.mark.parametrize("kind", families.data.specs, ids=lambda k: k.__name__)
def test_every_kind_of_data_describes_itself(kind, tmp_path, monkeypatch):
    monkeypatch.setenv("IMPRAY_CACHE", str(tmp_path / "cache"))
    spec = kind.model_validate(SMALL[kind](tmp_path / "files"))
    found = describe(spec, 16)
    assert len(found["classes"]) == spec.classes
    assert all(math.isfinite(row["variance"]) for row in found["classes"])


@pytest.mark.parametrize("path", SWEEPS, ids=lambda p: p.stem)
def test_shipped_sweeps_load_and_say_what_they_draw(path):
    sweep, head = load(path), path.read_text().split("question:")[0]
    for figure in sweep.figures:
        assert (shipped("analysis") / f"{figure}.py").is_file() and f"{figure}.py" in head
    assert "Run:" in head and sweep.question in path.read_text()


@pytest.mark.parametrize("path", SWEEPS, ids=lambda p: p.stem)
def test_a_shipped_sweep_on_images_shows_what_a_width_hides(path):
    sweep = load(path)
    trials = [sweep.trial] if sweep.search.algorithm == "optuna" else [trial for _, trial in listed(sweep)]
    names = {measure.name for measure in sweep.measures}
    if "rf_width" in names and any(family(trial.data) == "images" for trial in trials):
        assert {"spread", "pieces"} <= names


@pytest.mark.parametrize("path", sorted((Path(__file__).parent.parent / "impray").rglob("*.py")), ids=lambda p: p.name)
def test_every_module_says_what_it_is(path):
    assert ast.get_docstring(ast.parse(path.read_text())), path
