"""The sweep's figures, drawn when its tables are whole: each script of `analysis/`, each figure of a plugin, in a process of its own."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import impray
from impray.results.paths import Paths
from impray.results.store import File
from impray.service.children import child
from impray.service.listener import Listener, Report
from impray.spec.plugins.joined import joined

AT_ONCE = 2


def analysis_folder() -> Path:
    """Where the scripts of `analysis/` lie: beside the package, in the checkout."""
    return Path(impray.__file__).parent.parent / "analysis"


def scripts() -> dict[str, Path]:
    """Figures by name: the scripts of `analysis/`."""
    return {path.stem: path for path in sorted(analysis_folder().glob("*.py")) if not path.stem.startswith("_")}


def command(name: str) -> list[str]:
    """What draws a figure: a script of `analysis/`, or a figure of a plugin that has joined."""
    plugin, dot, _ = name.partition(".")
    if not dot:
        return [sys.executable, str(analysis_folder() / f"{name}.py")]
    file = joined()[plugin].path if plugin in joined() else None
    return [sys.executable, "-m", "impray.figures.of_plugin", name, file or "-"]


class Drawing(Listener):
    """Draws figures; a script that fails is named with its last line, and the sweep is not lost."""

    part = "figures"

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names

    def whole(self, paths: Paths, report: Report) -> None:
        wanted = [name for name in self.names if report.ran or not _drawn(paths, name)]
        for name, (failed, printed) in drawn(wanted, paths).items():
            if failed:
                report.broken_figures.append(f"{name}: {(printed.strip().splitlines() or ['no output'])[-1]}")
            else:
                report.figures += _drawn(paths, name)


def _drawn(paths: Paths, name: str) -> list[File]:
    """The pictures of a script or a plugin's figure: NAME.png, or those of a paper's page."""
    name = name.replace(".", "_")
    return [
        file for file in paths.figures() if re.fullmatch(rf"{re.escape(name)}(_[A-Za-z0-9]+)?\.(png|html)", file.name)
    ]


def drawn(names: Sequence[str], paths: Paths, options: Sequence[str] = ()) -> dict[str, tuple[bool, str]]:
    """Runs scripts, AT_ONCE at a time: name -> whether it failed, and all that it said."""
    running: list[tuple[str, subprocess.Popen]] = []
    results: dict[str, tuple[bool, str]] = {}

    def await_first() -> None:
        name, process = running.pop(0)
        printed, _ = process.communicate()
        results[name] = process.returncode != 0, printed

    with ExitStack() as started:
        for name in names:
            if len(running) == AT_ONCE:
                await_first()
            words = [*command(name), str(paths.folder), *options]
            output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
            running.append((name, started.enter_context(child(words, **output))))
        while running:
            await_first()
    return results
