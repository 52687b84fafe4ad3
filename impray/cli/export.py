"""`impray export`: a sweep's tables for other programs, and the Optuna study of one with goals."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from impray.cli import completing
from impray.cli.app import Folder, answered, app, place, quoted

if TYPE_CHECKING:
    from impray.results.store import Place
    from impray.spec.errors import Problem

OPTUNA = "optuna"  # the format that is a study, not tables


@app.command()
def export(
    folder: Folder,
    format: Annotated[
        str,
        typer.Option(
            help="csv or parquet: the tables. optuna: the study of a sweep with goals, as optuna.journal.",
            autocompletion=completing.one_of("csv", "parquet", "optuna"),
        ),
    ] = "csv",
    to: Annotated[
        str | None,
        typer.Option(
            parser=place,
            metavar="PLACE",
            help="A folder or bucket. Default: `export` in the sweep's own; of a study, the sweep's own, where every search "
            "by Optuna leaves it.",
        ),
    ] = None,
    table: Annotated[
        list[str] | None,
        typer.Option(
            help="Only this one; may be repeated. Default: all but those with a row per pixel.",
            autocompletion=completing.exported,
        ),
    ] = None,
) -> None:
    """A sweep's tables for other programs, also while it runs: no nested columns, a row per observation, axes beside each.

    With --format optuna: the trials as a study, for `optuna-dashboard FILE` and optuna.load_study. It is a view: the tables
    are the truth, and where it says something else it is made anew. Of a bucket, `--to .` writes it here, where a dashboard can open it.
    """
    with answered():
        from impray.results.tables import reading
        from impray.spec.errors import SweepError

        wrong = _problems(format, to, table or ())
        if wrong:
            raise SweepError("impray export", wrong)
        with reading(folder):
            lines = _study(folder, to) if format == OPTUNA else _tables(folder, format, to, table or ())
        for line in lines:
            typer.echo(line)


def _problems(format: str, to: str | None, table: list[str] | tuple[str, ...]) -> list[Problem]:
    from impray.results.export import FORMATS
    from impray.results.flat import names
    from impray.results.store import problems as place_problems
    from impray.spec.errors import Problem
    from impray.spec.wording import near

    known = (*FORMATS, OPTUNA)
    wrong = [*(place_problems("--to", str(to)) if to is not None else [])]
    if format not in known:
        right = f"must be {', '.join(known[:-1])} or {known[-1]}{near(format, known)}"
        wrong.append(Problem("--format", repr(format), right))
    for name in table:
        if name not in names():
            right = f"not one of {', '.join(names())}{near(name, names())}"
            wrong.append(Problem("--table", repr(name), right))
        elif format == OPTUNA:
            wrong.append(Problem("--table", repr(name), "is for csv and parquet: a study is one file"))
    return wrong


def _tables(folder: Place, format: str, to: str | None, table: list[str] | tuple[str, ...]) -> list[str]:
    from impray.results.export import export
    from impray.results.flat import LONG
    from impray.results.store import within

    target = to if to is not None else within(folder, "export")
    written = export(folder, target, "csv" if format == "csv" else "parquet", table)
    lines = [f"{part.file}: {part.rows} rows" for part in written]
    if not table:
        lines.append(f"not written unless named (--table): {', '.join(LONG)}")
    return [*lines, f"next: impray top {quoted(folder)}"]


def _study(folder: Place, to: str | None) -> list[str]:
    from impray.service.study import write

    file = write(folder, to)
    if file.store.local is None:
        return [str(file), f"next: impray export {quoted(folder)} --format optuna --to ."]
    return [str(file), f"next: {shlex.join(['optuna-dashboard', str(file)])} (pip install optuna-dashboard)"]
