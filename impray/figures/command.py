"""The command line of a script in `analysis/`: `python analysis/x.py OUT [--round N] [--only AXIS=VALUE] [--format svg]`;
errors exit with 2."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence

import polars as pl

from impray.figures.drawing import FORMATS
from impray.figures.page import Paper, publish
from impray.figures.panels import Figure
from impray.results.store import Place
from impray.results.tidy import NotMeasured, Results, results
from impray.spec.errors import DataError, ImprayError

Script = Figure | Sequence[Figure] | Paper


def figures_of(script: Script) -> tuple[Sequence[Figure], Paper | None]:
    """A script's figures, and their page if they have one."""
    if isinstance(script, Paper):
        return script.figures, script
    return ([script], None) if isinstance(script, Figure) else (script, None)


def draw_into(
    script: Script | Callable[[Results], Script],
    place: Place,
    round: int | None = None,
    only: Mapping[str, str] | None = None,
    formats: Sequence[str] = (),
) -> None:
    """Draws a sweep's folder; a script may be a function of what the folder holds.

    Args:    formats: further ones, beside PNG.
    Raises:  DataError: not a sweep's folder, or it has nothing that the figures need.
    """
    of = results(place, only, round)
    try:
        figures, page = figures_of(script(of) if callable(script) else script)
        publish(figures, of, page, formats)
    except NotMeasured as missing:
        raise DataError(f"{place}: nothing to draw\n  {missing}") from missing
    except pl.exceptions.ColumnNotFoundError as error:
        raise DataError(f"{place}: the figure's script asks for a column that is not there: {told(error)}") from error


def told(error: pl.exceptions.ColumnNotFoundError) -> str:
    """What polars says of a wrong column, in one line."""
    return " ".join(str(error).split())


def run(script: Script | Callable[[Results], Script], about: str | None) -> None:
    """What a script does when it is run; `about` is its docstring. A user's error is told, and the exit code is 2."""
    first = (about or "").strip().splitlines()[0]
    parser = argparse.ArgumentParser(description=first)
    parser.add_argument("out", help="the sweep's own folder, such as runs/quickstart")
    parser.add_argument("--round", type=int, help="this round, not the last that every lineage has reached")
    parser.add_argument("--only", action="append", default=[], metavar="AXIS=VALUE", help="only trials with this value")
    parser.add_argument(
        "--format", action="append", default=[], choices=FORMATS, help="beside the PNG, this format too"
    )
    asked = parser.parse_args()
    wrong = [pair for pair in asked.only if "=" not in pair]
    if wrong:
        parser.error(f"--only {wrong[0]}: must be AXIS=VALUE, such as prune.fraction=0.2")
    try:
        only = dict(pair.split("=", 1) for pair in asked.only)
        draw_into(script, asked.out, asked.round, only, asked.format)
    except ImprayError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
