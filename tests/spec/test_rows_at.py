"""Rounds that have rows, and counts that are given: what is meant, and what is refused."""

import pytest
from conftest import tiny_sweep
from linear_sweeps import linear_sweep

from impray.spec.axes import check
from impray.spec.pack import rounds_with_rows
from impray.spec.prune import Prune


def told(sweep):
    return [(problem.path, problem.right) for problem in check(sweep)]


def test_the_round_of_the_truth_is_the_first_that_keeps_no_more():
    trial = linear_sweep().trial
    assert trial.truth_round == 7 and rounds_with_rows(trial, 8, "truth") == (7,)
    halves = linear_sweep(
        **{"trial.prune": {"fraction": 0.5, "layers": "all"}}
    ).trial  # 10, 5, 3 (2.5 is 2, half to even)
    assert [halves.prune.kept(10, round) for round in range(3)] == [10, 5, 3]
    assert halves.truth_round == 2
    given = linear_sweep(**{"trial.prune": {"keep": [6, 2], "layers": "all"}}).trial
    assert given.truth_round == 2  # there is no round with three


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"rows_at": "truth", "rounds": 5}, "rounds"),
        ({"rows_at": "truth", "trial.prune": {"remove": 4, "layers": "all"}}, "rows_at"),
        ({"methods": ["omp", "iht"], "measures": ["support", "order"]}, "measures[1]"),
        ({"rows_at": [0, 9]}, "rows_at"),
        ({"rows_at": [9, "last"]}, "rows_at"),
        ({"rows_at": [0, "truth"], "rounds": 5}, "rounds"),
        ({"search.stop_early": {"measure": "support", "direction": "max"}}, "rows_at"),
        ({"search.goals": [{"measure": "support", "direction": "max", "at": 3}]}, "rows_at"),
        ({"trial.prune": {"keep": [6, 2], "layers": "all"}, "rows_at": "last"}, "rounds"),
    ],
)
def test_what_cannot_be_is_refused(changes, path):
    assert path in [where for where, _ in told(linear_sweep(**changes))]


@pytest.mark.parametrize("rows_at", [[4, 4], [4, "truth", 3], ["truth", "truth"], [], [-1], ["first"]])
def test_rows_at_must_rise(rows_at):
    with pytest.raises(ValueError):
        linear_sweep(rows_at=rows_at)


def test_names_of_rounds_stand_among_numbers():
    sweep = linear_sweep(rows_at=[0, "truth", "last"])
    assert told(sweep) == []
    assert rounds_with_rows(sweep.trial, 8, sweep.rows_at) == (0, 7, 8)
    assert rounds_with_rows(sweep.trial, 7, sweep.rows_at) == (0, 7)  # a round that two entries name has one row


def test_where_there_is_no_truth_no_round_has_as_many_weights():
    assert told(tiny_sweep(rows_at="last")) == []
    assert [path for path, _ in told(tiny_sweep(rows_at="truth"))] == ["rows_at"]
    assert [path for path, _ in told(tiny_sweep(rows_at=[0, "truth"]))] == ["rows_at"]


@pytest.mark.parametrize(
    ("prune", "counts"),
    [
        ({"remove": 1}, [5, 4, 3, 2, 1, 0, 0]),
        ({"remove": 2}, [5, 3, 1, 0, 0, 0, 0]),
        ({"remove": 9}, [5, 0, 0, 0, 0, 0, 0]),
        ({"keep": [4, 2, 0]}, [5, 4, 2, 0]),
        ({"keep": [7, 2]}, [5, 5, 2]),  # more than there are: all of them
        ({"fraction": 0.5, "least": 2}, [5, 3, 2, 2]),  # 5, 3, 1 (round(1.5) = 2 go) without it
        ({"remove": 2, "least": 2}, [5, 3, 2, 2]),
        ({"remove": 2, "least": 7}, [5, 5]),
        ({"remove": 2, "least": 3}, [5, 3, 3]),
    ],
)
def test_counts(prune, counts):
    made = Prune.model_validate(prune)
    assert made.counts(5, len(counts) - 1) == counts
    assert [made.kept(5, round) for round in range(len(counts))] == counts


@pytest.mark.parametrize(
    "prune",
    [
        {"remove": 1, "fraction": 0.2},
        {"remove": 1, "keep": [3]},
        {"densities": [0.5], "keep": [3]},
        {"keep": [3, 3]},
        {"keep": []},
        {"remove": 0},
        {"keep": [-1]},
        {"keep": [3], "least": 2},
        {"densities": [0.5], "least": 2},
    ],
)
def test_wrong_counts(prune):
    with pytest.raises(ValueError):
        Prune.model_validate(prune)


@pytest.mark.parametrize("method", ["backward", "alignment", "hard_threshold", "omp", "lasso"])
def test_methods_that_are_solvers_need_a_linear_model(method):
    assert told(linear_sweep(methods=[method], measures=["support"])) == []
    paths = [path for path, _ in told(tiny_sweep(methods=["imp", method]))]
    assert "trial.train.optimizer" in paths


@pytest.mark.parametrize("method", ["iht", "pursuit"])
def test_methods_that_solve_networks_need_one_that_they_can(method):
    assert "trial.data.kind" in [path for path, _ in told(tiny_sweep(methods=["imp", method]))]
    planted = {"data": {"kind": "planted", "units": 3, "nonzero": 4}, "train": {"loss": "mse"}, "net": {"outputs": 1}}
    deep = linear_sweep(methods=["imp", method], trial=planted, measures=["loss"], rows_at="all")
    assert "trial.net" in [path for path, _ in told(deep)]
    fused = {"hidden": [5], "activation": "relu", "bias": False, "outputs": 1, "readout": "sum"}
    trial = {"data": {"kind": "planted", "units": 3, "nonzero": 4}, "net": fused, "train": {"loss": "mse"}}
    assert told(linear_sweep(methods=["imp", method], trial=trial, measures=["loss"], rows_at="all")) == []
