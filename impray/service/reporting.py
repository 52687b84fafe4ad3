"""The report of a sweep (`impray.figures.report`), written when its figures are drawn; and its figures, where it is asked for earlier."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from impray.results.paths import Paths
from impray.results.provenance import read_sweep
from impray.results.store import File
from impray.service.drawing import OVERVIEW, drawn, pictures, scripts
from impray.service.listener import Listener, Report
from impray.spec import families
from impray.spec.errors import ImprayError


class Reporting(Listener):
    """Writes the report; where that cannot be, it says why, and the sweep is not lost."""

    part = "report"

    def whole(self, paths: Paths, report: Report) -> None:
        from impray.figures import report as page  # here: a sweep need not wait for matplotlib before it begins

        try:
            report.page = page.write(paths.store)
        except ImprayError as error:
            report.broken_figures.append(f"report: {error}")


def write(paths: Paths, again: bool, own: Mapping[str, Path]) -> tuple[File, list[str]]:
    """Draw what is missing of the sweep's figures, and write its report.

    Args:    again: draw all of them, as of a sweep that still runs. own: scripts of the user's own.
    Returns: the report, and what was not drawn, with why.
    Raises:  DataError: the folder cannot be read.
    """
    from impray.figures import report as page

    named = read_sweep(paths).drawn
    known = {*scripts(), *own, *families.figures.tags}
    wanted = [name for name in named if again or not pictures(paths, name)]
    made = drawn([name for name in wanted if name in known], paths, own=own)
    missing = [f"{name}: {printed.strip()}" for name, (failed, printed) in made.items() if failed]
    missing += [f"{name}: nothing is run from a results folder; give its file" for name in wanted if name not in known]
    if not any(pictures(paths, name) for name in named) and OVERVIEW not in made:
        drawn([OVERVIEW], paths)
    return page.write(paths.store), missing
