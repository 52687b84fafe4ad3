"""Words -> calls: the command line. Importing it loads neither torch nor ray nor mlflow."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from impray import __version__

if TYPE_CHECKING:
    from rich.console import Console

    from impray.results.paths import Paths
    from impray.service.driver import Report, Request
    from impray.spec.errors import Problem
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
    str | None, typer.Option("--mlflow", help="URI of an MLflow store or server. Default: sqlite in the folder.")
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
    mlflow: Annotated[
        str | None,
        typer.Option(help="URI of an MLflow store or server; `off` for none. Default: sqlite in the folder."),
    ] = None,
    figures: Annotated[bool, typer.Option(help="Draw the sweep's figures at the end.")] = True,
) -> None:
    """Run a sweep, or go on where it stopped."""
    with answered():
        found, path = load_sweep(file, sets or [], lambda of: call_problems(of, where, address, mlflow))
        name = path.stem if path.stem != "sweep" else path.resolve().parent.name
        again = _command(file, sets or [], out, where, address, mlflow, figures)
        if plan:
            _plan(found, name, out / name, again)
            return
        from rich.console import Console

        from impray.service import driver
        from impray.spec.errors import StorageError

        request = driver.Request(found, name, out / name, where, address, mlflow, figures)  # type: ignore[arg-type]
        console = Console(width=None if sys.stdout.isatty() else 120)
        console.print(f"{name}: {found.question}", markup=False, highlight=False, soft_wrap=True)
        try:
            report = driver.run(request, console)
        except KeyboardInterrupt:
            stopped(request.folder, again)
            raise typer.Exit(130) from None
        except StorageError as error:
            typer.echo(str(error), err=True)
            if begun(request.folder):
                stopped(request.folder, again)
            raise typer.Exit(2) from None
        if report.interrupted:
            stopped(request.folder, again)
            raise typer.Exit(130)
        finish(request, report, console)


def load_sweep(
    file: str, sets: list[str], check: Callable[[Sweep | None], list[Problem]] = lambda found: []
) -> tuple[Sweep, Path]:
    """The validated sweep and the file it came from; a bare name is looked for in `sweeps/`."""
    from impray.service.said import sizes_in_files
    from impray.spec.errors import Problem, SweepError
    from impray.spec.load import load
    from impray.spec.wording import near

    path = Path(file)
    shipped = {p.stem: p for folder in (_checkout() / "sweeps", Path("sweeps")) for p in sorted(folder.glob("*.yaml"))}
    bare = file.removeprefix("sweeps/").removesuffix(".yaml")
    path = path if path.exists() else shipped.get(bare, path)
    if not path.exists() and path.parent == Path("."):
        options = [*shipped, *(str(other) for other in Path(".").glob("*.y*ml"))]
        right = f"there is no such file; sweeps/ has {', '.join(shipped) or 'none'}{near(file, options)}"
        raise SweepError(file, [Problem("file", None, right)])
    return load(path, sets, check, sizes_in_files), path


def call_problems(found: Sweep | None, where: str, address: str | None, mlflow: str | None) -> list[Problem]:
    """What only the command line can see: whether the figures' scripts exist, and whether the options fit each other."""
    from impray.spec.errors import Problem
    from impray.spec.wording import near

    problems = []
    scripts = sorted(p.stem for p in (_checkout() / "analysis").glob("*.py") if p.stem != "common")
    for position, name in enumerate(found.figures if found else ()):
        if name not in scripts:
            right = f"not one of {', '.join(scripts)}{near(name, scripts)}"
            problems.append(Problem(f"figures[{position}]", repr(name), right))
    if where not in ("here", "ray"):
        problems.append(Problem("--where", repr(where), f"must be here or ray{near(where, ('here', 'ray'))}"))
    elif where == "here" and found and (found.search.algorithm == "optuna" or found.search.stop_early):
        right = "runs grid and random searches without stop_early; use --where ray"
        problems.append(Problem("--where", "'here'", right))
    if where == "here" and address is not None:
        problems.append(Problem("--address", repr(address), "a cluster is for --where ray; leave one of them out"))
    if mlflow != "off":
        problems += _store_problems(mlflow)
    return problems


def _store_problems(mlflow: str | None) -> list[Problem]:
    """MLflow takes any word for the name of a folder of files, which it does not support any more."""
    from impray.spec.errors import Problem

    if mlflow is None or "://" in mlflow:
        return []
    right = "must be a URI, such as http://127.0.0.1:5000 or sqlite:///mlflow.db"
    return [Problem("--mlflow", repr(mlflow), right)]


def _checkout() -> Path:
    return Path(__file__).parent.parent


def _command(
    file: str, sets: list[str], out: Path, where: str, address: str | None, mlflow: str | None, figures: bool
) -> str:
    """The command that was typed, to type again."""
    words = ["impray", "sweep", file, *(word for item in sets for word in ("--set", item))]
    words += ["--out", str(out)] if out != Path("runs") else []
    words += ["--where", where] if where != "ray" else []
    words += ["--address", address] if address else []
    words += ["--mlflow", mlflow] if mlflow else []
    words += [] if figures else ["--no-figures"]
    return shlex.join(words)


def begun(folder: Path) -> bool:
    """Whether a sweep has written down its first trial there."""
    from impray.results.paths import Paths

    return bool(Paths(folder).row_files("trials"))


def stopped(folder: Path, again: str) -> None:
    """Say what is done, if anything was begun, and how to go on."""
    from impray.results import status

    if begun(folder):
        typer.echo(f"stopped: {status.sentence(folder)}", err=True)
    typer.echo(f"go on with: {again}", err=True)


def finish(request: Request, report: Report, console: Console) -> None:
    """Say what happened and name the next useful command."""
    from impray.results import outcomes
    from impray.results.paths import Paths

    folder = request.folder
    if not report.ran:
        diverged = outcomes.diverged_trials(folder)
        how = f"over ({diverged} diverged)" if diverged else "done"
        console.print(f"nothing to do: all {report.trials} trials are {how} in {folder}", markup=False, highlight=False)
    leaderboard(request.sweep, folder, console)
    for path in report.figures:
        text = path.with_suffix(".txt")
        if text.is_file():  # its first lines; the whole text lies beside the figure
            head = text.read_text().split("\n\n", 1)[0]
            console.print(f"\n{head}", markup=False, highlight=False, soft_wrap=not console.is_terminal)
        console.print(f"figure: {path}", markup=False, highlight=False, soft_wrap=True)
    for line in report.broken_figures:
        console.print(f"figure not drawn: {line}", markup=False, highlight=False, soft_wrap=True)
    if report.ran:
        parts = ", ".join(f"{part} {seconds:.1f} s" for part, seconds in report.seconds.items())
        console.print(f"time: {parts}", markup=False, highlight=False, soft_wrap=True)
    told_aside(Paths(folder), report.set_aside)
    warning = outcomes.warning(folder)
    if warning:
        typer.echo(warning, err=True)
    if report.export_error:
        typer.echo(f"not exported to MLflow: {report.export_error}", err=True)
        raise typer.Exit(2)
    failed = report.count("failed")
    if failed:
        typer.echo(f"{failed} {'trial' if failed == 1 else 'trials'} failed; next: impray failures {_quoted(folder)}")
        raise typer.Exit(1)
    typer.echo(f"next: impray failures {_quoted(folder)}" if warning else _next_view(folder, request.mlflow))


def _quoted(folder: Path) -> str:
    """As it must be typed in a command: a folder's name may hold blanks or brackets."""
    return shlex.quote(str(folder))


def _next_view(folder: Path, mlflow: str | None = None) -> str:
    """Where to look at a sweep in MLflow: made first where there is nothing yet; a server has its own address."""
    from impray.results.paths import Paths

    if mlflow not in (None, "off"):
        server = mlflow.startswith(("http:", "https:"))
        ui = shlex.join(["impray", "mlflow", "ui", str(folder), "--mlflow", mlflow])
        return f"next: open {mlflow}" if server else f"next: {ui}"
    return f"next: impray mlflow {'ui' if Paths(folder).mlflow.is_file() else 'sync'} {_quoted(folder)}"


def _plan(found: Sweep, name: str, folder: Path, again: str) -> None:
    from impray.service import estimate

    for line in estimate.lines(found, name, folder):
        typer.echo(line)
    typer.echo(f"next: {again}")


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
        from impray.results.tables import reading

        with reading(folder):
            typer.echo(of.sentence(folder))
    typer.echo(f"next: impray top {_quoted(folder)}")


@app.command()
def top(folder: Folder, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """The leaderboard of a sweep: trials, best first, with their spread over seeds and what cannot be told from the best."""
    with answered():
        from rich.console import Console

        from impray.results.tables import reading
        from impray.spec.load import load

        with reading(folder) as paths:
            if as_json:
                from impray.results.leaderboard import of

                typer.echo(json.dumps(of(load(paths.sweep), folder).document(), indent=2))
                return
            leaderboard(load(paths.sweep), folder, Console())
    typer.echo(_next_view(folder))


def leaderboard(found: Sweep, folder: Path, console: Console) -> None:
    from impray.results import leaderboard, text

    for line in text.lines(leaderboard.of(found, folder), console.width if console.is_terminal else None):
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
    again = f"impray failures --trace {_quoted(folder)}" if failed and not trace else ""
    typer.echo(f"next: {again or f'impray top {_quoted(folder)}'}")


@app.command()
def data(
    file: Annotated[
        str | None, typer.Argument(help="A sweep whose data to describe; default: --set data.kind=... alone.")
    ] = None,
    sets: Sets = None,
    samples: Annotated[int, typer.Option(min=8, help="Samples per class.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Which samples are drawn.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    picture: Annotated[Path | None, typer.Option(help="Where the picture of samples goes.")] = None,
) -> None:
    """Statistics and sample pictures of a stimulus."""
    with answered():
        from impray.service import stimulus

        spec = stimulus.data_of(file, sets or [], load_sweep)
        stimulus.show(spec, samples, seed, as_json, picture)


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

        from impray import bench as of

        of.show(only.split(",") if only else None, Console())


@mlflow_app.command("sync")
def mlflow_sync(
    folder: Folder, mlflow: Store = None, rebuild: Annotated[bool, typer.Option(help="Delete and export anew.")] = False
) -> None:
    """Export the tables to MLflow; doing it twice changes nothing."""
    with answered():
        from impray.results import mlflow as exporter

        with exportable(folder, mlflow):
            found = (exporter.rebuild if rebuild else exporter.sync)(folder, mlflow, say=typer.echo)
        typer.echo(f"exported: {found.trials} trials, {found.metrics} new points")
    typer.echo(_next_view(folder, mlflow))


@contextmanager
def exportable(folder: Path, mlflow: str | None) -> Iterator[Paths]:
    """A sweep's folder and a store that can be one."""
    from impray.results.tables import reading
    from impray.spec.errors import SweepError

    with reading(folder) as paths:
        problems = _store_problems(mlflow)
        if problems:
            raise SweepError("impray mlflow", problems)
        yield paths


def told_aside(paths: Paths, names: list[str]) -> None:
    """What was found damaged, and has been made again."""
    if names:
        shown = ", ".join(names[:5]) + (" ..." if len(names) > 5 else "")
        what = "1 damaged file was" if len(names) == 1 else f"{len(names)} damaged files were"
        typer.echo(f"{what} set aside and made again: {paths.damaged} has {shown}")


@mlflow_app.command("ui")
def mlflow_ui(
    folder: Folder,
    mlflow: Store = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where the UI listens.")] = 5000,
) -> None:
    """Open the MLflow UI on 127.0.0.1."""
    with answered():
        from impray.results import mlflow as exporter

        with exportable(folder, mlflow):
            command = exporter.ui_command(folder, mlflow, port)
            page = exporter.ui_page(exporter.prepare(folder, mlflow, typer.echo), port)
        typer.echo(f"{page}\n(ready in a few seconds; Ctrl-C ends it)")
        code = subprocess.call(command, env={**os.environ, **exporter.ui_environment()})
    raise typer.Exit(code if code >= 0 else 130)


if __name__ == "__main__":
    sys.exit(main())
