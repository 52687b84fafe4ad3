"""The MLflow view is never doubled, never outside its folder, and made again where it is damaged."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from fake_sweep import AXES, PNG, Fake, client, histories, runs

from impray.results import files, mlflow
from impray.results.paths import Paths
from impray.spec.errors import DataError

ODD = ["it's", "what?", "50% %20", "a#b", "a b&c=d", "ü ñ", "o[lab]", 'q"x"', "a:b;c", "dots.."]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """An empty store: making one takes seconds, copying it does not."""
    fake = Fake(tmp_path_factory.mktemp("empty") / "fake")
    mlflow.prepare(fake.folder)
    with sqlite3.connect(fake.paths.mlflow) as database:
        database.execute("delete from experiment_tags")
        database.execute("delete from experiments where name = 'fake'")
    return fake.paths.mlflow


@pytest.fixture
def fake(tmp_path, store):
    made = Fake(tmp_path / "fake")
    shutil.copy(store, made.paths.mlflow)
    for number in range(2):
        for round in range(2):
            made.round(number, round)
        made.trial(number, "done")
    return made


def active(fake, uri=None):
    """Every active run of the folder's experiment: (tag of the sweep, trial)."""
    there = client(fake, uri)
    experiment = there.get_experiment_by_name(fake.folder.name)
    found = there.search_runs([experiment.experiment_id])
    return sorted((run.data.tags["impray.sweep"], run.data.tags.get("impray.trial", "")) for run in found)


def assert_one_each(fake, uri=None):
    found = active(fake, uri)
    mine = {sweep for sweep, _ in found}
    assert len(found) == len(set(found)) == len(mine) * (1 + len(fake.trials)), found


@pytest.mark.parametrize("name", ODD)
def test_no_folder_is_left_and_all_can_be_read_back(tmp_path, store, name):
    (tmp_path / "inside").mkdir()
    made = Fake(tmp_path / "inside" / name)
    if name != "50% %20":  # made there, not copied
        shutil.copy(store, made.paths.mlflow)
    made.round(0, 0)
    files.write(made.paths.figures / "width.png", PNG)
    for _ in range(2):
        mlflow.sync(made.folder)
    assert [path.name for path in (tmp_path / "inside").iterdir()] == [name]
    assert_one_each(made)
    parent = runs(made)[None]
    there = client(made)
    assert [each.path for each in there.list_artifacts(parent.info.run_id, "figures")] == ["figures/width.png"]
    copy = there.download_artifacts(parent.info.run_id, "figures/width.png", str(tmp_path))
    assert Path(copy).read_bytes() == PNG
    uri = mlflow.ui_command(made.folder)[mlflow.ui_command(made.folder).index("--backend-store-uri") + 1]
    with sqlite3.connect(uri.removeprefix("sqlite:///")) as opened:  # what the UI is told is the store
        assert opened.execute("SELECT count(*) FROM runs").fetchone()[0] == 3


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def no_database(path):
    path.write_bytes(b"this is no database" * 100)


def empty(path):
    path.write_bytes(b"")


def a_folder(path):
    path.unlink()
    path.mkdir()


def other_database(path):
    path.unlink()
    with sqlite3.connect(path) as made:
        made.execute("CREATE TABLE mine (x)")
    made.close()


def another_point(path):
    """One number of a metric, changed as a flipped bit in the file would."""
    with sqlite3.connect(path) as opened:
        opened.execute("UPDATE metrics SET value = value + 0.125 WHERE key LIKE 'accuracy%' AND step = 0")
    opened.close()


@pytest.mark.parametrize("damage", [cut, no_database, empty, a_folder, other_database, another_point])
def test_an_own_store_that_is_damaged_is_set_aside_and_made_again(fake, store, damage, monkeypatch):
    monkeypatch.setattr(mlflow.store, "_make", lambda path, artifacts: shutil.copy(store, path))
    mlflow.sync(fake.folder)
    right = histories(fake)
    mlflow.store._dispose(mlflow.store_uri(fake.paths, None))
    damage(fake.paths.mlflow)
    mlflow.sync(fake.folder)
    assert histories(fake) == right
    assert_one_each(fake)
    assert any(name.startswith("mlflow.db") for name in files.aside(fake.paths))


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"several\nlines\n", b"other-text", None])
def test_a_damaged_id_doubles_nothing(fake, tmp_path, store, content):
    uri = f"sqlite:///{shutil.copy(store, tmp_path / 'shared.db')}"
    mlflow.rebuild(fake.folder, uri)
    path = fake.paths.mlflow.with_suffix(".id")
    files.write(fake.paths.provenance, json.dumps({"axes": AXES, "id": path.read_text()}).encode())
    path.unlink()
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    mlflow.sync(fake.folder, uri)
    assert_one_each(fake, uri)
    assert len({sweep for sweep, _ in active(fake, uri)}) == 1


def test_runs_that_are_there_twice_go_and_so_do_those_of_no_trial(fake, tmp_path, store):
    uri = f"sqlite:///{shutil.copy(store, tmp_path / 'shared.db')}"
    mlflow.sync(fake.folder, uri)
    there, before = client(fake, uri), runs(fake, uri)
    for run in before.values():  # what a second machine would have made at the same time
        tags = {k: v for k, v in run.data.tags.items() if k.startswith("impray.")}
        there.create_run(run.info.experiment_id, run.info.start_time, tags)
    there.create_run(run.info.experiment_id, 0, {**tags, "impray.trial": "of nobody"})
    mlflow.sync(fake.folder, uri)
    assert_one_each(fake, uri)
    first = histories(fake, uri)
    mlflow.sync(fake.folder, uri)
    assert histories(fake, uri) == first


def test_an_experiment_that_was_deleted_comes_back_without_older_duplicates(fake):
    mlflow.sync(fake.folder)
    fake.round(0, 0, accuracy=0.9)  # makes the export delete a run and make it again
    mlflow.sync(fake.folder)
    there = client(fake)
    there.delete_experiment(there.get_experiment_by_name(fake.folder.name).experiment_id)
    mlflow.sync(fake.folder)
    assert_one_each(fake)
    assert [value for _, value, _ in histories(fake)[fake.trials[0].id, "accuracy/imp"]] == [0.9, 0.55]


@pytest.mark.parametrize("damage", [empty, cut, a_folder, Path.unlink])
def test_a_file_that_is_lost_from_the_artifacts_is_logged_again(fake, damage):
    files.write(fake.paths.figures / "width.png", PNG)
    mlflow.sync(fake.folder)
    logged = [path for path in fake.paths.mlflow_artifacts.rglob("*") if path.is_file()]
    assert sorted(path.name for path in logged) == ["sweep.yaml", "width.png"]
    before = {path: path.read_bytes() for path in logged}
    for path in logged:
        damage(path)
    mlflow.sync(fake.folder)
    assert {path: path.read_bytes() for path in logged} == before


def test_a_store_that_is_full_or_busy_is_not_called_damaged(fake):
    mlflow.sync(fake.folder)
    with sqlite3.connect(fake.paths.mlflow) as opened:
        opened.execute("BEGIN EXCLUSIVE")
        assert mlflow.store.damage(fake.paths.mlflow) is None
        opened.rollback()
    opened.close()


def exporting(*calls):
    """Start `sync(folder, uri)` in a process for each call, at about the same moment; their errors."""
    code = "import sys; from impray.results import mlflow; mlflow.sync(sys.argv[1], sys.argv[2] or None)"
    words = [[sys.executable, "-c", code, str(folder), uri or ""] for folder, uri in calls]
    begun = [
        subprocess.Popen(each, stderr=subprocess.PIPE, text=True, env=os.environ | {"DO_NOT_TRACK": "1"})
        for each in words
    ]
    return [(process.communicate(timeout=120)[1], process.returncode) for process in begun]


def test_two_exports_at_once_leave_one_run_each(fake, tmp_path):
    """Of one folder into its own store, and of two folders into one shared store that is not there yet."""
    other = Fake(tmp_path / "other" / "fake")
    other.round(0, 0)
    shared = f"sqlite:///{tmp_path}/shared.db"
    told = exporting((fake.folder, None), (fake.folder, None), (fake.folder, shared), (other.folder, shared))
    assert [code for _, code in told] == [0, 0, 0, 0], told
    assert_one_each(fake)
    assert_one_each(fake, shared)
    assert len(active(fake, shared)) == 6


def test_a_folder_that_was_copied_keeps_its_own_view(fake, store, tmp_path, monkeypatch):
    monkeypatch.setattr(mlflow.store, "_make", lambda path, artifacts: shutil.copy(store, path))
    mlflow.sync(fake.folder)
    shutil.copytree(fake.folder, tmp_path / "copy")
    copy = Fake.__new__(Fake)
    copy.__dict__.update(fake.__dict__, folder=tmp_path / "copy", paths=Paths(tmp_path / "copy"))
    mlflow.sync(copy.folder)
    assert_one_each(copy)
    assert_one_each(fake)


def test_another_database_than_sqlite_is_not_made(fake):
    with pytest.raises(DataError):
        mlflow.sync(fake.folder, "postgresql://nobody@127.0.0.1:1/nothing")
