"""A sweep into a bucket gives the tables of one into a folder, bit for bit: whole, resumed, under faults, killed, on Ray."""

import os
import subprocess
import sys
import time
import uuid

import pytest
import yaml
from conftest import assert_same_tables, rows_of, sweep_into, timeless, tiny, tiny_sweep
from polars.testing import assert_frame_equal
from s3 import BUCKET

from impray.results import flat
from impray.results.export import export
from impray.results.store import lease as leases
from impray.results.store import opened, within
from impray.results.tables import scan
from impray.spec.errors import DataError, StorageError

ALL = ("rounds", "units", "fates", "masks", "images", "histograms", "trials")
SMALL = {"seeds": 1, "rounds": 2}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "s"
    sweep_into(folder, tiny_sweep(**SMALL))
    return folder


def keys(store, folder):
    return {file.name for file in store.files(folder)}


@pytest.mark.slow
def test_the_tables_are_those_of_a_folder_and_a_second_run_has_nothing_to_do(bucket, whole, s3):
    report, _ = sweep_into(bucket, tiny_sweep(**SMALL))
    assert report.count("done") == report.trials and not report.set_aside
    assert_same_tables(bucket, whole, ALL)
    assert len(bucket.files("tables/rounds")) == 1  # merged
    assert keys(bucket, "") == {"sweep.yaml", "provenance.json", "mlflow.id"}
    before = {file.key: file.stamp for table in bucket.folders("tables") for file in bucket.files(f"tables/{table}")}
    report, _ = sweep_into(bucket, tiny_sweep(**SMALL))
    assert_frame_equal(timeless(flat.flat("quantities", bucket)), timeless(flat.flat("quantities", whole)))
    written = export(bucket, within(bucket, "export"), "parquet")
    assert keys(bucket, "export") == {"export.json", *(part.file.name for part in written)} >= {"rounds.parquet"}
    bucket.file("export/rounds.parquet").write(b"mine")
    with pytest.raises(DataError, match="export/rounds.parquet"):
        export(bucket, within(bucket, "export"), "parquet")
    assert report.ran == 0
    assert before == {
        file.key: file.stamp for table in bucket.folders("tables") for file in bucket.files(f"tables/{table}")
    }


@pytest.mark.slow
def test_more_rounds_and_measures_extend_what_is_there(bucket, tmp_path, s3):
    sweep_into(bucket, tiny_sweep(**SMALL | {"rounds": 1, "measures": ["accuracy"]}))
    sweep_into(bucket, tiny_sweep(**SMALL))
    sweep_into(tmp_path / "s", tiny_sweep(**SMALL | {"rounds": 1, "measures": ["accuracy"]}))
    sweep_into(tmp_path / "s", tiny_sweep(**SMALL))
    assert_same_tables(bucket, tmp_path / "s", ALL)


@pytest.mark.slow
def test_a_damaged_object_is_set_aside_and_made_again(bucket, whole, s3):
    sweep_into(bucket, tiny_sweep(**SMALL))
    (file,) = bucket.files("tables/units")
    content = bytearray(file.read())
    content[len(content) // 2] ^= 1
    file.write(bytes(content))
    with pytest.raises(DataError, match="is damaged"):
        scan("units", bucket).collect()
    report, output = sweep_into(bucket, tiny_sweep(**SMALL))
    assert "set aside as damaged" in output and len(report.set_aside) == 1
    assert_same_tables(bucket, whole, ALL)


@pytest.mark.slow
def test_faults_now_and_then_change_no_number(bucket, whole, s3):
    s3.set(unavailable=0.05, cut_put=0.05, lost_answer=0.05, cut_answer=0.03)
    report, _ = sweep_into(bucket, tiny_sweep(**SMALL))
    s3.set()
    assert report.count("done") == report.trials and s3.happened().total() > 5
    assert_same_tables(bucket, whole, ALL)


@pytest.mark.slow
def test_a_store_that_goes_away_ends_the_sweep_and_running_again_goes_on(bucket, whole, s3, monkeypatch):
    from impray.results.sink import FolderSink
    from impray.results.store import bucket as of_bucket

    monkeypatch.setattr(of_bucket, "GIVE_UP_S", 2)
    monkeypatch.setattr(of_bucket, "REQUEST_S", 2)
    monkeypatch.setattr(leases, "DEAD_S", 1)  # the next driver is this same process
    save, count = FolderSink.save_record, [0]

    def and_away(self, *given):
        save(self, *given)
        count[0] += 1
        if count[0] == 4:
            s3.set(refuse=True)

    with monkeypatch.context() as patched:
        patched.setattr(FolderSink, "save_record", and_away)
        with pytest.raises(StorageError):
            sweep_into(bucket, tiny_sweep(**SMALL))
    s3.set()
    report, _ = sweep_into(bucket, tiny_sweep(**SMALL))
    assert report.count("done") == report.trials and not report.set_aside
    assert_same_tables(bucket, whole, ALL)
    assert rows_of(bucket, "failures").is_empty()


def start(*words):
    command = [sys.executable, "-m", "impray.cli", "sweep", *map(str, words), "--mlflow", "off", "--no-figures"]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


LONG = {"seeds": 1, "rounds": 6, "trial.train": {"steps": 600, "batch": 8}, "search.pack": []}


@pytest.mark.ray
@pytest.mark.slow
def test_a_driver_killed_on_ray_is_followed_at_once_and_no_number_changes(tmp_path, s3):
    file = tmp_path / "long.yaml"
    file.write_text(yaml.safe_dump(tiny(**LONG)))
    out = f"s3://{BUCKET}/runs-{uuid.uuid4().hex[:8]}"
    store = opened(f"{out}/long")
    first = start(file, "--out", out)
    deadline = time.monotonic() + 120
    while len(store.files("tables/rounds")) < 3:
        assert first.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    first.kill()
    first.wait()
    again = start(file, "--out", out)
    output, _ = again.communicate(timeout=200)
    assert again.returncode == 0, output
    sweep_into(tmp_path / "long", tiny_sweep(**LONG))
    assert_same_tables(store, tmp_path / "long", ("rounds", "units", "fates", "trials"))
    answer = subprocess.run(
        [sys.executable, "-m", "impray.cli", "status", store.uri], capture_output=True, text=True, env=os.environ
    )
    assert answer.returncode == 0 and f"are in the tables of {store.uri}" in answer.stdout, answer


@pytest.mark.slow
def test_a_second_driver_is_refused_while_the_first_lives(bucket, whole, s3, monkeypatch):
    monkeypatch.setattr(leases, "BEAT_S", 0.2)
    from impray.results.paths import Paths
    from impray.service import folder
    from impray.spec.errors import SweepError

    with folder.held(Paths(bucket), print), pytest.raises(SweepError, match=f"process {os.getpid()} on "):
        sweep_into(bucket, tiny_sweep(**SMALL))
    report, _ = sweep_into(bucket, tiny_sweep(**SMALL))
    assert report.count("done") == report.trials


@pytest.mark.slow
def test_a_driver_that_lost_its_folder_stops_and_the_next_one_goes_on(bucket, whole, s3, monkeypatch):
    """As one that was stopped for a minute, or cut off from the store."""
    from impray.results.sink import FolderSink

    monkeypatch.setattr(leases, "BEAT_S", 0.05)
    save, count = FolderSink.save_record, [0]

    def and_lose(self, *given):
        save(self, *given)
        count[0] += 1
        if count[0] == 2:
            taken = leases.Lease(bucket, leases.RUNNING, 2, "another")
            assert bucket.create(taken.file.key, taken.content())
            time.sleep(0.5)

    with monkeypatch.context() as patched:
        patched.setattr(FolderSink, "save_record", and_lose)
        with pytest.raises(StorageError, match="another impray sweep has taken this folder over"):
            sweep_into(bucket, tiny_sweep(**SMALL, **{"search.pack": []}))
    monkeypatch.setattr(leases, "DEAD_S", 0.3)
    report, _ = sweep_into(bucket, tiny_sweep(**SMALL))
    assert report.count("done") == report.trials
    assert_same_tables(bucket, whole, ALL)
