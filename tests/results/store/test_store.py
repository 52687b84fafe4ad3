"""A folder and a bucket answer alike."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import heavier

from impray.results.store import File, Folder, above, opened, problems, within
from impray.results.store import bucket as of_bucket
from impray.spec.errors import DataError, StorageError, SweepError


def test_what_is_written_is_read_and_listed(store):
    assert not store.exists() and store.read("a") is None and store.files("tables/rounds") == []
    store.write("tables/rounds/b", b"one")
    store.write("tables/rounds/a", b"two")
    store.write("tables/rounds/deeper/c", b"three")
    store.write("tables/rounds-x", b"four")
    assert store.exists() and store.read("tables/rounds/b") == b"one"
    files = [file for file in store.files("tables/rounds") if file.is_file()]
    assert files == [File(store, "tables/rounds/a"), File(store, "tables/rounds/b")]
    assert [file.read() for file in files] == [b"two", b"one"] and files[0].folder == "rounds"
    assert store.folders() == ["tables"] and "deeper" in store.folders("tables/rounds")
    store.write("tables/rounds/b", b"other")
    assert store.read("tables/rounds/b") == b"other"
    store.delete("tables/rounds/b")
    store.delete("tables/rounds/b")
    assert store.read("tables/rounds/b") is None and not store.has("tables/rounds/b")


def test_names_are_found_by_how_they_start(store):
    names = ["all-1", "b-", "b-0", "b-00", "b-1", "b0", "b.1", "c-1", "rows-b-1", "~"]
    for name in names:
        store.write(f"t/{name}", b"")
    for starts in (["b-"], ["b"], ["c-", "b-0"], ["rows-b-", "b-", "all-"], ["zz"], ["~"], ["", "b-"], ["b-", "b-0"]):
        found = [file.name for file in store.files("t", starts)]
        assert found == sorted(name for name in names if name.startswith(tuple(starts)))


def test_a_listing_of_many_pages_is_whole(bucket):
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda n: bucket.write(f"t/{n:04d}", b""), range(1103)))
    assert [file.name for file in bucket.files("t")] == [f"{n:04d}" for n in range(1103)]
    assert [file.name for file in bucket.files("t", ["109"])] == [f"{n:04d}" for n in range(1090, 1100)]


def test_a_stamp_changes_with_the_file(store):
    assert store.stamp("a") is None
    store.write("a", b"one")
    (listed,) = [file for file in store.files("") if file.name == "a"]
    first = listed.stamp
    assert first is not None and first == store.stamp("a")
    store.write("a", b"another")
    assert store.stamp("a") != first


def test_what_was_read_before_is_given_only_for_its_stamp(bucket):
    bucket.write("tables/a", b"one")
    (old,) = bucket.files("tables")
    assert old.read() == b"one"
    bucket.write("tables/a", b"two")
    (new,) = bucket.files("tables")
    assert new.read() == b"two" and bucket.read("tables/a") == b"two"


def test_no_more_is_kept_in_memory_than_allowed(bucket, monkeypatch):
    monkeypatch.setattr(of_bucket, "KEPT_BYTES", 250)
    for n in range(5):
        bucket.write(f"tables/{n}", bytes(100))
    assert [len(content) for content in bucket.sources(bucket.files("tables"))] == [100] * 5
    assert sum(len(content) for _, content in bucket._kept.values()) <= 250


def test_of_several_that_create_a_file_one_is_told_so(store):
    for n in range(10):
        with ThreadPoolExecutor(8) as pool:
            won = list(pool.map(lambda who, n=n: who if store.create(f"lease-{n}", b"%d" % who) else None, range(8)))
        (winner,) = [who for who in won if who is not None]
        assert store.read(f"lease-{n}") == b"%d" % winner


def test_where_no_links_are_made_one_still_wins(tmp_path, monkeypatch):
    def link(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", link)
    store = Folder(tmp_path)
    assert store.create("a", b"one") and not store.create("a", b"two") and store.read("a") == b"one"
    assert [file.name for file in store.files("")] == ["a"]


def test_a_file_moves_whole_and_once(store):
    store.write("a", b"one")
    store.move("a", "damaged/a")
    store.move("a", "damaged/a")
    assert not store.has("a") and store.read("damaged/a") == b"one"


def test_sources_are_none_where_a_file_has_gone(store):
    store.write("tables/a", b"one")
    gone = File(store, "tables/b")
    assert store.sources([gone]) is None and store.sources([File(store, "tables/a")]) is not None


def test_locks_are_of_the_kernel_or_none(store, tmp_path):
    with store.lock("a.lock") as held:
        if store.local is None:
            assert held is None
            return
        assert held is True
        with store.lock("a.lock", wait=False) as second:
            assert second is False


@pytest.mark.parametrize("number", ["ENOLCK", "EOPNOTSUPP"])
def test_a_file_system_without_locks_says_so(tmp_path, monkeypatch, number):
    import errno

    def flock(*_):
        raise OSError(getattr(errno, number), "no locks")

    monkeypatch.setattr("fcntl.flock", flock)
    with opened(tmp_path).lock("a.lock") as held:
        assert held is None


# -- places -----------------------------------------------------------------------------------------------------------


def test_places_are_typed_as_a_person_would(tmp_path):
    assert within("s3://b/runs/", "x") == "s3://b/runs/x" and within(tmp_path, "x") == tmp_path / "x"
    assert above(opened("s3://b/runs/x")) == "s3://b/runs" and above(opened(tmp_path / "x")) == str(tmp_path)
    assert opened("gs://b/runs/x/").name == "x" and opened(tmp_path / "it's [a]").name == "it's [a]"
    assert opened("s3://b/x").place("sweep.yaml") == "s3://b/x/sweep.yaml"
    assert opened("s3://b/x") == opened("s3://b/x/") != opened("s3://b/y")


@pytest.mark.parametrize(
    "place", ["ftp://b/x", "s3://", "s3:///x", "s3://key:secret@b/x", "s3://b/x?endpoint=y", "http://b/x"]
)
def test_what_is_no_place_is_told(place):
    (wrong,) = problems("--out", place)
    assert "secret" not in str(wrong)
    with pytest.raises(SweepError):
        opened(place)


# -- faults -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def hasty(monkeypatch):
    """Gives up after seconds, not after a minute."""
    monkeypatch.setattr(of_bucket, "GIVE_UP_S", 3)
    monkeypatch.setattr(of_bucket, "REQUEST_S", 2)


@pytest.mark.parametrize(
    "kind", heavier(["unavailable", "cut_put", "lost_answer", "cut_answer"], ["cut_put", "lost_answer"])
)
def test_what_goes_wrong_now_and_then_changes_nothing(bucket, s3, kind):
    s3.set(**{kind: 0.3})
    for n in range(30):
        bucket.write(f"tables/{n:02d}", b"%d" % n * 1000)
    assert [bucket.read(f"tables/{n:02d}") for n in range(30)] == [b"%d" % n * 1000 for n in range(30)]
    assert len(bucket.files("tables")) == 30
    assert s3.happened()[kind] > 0


@pytest.mark.parametrize("kind", ["lost_answer", "cut_put", "unavailable"])
def test_who_created_a_file_knows_it_also_when_the_answer_was_lost(bucket, s3, kind, monkeypatch):
    monkeypatch.setattr(of_bucket, "RETRY_S", 0.02)
    s3.set(**{kind: 0.5})
    assert [bucket.create(f"lease-{n}", b"%d" % n) for n in range(6)] == [True] * 6
    assert [bucket.create(f"lease-{n}", b"other") for n in range(6)] == [False] * 6
    assert s3.happened()[kind] > 0


def test_a_put_that_breaks_off_leaves_no_part_of_a_file(bucket, s3, hasty):
    bucket.write("tables/a", b"old" * 10_000)
    s3.set(cut_put=1.0)
    with pytest.raises(StorageError, match="tables/a: cannot be written"):
        bucket.write("tables/a", b"new" * 10_000)
    with pytest.raises(StorageError):
        bucket.write("tables/b", b"new" * 10_000)
    s3.set()
    assert bucket.read("tables/a") == b"old" * 10_000 and bucket.read("tables/b") is None


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"refuse": True}, marks=pytest.mark.slow),
        {"unavailable": 1.0},
        pytest.param({"hang": 1.0}, marks=pytest.mark.slow),
    ],
)
def test_a_store_that_stays_away_is_told_in_one_line(bucket, s3, hasty, fault):
    s3.set(**fault)
    for call, kind in ((lambda: bucket.write("a", b"1"), StorageError), (lambda: bucket.read("a"), DataError)):
        with pytest.raises(kind) as told:
            call()
        assert "\n" not in str(told.value) and str(told.value).startswith(f"{bucket.uri}/a: cannot be ")


def test_a_bucket_that_is_not_there_is_told(s3):
    with pytest.raises(DataError, match="no such bucket"):
        opened("s3://no-such-bucket/x").read("a")
    with pytest.raises(StorageError, match="no such bucket"):
        opened("s3://no-such-bucket/x").write("a", b"")


@pytest.mark.parametrize("endpoint", ["127.0.0.1:9000", "ftp://h", "h"])
def test_an_endpoint_that_is_no_address_is_told(monkeypatch, endpoint):
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    with pytest.raises(SweepError, match="must start with http"):
        opened("s3://bucket/x").read("a")


def test_one_process_has_one_store_per_place_and_endpoint(bucket, monkeypatch):
    assert opened(bucket.uri) is opened(f"{bucket.uri}/")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert opened(bucket.uri) is not bucket
