"""A folder to stand in, and a finished sweep."""

from pathlib import Path

import pytest
import yaml
from cli.said import HERE, SMALL, impray


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """An empty folder to stand in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """The folder of SMALL, run without an interruption."""
    out = tmp_path_factory.mktemp("whole")
    file = out / "x.yaml"
    file.write_text(yaml.safe_dump(SMALL, sort_keys=False))
    assert impray("sweep", file, *HERE, "--out", out).code == 0
    return out / "x"
