"""`impray export`: a sweep's tables for other programs."""

from __future__ import annotations

from typing import Annotated

import typer

from impray.cli.app import Folder, answered, app, place, quoted


@app.command()
def export(
    folder: Folder,
    format: Annotated[str, typer.Option(help="csv or parquet.")] = "csv",
    to: Annotated[
        str | None,
        typer.Option(parser=place, metavar="PLACE", help="A folder or bucket; default: `export` in the sweep's own."),
    ] = None,
    table: Annotated[
        list[str] | None,
        typer.Option(help="Only this one; may be repeated. Default: all but those with a row per pixel."),
    ] = None,
) -> None:
    """A sweep's tables for other programs, also while it runs: no nested columns, a row per observation, axes beside each."""
    with answered():
        from impray.results.export import FORMATS, export
        from impray.results.flat import LONG, names
        from impray.results.store import problems as place_problems
        from impray.results.store import within
        from impray.results.tables import reading
        from impray.spec.errors import Problem, SweepError
        from impray.spec.wording import near

        wrong = [*(place_problems("--to", str(to)) if to is not None else [])]
        if format not in FORMATS:
            wrong.append(Problem("--format", repr(format), f"must be {' or '.join(FORMATS)}{near(format, FORMATS)}"))
        for name in table or ():
            if name not in names():
                right = f"not one of {', '.join(names())}{near(name, names())}"
                wrong.append(Problem("--table", repr(name), right))
        if wrong:
            raise SweepError("impray export", wrong)
        with reading(folder):
            target = to if to is not None else within(folder, "export")
            written = export(folder, target, "csv" if format == "csv" else "parquet", table or ())
        for part in written:
            typer.echo(f"{part.file}: {part.rows} rows")
        if not table:
            typer.echo(f"not written unless named (--table): {', '.join(LONG)}")
    typer.echo(f"next: impray top {quoted(folder)}")
