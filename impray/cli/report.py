"""`impray report`: a sweep's folder on one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from impray.cli.app import Folder, answered, app, next_view


@app.command()
def report(
    folder: Folder,
    script: Annotated[
        list[Path] | None,
        typer.Option(
            "--script", exists=True, dir_okay=False, help="A figure of your own that the sweep names; it is run."
        ),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Draw figures again that are there; as while a sweep runs.")
    ] = False,
) -> None:
    """Write figures, claims, leaderboard, axes, failures and how to make it again into one HTML file."""
    with answered():
        from impray.results import outcomes
        from impray.results.tables import reading
        from impray.service import reporting

        with reading(folder) as paths:
            runs = (outcomes.trials(folder)["status"] == "running").any()
            file, missing = reporting.write(paths, again or bool(runs), {path.stem: path for path in script or ()})
    for line in missing:
        typer.echo(f"not drawn: {line}", err=True)
    typer.echo(f"report: {file}")
    typer.echo(next_view(folder))
