"""The same store in a folder and in a bucket."""

import pytest

from impray.results.store import opened


@pytest.fixture(params=["folder", "bucket"])
def store(request, tmp_path):
    if request.param == "folder":
        return opened(tmp_path / "x")
    return request.getfixturevalue("bucket")
