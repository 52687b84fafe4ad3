"""Compiled kernels are kept for a state of their sources, in a folder that is the user's alone."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from impray.kernels import kept
from impray.kernels.compiled import lacking

RUN = """
import numpy as np
from numba.core import config
from impray.kernels import kept, patterns
before = kept.compiled_before()
patterns.pattern(np.ones((3, 4), bool), 8)
order = patterns._order()
print(before, kept.compiled_before(), sum(order.stats.cache_hits.values()), kept.kept_in(), config.CACHE_DIR or "as before")
"""


def run(cache):
    run = subprocess.run(
        [sys.executable, "-c", RUN],
        env={**os.environ, "IMPRAY_KERNELS": "", "IMPRAY_CACHE": str(cache), "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.split(maxsplit=4)


@pytest.fixture
def umask():
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.skipif(lacking() is not None, reason=str(lacking()))
def test_the_second_process_compiles_nothing(tmp_path, umask):
    first, second = run(tmp_path), run(tmp_path)
    assert first[:3] == ["False", "True", "0"] and second[:3] == ["True", "True", "1"]
    (folder,) = (tmp_path / "kernels").iterdir()
    assert first[3] == second[3] == str(folder) and first[4] == second[4] == "as before\n"
    assert folder.stat().st_mode & 0o777 == 0o700  # whatever the umask


@pytest.mark.slow
@pytest.mark.skipif(lacking() is not None, reason=str(lacking()))
def test_a_folder_that_others_may_write_to_is_not_used(tmp_path):
    run(tmp_path)
    (folder,) = (tmp_path / "kernels").iterdir()
    folder.chmod(0o770)
    assert run(tmp_path)[2:4] == ["0", "None"]


@pytest.mark.slow
def test_a_cache_that_cannot_be_made_is_none(tmp_path):
    (tmp_path / "file").touch()
    assert run(tmp_path / "file" / "under")[:4] == ["False", "False", "0", "None"]


def test_another_source_is_another_folder(tmp_path, monkeypatch):
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(kept, "__file__", str(tmp_path / "a.py"))
    states = []
    for text in ("x", "x = 1", "x"):
        (tmp_path / "b.py").write_text(text)
        kept._state.cache_clear()
        states.append(kept._state())
    kept._state.cache_clear()
    assert states[0] == states[2] != states[1]
