"""A tiny sweep through the service: here and on Ray, twice, packed or not."""

import re
import shutil

import polars as pl
import pytest
from conftest import assert_same_tables, rows_of, sweep_into, tiny_sweep
from data import dataset_files
from service.test_study import agrees_with_the_leaderboard

from impray.lineage.rounds import Rounds
from impray.results import tables
from impray.results.paths import Paths
from impray.results.tables import scan
from impray.results.tidy import results
from impray.service.trials import Trials
from impray.spec.errors import DataError, SweepError
from impray.spec.load import load
from impray.spec.measure import Clustering, Inputs, Kurtosis, RfWidth
from impray.training import TRAINERS

ALL = ("rounds", "units", "fates", "masks", "images", "histograms", "trials")
FEW = {"seeds": 1, "rounds": 1, "measures": ["accuracy", "fan_in"]}  # where what is measured does not matter


@pytest.mark.ray
def test_here_and_on_ray_give_the_same_tables(tmp_path, keep_ray):
    sweep = tiny_sweep()
    report, _ = sweep_into(tmp_path / "here", sweep)
    assert report.count("done") == 2 and not report.interrupted
    sweep_into(tmp_path / "ray", sweep, "ray")
    assert_same_tables(tmp_path / "here", tmp_path / "ray", ALL)


@pytest.mark.slow
@pytest.mark.ray
def test_a_relative_path_starts_where_the_sweep_was_started_and_files_are_converted_once(
    tmp_path, keep_ray, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMPRAY_CACHE", str(tmp_path / "cache"))
    dataset_files.idx(tmp_path / "digits", counts=(60, 40), sides=(6, 6), classes=2)
    data = {"kind": "idx", "path": "digits", "shape": [6, 6], "class_count": 2}
    space = {"search.space": {"data.gaussian_blend": [0, 1]}, "search.pack": ["data.gaussian_blend"]}
    sweep = tiny_sweep(**FEW, **{"trial.data": data, **space})
    report, _ = sweep_into(tmp_path / "ray", sweep, "ray")
    assert report.count("done") == 2
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*") if path.is_file()}
    sweep_into(tmp_path / "here", sweep)
    assert_same_tables(tmp_path / "here", tmp_path / "ray", ("rounds", "units", "trials"))
    assert made == {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*") if path.is_file()}


def test_missing_files_are_told_before_anything_runs(tmp_path):
    data = {"kind": "imagenet32", "path": str(tmp_path / "nowhere")}
    sweep = tiny_sweep(**{"trial.data": data, "search": {}})
    with pytest.raises(DataError) as told:
        sweep_into(tmp_path / "s", sweep)
    assert "train_data_batch_1" in str(told.value) and "val_data" in str(told.value)
    assert not (tmp_path / "s" / "sweep.yaml").exists() and not list((tmp_path / "s").rglob("*.parquet"))


def test_a_published_data_set_may_move(tmp_path, monkeypatch):
    """Its path is no part of a lineage: what was run elsewhere is not run again, and the sweep's file keeps the path."""
    monkeypatch.setenv("IMPRAY_CACHE", str(tmp_path / "cache"))
    for place in ("one", "two"):
        dataset_files.cifar10(tmp_path / place, counts=(20,) * 5 + (40,))
    reports = []
    for place in ("one", "two"):
        data = {"kind": "cifar10", "path": str(tmp_path / place), "held_out": 1}
        sweep = tiny_sweep(
            seeds=1,
            rounds=1,
            measures=["loss", "fan_in"],
            **{"trial.data": data, "search": {}},
        )
        reports.append(sweep_into(tmp_path / "s", sweep)[0])
        assert load(tmp_path / "s" / "sweep.yaml").trial.data.path == str(tmp_path / place)
    assert [report.ran for report in reports] == [1, 0]
    shutil.rmtree(tmp_path / "two")
    sweep_into(tmp_path / "s", sweep)  # finished: nobody needs the files any more


def test_files_that_changed_are_refused_before_they_mix(tmp_path, monkeypatch):
    monkeypatch.setenv("IMPRAY_CACHE", str(tmp_path / "cache"))
    path, *_ = dataset_files.arrays(tmp_path / "files", count=60, shape=(6, 6), seed=0)
    data = {"kind": "arrays", "path": str(path), "shape": [6, 6], "class_count": 3}
    asked = {"seeds": 1, "measures": ["loss", "fan_in"], "trial.data": data, "search": {}}
    sweep_into(tmp_path / "s", tiny_sweep(**asked, rounds=1))
    path.touch()  # younger, with the same content: nothing has changed
    sweep_into(tmp_path / "s", tiny_sweep(**asked, rounds=2))
    before = rows_of(tmp_path / "s", "rounds")
    dataset_files.arrays(tmp_path / "files", count=60, shape=(6, 6), seed=1)
    with pytest.raises(SweepError, match="not those that this folder's rows were made from"):
        sweep_into(tmp_path / "s", tiny_sweep(**asked, rounds=3))
    assert rows_of(tmp_path / "s", "rounds").equals(before, null_equal=True)


@pytest.mark.slow
def test_packed_or_not_the_tables_are_the_same(tmp_path):
    sweep_into(tmp_path / "packed", tiny_sweep())
    sweep_into(tmp_path / "alone", tiny_sweep(**{"search.pack": []}))
    assert_same_tables(tmp_path / "packed", tmp_path / "alone", ALL)


def test_the_second_time_changes_nothing_and_says_so(tmp_path):
    sweep_into(tmp_path / "s", tiny_sweep())
    before = {
        path: path.stat().st_mtime_ns
        for path in (tmp_path / "s").rglob("*")
        if path.is_file() and path.parent.name != "leases"
    }
    report, _ = sweep_into(tmp_path / "s", tiny_sweep())
    after = {
        path: path.stat().st_mtime_ns
        for path in (tmp_path / "s").rglob("*")
        if path.is_file() and path.parent.name != "leases"
    }
    assert report.ran == 0 and before == after


@pytest.mark.slow
def test_more_seeds_rounds_and_axis_values_extend_what_is_there(tmp_path):
    sweep_into(tmp_path / "grown", tiny_sweep(seeds=1, rounds=1, **{"search.space": {"data.gain": [3.0]}}))
    sweep_into(tmp_path / "grown", tiny_sweep(seeds=2, rounds=2, **{"search.space": {"data.gain": [3.0]}}))
    sweep_into(tmp_path / "grown", tiny_sweep())
    sweep_into(tmp_path / "at_once", tiny_sweep())
    assert_same_tables(tmp_path / "grown", tmp_path / "at_once", ALL)


def test_a_new_axis_fills_the_rows_that_were_there(tmp_path):
    sweep_into(tmp_path / "s", tiny_sweep(**FEW))
    sweep_into(
        tmp_path / "s", tiny_sweep(**FEW, **{"search.space": {"data.gain": [0.1, 3.0], "prune.fraction": [0.2, 0.3]}})
    )
    rounds = rows_of(tmp_path / "s", "rounds")
    assert rounds["prune.fraction"].null_count() == 0 and rounds["prune.fraction"].n_unique() == 2


def statuses(folder):
    return scan("trials", folder).sort("number").collect()["status"].to_list()


def test_diverged_is_not_done_and_nothing_is_run_again(tmp_path):
    search = {"space": {"train.lr": [0.2, 1e6]}, "goals": [{"measure": "accuracy", "direction": "max"}], "pack": []}
    sweep = tiny_sweep(rounds=1, measures=["accuracy"], methods=["imp"], search=search)
    report, told = sweep_into(tmp_path / "s", sweep)
    assert (report.count("done"), report.count("diverged"), report.interrupted) == (1, 1, False)
    assert (
        "trial 1 (train.lr=1e+06) 2/2 diverged" in told
        and not re.search(r"trial 1( \([^)]*\))? done", told)
        and "1/2 trials done" in told
    )
    assert statuses(tmp_path / "s") == ["done", "diverged"]
    # As 0.3.0 wrote it.
    paths = Paths(tmp_path / "s")
    old = scan("trials", paths.folder).with_columns(pl.lit("done").alias("status")).collect()
    paths.rows("trials", "all-zzz").write(tables.parquet("trials", old))
    report, _ = sweep_into(tmp_path / "s", sweep)
    assert (report.ran, report.count("diverged")) == (0, 1)
    assert statuses(tmp_path / "s") == ["done", "diverged"]


def test_other_goals_are_read_from_what_is_there(tmp_path):
    of = {"measures": ["accuracy", "loss"], "seeds": 1, "rounds": 1}
    for measure in ("accuracy", "loss"):
        sweep = tiny_sweep(**of, **{"search.goals": [{"measure": measure, "direction": "min"}]})
        report, _ = sweep_into(tmp_path / "s", sweep)
    assert report.ran == 0
    names = scan("trials", tmp_path / "s").collect()["goal_names"].to_list()
    assert names == [["loss of imp"]] * 2


NEWER = (  # columns that versions 0.3.0 to 0.5.0 did not have, each of a measure that had others
    "rf_width_px",
    "clustering_ceiling",
    "clustering_chance",
    "clustering_of_ceiling",
    "kurtosis_class_median",
    "kurtosis_class_median_end",
    "kurtosis_by_class",
    "kurtosis_by_class_end",
    "input_kurtosis_class_median",
    "input_kurtosis_by_class",
)


def without_newer_columns(paths: Paths) -> None:
    """Rewrite the tables of a finished sweep without `NEWER` and their means and medians."""
    newer = [*NEWER, *(f"{name}_{how}" for name in NEWER for how in ("mean", "median"))]
    for table in ("rounds", "units"):
        frame = scan(table, paths.folder).collect().drop(newer, strict=False)
        for path in paths.row_files(table):
            path.path.unlink()
        paths.rows(table, "all-old").write(tables.parquet(table, frame))


@pytest.mark.slow
def test_rows_without_newer_columns_are_measured_again_and_nothing_is_trained(tmp_path, monkeypatch):
    sweep = tiny_sweep(seeds=1, rounds=2)
    with monkeypatch.context() as before:
        for kind in (RfWidth, Clustering, Kurtosis, Inputs):
            before.setattr(kind, "revision", 0)
        sweep_into(tmp_path / "s", sweep)
    without_newer_columns(Paths(tmp_path / "s"))
    assert scan("rounds", tmp_path / "s").collect()["rf_width_px_median"].null_count() == 2 * 3 * 3

    def never(*_: object) -> None:
        raise AssertionError("trains again")

    with monkeypatch.context() as untrained:
        for kind in TRAINERS:
            untrained.setitem(TRAINERS, kind, never)
        report, _ = sweep_into(tmp_path / "s", sweep)
    assert report.count("done") == 2 and report.ran > 0
    sweep_into(tmp_path / "fresh", sweep)
    measured = rows_of(tmp_path / "fresh", "rounds")["measured"]
    assert rows_of(tmp_path / "s", "rounds")["measured"].to_list() == measured.to_list()
    assert_same_tables(tmp_path / "s", tmp_path / "fresh", ALL)


@pytest.mark.slow
def test_a_pack_that_fails_is_recorded_and_the_others_go_on(tmp_path, monkeypatch):
    def breaks(self, finished, real=Rounds.measured):
        if finished.lineages[0].trial.data.gain == 3.0 and finished.round == 1:
            raise RuntimeError("broken on purpose")
        return real(self, finished)

    sweep = tiny_sweep(seeds=1, **{"search.pack": []})
    with monkeypatch.context() as patched:
        patched.setattr(Rounds, "measured", breaks)
        report, output = sweep_into(tmp_path / "s", sweep)
    assert report.count("done") == 1 and report.count("failed") == 1 and "broken on purpose" in output
    failures = scan("failures", tmp_path / "s").collect()
    assert failures["round"].to_list() == [1] and "RuntimeError: broken on purpose" in failures["error"][0]
    # Running again, mended, completes it.
    report, _ = sweep_into(tmp_path / "s", sweep)
    assert report.count("done") == 2
    sweep_into(tmp_path / "whole", sweep)
    assert_same_tables(tmp_path / "s", tmp_path / "whole", ALL)


def test_a_sweep_that_was_killed_before_its_trials_were_told(tmp_path):
    sweep_into(tmp_path / "s", tiny_sweep(**FEW))
    whole = rows_of(tmp_path / "s", "trials")
    for path in (tmp_path / "s" / "tables" / "trials").glob("*"):
        path.unlink()
    sweep_into(tmp_path / "s", tiny_sweep(**FEW))
    assert rows_of(tmp_path / "s", "trials").equals(whole, null_equal=True)


def test_one_driver_at_a_time(tmp_path):
    from impray.results.files import locked

    with locked(tmp_path / "s" / "running.lock"), pytest.raises(SweepError, match="another impray sweep"):
        sweep_into(tmp_path / "s", tiny_sweep())


def test_a_folder_of_another_base_trial_is_refused(tmp_path):
    sweep_into(tmp_path / "s", tiny_sweep(**FEW))
    before = rows_of(tmp_path / "s", "rounds")
    with pytest.raises(SweepError, match=r"trial.train.lr = 0.5 .*is 0.2 in this folder.*--out"):
        sweep_into(tmp_path / "s", tiny_sweep(**FEW, **{"trial.train.lr": 0.5}))
    wider = {"search.space": {"data.gain": [0.1, 3.0], "train.lr": [0.2, 0.5]}}
    sweep_into(tmp_path / "s", tiny_sweep(**FEW, **wider))  # as an axis it is a column, and nothing is mixed
    assert rows_of(tmp_path / "s", "rounds").height == 2 * before.height


@pytest.mark.parametrize("engine", [{}, {"engine": 2}], ids=["1", "2"])
def test_a_folder_of_an_earlier_engine_is_read_but_not_gone_on_with(engine, tmp_path, monkeypatch):
    from impray.spec.trial import Trial

    with monkeypatch.context() as earlier:
        earlier.setattr(Trial, "engine", engine)
        sweep_into(tmp_path / "s", tiny_sweep(**FEW))
    before = rows_of(tmp_path / "s", "rounds")
    with pytest.raises(SweepError, match=r"engine of impray before 0\.11\.0.*--out"):
        sweep_into(tmp_path / "s", tiny_sweep(**FEW))
    assert before.height and rows_of(tmp_path / "s", "rounds").equals(before, null_equal=True)
    # Read, a trial is called as its rows call it.
    read = results(tmp_path / "s").trials
    assert {id for id in read} == set(before["trial"]) == {trial.id for trial in read.values()}


def test_an_axis_of_another_type_is_refused(tmp_path):
    scales = {"search.space": {"net.init.scale": [0.5, 1.0]}, "search.pack": []}
    sweep_into(tmp_path / "s", tiny_sweep(rounds=0, seeds=1, **scales))
    scales["search.space"] = {"net.init.scale": [0.5, [0.6, 1.0]]}
    with pytest.raises(SweepError, match="type json; in this folder it is float"):
        sweep_into(tmp_path / "s", tiny_sweep(rounds=0, seeds=1, **scales))


@pytest.mark.ray
def test_resources_that_a_machine_has_not_are_told(tmp_path, keep_ray):
    with pytest.raises(SweepError, match="resources.gpu = 7"):
        sweep_into(tmp_path / "s", tiny_sweep(resources={"cpu": 1, "gpu": 7}), "ray")
    with pytest.raises(SweepError, match="resources.gpu = 7"):
        sweep_into(tmp_path / "t", tiny_sweep(resources={"cpu": 1, "gpu": 7}))


def test_random_search(tmp_path):
    search = {"algorithm": "random", "trials": 3, "space": {"data.gain": {"low": 0.1, "high": 10, "log": True}}}
    sweep_into(tmp_path / "s", tiny_sweep(**FEW, search=search))
    trials = rows_of(tmp_path / "s", "trials")
    assert trials.height == 3 and trials["data.gain"].is_between(0.1, 10).all()


OPTUNA = {
    "measures": ["accuracy", "loss", "kurtosis"],
    "search": {
        "algorithm": "optuna",
        "trials": 5,
        "space": {"prune.fraction": {"low": 0.2, "high": 0.6}, "prune.rewind_step": {"low": 0, "high": 20}},
        "goals": [
            {"measure": "loss", "at": {"density": 0.6}, "direction": "min"},
            {"measure": "kurtosis", "reduce": "mean", "direction": "max"},
        ],
        "stop_early": {"measure": "loss", "direction": "min", "grace": 1, "factor": 2},
    },
}


@pytest.mark.slow
@pytest.mark.ray
def test_optuna_with_two_goals_and_early_stopping(tmp_path, keep_ray):
    sweep = tiny_sweep(**OPTUNA)
    report, _ = sweep_into(tmp_path / "s", sweep, "ray")
    assert not report.interrupted and len(report.outcomes) == 5 and report.count("failed") == 0
    trials = rows_of(tmp_path / "s", "trials")
    done = trials.filter(pl.col("status") == "done")
    assert set(trials["status"]) <= {"done", "stopped"} and done.height >= 1
    assert done["goals"].list.len().unique().to_list() == [2]
    assert trials.filter(pl.col("status") == "stopped")["rounds"].is_between(1, 2).all()
    loss, kurtosis = done["goals"][0]
    of_trial = rows_of(tmp_path / "s", "rounds").filter(
        pl.col("lineage").is_in(done["lineages"][0]), pl.col("method") == "imp"
    )
    assert kurtosis == pytest.approx(of_trial.filter(pl.col("round") == 3)["kurtosis_mean"].mean(), rel=1e-12)
    reached = of_trial.filter(pl.col("density") <= 0.6)["round"].min()
    assert loss == pytest.approx(of_trial.filter(pl.col("round") == reached)["loss"].mean(), rel=1e-12)
    agrees_with_the_leaderboard(tmp_path / "s")
    # Again: nothing is left to do. With a larger budget: only the new ones are added.
    report, _ = sweep_into(tmp_path / "s", sweep, "ray")
    assert report.ran == 0
    # Other goals are read again from the rounds, without running anything.
    other = {**OPTUNA["search"], "goals": [{"measure": "accuracy", "direction": "max"}]}
    report, _ = sweep_into(tmp_path / "s", tiny_sweep(**{**OPTUNA, "search": other}), "ray")
    again = rows_of(tmp_path / "s", "trials").filter(pl.col("status") == "done")
    assert report.ran == 0 and again["goals"].list.len().unique().to_list() == [1]
    more = {**OPTUNA["search"], "trials": 7}
    sweep_into(tmp_path / "s", tiny_sweep(**{**OPTUNA, "search": more}), "ray")
    assert rows_of(tmp_path / "s", "trials")["number"].sort().to_list() == list(range(7))
    assert len(agrees_with_the_leaderboard(tmp_path / "s")["trials"]) == 7


def test_trials_know_what_is_left(tmp_path):
    sweep = tiny_sweep(**FEW)
    sweep_into(tmp_path / "s", sweep)
    trials = Trials(sweep, Paths(tmp_path / "s"))
    assert trials.nothing_left() and list(trials.outcomes.values()) == ["done", "done"]
    assert not Trials(tiny_sweep(**{**FEW, "seeds": 3}), Paths(tmp_path / "s")).nothing_left()


@pytest.mark.some(1)
@pytest.mark.parametrize("seeds", [1, 2])
def test_what_is_wrong_with_one_trial_does_not_cost_those_in_its_pack(tmp_path, monkeypatch, seeds):
    cheap = {"seeds": seeds, "rounds": 2, "measures": ["accuracy", "fan_in"], "methods": ["imp", "random"]}
    sweep = tiny_sweep(**cheap, **{"search.space": {"data.gain": [0.1, 1.0, 3.0]}})  # one pack

    def breaks(self, finished, real=Rounds.measured):
        if finished.round == 1 and any(lineage.trial.data.gain == 1.0 for lineage in finished.lineages):
            raise RuntimeError("broken on purpose")
        return real(self, finished)

    with monkeypatch.context() as patched:
        patched.setattr(Rounds, "measured", breaks)
        report, _ = sweep_into(tmp_path / "s", sweep)
    assert statuses(tmp_path / "s") == ["done", "failed", "done"] and not report.interrupted
    assert (report.count("done"), report.count("failed")) == (2, 1)
    report, _ = sweep_into(tmp_path / "s", sweep)
    assert report.count("done") == 3
    sweep_into(tmp_path / "whole", sweep)
    assert_same_tables(tmp_path / "s", tmp_path / "whole", ("rounds", "units", "fates"))


def test_a_pack_that_is_too_large_for_memory_is_cut_until_it_fits(tmp_path, monkeypatch):
    cheap = {"seeds": 4, "rounds": 1, "measures": ["accuracy", "fan_in"], "methods": ["imp"]}
    sweep = tiny_sweep(**cheap, **{"search.space": {"data.gain": [0.1, 3.0]}})

    def full(self, finished, real=Rounds.measured):
        if len(finished.lineages) > 1:
            raise MemoryError
        return real(self, finished)

    with monkeypatch.context() as patched:
        patched.setattr(Rounds, "measured", full)
        report, _ = sweep_into(tmp_path / "s", sweep)
    assert report.count("done") == 2 and not report.interrupted
    sweep_into(tmp_path / "whole", sweep)
    assert_same_tables(tmp_path / "s", tmp_path / "whole", ("rounds", "units", "fates"))
    assert rows_of(tmp_path / "s", "trials").equals(rows_of(tmp_path / "whole", "trials"), null_equal=True)
