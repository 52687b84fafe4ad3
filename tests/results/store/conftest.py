"""The same store in a folder and in a bucket, behind a proxy that can be told to fail."""

import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from s3 import BUCKET, faulty, served

from impray.results.store import opened


@dataclass
class Switch:
    """Of the proxy: `set` its faults, `happened` counts those of this test."""

    set: Callable[..., None]
    happened: Callable[[], Counter[str]]


@pytest.fixture(scope="session")
def proxy():
    with served() as server, faulty(server) as proxy:
        yield proxy


@pytest.fixture
def s3(proxy, monkeypatch):
    """A bucket that can be reached, and its proxy without faults."""
    for name, value in proxy.environment.items():
        monkeypatch.setenv(name, value)
    proxy.set()
    before = proxy.happened()
    yield Switch(proxy.set, lambda: proxy.happened() - before)
    proxy.set()


@pytest.fixture
def bucket(s3):
    """An empty prefix."""
    return opened(f"s3://{BUCKET}/runs-{uuid.uuid4().hex[:8]}/x")


@pytest.fixture(params=["folder", "bucket"])
def store(request, tmp_path):
    if request.param == "folder":
        return opened(tmp_path / "x")
    return request.getfixturevalue("bucket")
