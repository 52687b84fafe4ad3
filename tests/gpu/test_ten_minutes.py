"""The questions to a first GPU are themselves tried on whatever is here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_every_question_can_be_asked():
    path = os.pathsep.join([str(ROOT / "tests"), str(ROOT)])
    words = [sys.executable, str(ROOT / "tests" / "gpu" / "ten_minutes.py"), "--quick"]
    run = subprocess.run(words, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=600)
    assert run.returncode == 0 and run.stdout.rstrip().endswith("0 wrong"), run.stdout + run.stderr
