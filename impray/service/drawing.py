"""The sweep's figures, drawn when its tables are whole: each script of `analysis/` in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import impray
from impray.results.paths import Paths
from impray.service.listener import Listener, Report

AT_ONCE = 2


def analysis_folder() -> Path:
    """Where the scripts of `analysis/` lie: beside the package, in the checkout."""
    return Path(impray.__file__).parent.parent / "analysis"


class Drawing(Listener):
    """Draws figures; a script that fails is named with its last line, and the sweep is not lost."""

    part = "figures"

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names

    def whole(self, paths: Paths, report: Report) -> None:
        wanted = [name for name in self.names if report.ran or not paths.figure(f"{name}.png").is_file()]
        running: list[tuple[str, subprocess.Popen]] = []
        for name in wanted:
            if len(running) == AT_ONCE:
                _await(*running.pop(0), paths, report)
            command = [sys.executable, str(analysis_folder() / f"{name}.py"), paths.folder]
            drawing = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            running.append((name, drawing))
        for item in running:
            _await(*item, paths, report)


def _await(name: str, process: subprocess.Popen, paths: Paths, report: Report) -> None:
    output, _ = process.communicate()
    if process.returncode == 0:
        report.figures.append(paths.figure(f"{name}.png"))
    else:
        report.broken_figures.append(f"{name}: {(output.strip().splitlines() or ['no output'])[-1]}")
