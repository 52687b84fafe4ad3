"""A sweep in a bucket: its name lies there, its own MLflow file on this machine, and machines take turns at a store of others."""

import os
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from fake_sweep import Fake
from mlflow import MlflowClient
from s3 import BUCKET

from impray.results import mlflow
from impray.results.mlflow.chosen import VARIABLE
from impray.results.mlflow.identity import identity
from impray.results.paths import Paths
from impray.results.store import opened
from impray.spec.errors import DataError

PNG = b"\x89PNG\r\n\x1a\n"
pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture
def bucket(s3, tmp_path, monkeypatch, request):
    """A sweep's folder in a bucket, one of its three rounds done, and this machine's cache."""
    monkeypatch.setenv("IMPRAY_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv(VARIABLE, raising=False)
    fake = Fake(tmp_path / "fake")
    fake.round(0, 0)
    fake.paths.figure("width.png").write(PNG)
    place = f"s3://{BUCKET}/{request.node.name.partition('[')[0]}/fake"
    for path in fake.folder.rglob("*"):
        if path.is_file():
            opened(place).write(str(path.relative_to(fake.folder)), path.read_bytes())
    return place


def active(uri):
    """(sweep, trial) of each run in a store -> how often."""
    there = MlflowClient(tracking_uri=uri)
    experiment = there.get_experiment_by_name("fake")
    tags = [run.data.tags for run in there.search_runs([experiment.experiment_id])]
    return Counter((of["impray.sweep"], of.get("impray.trial", "")) for of in tags)


@pytest.mark.slow
def test_a_sweep_in_a_bucket_is_exported_once_to_a_file_of_this_machine(bucket, tmp_path):
    assert mlflow.sync(bucket).metrics > 0 and mlflow.sync(bucket).metrics == 0
    paths = Paths(bucket)
    assert paths.mlflow.is_file() and (tmp_path / "cache") in paths.mlflow.parents
    assert str(paths.mlflow) in (mlflow.chosen(bucket, None).said or "")
    assert set(active(mlflow.store_uri(paths, None)).values()) == {1}
    assert [path.read_bytes() for path in paths.mlflow_artifacts.rglob("figures/width.png")] == [PNG]
    names = {file.name for file in opened(bucket).files("")}
    assert names == {"sweep.yaml", "provenance.json", "mlflow.id"}, (
        "no database in the bucket, nor a lease for a file of our own"
    )
    command = mlflow.ui_command(bucket)
    assert mlflow.store_uri(paths, None) in command and "viewStateShareKey" in mlflow.ui_page(bucket)


@pytest.mark.slow
def test_two_buckets_have_two_files(bucket):
    assert Paths(bucket).mlflow != Paths(bucket.replace("/fake", "/other/fake")).mlflow


@pytest.mark.slow
def test_machines_at_once_agree_on_the_sweeps_name(bucket):
    gate = threading.Barrier(8)

    def name(_):
        paths = Paths(bucket)
        gate.wait()
        return identity(paths)

    with ThreadPoolExecutor(8) as pool:
        names = set(pool.map(name, range(8)))
    assert names == {opened(bucket).read("mlflow.id").decode()}


def test_machines_take_turns_at_a_store_that_others_see(bucket, tmp_path, monkeypatch):
    uri, at_once, inside = f"sqlite:///{tmp_path}/shared.db", [], []
    export = mlflow._sync_now

    def counted(*args):
        inside.append(1)
        at_once.append(len(inside))
        try:
            return export(*args)
        finally:
            inside.pop()

    monkeypatch.setattr(mlflow, "_sync_now", counted)
    monkeypatch.setattr(
        mlflow.place.files, "locked", lambda *args, **more: threading.Lock()
    )  # each a machine of its own
    with ThreadPoolExecutor(3) as pool:
        for done in [pool.submit(mlflow.sync, bucket, uri) for _ in range(3)]:
            done.result()
    assert at_once == [1, 1, 1]
    assert set(active(uri).values()) == {1} and len(active(uri)) == 3


def test_a_reader_who_may_not_write_into_the_bucket_exports_to_a_store(bucket, tmp_path, monkeypatch):
    from impray.results.store.bucket import Bucket
    from impray.spec.errors import StorageError

    identity(Paths(bucket))

    def refuse(self, key, *_):
        raise StorageError(f"{key}: access denied")

    for name in ("write", "create"):
        monkeypatch.setattr(Bucket, name, refuse)
    for uri in (f"sqlite:///{tmp_path}/shared.db", None):
        assert mlflow.sync(bucket, uri).metrics > 0


def test_no_such_folder_in_a_bucket_is_an_error_of_ours(bucket):
    with pytest.raises(DataError, match="no such folder"):
        mlflow.sync(bucket + "r")
    assert not os.path.exists(Paths(bucket + "r").disk)
