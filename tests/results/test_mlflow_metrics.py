"""What is a metric beside the means: how far seeds spread them, and the sweep's goals, as the leaderboard tells them."""

import math
import random
import statistics

import pytest
from fake_sweep import Fake, client, histories, runs

from impray.results import leaderboard, mlflow
from impray.results.mlflow import points, wanted
from impray.results.provenance import read_sweep
from impray.results.spread import standard_error

pytestmark = pytest.mark.usefixtures("quick")

WIDTH = "{measure: accuracy, method: imp, direction: min}"
EARLY = "{measure: loss, method: random, at: 1, direction: max}"


def draws(seed):
    """A function of (method, seed) that is drawn anew in each call."""
    draw = random.Random(seed)
    return lambda *_: draw.lognormvariate(0, 1)


def test_the_spread_is_the_standard_error_of_the_mean_beside_it(tmp_path):
    fake, seen = Fake(tmp_path / "fake", gains=(1.0,), seeds=5), {}
    draw = random.Random(1)
    for round, scale in enumerate((1.0, 1e-6, 1e9)):
        numbers = {(m, s): scale * (1 + draw.random()) for m in fake.methods for s in range(5)}
        fake.round(0, round, accuracy=lambda *of, numbers=numbers: numbers[of])
        for method in fake.methods:
            seen[round, method] = [numbers[method, seed] for seed in range(5)]
    mlflow.sync(fake.folder)
    found, trial = histories(fake), fake.trials[0].id
    for method in fake.methods:
        means, spreads = found[trial, f"accuracy/{method}"], found[trial, f"accuracy_standard_error/{method}"]
        for (round, mean, at), (same, spread, when) in zip(means, spreads, strict=True):
            assert (round, at) == (same, when)
            assert mean == pytest.approx(statistics.fmean(seen[round, method]), rel=1e-10)
            assert spread == pytest.approx(standard_error(seen[round, method]), rel=1e-10)


@pytest.mark.slow
def test_a_spread_that_rounding_could_drown_is_the_same_in_every_export(tmp_path):
    fake = Fake(tmp_path / "fake", gains=(1.0,), seeds=12, rounds=9)
    draw = random.Random(2)
    for round in range(10):
        numbers = {(m, s): 3 + 1e-9 * draw.random() for m in fake.methods for s in range(12)}
        fake.round(0, round, accuracy=lambda *of, numbers=numbers: numbers[of])
        for method in fake.methods:
            exact = standard_error([numbers[method, seed] for seed in range(12)])
            found, _ = points.round_points(fake.paths, read_sweep(fake.paths))
            assert found[fake.trials[0].id][f"accuracy_standard_error/{method}", round][0] == pytest.approx(
                exact, rel=1e-11
            )


def test_there_is_no_spread_of_one_seed_of_one_finite_value_or_of_exact_counts(tmp_path):
    one = Fake(tmp_path / "one", gains=(1.0,), seeds=1)
    one.round(0, 0)
    two = Fake(tmp_path / "two", gains=(1.0,))
    two.round(0, 0, accuracy=lambda method, seed: 0.5 if seed else math.nan)
    for fake in (one, two):
        mlflow.sync(fake.folder)
        assert not [metric for _, metric in histories(fake) if "standard_error" in metric]


def test_seeds_that_agree_have_no_spread_at_all(tmp_path):
    fake = Fake(tmp_path / "fake", gains=(1.0,), seeds=7)
    fake.round(0, 0, accuracy=0.1)  # whose sum of seven is not 0.7
    mlflow.sync(fake.folder)
    assert [value for _, value, _ in histories(fake)[fake.trials[0].id, "accuracy_standard_error/imp"]] == [0.0]


def searched(folder):
    """Four trials that are done and two that were stopped after round 1, with a goal at the end and one in round 1."""
    fake = Fake(folder, gains=(0.5, 1.0, 1.5, 2.0, 2.5, 3.0), goals=(WIDTH, EARLY))
    for number in range(6):
        for round in range(3 if number < 4 else 2):
            fake.round(number, round, accuracy=draws(10 * number + round), loss=draws(number))
        fake.trial(number, "done" if number < 4 else "stopped")
    return fake


def test_goals_are_those_of_the_leaderboard_and_sort_runs_as_it_does(tmp_path):
    fake = searched(tmp_path / "fake")
    mlflow.sync(fake.folder)
    board = leaderboard.of(read_sweep(fake.paths), fake.folder)
    width, early = board.rows[0].means
    found, end = runs(fake), fake.rounds
    for row in board.rows:
        run = found[fake.trials[row.names["number"]].id]
        there = {key: value for key, value in run.data.metrics.items() if key.startswith("goal")}
        names = (early,) if row.names["status"] == "stopped" else (width, early)
        assert set(there) == {f"{part}/{name}" for name in names for part in ("goal", "goal_standard_error")}
        for name in names:
            assert there[f"goal/{name}"] == pytest.approx(row.means[name].mean, rel=1e-10)
            assert there[f"goal_standard_error/{name}"] == pytest.approx(row.means[name].standard_error, rel=1e-10)
    steps = {step for (_, key), of in histories(fake).items() for step, _, _ in of if key == f"goal/{width}"}
    assert steps == {end}
    experiment = mlflow.prepare(fake.folder)
    ranked = client(fake).search_runs([experiment], order_by=[f"metrics.`goal/{width}` ASC"])
    ranked = [run.data.tags["impray.trial"] for run in ranked if f"goal/{width}" in run.data.metrics]
    assert ranked == [fake.trials[row.names["number"]].id for row in board.rows][: len(ranked)] and len(ranked) == 4


@pytest.mark.slow
def test_a_goal_waits_for_the_trials_end_and_is_read_anew_where_it_goes_on(tmp_path):
    fake = Fake(tmp_path / "fake", gains=(1.0,), goals=(WIDTH,))
    fake.round(0, 0, accuracy=1.0)
    mlflow.sync(fake.folder)
    assert not [key for _, key in histories(fake) if key.startswith("goal")]
    (name,) = [f"goal/{label}" for label in leaderboard.goals.label(read_sweep(fake.paths).search.goals[0]).split("|")]
    for round, rounds in ((1, 1), (2, 2)):
        fake.rounds = rounds
        fake.describe()
        fake.round(0, round, accuracy=1.0 + round)
        fake.trial(0, "done")
        mlflow.sync(fake.folder)
        assert [at[:2] for at in histories(fake)[fake.trials[0].id, name]] == [(round, 1.0 + round)]
        assert mlflow.sync(fake.folder).metrics == 0


def test_a_goal_that_one_seed_lacks_is_no_metric(tmp_path):
    fake = Fake(tmp_path / "fake", gains=(1.0,), goals=(WIDTH,))
    fake.round(0, fake.rounds, accuracy=lambda method, seed: math.nan if seed else 0.5)
    fake.trial(0, "done")
    mlflow.sync(fake.folder)
    assert not [key for _, key in histories(fake) if key.startswith("goal")]


@pytest.mark.some(1)
@pytest.mark.parametrize("shared", [False, True])
def test_a_store_without_spread_goals_and_charts_gets_them_in_the_same_runs(tmp_path, monkeypatch, shared):
    fake = searched(tmp_path / "fake")
    uri = f"sqlite:///{tmp_path}/shared.db" if shared else None
    with monkeypatch.context() as former:
        former_points = wanted.round_points

        def without(*args):
            found, first = former_points(*args)
            return {t: {at: v for at, v in of.items() if "_standard" not in at[0]} for t, of in found.items()}, first

        former.setattr(wanted, "round_points", without)
        former.setattr(wanted, "goal_points", lambda *args: {})
        former.setattr(mlflow.charts, "view", lambda *args: None)
        mlflow.sync(fake.folder, uri)
    before, ids = histories(fake, uri), {trial: run.info.run_id for trial, run in runs(fake, uri).items()}
    mlflow._left.clear()  # another process
    added = mlflow.sync(fake.folder, uri).metrics
    after = histories(fake, uri)
    assert {trial: run.info.run_id for trial, run in runs(fake, uri).items()} == ids
    assert {key: after[key] for key in before} == before
    assert added == sum(map(len, after.values())) - sum(map(len, before.values())) > 0
    assert mlflow.sync(fake.folder, uri).metrics == 0
