"""Schedules through the service: goals at an asked density, the plan, and folders whose counts were made in floats."""

import math

import conftest
import polars as pl
import pytest
from conftest import rows_of, tiny_sweep

import impray.spec.trial
from impray.results.mlflow import wanted
from impray.results.paths import Paths
from impray.service import estimate
from impray.service.plan import listed, planned
from impray.service.trials import Trials
from impray.spec.errors import SweepError

RING = {
    "trial.data": {"kind": "nlgp", "shape": [17], "held_out": 40},
    "measures": ["accuracy"],
    "seeds": 1,
    "search": {"space": {"train.lr": [0.1, 0.2]}},
}


def sweep_into(folder, sweep, view="off"):
    return conftest.sweep_into(folder, sweep, mlflow=view)[0]


def test_a_goal_is_read_in_the_round_that_was_asked_for_by_its_density(tmp_path):
    """0.1 of 85 is 8.5, so 8 stay; 0.3 of 85 is 25.5, so 26 stay, a little more than 0.3."""
    goals = [{"measure": "accuracy", "direction": "max", "at": {"density": d}} for d in (0.1, 0.3, 0.9)]
    prune = {"densities": [0.5, 0.3, 0.1]}
    sweep = tiny_sweep(**{**RING, "search": {**RING["search"], "goals": goals}, "trial.prune": prune})
    sweep_into(tmp_path / "s", sweep)
    trials, rounds = rows_of(tmp_path / "s", "trials"), rows_of(tmp_path / "s", "rounds")
    for row in trials.iter_rows(named=True):
        imp = rounds.filter(pl.col("trial") == row["trial"], pl.col("method") == "imp").sort("round")
        assert imp["density"].to_list() == [1.0, 42 / 85, 26 / 85, 8 / 85]
        assert row["goals"] == [imp["accuracy"][3], imp["accuracy"][2], imp["accuracy"][1]]


def test_a_goal_of_a_round_that_did_not_come_is_undefined(tmp_path):
    goals = [{"measure": "accuracy", "direction": "max", "at": {"density": 0.1}}]
    prune = {"densities": [0.5, 0.3, 0.1]}
    sweep = tiny_sweep(**{**RING, "search": {**RING["search"], "goals": goals}, "trial.prune": prune})
    sweep_into(tmp_path / "s", sweep)
    trials = Trials(sweep, Paths(tmp_path / "s"))
    (first, _) = listed(sweep)
    assert [math.isnan(trials.goals_of(first, last)[0]) for last in (2, 3)] == [True, False]
    other = first.trial.model_copy(update={"prune": first.trial.prune.model_copy(update={"densities": (0.5, 0.3)})})
    assert math.isnan(trials.goals_of(planned(sweep, 0, {}, other), 3)[0])


def test_the_plan_says_what_rounds_keep(tmp_path):
    def said(**changes):
        return "\n".join(estimate.lines(tiny_sweep(**{**RING, **changes}), "plan", tmp_path / "none"))

    assert "kept of the prunable weights in rounds 1 to 3: 49.4, 30.6, 9.41 %" in said(
        **{"trial.prune": {"densities": [0.5, 0.3, 0.1]}}
    )
    space = {"prune.fraction": [0.7, 0.2]}
    assert "kept of the prunable weights in round 3: 2.35 to 50.6 %" in said(search={"space": space})
    assert "kept" not in said(rounds=0)


def test_mlflow_has_the_schedule_among_a_trials_parameters(tmp_path):
    sweep = tiny_sweep(**{**RING, "trial.prune": {"densities": [0.5, 0.2]}}, rounds=0)
    sweep_into(tmp_path / "s", sweep)
    (row, *_) = rows_of(tmp_path / "s", "trials").iter_rows(named=True)
    params = wanted._trial_params(row, {"train.lr": "float"})
    assert params["prune.densities"] == "[0.5, 0.2]" and params["prune.fraction"] == "null"


def test_rows_whose_counts_were_made_in_floats_are_not_mixed_with_exact_ones(tmp_path, monkeypatch):
    """At 0.7 floats kept 26 of 85, exact counts keep 25: other lineages, other trials, and another folder for them.

    Of one engine, whose own mark in ids is another test's.
    """
    monkeypatch.setattr(impray.spec.trial.Trial, "engine", {})
    sweep = tiny_sweep(**RING, **{"trial.prune": {"fraction": 0.7}})
    with monkeypatch.context() as earlier:
        earlier.setattr(impray.spec.trial, "rounds_in_floats", lambda *_: False)
        sweep_into(tmp_path / "s", sweep)
        sweep_into(tmp_path / "s", sweep)
    before = {
        path: path.read_bytes()
        for path in (tmp_path / "s").rglob("*")
        if path.is_file() and path.parent.name != "leases"
    }
    with pytest.raises(SweepError, match=r"trial.prune.fraction = 0.7 .*choose another folder with --out") as caught:
        sweep_into(tmp_path / "s", tiny_sweep(**RING, **{"trial.prune": {"fraction": 0.7}}))
    assert len(caught.value.problems) == 1
    assert before == {
        path: path.read_bytes()
        for path in (tmp_path / "s").rglob("*")
        if path.is_file() and path.parent.name != "leases"
    }
    report = sweep_into(tmp_path / "t", tiny_sweep(**RING, **{"trial.prune": {"fraction": 0.7}}))
    assert report.count("done") == 2
    old, new = rows_of(tmp_path / "s", "rounds"), rows_of(tmp_path / "t", "rounds")
    for name in ("trial", "lineage"):
        assert not set(old[name]) & set(new[name])
    assert set(old["trunk"]) == set(new["trunk"])


def test_rows_whose_counts_are_the_same_go_on(tmp_path, monkeypatch):
    with monkeypatch.context() as earlier:
        earlier.setattr(impray.spec.trial, "rounds_in_floats", lambda *_: False)
        sweep_into(tmp_path / "s", tiny_sweep(**RING, **{"trial.prune": {"fraction": 0.2}}))
    report = sweep_into(tmp_path / "s", tiny_sweep(**RING, **{"trial.prune": {"fraction": 0.2}}))
    assert report.count("done") == 2 and report.ran == 0
