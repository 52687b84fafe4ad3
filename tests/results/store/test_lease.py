"""One holder at a time, on any store; ties have one winner; who dies is followed, who is slow finds out."""

import json
import os
import subprocess
import sys
import threading
import time

import pytest

from impray.processes import place
from impray.results.store import bucket as of_bucket
from impray.results.store import lease as leases
from impray.results.store import opened
from impray.results.store.lease import lease, still
from impray.spec.errors import StorageError

ELSEWHERE = {"host": "elsewhere", "boot": "other", "pids": "other", "pid": 1, "started": "1", "beat": 1, "free": False}


@pytest.fixture
def fast(monkeypatch):
    monkeypatch.setattr(leases, "BEAT_S", 0.1)
    monkeypatch.setattr(leases, "DEAD_S", 0.8)


def test_one_holds_it_and_the_next_has_a_higher_epoch(store, fast):
    with lease(store, "running") as first:
        with lease(store, "running", wait=False) as second:
            assert isinstance(second, str) and str(os.getpid()) in second
        assert first.ours() and still(store, "running", first.epoch)
    with lease(store, "running", wait=False) as third:
        assert third.epoch == first.epoch + 1 and not still(store, "running", first.epoch) and not first.ours()


def test_leases_of_other_names_are_free(store, fast):
    with (
        lease(store, "trunk-a"),
        lease(store, "trunk-ab", wait=False) as other,
        lease(store, "trunk", wait=False) as third,
    ):
        assert other.epoch == third.epoch == 1


def test_never_two_at_once(store, fast):
    inside, most, order = [], [], []

    def work(who):
        for _ in range(3):
            with lease(store, "x") as held:
                inside.append(who)
                most.append(len(inside))
                order.append(held.epoch)
                time.sleep(0.02)
                inside.remove(who)

    threads = [threading.Thread(target=work, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 12 and order == list(range(1, 13))


def test_a_dead_holder_elsewhere_is_followed_when_its_file_has_stayed_the_same(store, fast):
    store.write("leases/x-000000007.json", json.dumps(ELSEWHERE).encode())
    start = time.monotonic()
    said = []
    with lease(store, "x", wait=False, say=said.append) as held:
        assert held.epoch == 8 and time.monotonic() - start >= leases.DEAD_S
    assert len(said) == 1 and "process 1 on elsewhere" in said[0]


def test_a_living_holder_elsewhere_is_told_at_its_next_beat(store, fast):
    stop = threading.Event()

    def beats():
        n = 0
        while not stop.wait(0.15):
            n += 1
            store.write("leases/x-000000007.json", json.dumps({**ELSEWHERE, "beat": n}).encode())

    store.write("leases/x-000000007.json", json.dumps(ELSEWHERE).encode())
    thread = threading.Thread(target=beats)
    thread.start()
    try:
        with lease(store, "x", wait=False) as held:
            assert held == "process 1 on elsewhere"
    finally:
        stop.set()
        thread.join()


def test_a_process_of_this_machine_that_was_killed_is_followed_at_once(tmp_path):
    """With the real times: nothing is waited for."""
    code = """
import sys, time
from impray.results.store import opened
from impray.results.store.lease import lease
with lease(opened(sys.argv[1]), "x"):
    print("held", flush=True)
    time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline() == b"held\n"
        store = opened(tmp_path)
        with lease(store, "x", wait=False) as held:
            pass
        assert isinstance(held, str)  # it lives
        process.kill()
        start = time.monotonic()
        with lease(store, "x", wait=False) as held:  # not even waited for by its parent yet
            assert held.epoch == 2 and time.monotonic() - start < 2
    finally:
        process.kill()
        process.wait()


def test_with_the_kernels_lock_held_a_holder_of_this_machine_is_dead(tmp_path, store):
    who = {**ELSEWHERE, **{name: place()[name] for name in ("host", "boot")}}
    store.write("leases/x-000000001.json", json.dumps(who).encode())
    with lease(store, "x", wait=False, alone=True) as held:
        assert held.epoch == 2


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff\xfe", json.dumps(ELSEWHERE).encode()[:-5]])
def test_a_damaged_file_holds_nobody_up_for_long(store, fast, content):
    store.write("leases/x-000000001.json", content)
    with lease(store, "x", wait=False) as held:
        assert held.epoch == 2


def test_a_folder_in_its_place_holds_nobody_up(tmp_path, fast):
    (tmp_path / "leases" / "x-000000001.json").mkdir(parents=True)
    with lease(opened(tmp_path), "x", wait=False) as held:
        assert held.epoch == 2


def test_a_holder_that_was_slow_finds_out_and_leaves_the_next_one_alone(store, fast):
    with lease(store, "x") as slow:
        taken = leases.Lease(store, "x", slow.epoch + 1, "another")
        assert store.create(taken.file.key, taken.content())
        time.sleep(3 * leases.BEAT_S)
        assert slow.lost and not slow.ours() and taken.ours()
    assert not json.loads(taken.file.read())["free"]


def test_silence_of_the_store_robs_nobody(bucket, s3, fast, monkeypatch):
    monkeypatch.setattr(of_bucket, "GIVE_UP_S", 1)
    monkeypatch.setattr(of_bucket, "REQUEST_S", 1)
    with lease(bucket, "x") as held:
        s3.set(refuse=True)
        time.sleep(0.5)
        assert held.ours() and still(bucket, "x", held.epoch)
        with pytest.raises(StorageError):
            bucket.write("a", b"")
        s3.set()
        assert held.ours()
    assert json.loads(held.file.read())["free"]


def test_faults_give_nobody_a_second_lease(bucket, s3, fast, monkeypatch):
    monkeypatch.setattr(of_bucket, "RETRY_S", 0.02)
    s3.set(lost_answer=0.3, unavailable=0.2, cut_put=0.1)
    epochs = []
    for _ in range(4):
        with lease(bucket, "x") as held:
            epochs.append(held.epoch)
    s3.set()
    assert epochs == sorted(set(epochs)) and s3.happened().total() > 0


def test_only_the_last_files_stay(store, fast):
    for _ in range(5):
        with lease(store, "x"):
            pass
    assert [file.name for file in store.files("leases")] == ["x-000000004.json", "x-000000005.json"]


# -- those who work for the holder ------------------------------------------------------------------------------------


@pytest.fixture
def impatient(fast, monkeypatch):
    monkeypatch.setattr(leases, "ORPHAN_S", 0.6)


def test_workers_see_that_the_holder_beats(store, impatient):
    with lease(store, "x") as held:
        watch = leases.Watch(store, "x", held.epoch)
        end = time.monotonic() + 3 * leases.ORPHAN_S
        while time.monotonic() < end:
            assert watch.lives()
            time.sleep(0.05)


def test_workers_of_a_holder_that_is_silent_see_it(store, impatient):
    store.write("leases/x-000000001.json", json.dumps(ELSEWHERE).encode())
    watch = leases.Watch(store, "x", 1)
    assert watch.lives()
    time.sleep(leases.ORPHAN_S + 0.1)
    assert not watch.lives()


def test_workers_of_a_holder_that_has_a_successor_see_it_at_once(store, impatient):
    with lease(store, "x") as held:
        watch = leases.Watch(store, "x", held.epoch)
        taken = leases.Lease(store, "x", held.epoch + 1, "another")
        assert watch.lives() and store.create(taken.file.key, taken.content())
        assert not watch.lives()


def test_workers_do_not_take_a_silent_store_for_a_dead_holder(bucket, s3, impatient, monkeypatch):
    monkeypatch.setattr(of_bucket, "GIVE_UP_S", 1)
    monkeypatch.setattr(of_bucket, "REQUEST_S", 1)
    bucket.write("leases/x-000000001.json", json.dumps(ELSEWHERE).encode())
    watch = leases.Watch(bucket, "x", 1)
    assert watch.lives()
    s3.set(refuse=True)
    assert watch.lives() and watch.lives()
    s3.set()
    assert watch.lives()
