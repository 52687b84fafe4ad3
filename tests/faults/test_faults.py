"""Sweeps that are hit somewhere, at some moment, end as undisturbed ones. `make faults N=200` draws more of them."""

import os

import pytest
from conftest import sweep_into, tiny_sweep
from faults.scenario import KINDS, SWEEP, Scenario

COUNT = int(os.environ.get("FAULTS", "20"))
FIRST = int(os.environ.get("FAULTS_FROM", "0"))
SCENARIOS = [Scenario.drawn(seed) for seed in range(FIRST, FIRST + COUNT)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "x"
    sweep_into(folder, tiny_sweep(**SWEEP))
    return folder


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda drawn: f"{drawn.seed} {drawn.kind} {drawn.where}")
def test_a_sweep_that_was_hit_ends_as_one_that_was_not(scenario, whole, request, record_property):
    assert scenario.wrong(whole, request.getfixturevalue, record_property) == [], scenario


def test_the_suite_has_every_kind_of_fault():
    assert {Scenario.drawn(seed).kind for seed in range(20)} == set(KINDS)
