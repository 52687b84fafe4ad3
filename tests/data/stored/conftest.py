"""The cache of converted files is of one test only."""

import os

import pytest


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    place = tmp_path / "cache"
    monkeypatch.setenv("IMPRAY_CACHE", str(place))
    monkeypatch.setattr(os, "fsync", lambda handle: None)  # a test's disk need not survive a power failure
    return place


@pytest.fixture
def there(tmp_path):
    return tmp_path / "there"
