"""Commands that look: at a sweep's folder, at a stimulus, at the tables' columns, at this machine."""

from __future__ import annotations

import json
import os
import shutil
import sys
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from impray.cli import completing
from impray.cli.app import Folder, Sets, answered, app, next_view, quoted
from impray.cli.families import join_files
from impray.service.said import load_sweep

if TYPE_CHECKING:
    from rich.console import Console

    from impray.results.leaderboard import Board
    from impray.results.store import Place
    from impray.spec.sweep import Sweep


class Format(StrEnum):
    """What figures are saved as; `impray.figures.drawing` has the same."""

    png = "png"
    svg = "svg"
    pdf = "pdf"


@app.command()
def status(folder: Folder) -> None:
    """What is done, running and failed in a sweep's folder."""
    with answered():
        from impray.results.status import lines
        from impray.results.tables import reading

        with reading(folder):
            for line in lines(folder):
                typer.echo(line)
    typer.echo(f"next: impray top {quoted(folder)}")


@app.command()
def top(
    folder: Folder,
    sort: Annotated[str | None, typer.Option(metavar="COLUMN", help="Any column; default: the best first.")] = None,
    descending: Annotated[
        bool | None,
        typer.Option("--descending/--ascending", help="With --sort. Default: the best first, else ascending."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
) -> None:
    """The leaderboard of a sweep: trials, best first, with their spread over seeds and what cannot be told from the best."""
    with answered():
        from rich.console import Console

        from impray.results.leaderboard import of as board_of
        from impray.results.provenance import read_sweep
        from impray.results.tables import reading
        from impray.spec.errors import Problem, SweepError

        wrong = [Problem("--csv", None, "and --json are two forms; leave one out")] if as_csv and as_json else []
        if descending is not None and sort is None:
            name = "--descending" if descending else "--ascending"
            wrong.append(Problem(name, None, "needs a column: --sort COLUMN"))
        if wrong:
            raise SweepError("impray top", wrong)
        with reading(folder) as paths:
            board = board_of(read_sweep(paths), folder)
            board = board if sort is None else board.sorted(sort, descending)
        if as_json:
            typer.echo(json.dumps(board.document(), indent=2))
        elif as_csv:
            typer.echo(board.csv(), nl=False)
        else:
            shown(board, Console())
    if not (as_json or as_csv):
        typer.echo(next_view(folder))


def leaderboard(sweep: Sweep, folder: Place, console: Console) -> None:
    from impray.results import leaderboard

    shown(leaderboard.of(sweep, folder), console)


def shown(board: Board, console: Console) -> None:
    from impray.results import text

    for line in text.lines(board, console.width if console.is_terminal else None):
        typer.echo(line)


@app.command()
def failures(folder: Folder, trace: Annotated[bool, typer.Option(help="With the traces.")] = False) -> None:
    """What went wrong: failures, newest first, and which lineages diverged."""
    with answered():
        from impray.results import outcomes
        from impray.results.tables import reading

        with reading(folder):
            failed, diverged = outcomes.failure_lines(folder, trace), outcomes.diverged_lines(folder)
        for line in [*failed, *diverged] or ["no failures"]:
            typer.echo(line)
    again = f"impray failures --trace {quoted(folder)}" if failed and not trace else ""
    typer.echo(f"next: {again or f'impray top {quoted(folder)}'}")


@app.command()
def figures(
    folder: Folder,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="Scripts of analysis/, or files of your own; default: those that the sweep names.",
            autocompletion=completing.figures,
        ),
    ] = None,
    round: Annotated[int | None, typer.Option(min=0, help="This round, not the last that all have reached.")] = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="AXIS=VALUE", help="Only trials with this axis value.")
    ] = None,
    plugin: Annotated[
        list[str] | None, typer.Option("--plugin", metavar="FILE", help="A plugin's file with figures; it is run.")
    ] = None,
    form: Annotated[
        list[Format] | None, typer.Option("--format", help="Beside the PNG, this format too; may be repeated.")
    ] = None,
) -> None:
    """Draw a sweep's figures again, also while it runs; nothing is computed but what is drawn."""
    with answered():
        from impray.results.provenance import read_sweep
        from impray.results.tables import reading
        from impray.service.drawing import drawn, scripts
        from impray.spec import families
        from impray.spec.errors import DataError
        from impray.spec.plugins.joined import join_installed
        from impray.spec.wording import near

        join_files(plugin or ())
        own = {Path(name).stem: Path(name) for name in names or () if name.endswith(".py") and Path(name).is_file()}
        names = [Path(name).stem if Path(name) in own.values() else name for name in names or ()]
        for name in names:
            if "." in name:
                join_installed(name.partition(".")[0])
        known = [*dict.fromkeys([*scripts(), *own]), *families.figures.tags]
        unknown = [f"{name}: not one of {', '.join(known)}{near(name, known)}" for name in names if name not in known]
        if unknown:
            raise DataError("\n".join(unknown))
        with reading(folder) as paths:
            named = read_sweep(paths).drawn
            elsewhere = [name for name in named if name not in known]
            wanted = names or [name for name in named if name not in elsewhere]
            options = ["--round", str(round)] * (round is not None) + [f"--only={pair}" for pair in only or ()]
            options += [f"--format={each.value}" for each in form or ()]
            drawings = drawn(wanted, paths, options, own)
        for _, text in drawings.values():
            typer.echo(text.rstrip())
        for name in () if names else elsewhere:
            file = "--plugin FILE" if "." in name else f"impray figures {quoted(folder)} {name}.py"
            typer.echo(f"not drawn: {name} (nothing is run from a results folder; name its file: {file})")
    if any(failed for failed, _ in drawings.values()):
        raise typer.Exit(2)
    typer.echo(next_view(folder))


@app.command()
def data(
    file: Annotated[
        str | None,
        typer.Argument(
            help="A sweep whose data to describe; default: --set data.kind=... alone.", autocompletion=completing.sweeps
        ),
    ] = None,
    sets: Sets = None,
    samples: Annotated[int, typer.Option(min=8, help="Samples per class.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Which samples are drawn.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    picture: Annotated[Path | None, typer.Option(help="The picture's file; default: in the folder --out.")] = None,
    out: Annotated[Path, typer.Option(help="The folder of the picture.")] = Path("runs"),
) -> None:
    """Statistics and sample pictures of a stimulus."""
    with answered():
        from impray.service import data_report

        spec = data_report.data_of(file, sets or [], partial(load_sweep, base=True))
        data_report.show(spec, samples, seed, as_json, picture, out)


@app.command()
def tables(
    table: Annotated[
        str | None, typer.Argument(help="One table, such as rounds; default: all.", autocompletion=completing.tables)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """The data dictionary: every table, column, unit and sentence."""
    from impray.results.schema import TABLES
    from impray.results.tables import dictionary
    from impray.results.text import dictionary_lines
    from impray.spec.errors import Problem, SweepError
    from impray.spec.wording import near

    with answered():
        if table is not None and table not in TABLES:
            right = f"not one of {', '.join(TABLES)}{near(table, TABLES)}"
            raise SweepError("impray tables", [Problem("TABLE", repr(table), right)])
    rows = [row for row in dictionary() if table in (None, row["table"])]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    for line in dictionary_lines(rows, shutil.get_terminal_size().columns if sys.stdout.isatty() else None):
        typer.echo(line)
    typer.echo(
        f'\nnext: python -c \'import impray; print(impray.scan("runs/quickstart")["{table or "rounds"}"].collect())\''
    )


@app.command()
def bench(
    only: Annotated[
        list[str] | None,
        typer.Option(help="Some of the benchmarks, comma-separated or one by one; a wrong name lists them all."),
    ] = None,
) -> None:
    """This machine against reference loops, side by side; medians."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with answered():
        from rich.console import Console

        from impray.bench import show

        show([name.strip() for names in only for name in names.split(",")] if only else None, Console())


@app.command()
def schema(
    file: Annotated[Path | None, typer.Argument(help="Where to write it; default: print.")] = None,
    plugin: Annotated[
        list[str] | None,
        typer.Option("--plugin", metavar="FILE", help="A plugin's file: it is run, and its members listed."),
    ] = None,
) -> None:
    """JSON schema of the sweep YAML, for editors."""
    from impray.spec.plugins.listing import join_all_installed
    from impray.spec.schema import schema as make

    with answered():
        for why in join_all_installed():
            typer.echo(f"left out: {why}", err=True)
        join_files(plugin or ())
    text = json.dumps(make(), indent=2)
    if file is None:
        typer.echo(text)
        return
    with answered():
        from impray.results.files import write

        write(file, text.encode() + b"\n")
    typer.echo(
        f"written: {file}; a first line `# yaml-language-server: $schema={file.name}` in a sweep beside it makes editors use it"
    )
