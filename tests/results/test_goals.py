"""Goals: the column, the round or density, the mean over seeds."""

import json
import math

import polars as pl
import pytest

from impray.results import tables
from impray.results.goals import column_of, former_label, label, of_trials, value
from impray.results.paths import Paths
from impray.results.quantities import WIDTH
from impray.spec.search import AtDensity, Goal

DENSITY = [1.0, 0.5, 0.25]


@pytest.fixture
def folder(tmp_path):
    """Two seeds of imp and one of random over three rounds; accuracy is seed + round / 10, width falls."""
    (tmp_path / "provenance.json").write_text(json.dumps({"axes": {}}))
    rows = [
        {
            "lineage": f"{method}{seed}",
            "round": round,
            "method": method,
            "seed": seed,
            "status": "done",
            "density": DENSITY[round],
            "accuracy": seed + round / 10,
            "rf_width_px_median": 5.0 - round - seed,
            "rf_width_x_px_median": 99.0,
            "rf_width_x_px_mean": 50.0,
        }
        for method, seeds in (("imp", (0, 1)), ("random", (0,)))
        for seed in seeds
        for round in range(3)
    ]
    tables.write(Paths(tmp_path), "rounds", "x", rows, {})
    units = [
        {
            "lineage": f"imp{seed}",
            "round": 2,
            "method": "imp",
            "seed": seed,
            "layer": 2,
            "unit": unit,
            "kurtosis": float(unit),
        }
        for seed in (0, 1)
        for unit in range(4)
    ]
    tables.write(Paths(tmp_path), "units", "x", units, {})
    return tmp_path


IDS = ["imp0", "imp1", "random0"]


@pytest.mark.parametrize(
    ("goal", "expected"),
    [
        (Goal(measure="accuracy", direction="max"), 0.7),
        (Goal(measure="accuracy", direction="max", at=0), 0.5),
        (Goal(measure="accuracy", direction="max", at=AtDensity(density=0.6)), 0.6),
        (Goal(measure="accuracy", direction="max", at=AtDensity(density=0.01)), math.nan),
        (Goal(measure="rf_width", direction="min"), 2.5),
        (Goal(measure="rf_width_x_px", direction="min", reduce="mean"), 50.0),
        (Goal(measure="rf_width", direction="min", method="random"), 3.0),
        (Goal(measure="kurtosis", direction="min", layer=2), 1.5),
        (Goal(measure="loss", direction="min"), math.nan),
    ],
)
def test_a_goal_reads_what_it_says(folder, goal, expected):
    assert value(goal, folder, IDS, 2) == pytest.approx(expected, nan_ok=True)


def test_a_seed_without_a_number_makes_the_goal_undefined(folder):
    row = {
        "lineage": "imp2",
        "round": 2,
        "method": "imp",
        "seed": 2,
        "status": "diverged",
        "density": 0.25,
        "accuracy": math.nan,
    }
    tables.write(Paths(folder), "rounds", "y", [row], {})
    assert math.isnan(value(Goal(measure="accuracy", direction="max"), folder, [*IDS, "imp2"], 2))


def test_labels_tell_goals_apart():
    goals = [
        Goal(measure="rf_width", direction="min"),
        Goal(measure="rf_width", direction="min", at=3),
        Goal(measure="rf_width", direction="min", at=AtDensity(density=0.1)),
        Goal(measure="rf_width", direction="min", layer=2),
        Goal(measure="accuracy", direction="max"),
    ]
    assert len({label(goal) for goal in goals}) == 5


def test_all_trials_at_once_are_read_as_each_is_alone(folder):
    trials = pl.DataFrame({"trial": ["a", "b"], "lineages": [["imp0", "imp1"], ["imp1", "random0"]], "rounds": [2, 1]})
    trials = trials.with_columns(
        pl.lit("{}").alias("description")
    )  # of another version: densities are all that is known
    for goal in (
        Goal(measure="accuracy", direction="max"),
        Goal(measure="accuracy", direction="max", at=AtDensity(density=0.6)),
        Goal(measure="kurtosis", direction="min", layer=2),
    ):
        found = of_trials(goal, folder, trials)
        alone = [value(goal, folder, lineages, rounds) for _, lineages, rounds, _ in trials.iter_rows()]
        assert [read.value for read in found] == pytest.approx(alone, nan_ok=True)
    reached = of_trials(Goal(measure="accuracy", direction="max", at=AtDensity(density=0.6)), folder, trials)[0]
    assert (reached.round, reached.density, dict(reached.of_seeds)) == (1, 0.5, {0: 0.1, 1: 1.1})


def test_the_name_of_the_width_is_the_mean_of_x_and_y():
    assert column_of("rf_width") == ("rf_width_px", True) == column_of("rf_width_px")
    assert column_of("rf_width_x_px") == ("rf_width_x_px", True)


def test_a_goal_is_called_as_the_quantity_it_reads():
    reading = Goal(measure="rf_width", method="imp", reduce="median", direction="min")
    assert label(reading) == f"{WIDTH.name} of imp"
    assert former_label(reading) == "median rf_width_px of imp"
    assert label(Goal(measure="accuracy", direction="max")) == former_label(Goal(measure="accuracy", direction="max"))
