"""The sweep's figures, drawn when its tables are whole: each script of `analysis/`, each figure of a plugin, in a process of its own.

A script is one of the shipped `analysis/`, or the user's own: beside the sweep's YAML, or in a folder `analysis/` there.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from impray.results.paths import Paths
from impray.results.store import File
from impray.service.children import child
from impray.service.listener import Listener, Report
from impray.shipped import OVERVIEW
from impray.shipped import figure_scripts as scripts
from impray.spec.plugins.joined import joined

AT_ONCE = 2
_IS_A_FIGURE = re.compile(
    r"^\s*(?:from|import)\s+impray\.figures\b|^\s*from\s+impray\s+import\s.*\bfigures\b", re.MULTILINE
)


def own_scripts(sweep: Path) -> dict[str, Path]:
    """Figures by name: the user's scripts beside a sweep's YAML, or in `analysis/` there; they go before shipped ones of their name.

    A script imports `impray.figures`: other files that lie there are let alone. Of a results folder nothing is run.
    """
    folder = sweep.absolute().parent
    if any((folder / part).exists() for part in ("tables", "provenance.json")):
        return {}
    files = [file for place in (folder / "analysis", folder) for file in sorted(place.glob("*.py"))]
    return {file.stem: file for file in files if _is_figure(file)}


def _is_figure(file: Path) -> bool:
    try:
        return bool(_IS_A_FIGURE.search(file.read_text("utf-8")))
    except (OSError, UnicodeDecodeError):
        return False


def command(name: str, own: Mapping[str, Path] | None = None) -> list[str]:
    """What draws a figure: a script (of `own` first, then of `analysis/`), or a figure of a plugin that has joined."""
    plugin, dot, _ = name.partition(".")
    if name == OVERVIEW and name not in (own or {}):
        return [sys.executable, "-m", "impray.figures.overview"]
    if not dot:
        return [sys.executable, str({**scripts(), **(own or {})}[name])]
    file = joined()[plugin].path if plugin in joined() else None
    return [sys.executable, "-m", "impray.figures.of_plugin", name, file or "-"]


class Drawing(Listener):
    """Draws figures; a script that fails is named with its last line, and the sweep is not lost."""

    part = "figures"

    def __init__(self, names: Sequence[str], own: Mapping[str, Path] | None = None) -> None:
        self.names, self.own = names, own

    def whole(self, paths: Paths, report: Report) -> None:
        wanted = [name for name in self.names if report.ran or not pictures(paths, name)]
        for name, (failed, printed) in drawn(wanted, paths, own=self.own).items():
            if failed:
                report.broken_figures.append(f"{name}: {(printed.strip().splitlines() or ['no output'])[-1]}")
            else:
                report.figures += pictures(paths, name)


def pictures(paths: Paths, name: str) -> list[File]:
    """The pictures of a script or a plugin's figure: NAME.png, or those of a paper's page."""
    name = name.replace(".", "_")
    return [
        file for file in paths.figures() if re.fullmatch(rf"{re.escape(name)}(_[A-Za-z0-9]+)?\.(png|html)", file.name)
    ]


def drawn(
    names: Sequence[str], paths: Paths, options: Sequence[str] = (), own: Mapping[str, Path] | None = None
) -> dict[str, tuple[bool, str]]:
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
            words = [*command(name, own), str(paths.folder), *options]
            output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
            running.append((name, started.enter_context(child(words, **output))))
        while running:
            await_first()
    return results
