"""The cache of converted files is of one test only."""

import pytest
from data.images.image_files import forget


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("IMPRAY_CACHE", str(tmp_path / "cache"))
    forget()
    yield tmp_path / "cache"
    forget()
