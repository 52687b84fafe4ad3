"""Puts analysis/ on the import path, as `python analysis/x.py` does, and builds small tables."""

import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

# Last: a conftest of another folder must not be taken for that of all tests.
sys.path += [str(Path(__file__).parents[2] / "analysis"), str(Path(__file__).parent)]  # scripts, and `stored`

import stored  # noqa: E402

from impray.figures import Results, results  # noqa: E402


@pytest.fixture
def of(request, stored_sweep) -> Results:
    """The stored sweep that a test file names: SWEEP."""
    return stored_sweep(request.module.SWEEP)


@pytest.fixture(scope="session")
def stored_sweep(tmp_path_factory) -> Callable[[str], Results]:
    """The results of stored rows, by their name."""
    return cache(lambda name: results(stored.folder(name, tmp_path_factory.mktemp(name))))
