"""Commands that look: at a sweep's folder, at a stimulus, at the tables' columns, at this machine."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from impray.cli.app import Folder, Sets, answered, app, next_view, quoted
from impray.cli.families import join_files
from impray.cli.load import load_sweep

if TYPE_CHECKING:
    from rich.console import Console

    from impray.results.store import Place
    from impray.spec.sweep import Sweep


@app.command()
def status(folder: Folder) -> None:
    """What is done, running and failed in a sweep's folder."""
    with answered():
        from impray.results.status import sentence
        from impray.results.tables import reading

        with reading(folder):
            typer.echo(sentence(folder))
    typer.echo(f"next: impray top {quoted(folder)}")


@app.command()
def top(folder: Folder, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """The leaderboard of a sweep: trials, best first, with their spread over seeds and what cannot be told from the best."""
    with answered():
        from rich.console import Console

        from impray.results.provenance import read_sweep
        from impray.results.tables import reading

        with reading(folder) as paths:
            if as_json:
                from impray.results.leaderboard import of as board_of

                typer.echo(json.dumps(board_of(read_sweep(paths), folder).document(), indent=2))
                return
            leaderboard(read_sweep(paths), folder, Console())
    typer.echo(next_view(folder))


def leaderboard(sweep: Sweep, folder: Place, console: Console) -> None:
    from impray.results import leaderboard, text

    for line in text.lines(leaderboard.of(sweep, folder), console.width if console.is_terminal else None):
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
    names: Annotated[list[str] | None, typer.Argument(help="Scripts of analysis/; default: the sweep's own.")] = None,
    round: Annotated[int | None, typer.Option(min=0, help="This round, not the last that all have reached.")] = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="AXIS=VALUE", help="Only trials with this axis value.")
    ] = None,
    plugin: Annotated[
        list[str] | None, typer.Option("--plugin", metavar="FILE", help="A plugin's file with figures; it is run.")
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
        for name in names or ():
            if "." in name:
                join_installed(name.partition(".")[0])
        known = [*scripts(), *families.figures.tags]
        unknown = [
            f"{name}: not one of {', '.join(known)}{near(name, known)}" for name in names or () if name not in known
        ]
        if unknown:
            raise DataError("\n".join(unknown))
        with reading(folder) as paths:
            own = read_sweep(paths).figures
            unjoined = [name for name in own if "." in name and name not in known]
            wanted = names or [name for name in own if name not in unjoined]
            options = ["--round", str(round)] * (round is not None) + [f"--only={pair}" for pair in only or ()]
            drawings = drawn(wanted, paths, options) if wanted else {}
        for _, text in drawings.values():
            typer.echo(text.rstrip())
        for name in () if names else unjoined:
            typer.echo(f"not drawn: {name} (nothing is run from a results folder; name its file: --plugin FILE)")
        if not wanted:
            typer.echo(f"this sweep names no figures; there are {', '.join(known)}")
    if any(failed for failed, _ in drawings.values()):
        raise typer.Exit(2)
    typer.echo(next_view(folder))


@app.command()
def data(
    file: Annotated[
        str | None, typer.Argument(help="A sweep whose data to describe; default: --set data.kind=... alone.")
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

        spec = data_report.data_of(file, sets or [], load_sweep)
        data_report.show(spec, samples, seed, as_json, picture, out)


@app.command()
def tables(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """The data dictionary: every table, column, unit and sentence."""
    from impray.results.tables import dictionary
    from impray.results.text import dictionary_lines

    rows = dictionary()
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    for line in dictionary_lines(rows, shutil.get_terminal_size().columns if sys.stdout.isatty() else None):
        typer.echo(line)
    typer.echo(
        '\nnext: python -c \'from impray.results.tables import scan; print(scan("rounds", "runs/quickstart").collect())\''
    )


@app.command()
def bench(
    only: Annotated[
        str | None, typer.Option(help="Comma-separated: pack, rf_width, cavity, loading, clone, overhead.")
    ] = None,
) -> None:
    """This machine against reference loops, side by side; medians."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with answered():
        from rich.console import Console

        from impray.bench import show

        show(None if only is None else [name.strip() for name in only.split(",")], Console())


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
        f"written: {file}; a first line `# yaml-language-server: $schema={file}` in a sweep makes editors use it"
    )
