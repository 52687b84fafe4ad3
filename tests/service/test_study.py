"""The Optuna study of a sweep: what another process reads of it is what the leaderboard says, also after a resume and an extension."""

import json
import math
import subprocess
import sys
from datetime import UTC, datetime

import optuna
import pytest
from cli.said import impray, refused
from conftest import sweep_into, tiny_sweep
from fake_sweep import Fake
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from rich.console import Console

from impray.cli.sweep import _listeners
from impray.results.paths import Paths
from impray.service import journal, study
from impray.service.as_optuna import contains, covering, ending, stored
from impray.service.listener import Report

GOALS = ("{measure: loss, direction: min}", "{measure: accuracy, direction: max}")
READ = """
import json, sys, optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
study = optuna.load_study(study_name=None, storage=JournalStorage(JournalFileBackend(sys.argv[1])))
trials = [[t.number, t.state.name, t.values, t.params, t.user_attrs["status"]] for t in study.trials]
print(json.dumps({"directions": [d.name for d in study.directions], "names": study.metric_names, "trials": trials}))
"""


def read_elsewhere(file):
    """The study as a process that knows nothing of impray reads it."""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", READ, str(file)], capture_output=True, check=True)
    return json.loads(done.stdout)


def opened(file):
    return optuna.load_study(study_name=None, storage=JournalStorage(JournalFileBackend(str(file))))


def agrees_with_the_leaderboard(folder):
    """Every trial that the leaderboard shows as done is there as complete: number, axes and goals, number for number."""
    file = study.write(folder)
    there = read_elsewhere(file)
    rows = {row["number"]: row for row in json.loads(impray("top", folder, "--json").out)["rows"]}
    assert [number for number, *_ in there["trials"]] == list(range(len(there["trials"])))
    for number, state, values, params, status in there["trials"]:
        row = rows.get(number)
        assert (state == "COMPLETE") == (values is not None)
        if state == "COMPLETE":
            assert values == [mean["mean"] for mean in row["means"].values()] and status == row["status"]
        assert row is None or {path: _decoded(value) for path, value in params.items()} == {
            path: _decoded(stored(row[path])) for path in params
        }
    complete = {number for number, state, *_ in there["trials"] if state == "COMPLETE"}
    assert complete == {n for n, row in rows.items() if row["status"] == "done" and None not in _means(row)}
    return there


def _decoded(value):
    """[1, 2] on an axis is [1.0, 2.0] in the tables."""
    return json.loads(value) if isinstance(value, str) else value


def _means(row):
    return [mean["mean"] for mean in row["means"].values()]


SEARCH = {
    "algorithm": "random",
    "trials": 3,
    "space": {
        "prune.fraction": {"low": 0.2, "high": 0.6},
        "train.steps": {"low": 5, "high": 20},
        "data.xi": [[1, 2], [2, 3]],
    },
    "goals": [
        {"measure": "loss", "at": {"density": 0.8}, "direction": "min"},
        {"measure": "accuracy", "direction": "max"},
    ],
}


def searched(trials=3, **changes):
    small = {"seeds": 2, "rounds": 1, "measures": ["accuracy", "loss"], "methods": ["imp"]}
    return tiny_sweep(**small, search=SEARCH | {"trials": trials} | changes)


@pytest.mark.slow
def test_another_process_reads_what_the_leaderboard_says_also_after_an_extension(tmp_path):
    folder = tmp_path / "s"
    sweep_into(folder, searched())
    there = agrees_with_the_leaderboard(folder)
    assert there["directions"] == ["MINIMIZE", "MAXIMIZE"] and len(there["trials"]) == 3
    assert set(there["trials"][0][3]) == set(SEARCH["space"])
    before = Paths(folder).study.read()
    sweep_into(folder, searched())  # nothing to do
    study.write(folder)
    assert Paths(folder).study.read() == before
    sweep_into(folder, searched(5))
    extended = agrees_with_the_leaderboard(folder)
    assert len(extended["trials"]) == 5 and extended["trials"][:3] == there["trials"]
    sweep_into(folder, searched(5, goals=[{"measure": "accuracy", "direction": "max"}]))
    assert agrees_with_the_leaderboard(folder)["directions"] == ["MAXIMIZE"]


@pytest.fixture
def fake(tmp_path):
    """Trials that ended in every way, by their numbers: done, diverged with goals, stopped, failed, done without a number, running."""
    made = Fake(tmp_path / "fake", gains=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6), methods=("imp",), goals=GOALS)
    for number, status in enumerate(("done", "done", "stopped", "failed", "done", "running")):
        made.trial(number, status)
    for number in (0, 1, 2, 4):
        for round in range(3):
            loss = math.nan if number == 4 and round == 2 else number + 0.25 * round
            written = datetime(2026, 1, 2, 3, number, round, tzinfo=UTC)
            made.round(number, round, loss=loss, accuracy=0.5, wall_s=1.0, written_at=written)
    return made


def test_every_ending_has_its_state(fake):
    study.write(fake.folder)
    trials = opened(Paths(fake.folder).study.path).trials
    assert [trial.state.name for trial in trials] == ["COMPLETE", "COMPLETE", "PRUNED", "FAIL", "FAIL", "RUNNING"]
    assert [trial.values for trial in trials] == [[0.5, 0.5], [1.5, 0.5], None, None, None, None]
    assert [trial.params for trial in trials] == [{"data.gain": gain} for gain in fake.gains]
    assert [trial.user_attrs["trial"] for trial in trials] == [trial.id for trial in fake.trials]
    # From the first row less what its round took (one second per lineage) to the last row.
    assert trials[0].datetime_start == datetime(2026, 1, 2, 2, 59, 58, tzinfo=UTC).astimezone().replace(tzinfo=None)
    assert trials[0].duration.total_seconds() == 4


def test_one_goal_has_its_values_by_round(fake):
    fake.goals = GOALS[:1]
    fake.describe()
    for number in range(6):
        fake.trial(number, "stopped" if number == 2 else "done")
    trials = opened(study.write(fake.folder).path).trials
    assert trials[1].intermediate_values == {0: 1.0, 1: 1.25, 2: 1.5} and trials[1].value == 1.5
    assert trials[4].intermediate_values == {0: 4.0, 1: 4.25}


def test_a_study_that_says_something_else_is_made_anew_and_notes_stay(fake):
    file = study.write(fake.folder)
    right = file.read()
    theirs = opened(file.path)
    theirs._storage.set_study_system_attr(theirs._study_id, "dashboard:note_str:0", "a note")
    noted = file.read()
    study.write(fake.folder)
    assert file.read() == noted != right  # the tables say the same: it is let alone
    theirs.add_trial(optuna.trial.create_trial(values=[0.0, 0.0]))
    study.write(fake.folder)
    made = journal.from_bytes(file.read())
    assert len(made.trials) == 6 and made.extras == {"dashboard:note_str:0": "a note"}
    file.delete()
    study.write(fake.folder)
    assert file.read() == right


@pytest.mark.some(3)
@pytest.mark.parametrize("content", [b"", b"notes of mine\n", b"\xff\xfe", b"{}\n", b"[1]\n", b'{"op_code": 99}\n'])
def test_what_is_no_study_is_set_aside(fake, content):
    file = Paths(fake.folder).study
    file.write(content)
    study.write(fake.folder)
    assert journal.from_bytes(file.read()) is not None
    (aside,) = Paths(fake.folder).damaged()
    assert aside.read() == content


def test_a_number_whose_row_was_lost_keeps_its_place(fake):
    (lost,) = (path for path in (fake.folder / "tables" / "trials").iterdir() if "rows-1-" in path.name)
    lost.unlink()
    trials = opened(study.write(fake.folder).path).trials
    assert [trial.number for trial in trials] == list(range(6)) and trials[1].state.name == "FAIL"
    assert trials[2].params == {"data.gain": 0.3} and "no row" in trials[1].user_attrs["status"]


def test_the_command_writes_it_where_it_is_asked_to_and_over_nothing_of_others(fake, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert impray("export", fake.folder, "--format", "optuna").code == 0
    assert impray("export", fake.folder, "--format", "optuna", "--to", "here").code == 0
    assert (tmp_path / "here" / "optuna.journal").read_bytes() == Paths(fake.folder).study.read()
    (tmp_path / "here" / "optuna.journal").write_text("mine")
    assert "here/optuna.journal" in refused("export", fake.folder, "--format", "optuna", "--to", "here")
    assert (tmp_path / "here" / "optuna.journal").read_text() == "mine"
    told = refused("export", fake.folder, "--format", "optuna", "--table", "rounds", "--to", "ftp://x/y")
    assert "--table" in told and "--to" in told
    fake.goals = ()
    fake.describe()
    assert "search.goals" in refused("export", fake.folder, "--format", "optuna")


def test_searches_by_optuna_keep_theirs():
    listeners = [
        _listeners(tiny_sweep(search=SEARCH | {"algorithm": algorithm}), Console(), "off", None, lambda begun: None)
        for algorithm in ("optuna", "random")
    ]
    assert [any(isinstance(each, study.Keeping) for each in of_sweep) for of_sweep in listeners] == [True, False]


def test_a_bucket_has_it_too(bucket, tmp_path):
    sweep_into(bucket, searched(1))
    report = Report(1)
    study.Keeping().whole(Paths(bucket), report)
    assert report.study.read() == study.write(bucket, tmp_path).read() and report.study.store == bucket


@pytest.mark.parametrize(
    "outcome, goals, told",
    [
        ("done", [1.0, 2.0], ("COMPLETE", [1.0, 2.0])),
        ("diverged", [1.0], ("COMPLETE", [1.0])),
        ("done", [1.0, math.nan], ("FAIL", None)),
        ("done", [math.inf], ("FAIL", None)),
        ("diverged", [], ("FAIL", None)),
        ("stopped", [1.0], ("PRUNED", None)),
        ("failed", [1.0], ("FAIL", None)),
    ],
)
def test_only_a_trial_with_all_its_goals_is_complete(outcome, goals, told):
    state, values = ending(outcome, goals)
    assert (state.name, values) == told


@pytest.mark.parametrize(
    "distribution, values",
    [
        (FloatDistribution(0.1, 1, log=True), [0.5, 3]),
        (FloatDistribution(0.1, 1, log=True), [-2.0]),
        (FloatDistribution(0.1, 1), ["a"]),
        (IntDistribution(1, 5), [0, 7]),
        (IntDistribution(1, 5), [2.5]),
        (CategoricalDistribution([1, "[1, 2]"]), ["[2, 3]", None, 1]),
        (IntDistribution(1, 5), []),
    ],
)
def test_a_space_that_was_another_holds_its_trials_too(distribution, values):
    wide = covering(distribution, values)
    assert all(contains(wide, value) for value in values)
    assert (wide == distribution) == all(contains(distribution, value) for value in values)
    if type(wide) is type(distribution) and isinstance(distribution, (IntDistribution, FloatDistribution)):
        assert wide.low <= distribution.low and wide.high >= distribution.high
