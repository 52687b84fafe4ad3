"""The tidy table: what is drawn of a running sweep, what is counted, where it is drawn."""

import math
import subprocess
import sys
from pathlib import Path

import common
import polars as pl
import pytest
from common import CLUSTERING, WIDTH

from impray.spec.errors import DataError

BLEND = "data.gaussian_blend"
SCRIPTS = Path(__file__).parents[2] / "analysis"


def test_mean_and_range_are_over_seeds(lineage_row, lazy):
    rows = [lineage_row(0.0, "imp", seed, 2.0 * seed) for seed in (1, 2, 3)]
    found = common.tidy(lazy(rows), [BLEND], [(WIDTH,)])
    assert found["value"].to_list() == [2.0, 4.0, 6.0]
    assert found.select("mean", "low", "high", "seeds").unique().rows() == [(4.0, 2.0, 6.0, 3)]


def test_the_last_round_is_the_last_that_every_lineage_of_the_trial_reached(lineage_row, lazy):
    rows = [lineage_row(0.0, "imp", 0, float(n), round=n) for n in (0, 1, 2)]
    rows += [lineage_row(0.0, "random", 0, 9.0, round=n) for n in (0, 1)]
    found = common.tidy(lazy(rows), [BLEND], [(WIDTH,)])
    assert found.select("method", "round", "furthest", "value").rows() == [("imp", 1, 2, 1.0), ("random", 1, 2, 9.0)]
    assert "further, up to round 2" in common.caption(found, "bars")


def test_a_diverged_lineage_holds_nobody_up_and_is_counted(lineage_row, lazy):
    rows = [lineage_row(0.0, "imp", 0, float(n), round=n) for n in (0, 1, 2)]
    rows += [lineage_row(0.0, "imp", 1, 1.0, round=0)]
    rows += [lineage_row(0.0, "imp", 1, math.nan, round=1, status="diverged")]
    found = common.tidy(lazy(rows), [BLEND], [(WIDTH,)])
    assert found.select("seed", "round", "status", "value", "mean", "seeds").rows() == [
        (0, 2, "done", 2.0, 2.0, 1),
        (1, 2, "diverged", None, 2.0, 1),
    ]
    assert "1 of 2 lineages diverged (1 of imp at data.gaussian_blend = 0" in common.caption(found, "bars")


def test_a_trial_that_diverged_as_a_whole_is_not_still_running(lineage_row, lazy):
    rows = [lineage_row(0.0, "imp", 0, 5.0, round=n) for n in (0, 1, 2)] + [lineage_row(1.0, "imp", 0, 6.0, round=0)]
    rows += [lineage_row(1.0, "imp", 0, math.nan, round=1, status="diverged")]
    for every_round in (False, True):
        found = common.tidy(lazy(rows), [BLEND], [(WIDTH,)], every_round=every_round)
        told = common.caption(found, "bars")
        assert "1 of 2 lineages diverged" in told and "further" not in told


def test_lineages_short_of_an_asked_round_are_counted(lineage_row, lazy):
    rows = [lineage_row(0.0, "imp", 0, 5.0, round=n) for n in (0, 1)] + [lineage_row(1.0, "imp", 0, 6.0, round=0)]
    found = common.tidy(lazy(rows), [BLEND], [(WIDTH,)], round=1)
    assert found.select("x", "status", "value").rows() == [("0", "done", 5.0), ("1", "behind", None)]
    assert "1 lineage short of this round" in common.caption(found, "bars")
    with pytest.raises(DataError, match="no lineage has finished round 7"):
        common.tidy(lazy(rows), [BLEND], [(WIDTH,)], round=7)


def test_undefined_is_counted_and_not_measured_is_left_out(lineage_row, lazy):
    rows = [lineage_row(0.0, "imp", 0, 2.0), lineage_row(0.0, "imp", 1, math.nan), lineage_row(0.0, "imp", 2, None)]
    found = common.tidy(lazy(rows), [BLEND], [(WIDTH,), (CLUSTERING,)])
    assert found.select("measure", "seed", "status").rows() == [
        ("rf_width_px", 0, "done"),
        ("rf_width_px", 1, "undefined"),
    ]
    assert "rf_width_px is undefined for 1 lineage " in common.caption(found, "bars")
    with pytest.raises(DataError, match="has not measured any of clustering_mean"):
        common.tidy(lazy(rows), [BLEND], [(CLUSTERING,)])


def test_the_axis_of_gaussianity_comes_first_and_others_are_panels_or_pooled(lineage_row, lazy):
    others = [{"prune.fraction": f, "train.lr": float(n)} for f in (0.2, 0.3) for n in range(7)]
    rows = [lineage_row(0.0, "imp", 0, 2.0, lineage=str(n), trial=str(n), **other) for n, other in enumerate(others)]
    found = common.tidy(lazy(rows), ["prune.fraction", "train.lr", BLEND], [(WIDTH,)])
    assert found["axis"].unique().to_list() == [BLEND]
    assert sorted(set(found["column"])) == ["prune.fraction = 0.2", "prune.fraction = 0.3"]
    assert found["row"].unique().to_list() == [""]
    assert found["pooled"].unique().to_list() == ["train.lr (7 values)"]


@pytest.mark.parametrize(
    ("axis", "values", "scale", "at"),
    [
        ("data.gain", [10.0, 0.1], "log", [10.0, 0.1]),
        (BLEND, [0.0, 1.0], "linear", [0.0, 1.0]),
        ("train.steps", [1, 1000], "log", [1.0, 1000.0]),
        ("train.optimizer", ["sgd", None], "names", [1.0, 0.0]),
        ("prune.flag", [True, False], "names", [1.0, 0.0]),
    ],
)
def test_values_are_placed_by_number_or_by_name(axis, values, scale, at):
    labels, places, found = common.positions(pl.DataFrame({axis: values}), axis)
    assert (places, found) == (at, scale)
    assert len(set(labels)) == 2


def test_pairs_are_by_seed_at_one_round():
    left = pl.DataFrame({"seed": [0, 1, 2], "round": [3, 3, 3], "value": [1.0, 2.0, None]})
    right = pl.DataFrame({"seed": [1, 0, 2], "round": [3, 3, 3], "value": [1.0, 4.0, 9.0]})
    assert common.paired((left, right), WIDTH) == common.Pairs(2, 1, 1, -1.0, -3.0, 1.0)
    assert common.paired((left, right.with_columns(round=4)), WIDTH) is None


def test_rounds_with_one_mask_are_not_compared(lineage_row, lazy):
    rows = [lineage_row(0.0, m, 0, w, round=n) for m, w in (("imp", 1.0), ("oneshot", 2.0)) for n in range(4)]
    found = common.tidy(lazy(rows), [BLEND], [(WIDTH,)], every_round=True, facets=0)
    held = common.orderings(found, WIDTH, "imp", "oneshot", "0")
    assert held is not None and held.always == [2, 3]


def test_spans():
    assert common.spans([7, 2, 3, 4]) == "rounds 2-4, 7"
    assert common.spans([]) == "no round"


def test_only_keeps_trials_and_names_what_there_is(lineage_row, folder):
    out = folder([lineage_row(blend, "imp", 0, 2.0) for blend in (0.0, 0.25)])
    rows, axes = common.rows("rounds", out, {BLEND: "0.250"})
    assert rows.collect()[BLEND].to_list() == [0.25]
    assert axes == {BLEND: "float"}
    with pytest.raises(DataError, match="there are 0, 0.25"):
        common.rows("rounds", out, {BLEND: "3"})
    with pytest.raises(DataError, match="its axes: data.gaussian_blend"):
        common.rows("rounds", out, {"train.lr": "3"})


@pytest.mark.parametrize("script", ["width_by_gain", "width_by_round", "kurtosis_by_round", "masks"])
def test_what_is_no_sweep_gives_one_line_and_exit_code_2(script, tmp_path, monkeypatch, capsys):
    for wrong in (tmp_path, tmp_path / "absent"):
        monkeypatch.setattr(sys, "argv", [script, str(wrong)])
        with pytest.raises(SystemExit) as stopped:
            common.run(__import__(script).main, "About.")
        assert stopped.value.code == 2
        told = capsys.readouterr().err
        assert told.count("\n") == 1 and str(wrong) in told


def test_damaged_tables_give_one_line(lineage_row, folder, monkeypatch, capsys):
    out = folder([lineage_row(0.0, "imp", 0, 2.0)])
    (out / "tables" / "rounds" / "rows-rows.parquet").write_bytes(b"no parquet")
    monkeypatch.setattr(sys, "argv", ["width_by_gain", str(out)])
    with pytest.raises(SystemExit) as stopped:
        common.run(__import__("width_by_gain").main, "About.")
    told = capsys.readouterr().err
    assert stopped.value.code == 2 and "cannot be read" in told and told.count("\n") == 1


def test_a_script_runs_by_itself_and_prints_its_files(lineage_row, folder):
    out = folder([lineage_row(0.0, "imp", 0, 2.0)])
    ran = subprocess.run([sys.executable, SCRIPTS / "width_by_gain.py", out], capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")
    files = [Path(line) for line in ran.stdout.split()]
    assert [path.name for path in files] == ["width_by_gain.csv", "width_by_gain.png", "width_by_gain.txt"]
    assert all(path.parent == out / "figures" for path in files)
    assert files[1].read_bytes().startswith(b"\x89PNG")
