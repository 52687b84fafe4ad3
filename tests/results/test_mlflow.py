"""Syncing is idempotent, adds only what is new, and equals what `rebuild` makes from nothing."""

import json
import logging
import math
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from fake_sweep import Fake, client, contents, histories, runs

from impray.results import mlflow
from impray.spec.errors import DataError, ImprayError

PNG = b"\x89PNG\r\n\x1a\n"


def test_a_second_export_changes_nothing(fake):
    assert mlflow.sync(fake.folder) == mlflow.Counts(
        trials=2, metrics=12
    )  # 2 trials, 2 methods; density, accuracy, its spread
    before, ids = histories(fake), {trial: run.info.run_id for trial, run in runs(fake).items()}
    assert mlflow.sync(fake.folder) == mlflow.Counts(trials=2, metrics=0)
    assert histories(fake) == before
    assert {trial: run.info.run_id for trial, run in runs(fake).items()} == ids
    assert len(ids) == 3


def test_a_new_round_is_all_that_is_added(fake):
    mlflow.sync(fake.folder)
    before, ids = histories(fake), {run.info.run_id for run in runs(fake).values()}
    fake.round(0, 1)
    assert mlflow.sync(fake.folder).metrics == 6
    after = histories(fake)
    assert {run.info.run_id for run in runs(fake).values()} == ids
    for key, points in before.items():
        assert after[key][: len(points)] == points
    assert [step for step, _, _ in after[fake.trials[0].id, "accuracy/imp"]] == [0, 1]
    assert [step for step, _, _ in after[fake.trials[1].id, "accuracy/imp"]] == [0]


def test_a_round_waits_for_all_its_lineages(fake):
    fake.round(0, 1, skip=[("imp", 1)])
    mlflow.sync(fake.folder)
    after = histories(fake)
    assert len(after[fake.trials[0].id, "accuracy/imp"]) == 1
    assert len(after[fake.trials[0].id, "accuracy/random"]) == 2


@pytest.mark.slow
def test_a_method_waits_for_a_lineage_that_has_no_row_at_all(tmp_path, store):
    fake = Fake(tmp_path / "fake", gains=(1.0,))
    shutil.copy(store, fake.paths.mlflow)
    fake.round(0, 0, skip=[("imp", 1)])
    mlflow.sync(fake.folder)
    assert {key.rpartition("/")[2] for _, key in histories(fake)} == {"random"}


def test_means_leave_out_nan_and_log_nothing_where_nothing_is_finite(fake):
    accuracy = {("imp", 0): math.nan, ("imp", 1): 0.75, ("random", 0): math.nan, ("random", 1): math.inf}
    fake.round(0, 1, accuracy=lambda method, seed: accuracy[method, seed], loss=lambda method, seed: 1.0 + seed)
    mlflow.sync(fake.folder)
    after, trial = histories(fake), fake.trials[0].id
    assert [value for _, value, _ in after[trial, "accuracy/imp"]] == [0.55, 0.75]
    assert [step for step, _, _ in after[trial, "accuracy/random"]] == [0]
    assert [(step, value) for step, value, _ in after[trial, "loss/imp"]] == [(1, 1.5)]


def test_diverged_lineages_are_counted_and_not_waited_for(fake):
    lost = ("imp", 1)
    fake.round(
        0,
        1,
        status=lambda *of: "diverged" if of == lost else "done",
        accuracy=lambda *of: math.nan if of == lost else 0.9,
    )
    fake.round(0, 2, skip=[lost], accuracy=0.8)
    mlflow.sync(fake.folder)
    after, trial = histories(fake), fake.trials[0].id
    assert [(step, value) for step, value, _ in after[trial, "diverged/imp"]] == [(1, 1), (2, 1)]
    assert [value for _, value, _ in after[trial, "accuracy/imp"]] == [0.55, 0.9, 0.8]
    assert (trial, "diverged/random") not in after


def test_a_column_measured_later_is_added_to_the_same_run(fake):
    mlflow.sync(fake.folder)
    before, ids = histories(fake), {run.info.run_id for run in runs(fake).values()}
    fake.round(0, 0, file="again", loss=lambda method, seed: 2.0 if method == "imp" else None)
    assert mlflow.sync(fake.folder).metrics == 2  # a mean and its spread
    after = histories(fake)
    added = {key: after.pop(key) for key in set(after) - set(before)}
    assert after == before
    assert [value for _, value, _ in added[fake.trials[0].id, "loss/imp"]] == [2.0]
    assert {run.info.run_id for run in runs(fake).values()} == ids
    assert mlflow.sync(fake.folder).metrics == 0


def test_a_run_whose_numbers_changed_is_made_again_and_the_others_stay(fake):
    mlflow.sync(fake.folder)
    before = {trial: run.info.run_id for trial, run in runs(fake).items()}
    fake.round(0, 0, file="again", accuracy=0.25)
    mlflow.sync(fake.folder)
    after = {trial: run.info.run_id for trial, run in runs(fake).items()}
    changed = fake.trials[0].id
    assert {trial for trial in after if after[trial] != before[trial]} == {changed}
    assert [value for _, value, _ in histories(fake)[changed, "accuracy/imp"]] == [0.25]
    assert mlflow.sync(fake.folder).metrics == 0


def test_more_rounds_asked_for_make_runs_with_the_new_parameter(fake):
    mlflow.sync(fake.folder)
    fake.rounds = 5
    fake.describe()
    mlflow.sync(fake.folder)
    found = runs(fake)
    assert {run.data.params["rounds"] for run in found.values()} == {"5"}
    parent = found.pop(None).info.run_id
    assert {run.data.tags["mlflow.parentRunId"] for run in found.values()} == {parent}


@pytest.mark.slow
def test_rebuild_equals_sync(fake):
    for round in (1, 2):
        mlflow.sync(fake.folder)
        fake.round(0, round)
    fake.trial(0, "done")
    mlflow.sync(fake.folder)
    points, seen = histories(fake), contents(fake)
    assert mlflow.rebuild(fake.folder).metrics == sum(len(of_key) for of_key in points.values())
    assert histories(fake) == points
    assert contents(fake) == seen


def test_runs_say_what_was_run(fake):
    fake.trial(0, "done")
    fake.trial(1, "failed")
    mlflow.sync(fake.folder)
    found = runs(fake)
    done, failed, parent = found[fake.trials[0].id], found[fake.trials[1].id], found[None]
    assert (done.info.status, failed.info.status, parent.info.status) == ("FINISHED", "FAILED", "FAILED")
    assert done.info.run_name == "gain=0.5"
    assert done.info.start_time <= done.info.end_time
    wanted = {"data.gain": "0.5", "data.shape": "[40]", "rounds": "2", "seeds": "2", "methods": '["imp", "random"]'}
    assert wanted.items() <= done.data.params.items()
    assert "net.hidden" in done.data.params  # a default, written out
    assert done.data.tags["mlflow.note.content"] == "Does the exporter tell the truth?"
    assert parent.data.tags["impray.trials"] == "1 done, 1 failed"


def test_a_trial_that_ends_later_ends_in_the_view_too(fake):
    mlflow.sync(fake.folder)
    assert {run.info.status for run in runs(fake).values()} == {"RUNNING"}
    fake.trial(0, "done")
    fake.trial(1, "stopped")
    mlflow.sync(fake.folder)
    status = {trial: run.info.status for trial, run in runs(fake).items()}
    assert status == {fake.trials[0].id: "FINISHED", fake.trials[1].id: "KILLED", None: "FINISHED"}


def test_a_figure_is_logged_once_and_again_when_it_changes(fake, monkeypatch):
    from mlflow import MlflowClient

    logged = []
    log = MlflowClient.log_artifact
    monkeypatch.setattr(MlflowClient, "log_artifact", lambda *a, **k: (logged.append(Path(a[2]).name), log(*a, **k))[1])
    fake.paths.figure("width.png").write(PNG)
    mlflow.sync(fake.folder, figures=False)
    assert logged == ["sweep.yaml"]
    mlflow.sync(fake.folder)
    mlflow.sync(fake.folder)
    assert logged == ["sweep.yaml", "width.png"]
    fake.paths.figure("width.png").write(PNG + b"new")
    mlflow.sync(fake.folder)
    assert logged == ["sweep.yaml", "width.png", "width.png"]
    parent = runs(fake)[None].info.run_id
    assert [file.path for file in client(fake).list_artifacts(parent, "figures")] == ["figures/width.png"]
    assert [path.read_bytes() for path in fake.paths.mlflow_artifacts.rglob("width.png")] == [PNG + b"new"]


@pytest.mark.slow
def test_a_folder_that_was_moved_gets_a_store_of_its_own_place(fake):
    mlflow.sync(fake.folder)
    moved = Fake(fake.folder.rename(fake.folder.parent / "elsewhere"))
    mlflow.sync(moved.folder)
    experiment = client(moved).get_experiment_by_name("elsewhere")
    assert experiment.artifact_location == moved.paths.mlflow_artifacts.resolve().as_uri()
    assert client(moved).get_experiment_by_name("fake") is None
    assert not list(moved.folder.parent.glob("fake"))


def test_two_sweeps_share_a_store_and_rebuilding_one_leaves_the_other(fake, tmp_path, store):
    shared = tmp_path / "shared.db"
    shutil.copy(store, shared)
    uri = f"sqlite:///{shared}"
    other = Fake(tmp_path / "other" / "fake", gains=(0.5,))
    other.round(0, 0)
    mlflow.sync(fake.folder, uri)
    mlflow.sync(other.folder, uri)
    there = client(fake, uri)
    experiment = there.get_experiment_by_name("fake").experiment_id
    before = {run.info.run_id for run in there.search_runs([experiment])}
    assert len(before) == 5
    assert mlflow.rebuild(other.folder, uri).metrics == 6
    after = {run.info.run_id for run in there.search_runs([experiment])}
    assert len(after) == 5
    assert len(after & before) == 3


def test_a_store_that_does_not_answer_is_an_error_of_ours(fake, monkeypatch):
    with socket.socket() as taken:  # bound, not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        uri = f"http://someone:secret@127.0.0.1:{taken.getsockname()[1]}"
        for call in (mlflow.prepare, mlflow.sync):
            with pytest.raises(ImprayError, match="nothing answers there") as caught:
                call(fake.folder, uri)
            assert "secret" not in str(caught.value)


def test_no_folder_is_an_error_of_ours(tmp_path):
    for call in (mlflow.prepare, mlflow.sync, mlflow.rebuild, mlflow.ui_command):
        with pytest.raises(DataError, match="no such folder"):
            call(tmp_path / "nowhere")


def test_exporting_prints_and_logs_nothing(tmp_path, capfd, caplog):
    with caplog.at_level(logging.INFO):
        fake = Fake(tmp_path / "fresh", gains=(1.0,))
        fake.round(0, 0)
        mlflow.sync(fake.folder)
    assert capfd.readouterr() == ("", "")
    assert [record.getMessage() for record in caplog.records] == []


def test_importing_the_exporter_loads_no_mlflow():
    code = "import sys, impray.results.mlflow; print([name for name in sys.modules if name.split('.')[0] == 'mlflow'])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


def test_the_ui_listens_on_this_machine_only(fake):
    command = mlflow.ui_command(fake.folder, port=5001)
    assert command[:4] == [sys.executable, "-m", "mlflow", "ui"]
    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert command[command.index("--port") + 1] == "5001"
    assert mlflow.ui_page(fake.folder, port=5001).startswith("http://127.0.0.1:5001/")
    with pytest.raises(DataError, match="own UI"):
        mlflow.ui_command(fake.folder, "http://127.0.0.1:5000")


def test_findings_are_a_table_and_tags_of_the_sweeps_own_run(fake):
    from polars import col

    from impray.figures import AXIS, Figure, More, Panel, dots
    from impray.figures.page import publish
    from impray.results.quantities import ACCURACY
    from impray.results.tidy import results

    imp, random = col("method") == "imp", col("method") == "random"
    for number in range(2):
        fake.round(number, 1, accuracy=lambda method, seed: 0.1 * seed + (method == "imp"))
    claim = More(quantity=ACCURACY, left=imp, than=random, says="imp is more accurate", by=("name",))
    publish(
        [Figure(name="f", title="f", question="", panels=[Panel(of=ACCURACY, mark=dots, x=AXIS)], claims=[claim])],
        results(fake.folder),
    )
    mlflow.sync(fake.folder)
    parent = runs(fake)[None]
    assert parent.data.tags["impray.findings.f"].startswith("imp is more accurate: ")
    logged = Path(urlsplit(parent.info.artifact_uri).path) / "findings.json"
    found = json.loads(logged.read_text())
    assert dict(zip(found["columns"], found["data"][0], strict=True))["held"] == 2
    assert json.loads(parent.data.tags["mlflow.loggedArtifacts"]) == [{"path": "findings.json", "type": "table"}]
