"""The command line of a script in `analysis/`: `python analysis/x.py OUT [--round N] [--only AXIS=VALUE]`; errors exit with 2."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence

from impray.figures.page import Paper, publish
from impray.figures.panels import Figure
from impray.results.store import Place
from impray.results.tidy import NotMeasured, results
from impray.spec.errors import DataError, ImprayError

Script = Figure | Sequence[Figure] | Paper


def figures_of(script: Script) -> tuple[Sequence[Figure], Paper | None]:
    """A script's figures, and their page if they have one."""
    if isinstance(script, Paper):
        return script.figures, script
    return ([script], None) if isinstance(script, Figure) else (script, None)


def draw_into(script: Script, place: Place, round: int | None = None, only: Mapping[str, str] | None = None) -> None:
    """Draws a sweep's folder.

    Raises:  DataError: not a sweep's folder, or it has nothing that the figures need.
    """
    figures, page = figures_of(script)
    try:
        publish(figures, results(place, only, round), page)
    except NotMeasured as missing:
        raise DataError(f"{place}: nothing to draw\n  {missing}") from missing


def run(script: Script, about: str | None) -> None:
    """What a script does when it is run; `about` is its docstring. A user's error is told, and the exit code is 2."""
    first = (about or "").strip().splitlines()[0]
    parser = argparse.ArgumentParser(description=first)
    parser.add_argument("out", help="the sweep's own folder, such as runs/quickstart")
    parser.add_argument("--round", type=int, help="this round, not the last that every lineage has reached")
    parser.add_argument("--only", action="append", default=[], metavar="AXIS=VALUE", help="only trials with this value")
    asked = parser.parse_args()
    wrong = [pair for pair in asked.only if "=" not in pair]
    if wrong:
        parser.error(f"--only {wrong[0]}: must be AXIS=VALUE, such as prune.fraction=0.2")
    try:
        draw_into(script, asked.out, asked.round, dict(pair.split("=", 1) for pair in asked.only))
    except ImprayError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
