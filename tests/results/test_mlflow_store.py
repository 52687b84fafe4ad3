"""However an export is disturbed, and wherever its folder lies: one run per trial, and nothing outside the folder."""

import random
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing

import pytest
from fake_sweep import Fake, client, contents, histories, runs
from mlflow import MlflowClient

from impray.results import files, mlflow
from impray.results.mlflow import store as making
from impray.spec.errors import DataError

PNG = b"\x89PNG\r\n\x1a\n"
pytestmark = pytest.mark.usefixtures("quick")

WRITES = (
    "create_run",
    "set_experiment_tag",
    "log_batch",
    "set_tag",
    "log_artifact",
    "set_terminated",
    "update_run",
    "delete_run",
)

EXPORT = """
import sys
import mlflow, mlflow.store.tracking.sqlalchemy_store
from impray.results import mlflow as exporter
print("ready", flush=True)
sys.stdin.readline()
folder, uri = sys.argv[1:]
exporter.sync(folder, uri)
exporter.sync(folder)
"""


def active(folder, uri=None):
    """(sweep, trial) of each run that a reader sees; the sweep's own has no trial."""
    there = MlflowClient(tracking_uri=mlflow.store_uri(mlflow.place.paths_of(folder), uri))
    experiment = there.get_experiment_by_name(folder.name)
    tags = [run.data.tags for run in there.search_runs([experiment.experiment_id])]
    return sorted((of["impray.sweep"], of.get("impray.trial", "")) for of in tags)


def one_each(fake, uri=None):
    found = Counter(active(fake.folder, uri))
    return len(found) == len(fake.trials) + 1 and set(found.values()) == {1}


def query(fake, text, *values):
    with closing(sqlite3.connect(fake.paths.mlflow)) as database, database:
        return database.execute(text, values).fetchall()


# -- two at once ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_exports_at_once_to_one_fresh_store_make_one_run_each(tmp_path):
    sweeps = [Fake(tmp_path / "a", gains=(0.5, 2.0)), Fake(tmp_path / "b", gains=(0.5,))]
    for fake in sweeps:
        fake.round(0, 0)
        making._migrate(fake.paths.mlflow, fake.paths.mlflow_artifacts)  # the shared one is made by MLflow itself
    uri = f"sqlite:///{tmp_path}/shared.db"
    command = [sys.executable, "-c", EXPORT]
    exports = [
        subprocess.Popen(
            [*command, str(fake.folder), uri],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for fake in (sweeps[0], *sweeps)
    ]
    for export in exports:
        assert export.stdout and export.stdout.readline() == "ready\n"
    for export in exports:
        assert export.stdin
        export.stdin.write("\n")
        export.stdin.flush()
    for export in exports:
        _, errors = export.communicate(timeout=60)
        assert (export.returncode, errors) == (0, "")
    assert all(one_each(fake, to) for fake in sweeps for to in (uri, None))


def test_a_second_export_waits_and_a_server_takes_exports_from_a_folder_without_a_lock(fake):
    with mlflow.place.exclusive(fake.paths, None), files.locked(fake.paths.mlflow_lock, wait=False) as free:
        assert not free
    fake.paths.mlflow_lock.unlink()
    fake.paths.mlflow_lock.mkdir()
    with pytest.raises(DataError, match=r"mlflow\.lock"), mlflow.place.exclusive(fake.paths, None):
        pass
    for uri, reading in ((None, True), ("http://127.0.0.1:1", False)):
        with mlflow.place.exclusive(fake.paths, uri, reading=reading):
            pass


def test_surplus_runs_are_removed_and_the_same_one_is_kept_everywhere(fake, tmp_path, store):
    shutil.copy(store, tmp_path / "shared.db")
    uri = f"sqlite:///{tmp_path}/shared.db"
    mlflow.sync(fake.folder, uri)
    there = client(fake, uri)
    for run in runs(fake, uri).values():
        there.create_run(run.info.experiment_id, 1, run.data.tags)
    ids = {trial: [] for trial in runs(fake, uri)}
    for run in there.search_runs([mlflow.prepare(fake.folder, uri)]):
        ids[run.data.tags.get("impray.trial")].append(run.info.run_id)
    mlflow.sync(fake.folder, uri)
    assert one_each(fake, uri)
    after = {trial: run.info.run_id for trial, run in runs(fake, uri).items()}
    # A kept one without parameters cannot differ from what is wanted: it is filled, not made again.
    assert after == {trial: min(of) for trial, of in ids.items()}
    assert mlflow.sync(fake.folder, uri).metrics == 0


@pytest.mark.some(1)
@pytest.mark.parametrize("shared", [False, True])
def test_an_experiment_deleted_and_restored_brings_no_replaced_run_back(fake, tmp_path, store, shared):
    shutil.copy(store, tmp_path / "shared.db")
    uri = f"sqlite:///{tmp_path}/shared.db" if shared else None
    for accuracy in (0.1, 0.2, 0.3):
        fake.round(0, 0, file=f"{accuracy:.0%}"[:-1], accuracy=accuracy)
        mlflow.sync(fake.folder, uri)
    there = client(fake, uri)
    there.delete_experiment(mlflow.prepare(fake.folder, uri))
    mlflow.sync(fake.folder, uri)
    assert one_each(fake, uri)
    after = histories(fake, uri)
    assert [value for _, value, _ in after[fake.trials[0].id, "accuracy/imp"]] == [0.3]


# -- places -----------------------------------------------------------------------------------------------------------


@pytest.mark.some(2)
@pytest.mark.parametrize("name", ['it\'s "q"', "a?b=c/d", "50%20%", "a#b & c", "ü [x] dots.."])
def test_nothing_is_written_outside_a_folder_whatever_its_name(tmp_path, monkeypatch, store, name):
    monkeypatch.chdir(tmp_path)
    fake = Fake(tmp_path / name)
    fake.round(0, 0)
    fake.paths.figure("width.png").write(PNG)
    mlflow.sync(fake.folder)
    assert mlflow.sync(fake.folder).metrics == 0
    assert one_each(fake)
    command = mlflow.ui_command(fake.folder)
    there = MlflowClient(tracking_uri=command[command.index("--backend-store-uri") + 1])
    (parent,) = [run for run in there.search_runs([mlflow.prepare(fake.folder)]) if "impray.trial" not in run.data.tags]
    assert {file.path for file in there.list_artifacts(parent.info.run_id)} == {"figures", "sweep.yaml"}
    (png,) = fake.paths.mlflow_artifacts.rglob("width.png")
    assert png.read_bytes() == PNG
    assert [path.name for path in tmp_path.iterdir()] == [name.partition("/")[0]]


@pytest.mark.parametrize("name", ["shared.db", "a b%20#'.db", "a?b.db"])
def test_a_given_store_is_the_file_that_sqlalchemy_opens(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "folder" / name
    uri = mlflow.place.spelled(path)
    assert mlflow.place.file_of(uri) == path
    assert mlflow.place.file_of("sqlite:///folder/x.db") == tmp_path / "folder" / "x.db"
    assert mlflow.place.file_of("http://127.0.0.1:5000") is None and mlflow.place.file_of("sqlite://") is None
    with pytest.raises(DataError, match="options"):
        mlflow.place.file_of("sqlite:////tmp/a?b/c.db")


# -- damage -----------------------------------------------------------------------------------------------------------


def emptied(path):
    path.write_bytes(b"")


def truncated(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def no_database(path):
    path.write_bytes(b"this is no database" * 100)


def a_folder(path):
    path.unlink()
    path.mkdir()
    (path / "x").write_text("x")


def gone(path):
    path.unlink()


def binary(path):
    path.write_bytes(b"\xff\xfe\x00")


def other_text(path):
    path.write_text("see README\n")


@pytest.mark.some(2)
@pytest.mark.parametrize("damage", [emptied, truncated, no_database, a_folder])
@pytest.mark.parametrize("call", [mlflow.sync, mlflow.prepare])
def test_a_damaged_store_of_the_folder_is_set_aside_and_made_again(fake, damage, call):
    mlflow.sync(fake.folder)
    points, seen, lines = histories(fake), contents(fake), []
    damage(fake.paths.mlflow)
    call(fake.folder, say=lines.append)
    assert histories(fake) == points and contents(fake) == seen
    assert len(lines) == 1 and str(fake.paths.mlflow) in lines[0]
    assert [path.name for path in fake.paths.damaged()][0].startswith("mlflow.db")
    mlflow.sync(fake.folder, say=lines.append)
    assert len(lines) == 1


@pytest.mark.some(2)
@pytest.mark.parametrize(
    "change",
    [
        "update metrics set value = value + 0.001 where key = 'accuracy/imp'",
        "update latest_metrics set value = 0 where key = 'accuracy/random'",
        "update metrics set step = step + 8 where key = 'density/imp'",
        "update params set value = '7' where key = 'rounds'",
        "delete from metrics where key = 'accuracy/imp'",
        "update tags set key = 'impray.swaep' where key = 'impray.sweep'",
        "update runs set lifecycle_stage = 'deleted'",
        "update alembic_version set version_num = 'x'",
    ],
)
def test_whatever_is_stored_wrongly_is_found(fake, change):
    mlflow.sync(fake.folder)
    points, seen = histories(fake), contents(fake)
    query(fake, change)
    mlflow.sync(fake.folder)
    assert histories(fake) == points and contents(fake) == seen
    assert one_each(fake)


@pytest.mark.slow
def test_flipped_bits_anywhere_leave_the_view_as_it_was(fake):
    mlflow.sync(fake.folder)
    points, seen = histories(fake), contents(fake)
    whole, draw = fake.paths.mlflow.read_bytes(), random.Random(0)
    for _ in range(12):
        bits = bytearray(whole)
        for _ in range(20):
            bits[draw.randrange(len(bits))] ^= 1 << draw.randrange(8)
        fake.paths.mlflow.write_bytes(bits)
        mlflow.sync(fake.folder)
        assert {key: [at[:2] for at in of] for key, of in histories(fake).items()} == {
            key: [at[:2] for at in of] for key, of in points.items()
        }
        assert contents(fake) == seen


@pytest.mark.some(2)
@pytest.mark.parametrize("damage", [gone, emptied, binary, other_text, a_folder])
def test_a_lost_identity_is_read_off_the_store(fake, damage):
    mlflow.sync(fake.folder)
    before, ids = fake.paths.mlflow_id.path.read_text(), {run.info.run_id for run in runs(fake).values()}
    damage(fake.paths.mlflow_id.path)
    mlflow.sync(fake.folder)
    assert fake.paths.mlflow_id.path.read_text() == before
    assert {run.info.run_id for run in runs(fake).values()} == ids


def test_a_folder_that_was_moved_keeps_its_identity_and_its_view(fake):
    mlflow.sync(fake.folder)
    before = fake.paths.mlflow_id.path.read_text()
    moved = Fake(fake.folder.rename(fake.folder.parent / "elsewhere"))
    mlflow.prepare(moved.folder)
    assert one_each(moved)
    assert {sweep for sweep, _ in active(moved.folder)} == {before}


def test_a_file_in_use_is_told_and_not_replaced(fake, monkeypatch):
    mlflow.sync(fake.folder)
    for said in ("database or disk is full", "attempt to write a readonly database", "database is locked"):

        def fail(*args, said=said, **more):
            from mlflow.exceptions import MlflowException

            raise MlflowException(f"(sqlite3.OperationalError) {said}")

        monkeypatch.setattr(MlflowClient, "search_runs", fail)
        with pytest.raises(DataError, match=said):
            mlflow.sync(fake.folder)
    assert not fake.paths.damaged()


def test_artifacts_that_were_lost_are_logged_again(fake):
    fake.paths.figure("width.png").write(PNG)
    mlflow.sync(fake.folder)
    shutil.rmtree(fake.paths.mlflow_artifacts)
    mlflow.sync(fake.folder)
    assert [path.read_bytes() for path in fake.paths.mlflow_artifacts.rglob("width.png")] == [PNG]


# -- interruptions ----------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """What nothing catches."""


def kill_at(monkeypatch, n):
    """Stop before the n-th write from now on; False once there are fewer."""
    left = [n]

    def counted(write):
        def call(*args, **more):
            left[0] -= 1
            if left[0] == 0:
                raise Killed
            return write(*args, **more)

        return call

    for name in WRITES:
        monkeypatch.setattr(MlflowClient, name, counted(getattr(MlflowClient, name)))


@pytest.mark.slow
@pytest.mark.parametrize("call", [mlflow.sync, mlflow.rebuild])
def test_an_export_killed_before_any_of_its_writes_is_finished_by_the_next(monkeypatch, tmp_path, call):
    fake = Fake(tmp_path / "fake", gains=(0.5,))
    fake.round(0, 0)
    uri = f"sqlite:///{tmp_path}/shared.db"
    fake.trial(0, "done")
    mlflow.sync(fake.folder, uri)
    points = histories(fake, uri)
    for n in range(1, 40):
        if call is mlflow.sync:
            mlflow.rebuild(fake.folder, uri)
            for run in runs(fake, uri).values():
                client(fake, uri).delete_run(run.info.run_id)
        with monkeypatch.context() as patch:
            kill_at(patch, n)
            try:
                call(fake.folder, uri)
                break
            except Killed:
                pass
        mlflow.sync(fake.folder, uri)
        assert one_each(fake, uri)
        assert histories(fake, uri) == points
    else:
        pytest.fail("more writes than expected")
    assert n > 10
