"""A bucket for tests that need no root: its server, a proxy before it that can be told to fail, an empty prefix."""

import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from impray.results.store import opened
from s3.start import BUCKET, faulty, served


@dataclass
class Switch:
    """Of the proxy: `set` its faults, `happened` counts those of this test."""

    set: Callable[..., None]
    happened: Callable[[], Counter[str]]


@pytest.fixture(scope="session")
def s3_proxy():
    with served() as server, faulty(server) as proxy:
        yield proxy


@pytest.fixture
def s3(s3_proxy, monkeypatch):
    """A service that can be reached, by way of a proxy without faults."""
    for name, value in s3_proxy.environment.items():
        monkeypatch.setenv(name, value)
    s3_proxy.set()
    before = s3_proxy.happened()
    yield Switch(s3_proxy.set, lambda: s3_proxy.happened() - before)
    s3_proxy.set()


@pytest.fixture
def bucket(s3):
    """An empty prefix."""
    return opened(f"s3://{BUCKET}/runs-{uuid.uuid4().hex[:8]}/x")
