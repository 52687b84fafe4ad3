"""`impray findings`: what sweeps' runs say of their claims."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from impray.cli.app import answered, app, place, quoted

Folders = Annotated[
    list[str],
    typer.Argument(
        parser=place, metavar="FOLDER...", help="Sweeps' own folders, such as runs/quickstart runs/controls."
    ),
]


@app.command()
def findings(
    folders: Folders,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown: a section per folder.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """What runs say of the claims of their figures: verdict, effect with its interval, counts, seeds, versions, recipe.

    Claims are judged when a figure is drawn: at the end of a sweep, and by `impray figures FOLDER`.
    """
    with answered():
        from impray.figures.findings import findings as found_in
        from impray.figures.findings import markdown, text
        from impray.results.tables import reading
        from impray.spec.errors import Problem, SweepError

        if as_markdown and as_json:
            raise SweepError(
                "impray findings", [Problem("--markdown", None, "and --json are two forms; leave one out")]
            )
        found = []
        for folder in folders:
            with reading(folder):
                found.append(found_in(folder))
    if as_json:
        typer.echo(json.dumps([of_one.document() for of_one in found], indent=2))
        return
    for of_one in found:
        for line in markdown(of_one) if as_markdown else text(of_one):
            typer.echo(line)
        if not as_markdown:
            typer.echo("")
    if not as_markdown:
        typer.echo(f"next: impray report {quoted(folders[-1])}")
