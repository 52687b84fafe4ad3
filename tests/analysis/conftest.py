"""Puts analysis/ on the import path, as `python analysis/x.py` does, and opens stored rows."""

import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

# Last: a conftest of another folder must not be taken for that of all tests.
sys.path.append(str(Path(__file__).parents[2] / "analysis"))

from analysis import stored  # noqa: E402
from impray.figures import Results, results  # noqa: E402


@pytest.fixture(scope="module")
def of(request, stored_sweep) -> Results:
    """The stored sweep that a test file names: SWEEP."""
    return stored_sweep(request.module.SWEEP)


@pytest.fixture(scope="module")
def folder(request, tmp_path_factory) -> Callable[..., Path]:
    """A folder with the rows of SWEEP, changed as `stored.changed` does."""
    return lambda **changes: stored.changed(request.module.SWEEP, tmp_path_factory.mktemp("rows"), **changes)


@pytest.fixture(scope="session")
def stored_sweep(tmp_path_factory) -> Callable[[str], Results]:
    """The results of stored rows, by their name."""
    return cache(lambda name: results(stored.folder(name, tmp_path_factory.mktemp(name))))
