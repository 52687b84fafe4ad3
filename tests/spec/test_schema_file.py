"""The schema that editors read beside the shipped sweeps is the one that `impray schema` writes."""

import re
import subprocess
import sys

import pytest

from impray.shipped import shipped

SWEEPS = sorted(shipped("sweeps").glob("*.yaml"))


@pytest.fixture(scope="module")
def printed():
    """By a process of its own: plugins of other tests have joined this one."""
    command = [sys.executable, "-m", "impray.cli", "schema"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.name)
def test_an_editor_finds_the_schema_of_a_shipped_sweep(path, printed):
    """The first line names it as a language server reads it: a path from the file's own folder. To mend: impray schema PATH."""
    named = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", path.read_text().splitlines()[0])
    assert (path.parent / named[1]).read_text() == printed
