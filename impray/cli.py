"""Words -> calls: the command line. Importing it loads neither torch nor ray nor mlflow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from impray import __version__

if TYPE_CHECKING:
    import polars as pl
    from rich.console import Console

    from impray.service.driver import Report, Request
    from impray.spec.sweep import Sweep

app = typer.Typer(
    help="Which statistics of the data make iterative magnitude pruning find structure?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)
mlflow_app = typer.Typer(help="The MLflow view of a sweep's tables.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(mlflow_app, name="mlflow")

DEFAULT_SWEEP = "sweeps/quickstart.yaml"
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Override, such as prune.fraction=0.2 or rounds=3."),
]
File = Annotated[str, typer.Argument(help="A sweep's YAML file, or the name of one in sweeps/.")]
Out = Annotated[Path, typer.Option("--out", help="Where sweeps' folders go.")]
Folder = Annotated[Path, typer.Argument(help="A sweep's own folder.")]
Store = Annotated[
    str | None,
    typer.Option("--mlflow", help="URI of an MLflow store or server; `off` for none. Default: sqlite in the folder."),
]


def main() -> None:
    """The command `impray`."""
    app()


@contextmanager
def answered() -> Iterator[None]:
    """A user's error is a message and exit code 2; Ctrl-C is exit code 130; anything else is our bug and keeps its trace."""
    from impray.spec.errors import ImprayError

    try:
        yield
    except ImprayError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        raise typer.Exit(130) from None


@app.callback(invoke_without_command=True)
def top_level(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


# -- asking -----------------------------------------------------------------------------------------------------------


@app.command()
def sweep(
    file: File = DEFAULT_SWEEP,
    sets: Sets = None,
    out: Out = Path("runs"),
    plan: Annotated[
        bool, typer.Option("--plan", help="Print trials, lineages, packs and an estimated time; run nothing.")
    ] = False,
    where: Annotated[str, typer.Option(help="`ray` (actors) or `here` (this process; grid and random only).")] = "ray",
    address: Annotated[
        str | None, typer.Option(help="A running Ray cluster, such as auto; default: a local one.")
    ] = None,
    mlflow: Store = None,
    figures: Annotated[bool, typer.Option(help="Draw the sweep's figures at the end.")] = True,
) -> None:
    """Run a sweep, or go on where it stopped."""
    with answered():
        found, path = load_sweep(file, sets or [])
        check_call(found, path, where)
        if plan:
            _plan(found, path, out)
            return
        from rich.console import Console

        from impray.service import driver

        name = path.stem if path.stem != "sweep" else path.parent.name
        request = driver.Request(found, name, out / name, where, address, mlflow, figures)  # type: ignore[arg-type]
        console = Console(width=None if sys.stdout.isatty() else 120)
        console.print(f"{name}: {found.question}", markup=False, highlight=False, soft_wrap=True)
        try:
            report = driver.run(request, console)
        except KeyboardInterrupt:
            _interrupted(request, sets or [], file)
        finish(request, report, console, sets or [], file)


def load_sweep(file: str, sets: list[str]) -> tuple[Sweep, Path]:
    """The validated sweep and the file it came from; a bare name is looked for in `sweeps/`."""
    from impray.spec.load import load

    path = Path(file)
    if not path.exists():
        for folder in (Path("sweeps"), _checkout() / "sweeps"):
            for name in (file.removeprefix("sweeps/"), f"{file}.yaml"):
                if (folder / name).is_file():
                    return load(folder / name, sets), folder / name
    return load(path, sets), path


def check_call(found: Sweep, path: Path, where: str) -> None:
    """What only the command line can see: whether the figures' scripts exist, and whether `--where` can run this search."""
    from impray.spec.errors import Problem, SweepError
    from impray.spec.wording import near

    problems = []
    scripts = sorted(p.stem for p in (_checkout() / "analysis").glob("*.py") if p.stem != "common")
    for name in found.figures:
        if name not in scripts:
            problems.append(Problem("figures", repr(name), f"not one of {', '.join(scripts)}{near(name, scripts)}"))
    if where not in ("here", "ray"):
        problems.append(Problem("--where", repr(where), "must be here or ray"))
    elif where == "here" and (found.search.algorithm == "optuna" or found.search.stop_early):
        problems.append(
            Problem("--where", "'here'", "runs grid and random searches without stop_early; use --where ray")
        )
    if problems:
        raise SweepError(str(path), problems)


def _checkout() -> Path:
    return Path(__file__).parent.parent


def finish(request: Request, report: Report, console: Console, sets: list[str], file: str) -> None:
    """Say what happened and name the next useful command."""
    folder = request.folder
    if report.interrupted:
        _interrupted(request, sets, file)
    if not report.ran:
        console.print(f"nothing to do: all {report.trials} trials are done in {folder}", markup=False, highlight=False)
    leaderboard(request.sweep, folder, console)
    for path in report.figures:
        text = path.with_suffix(".txt")
        if text.is_file():  # its first lines; the whole text lies beside the figure
            head = text.read_text().split("\n\n", 1)[0]
            console.print(f"\n{head}", markup=False, highlight=False, soft_wrap=True)
        console.print(f"figure: {path}", markup=False, highlight=False, soft_wrap=True)
    for line in report.broken_figures:
        console.print(f"figure not drawn: {line}", markup=False, highlight=False, soft_wrap=True)
    if report.seconds:
        parts = ", ".join(f"{part} {seconds:.1f} s" for part, seconds in report.seconds.items())
        console.print(f"time: {parts}", markup=False, highlight=False)
    if report.count("failed"):
        console.print(
            f"{report.count('failed')} trials failed; next: impray failures {folder}", markup=False, highlight=False
        )
        raise typer.Exit(1)
    console.print(f"next: impray mlflow ui {folder}", markup=False, highlight=False)


def _interrupted(request: Request, sets: list[str], file: str) -> NoReturn:
    from impray.results import status

    typer.echo(f"stopped: {status.sentence(request.folder)}", err=True)
    words = ["impray", "sweep", file, *(word for item in sets for word in ("--set", item))]
    typer.echo(f"go on with: {' '.join(words)} --out {request.folder.parent}", err=True)
    raise typer.Exit(130)


def _plan(found: Sweep, path: Path, out: Path) -> None:
    from impray.service import estimate

    for line in estimate.lines(found, path.stem, out / path.stem):
        typer.echo(line)
    typer.echo(f"next: impray sweep {path}")


@app.command()
def schema(file: Annotated[Path | None, typer.Argument(help="Where to write it; default: print.")] = None) -> None:
    """JSON schema of the sweep YAML, for editors."""
    from impray.spec.schema import schema as make

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


# -- looking ----------------------------------------------------------------------------------------------------------


@app.command()
def status(folder: Folder) -> None:
    """What is done, running and failed in a sweep's folder."""
    with answered():
        from impray.results import status as of

        typer.echo(of.sentence(folder))
    typer.echo(f"next: impray top {folder}")


@app.command()
def top(folder: Folder) -> None:
    """The leaderboard of a sweep: trials, best first."""
    with answered():
        from rich.console import Console

        from impray.results import tables
        from impray.results.paths import Paths
        from impray.spec.load import load

        tables.scan("trials", folder)
        leaderboard(load(Paths(folder).sweep), folder, Console())
    typer.echo(f"next: impray mlflow ui {folder}")


def leaderboard(found: Sweep, folder: Path, console: Console) -> None:
    from impray.results import leaderboard as of

    frame = of.by_goals(found, folder) if found.search.goals else of.by_method(folder)
    print_frame(frame, console, rows=30)


def print_frame(frame: pl.DataFrame, console: Console, rows: int) -> None:
    """A polars frame as a plain table; numbers with four digits."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    cells = [
        [f"{v:.4g}" if isinstance(v, float) else "" if v is None else str(v) for v in row]
        for row in frame.head(rows).iter_rows()
    ]
    for place, name in enumerate(frame.columns):
        # Numbers never wrap, headings do.
        widest = max((len(row[place]) for row in cells), default=1)
        right = "right" if frame[name].dtype.is_numeric() else "left"
        table.add_column(name, justify=right, min_width=widest, overflow="fold")
    for row in cells:
        table.add_row(*row)
    console.print(table)
    if frame.height > rows:
        console.print(f"and {frame.height - rows} more", markup=False)


@app.command()
def failures(folder: Folder, trace: Annotated[bool, typer.Option(help="With the traces.")] = False) -> None:
    """What went wrong, newest first."""
    with answered():
        from impray.results import tables

        rows = tables.scan("failures", folder).sort("written_at", descending=True).collect()
        for row in rows.iter_rows(named=True):
            typer.echo(f"{row['written_at']:%Y-%m-%d %H:%M:%S} pack {row['pack']} round {row['round']}: {row['error']}")
            typer.echo(f"  trials {', '.join(row['trials'])}; {len(row['lineages'])} lineages; host {row['host']}")
            if trace and row["trace"]:
                typer.echo(row["trace"])
        if rows.is_empty():
            typer.echo("no failures")


@app.command()
def data(
    file: Annotated[
        str | None, typer.Argument(help="A sweep whose data to describe; default: --set data.kind=... alone.")
    ] = None,
    sets: Sets = None,
    samples: Annotated[int, typer.Option(min=8, help="Samples per class.")] = 2000,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    picture: Annotated[Path | None, typer.Option(help="Where the picture of samples goes.")] = None,
) -> None:
    """Statistics and sample pictures of a stimulus."""
    with answered():
        from impray.service import stimulus

        spec = stimulus.data_of(file, sets or [], load_sweep)
        stimulus.show(spec, samples, seed, as_json, picture)


@app.command()
def tables(as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """The data dictionary: every table, column, unit and sentence."""
    from impray.results.schema import KEYS, TABLES
    from impray.results.tables import dictionary

    rows = dictionary()
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    for table, sentence in TABLES.items():
        typer.echo(f"\n{table}: {sentence} (key: {', '.join(KEYS[table])})")
        for row in (row for row in rows if row["table"] == table):
            unit = f" [{row['unit']}]" if row["unit"] else ""
            typer.echo(f"  {row['column']:<30} {row['type']:<12} {row['sentence']}{unit}")
    typer.echo(
        '\nnext: python -c \'from impray.results.tables import scan; print(scan("rounds", "runs/quickstart").collect())\''
    )


@app.command()
def bench(
    only: Annotated[str | None, typer.Option(help="Comma-separated: pack, rf_width, clone, overhead.")] = None,
) -> None:
    """This machine against reference loops, side by side; medians."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with answered():
        from rich.console import Console

        from impray import bench as of

        of.show(only.split(",") if only else None, Console())


@mlflow_app.command("sync")
def mlflow_sync(
    folder: Folder, mlflow: Store = None, rebuild: Annotated[bool, typer.Option(help="Delete and export anew.")] = False
) -> None:
    """Export the tables to MLflow; doing it twice changes nothing."""
    with answered():
        from impray.results import mlflow as exporter

        found = (exporter.rebuild if rebuild else exporter.sync)(folder, mlflow)
        typer.echo(f"exported: {found}")
    typer.echo(f"next: impray mlflow ui {folder}")


@mlflow_app.command("ui")
def mlflow_ui(
    folder: Folder, mlflow: Store = None, port: Annotated[int, typer.Option(min=1, max=65535)] = 5000
) -> None:
    """Open the MLflow UI on 127.0.0.1."""
    with answered():
        from impray.results import mlflow as exporter
        from impray.results.tables import scan

        scan("rounds", folder)
        command = exporter.ui_command(folder, mlflow, port)
        page = exporter.ui_page(exporter.prepare(folder, mlflow), port)
        typer.echo(f"{page}\n(ready in a few seconds; Ctrl-C ends it)")
        code = subprocess.call(command, env={**os.environ, **exporter.ui_environment()})
    raise typer.Exit(code if code >= 0 else 130)


if __name__ == "__main__":
    sys.exit(main())
