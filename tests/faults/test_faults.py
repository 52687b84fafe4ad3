"""Sweeps that are hit somewhere, at some moment, end as undisturbed ones. `make faults N=200` draws more of them.

A fault that comes when there is nothing left to hit shows nothing: it comes again sooner, and a scenario that never hits fails.
"""

import os
from itertools import pairwise

import pytest
from conftest import sweep_into, tiny_sweep
from faults import told
from faults.fault import Moment
from faults.scenario import KINDS, MOST_STRIKES, SWEEP, Outcome, Scenario, Strikes

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
    strikes = Strikes(scenario)
    try:
        strikes.until_hit(lambda one: one.befall(whole, request.getfixturevalue))
    finally:
        record_property(told.PROPERTY, told.noted(strikes))
    assert strikes.outcome is not None and strikes.outcome.wrong == [], strikes.scenario
    assert strikes.outcome.hit, f"hit nothing, {strikes.count} times; at last: {strikes.scenario}"


# -- the harness itself -----------------------------------------------------------------------------------------------


def test_the_suite_has_every_kind_of_fault():
    assert {Scenario.drawn(seed).kind for seed in range(20)} == set(KINDS)


@pytest.mark.parametrize("first", [Moment(-1, 2.5), Moment(1, 0.2), Moment(37, 0.2)], ids=str)
@pytest.mark.parametrize("hits", [1, 2, MOST_STRIKES, MOST_STRIKES + 1])
def test_a_fault_that_hits_nothing_comes_again_sooner_and_is_told(first, hits):
    strikes = Strikes(Scenario(0, "term", "here", KINDS["term"][1](None, "here"), first))
    moments = []

    def befall(scenario):
        moments.append(scenario.moment)
        return Outcome(len(moments) == hits, 0, [])

    strikes.until_hit(befall)
    assert strikes.count == len(moments) == min(hits, MOST_STRIKES)
    assert strikes.outcome == Outcome(hits <= MOST_STRIKES, 0, [])
    assert all(b.files <= max(1, a.files) and not b.early and b.delay_s == 0 for a, b in pairwise(moments))
    assert f'"strike": "{["hit", "sooner", "sooner", "missed"][hits - 1]}"' in told.noted(strikes)


def test_what_is_wrong_is_told_of_the_first_strike_also_where_it_hit_nothing():
    strikes = Strikes(SCENARIOS[0])
    strikes.until_hit(lambda scenario: Outcome(False, 1, ["wrong"]))
    assert strikes.count == 1 and strikes.outcome == Outcome(False, 1, ["wrong"])
