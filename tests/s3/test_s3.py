"""The server does what leases need of S3, and the proxy does what it says."""

from __future__ import annotations

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import obstore
import pytest
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import S3Store

from s3 import BUCKET, faulty, served


def client(server, retries: int = 0, timeout_s: float = 5.0) -> S3Store:
    return S3Store(
        BUCKET,
        endpoint=server.endpoint,
        access_key_id="a",
        secret_access_key="b",
        region="us-east-1",
        client_options={"allow_http": True, "timeout": timedelta(seconds=timeout_s)},
        retry_config={"max_retries": retries},
    )


@pytest.fixture(scope="module")
def server():
    with served() as server:
        yield server


@pytest.fixture(scope="module")
def one_proxy(server):
    with faulty(server, seed=1) as proxy:
        yield proxy


@pytest.fixture
def proxy(one_proxy):
    one_proxy.set()
    time.sleep(0.1)
    yield one_proxy
    one_proxy.set()


def switch(proxy, **faults):
    proxy.set(**faults)
    time.sleep(0.1)


def names(store, prefix: str) -> list[str]:
    return sorted(file["path"] for file in obstore.list(store, prefix).collect())


def test_of_many_that_create_one_object_exactly_one_wins(server):
    store = client(server)

    def created(place: tuple[str, int]) -> bool:
        try:
            obstore.put(store, place[0], str(place[1]).encode(), mode="create")
        except AlreadyExistsError:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        for turn in range(20):
            won = list(pool.map(created, [(f"created/{turn}", index) for index in range(16)]))
            assert sum(won) == 1
            assert bytes(obstore.get(store, f"created/{turn}").bytes()) == str(won.index(True)).encode()


def test_what_is_written_is_listed_and_what_is_deleted_is_not(server):
    store = client(server)
    for index in range(30):
        obstore.put(store, f"listed/{index:02}", b"x")
        assert len(names(store, "listed/")) == index + 1
    for index in range(30):
        obstore.delete(store, f"listed/{index:02}")
        assert len(names(store, "listed/")) == 29 - index


def test_half_a_put_leaves_nothing(server):
    host, port = server.endpoint.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as half:
        half.sendall(f"PUT /{BUCKET}/half/x HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n".encode() + b"y" * 500)
    time.sleep(0.2)
    assert names(client(server), "half/") == []


def test_without_faults_the_proxy_changes_nothing(proxy):
    store, content = client(proxy), bytes(range(256)) * 5000
    obstore.put(store, "through/a", content)
    assert bytes(obstore.get(store, "through/a").bytes()) == content
    assert bytes(obstore.get_range(store, "through/a", start=300, end=400)) == content[300:400]
    assert obstore.head(store, "through/a")["size"] == len(content)
    assert names(store, "through/") == ["through/a"]
    with pytest.raises(FileNotFoundError):
        obstore.get(store, "through/b")


@pytest.mark.parametrize("kind, written", [("unavailable", False), ("cut_put", False), ("lost_answer", True)])
def test_a_fault_befalls_a_put_and_leaves_what_it_says(proxy, server, kind, written):
    before = proxy.happened()[kind]
    switch(proxy, **{kind: 1.0})
    with pytest.raises(BaseError):
        obstore.put(client(proxy), f"{kind}/x", b"y" * 100_000)
    assert proxy.happened()[kind] == before + 1
    assert names(client(server), f"{kind}/") == ([f"{kind}/x"] if written else [])


def test_an_answer_that_breaks_off_is_an_error_and_not_a_short_object(proxy, server):
    obstore.put(client(server), "cut/x", b"y" * 100_000)
    switch(proxy, cut_answer=1.0)
    with pytest.raises((BaseError, OSError)):
        obstore.get(client(proxy), "cut/x").bytes()


def test_a_server_that_hangs_makes_the_client_time_out(proxy):
    switch(proxy, hang=1.0, hang_s=30)
    start = time.monotonic()
    with pytest.raises(BaseError):
        obstore.put(client(proxy, timeout_s=0.5), "hang/x", b"y")
    assert time.monotonic() - start < 10


def test_connections_are_refused_and_taken_again(proxy):
    switch(proxy, refuse=True)
    host, port = proxy.endpoint.removeprefix("http://").split(":")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=2)
    switch(proxy)
    obstore.put(client(proxy), "refused/x", b"y")


def test_faults_befall_only_what_matches_and_end_at_the_limit(proxy):
    store = client(proxy)
    switch(proxy, unavailable=1.0, match=r"^PUT .*/some/", limit=2)
    obstore.put(store, "others/x", b"y")
    for index in range(2):
        with pytest.raises(BaseError):
            obstore.put(store, f"some/{index}", b"y")
    obstore.put(store, "some/2", b"y")
    assert names(store, "some/") == ["some/2"]


def test_a_seed_means_the_same_faults_in_any_order_of_requests(server):
    def failed(order) -> set[int]:
        with faulty(server, seed=7) as proxy:
            switch(proxy, unavailable=0.3)
            store, gone = client(proxy), set()
            for index in order:
                try:
                    obstore.put(store, f"drawn/{index}", b"y")
                except BaseError:
                    gone.add(index)
        return gone

    one = failed(range(40))
    assert one == failed(reversed(range(40)))
    assert 4 <= len(one) <= 24


@pytest.mark.slow
def test_a_client_that_tries_again_gets_through(proxy):
    store = client(proxy, retries=10)
    switch(proxy, unavailable=0.2, cut_put=0.1, lost_answer=0.1)
    for index in range(30):
        obstore.put(store, f"again/{index}", b"y" * 1000)
    switch(proxy)
    assert len(names(store, "again/")) == 30
