"""Leaderboards: order, front, densities, spread and ties; what diverged, is undefined, or is not comparable is said."""

import json
import math

import polars as pl
import pytest

from impray.results import goals, leaderboard, outcomes, status, tables, text
from impray.results.paths import Paths
from impray.spec import measure as spec
from impray.spec.pack import measure_hash
from impray.spec.search import Goal
from impray.spec.sweep import Sweep

AXES = {"train.lr": "float"}
LOSS, ACCURACY = "loss of imp", "accuracy of imp"


def sweep(**at) -> Sweep:
    wanted = [{"measure": "loss", "direction": "min", **at}, {"measure": "accuracy", "direction": "max", **at}]
    space = {"train.lr": {"low": 0.1, "high": 1}}
    return Sweep.model_validate(
        {
            "question": "?",
            "trial": {"data": {"kind": "nlgp"}},
            "seeds": 2,
            "rounds": 2,
            "search": {"algorithm": "optuna", "trials": 5, "space": space, "goals": wanted},
        }
    )


class Folder:
    """A sweep's folder, filled trial by trial."""

    def __init__(self, folder) -> None:
        self.folder, self.count = folder, 0
        (folder / "provenance.json").write_text(json.dumps({"axes": AXES}))

    def add(self, loss, accuracy=(), how="done", names=(LOSS, ACCURACY), fraction=0.5, method="imp", gone=()):
        """A trial of one method with a lineage per number of `loss`; `gone` says who diverged in its last round, 2."""
        n, self.count = self.count, self.count + 1
        rows = [
            {
                "lineage": f"t{n}-{method}{seed}",
                "trial": f"t{n}",
                "round": round,
                "method": method,
                "seed": seed,
                "status": "diverged" if seed in gone and round == 2 else "done",
                "density": (1 - fraction) ** round,
                "loss": math.nan if seed in gone and round == 2 else loss[seed] + (2 - round),
                "accuracy": (accuracy or loss)[seed],
                "train.lr": 0.1 + n,
            }
            for seed in range(len(loss))
            for round in range(3)
        ]
        tables.write(Paths(self.folder), "rounds", f"t{n}", rows, AXES)
        trial = {
            "trial": f"t{n}",
            "number": n,
            "status": how,
            "rounds": 2,
            "goal_names": list(names),
            "train.lr": 0.1 + n,
        }
        trial |= {"lineages": [f"t{n}-{method}{seed}" for seed in range(len(loss))], "description": "{}"}
        tables.write(Paths(self.folder), "trials", f"t{n}", [trial], AXES)


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def ranks(board, name):
    return {row.names["number"]: row.means[name].rank for row in board.rows}


def test_the_front_holds_what_no_other_beats(folder):
    for loss, accuracy, how in (
        ([1.0], [0.5], "done"),
        ([2.0], [0.9], "done"),
        ([2.0], [0.4], "done"),
        ([math.nan], [1.0], "done"),
        ([0.0], [1.0], "stopped"),
    ):
        folder.add(loss, accuracy, how)
    board = leaderboard.by_goals(sweep(), folder.folder)
    assert {row.names["number"] for row in board.rows if row.names["front"]} == {0, 1}
    # What was stopped early is not compared in what is read at the end; it is where a round is named.
    assert [row.names["number"] for row in board.rows] == [0, 1, 2, 3, 4]
    assert ranks(board, LOSS)[4] is None
    folder.add([5.0], [0.1], names=[f"{LOSS} at round 1", f"{ACCURACY} at round 1"])
    folder.add([3.0], [0.1], "stopped", names=[f"{LOSS} at round 1", f"{ACCURACY} at round 1"])
    board = leaderboard.by_goals(sweep(at=1), folder.folder)
    assert [(row.names["number"], row.means[f"{LOSS} at round 1"].mean) for row in board.rows] == [(6, 4.0), (5, 6.0)]
    assert any("5 read for other goals" in note for note in board.notes)


def test_a_goal_says_where_it_was_read_over_how_many_seeds_and_how_far_they_spread(folder):
    folder.add([1.0, 2.0, 3.0, 4.0], fraction=0.5, names=[f"{LOSS} at density 0.6", f"{ACCURACY} at density 0.6"])
    folder.add([5.0, 6.0], fraction=0.9, names=[f"{LOSS} at density 0.6", f"{ACCURACY} at density 0.6"])
    board = leaderboard.by_goals(sweep(at={"density": 0.6}), folder.folder)
    first, second = (row.means[f"{LOSS} at density 0.6"] for row in board.rows)
    assert (first.mean, first.density, first.seeds) == (3.5, 0.5, 4)  # read in round 1
    assert first.standard_error == pytest.approx((5 / 3) ** 0.5 / 2)
    assert (second.density, second.seeds) == (pytest.approx(0.1), 2)
    told = "\n".join(text.lines(board, None))
    assert "density" in told and "0.5 " in told and "0.1 " in told and "+-0.65" in told and "standard error" in told


def test_what_seeds_cannot_tell_from_the_best_is_marked(folder):
    folder.add([1.0, 9.0, 3.0])
    folder.add([1.3, 9.2, 3.4])  # worse in each seed by 0.2 to 0.4, though seeds spread by 4
    folder.add([0.5, 9.9, 3.5])
    board = leaderboard.by_goals(sweep(), folder.folder)
    assert ranks(board, LOSS) == {0: "best", 1: "worse", 2: "not told from the best"}
    body = [line for line in text.lines(board, None) if line.split()[0] in ("0", "1", "2")]
    assert " * " in body[0] and "~" in body[1] + body[2]
    assert json.loads(json.dumps(board.document()))["rows"][0]["means"][LOSS]["rank"] == "best"


def test_a_seed_without_a_number_leaves_the_goal_undefined_and_is_counted(folder):
    folder.add([1.0, 1.0, math.nan])
    folder.add([1.0, 1.0, 1.0], gone=[2])
    folder.add([4.0, 4.0, 5.0])
    board = leaderboard.by_goals(sweep(), folder.folder)
    assert [row.names["number"] for row in board.rows] == [2, 0, 1]
    assert [(m.mean, m.seeds, m.of_seeds) for row in board.rows for m in [row.means[LOSS]]][1:] == [(None, 2, 3)] * 2
    told = text.lines(board, None)
    assert any("done, 1/3 diverged" in line for line in told) and any("2/3" in line for line in told)


def test_one_seed_has_no_spread_and_tells_nothing(folder):
    folder.add([1.0])
    folder.add([2.0])
    board = leaderboard.by_goals(sweep(), folder.folder)
    assert ranks(board, LOSS) == {0: "best", 1: "not told from the best"}
    assert any("one seed" in note for note in board.notes) and "+-" not in "".join(text.lines(board, None))


def test_goals_that_are_all_undefined_say_so(folder):
    folder.add([math.nan, math.nan], [0.5, 0.6])
    folder.add([math.nan, math.nan], [0.5, 0.6])
    board = leaderboard.by_goals(sweep(), folder.folder)
    assert not any(row.names["front"] for row in board.rows) and ranks(board, LOSS) == {0: None, 1: None}
    assert any(note.startswith(f"{LOSS}: no trial has this number") for note in board.notes)
    assert text.lines(board, None)


@pytest.mark.parametrize("how", ["done", "diverged"])  # 0.3.0 wrote `done`
def test_a_diverged_trial_has_a_row_and_a_warning(folder, how):
    folder.add([1.0, 2.0])
    folder.add([1.0, 2.0], gone=[0, 1], how=how)
    folder.add([2.0, 3.0], gone=[1])
    assert outcomes.trials(folder.folder)["status"].to_list() == ["done", "diverged", "done"]
    assert outcomes.trials(folder.folder)["diverged"].to_list() == [0, 2, 1]
    for board in (leaderboard.by_goals(sweep(), folder.folder), leaderboard.by_method(folder.folder)):
        told = "\n".join(text.lines(board, None))
        assert "2/2 diverged" in told and "1/2 diverged" in told
        assert "warning: 2 trials diverged (1 wholly, 1 in part; 3 lineages)" in told
    assert "2 of 3 trials done (1 with diverged lineages), 1 diverged" in status.sentence(folder.folder)
    first, second = outcomes.diverged_lines(folder.folder)
    assert first == "trial 1 (train.lr=1.1): 2/2 diverged: imp in round 2, seeds 0, 1"
    assert second == "trial 2 (train.lr=2.1): 1/2 diverged: imp in round 2, seed 1"


def test_a_trial_that_was_stopped_early_stays_stopped(folder):
    folder.add([1.0], gone=[0], how="stopped")
    assert outcomes.trials(folder.folder).select("status", "diverged").row(0) == ("stopped", 1)


def test_methods_are_compared_at_equal_density(folder):
    folder.add([0.1, 0.2], [0.9, 0.8], fraction=0.5)
    folder.add([0.1, 0.2], [0.5, 0.4], fraction=0.5, method="random")
    folder.add([0.1, 0.2], [0.3, 0.3], fraction=0.1)
    board = leaderboard.by_method(folder.folder)
    assert [row.names["method"] for row in board.rows] == ["imp", "random", "imp"]
    assert ranks(board, "accuracy") == {0: "best", 1: "worse", 2: None}  # the third has no rival at its density
    mean = board.rows[0].means["accuracy"]
    assert (mean.mean, mean.standard_error, mean.seeds) == (pytest.approx(0.85), pytest.approx(0.05), 2)


def test_a_method_whose_lineages_all_diverged_shows_no_number_of_an_earlier_round(folder):
    folder.add([0.1, 0.2], [0.9, 0.8], gone=[0, 1])
    folder.add([0.1, 0.2], [0.7, 0.8], gone=[1])
    whole, part = leaderboard.by_method(folder.folder).rows
    assert (whole.means["accuracy"].mean, whole.means["accuracy"].of_seeds) == (None, 2)
    assert (part.means["accuracy"].mean, part.means["accuracy"].seeds) == (0.7, 1)


@pytest.mark.parametrize(
    ("measured", "expected"),
    [
        ("accuracy:f1621cb3 rf_width:23c25a3d", ["rf_width"]),  # without the column that is shown now
        ("accuracy:f1621cb3", []),
        ("support:5f28ec9e", ["support"]),  # with another number in it
        (f"support:{measure_hash(spec.Support())}", []),
    ],
)
def test_rows_of_an_earlier_version_are_told(folder, measured, expected):
    folder.add([0.1, 0.2])
    written = {"measured": pl.lit(measured), "exact_recovery": pl.lit(1.0)}
    rows = tables.scan("rounds", folder.folder).with_columns(**written).collect()
    Paths(folder.folder).rows("rounds", "t0").write(tables.parquet("rounds", rows))
    notes = leaderboard.by_method(folder.folder).notes
    assert [note.split(":")[0] for note in notes if "rows of an earlier" in note] == expected


def test_a_table_without_rows_says_why(folder):
    assert text.lines(leaderboard.by_method(folder.folder), 80) == ["no round is finished yet"]
    folder.add([1.0], how="failed")
    assert text.lines(leaderboard.by_goals(sweep(), folder.folder), 80) == ["trials that are not shown: 1 failed"]


@pytest.mark.parametrize("width", [10, 60, 80, 200])
def test_every_form_says_the_same(folder, width):
    for loss in ([1.0, 9.0, 3.0], [1.5, 9.9, 2.5], [2.0, 9.0, 4.0]):
        folder.add(loss)
    board = leaderboard.by_goals(sweep(), folder.folder)
    narrow, wide = ([line.split() for line in text.lines(board, width)] for width in (width, None))
    assert narrow[-5:] == wide[-5:]
    assert "and 1 more" in text.lines(board, None, rows=2)
    if width >= 60:
        table = [line for line in text.lines(board, width) if "in every row" not in line and line not in board.notes]
        assert max(map(len, table)) <= width


def test_goals_under_their_former_names_are_compared_still():
    """Tables of versions before 0.6.0 call a goal of units otherwise."""
    goal = Goal(measure="rf_width", direction="min")
    names = [[goals.label(goal)], [goals.former_label(goal)], ["loss of imp"]]
    listed = pl.DataFrame({"number": [0, 1, 2], "status": ["done"] * 3, "goal_names": names})
    assert names[0] != names[1]
    assert leaderboard.compared([goal], listed)["number"].to_list() == [0, 1]
