"""`impray sweep`: from a file to a request, and what is said when it ends."""

from __future__ import annotations

import shlex
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from impray.cli import jobs
from impray.cli.app import (
    File,
    Out,
    Sets,
    answered,
    app,
    chosen_store,
    cluster_of,
    next_view,
    quoted,
    store_problems,
)
from impray.cli.load import load_sweep, name_of

if TYPE_CHECKING:
    from rich.console import Console

    from impray.results.paths import Paths
    from impray.results.store import Place
    from impray.service.driver import Request
    from impray.service.listener import Listener, Report
    from impray.service.pool import Pool
    from impray.spec.errors import Problem
    from impray.spec.sweep import Sweep

DEFAULT_SWEEP = "sweeps/quickstart.yaml"


@app.command()
def sweep(
    file: File = DEFAULT_SWEEP,
    sets: Sets = None,
    out: Out = "runs",
    plan: Annotated[
        bool, typer.Option("--plan", help="Print trials, lineages, packs and an estimated time; run nothing.")
    ] = False,
    where: Annotated[str, typer.Option(help="`ray` (actors) or `here` (this process; grid and random only).")] = "ray",
    address: Annotated[
        str | None,
        typer.Option(
            help="A running Ray cluster: auto on its head, http://127.0.0.1:8265 from outside (through a tunnel), local for none. "
            "Default: RAY_ADDRESS, or a local one."
        ),
    ] = None,
    mlflow: Annotated[
        str | None,
        typer.Option(
            help="URI of an MLflow store or server; `off` for none. Default: MLFLOW_TRACKING_URI, or sqlite in the folder."
        ),
    ] = None,
    figures: Annotated[bool, typer.Option(help="Draw the sweep's figures at the end.")] = True,
    stop: Annotated[bool, typer.Option("--stop", help="With --address http://...: stop the job that runs it.")] = False,
) -> None:
    """Run a sweep, or go on where it stopped."""
    with answered():
        from impray.results.store import within

        typed, (address, named) = address, cluster_of(address)
        if named and where == "here":
            address = None  # RAY_ADDRESS is for those who use Ray
        elif named:
            shown = "the address in RAY_ADDRESS" if address and "@" in address else address or "local"
            typer.echo(f"Ray at {shown} (RAY_ADDRESS; --address local for none)")
        sweep, path = load_sweep(
            file, sets or [], lambda checked: call_problems(checked, where, address, mlflow, out, stop)
        )
        name = name_of(path)
        again = _command(file, sets or [], out, where, typed, mlflow, figures)
        if plan:
            _plan(sweep, name, within(out, name), again)
        elif jobs.is_outside(address):
            words = _options(sets or [], out, where, None, mlflow, figures)
            raise typer.Exit(jobs.run(path, name, sweep.plugins, words, out, address, again, stop))
        else:
            jobs.told_version()
            _run(sweep, name, within(out, name), _pool(where, address), mlflow, figures, again)


def _run(sweep: Sweep, name: str, folder: Place, pool: Pool, mlflow: str | None, figures: bool, again: str) -> None:
    """Run it from this process, and say how it ended."""
    from rich.console import Console

    from impray.service import driver
    from impray.spec.errors import StorageError

    mlflow = mlflow if mlflow == "off" else chosen_store(folder, mlflow)
    console = Console(width=None if sys.stdout.isatty() else 120)
    driver.said(console)(f"{name}: {sweep.question}")
    request = driver.Request(sweep, name, folder)
    try:
        report = driver.run(request, pool, _listeners(sweep, console, mlflow, figures), console)
    except KeyboardInterrupt:
        stopped(folder, again)
        raise typer.Exit(130) from None
    except StorageError as error:
        typer.echo(str(error), err=True)
        with suppress(StorageError):  # it may be a bucket that does not answer
            if begun(folder):
                stopped(folder, again)
            raise typer.Exit(2) from None
        typer.echo(f"go on with: {again}", err=True)
        raise typer.Exit(2) from None
    if report.interrupted:
        stopped(folder, again)
        raise typer.Exit(130)
    finish(request, report, console, mlflow)


def _pool(where: str, address: str | None) -> Pool:
    if where == "here":
        from impray.service.here import LocalPool

        return LocalPool()
    from impray.service.ray.pool import RayPool

    return RayPool(address)


def _listeners(sweep: Sweep, console: Console, mlflow: str | None, figures: bool) -> list[Listener]:
    """In the order in which they hear of things: MLflow shows figures, so they are drawn before."""
    from impray.service.drawing import Drawing
    from impray.service.driver import said
    from impray.service.exporting import Exporting
    from impray.service.progress import Progress

    listeners: list[Listener] = [Progress(console)]
    listeners += [Drawing(sweep.figures)] if figures else []
    listeners += [Exporting(mlflow, said(console))] if mlflow != "off" else []
    return listeners


def call_problems(
    sweep: Sweep | None, where: str, address: str | None, mlflow: str | None, out: str | Path, stop: bool
) -> list[Problem]:
    """What only the command line can see: whether the figures' scripts exist, and whether the options fit each other."""
    from impray.results.store import problems as place_problems
    from impray.service import room
    from impray.service.drawing import scripts as known_scripts
    from impray.service.ray.nodes import memory
    from impray.spec import families
    from impray.spec.errors import Problem
    from impray.spec.wording import near

    problems = []
    scripts = [*known_scripts(), *families.figures.tags]
    for position, name in enumerate(sweep.figures if sweep else ()):
        if name not in scripts:
            right = f"not one of {', '.join(scripts)}{near(name, scripts)}"
            problems.append(Problem(f"figures[{position}]", repr(name), right))
    if where not in ("here", "ray"):
        problems.append(Problem("--where", repr(where), f"must be here or ray{near(where, ('here', 'ray'))}"))
    elif where == "here" and sweep and (sweep.search.algorithm == "optuna" or sweep.search.stop_early):
        right = "runs grid and random searches without stop_early; use --where ray"
        problems.append(Problem("--where", "'here'", right))
    if where == "here" and address is not None:
        problems.append(Problem("--address", repr(address), "a cluster is for --where ray; leave one of them out"))
    problems += place_problems("--out", str(out)) or jobs.address_problems(address, out, mlflow, stop)
    if mlflow != "off":
        problems += store_problems(mlflow)
    if sweep is not None:
        problems += room.problems(sweep, memory()["total"] if address is None else None)
    return problems


def _command(
    file: str, sets: list[str], out: str | Path, where: str, address: str | None, mlflow: str | None, figures: bool
) -> str:
    """The command that was typed, to type again; without a login in a URI."""
    return shlex.join(["impray", "sweep", file, *_options(sets, out, where, address, mlflow, figures)])


def _options(
    sets: list[str], out: str | Path, where: str, address: str | None, mlflow: str | None, figures: bool
) -> list[str]:
    from impray.results.mlflow import shown

    words = [word for item in sets for word in ("--set", item)]
    words += ["--out", str(out)] if out != Path("runs") else []
    words += ["--where", where] if where != "ray" else []
    words += ["--address", address] if address else []
    words += ["--mlflow", shown(mlflow)] if mlflow else []
    words += [] if figures else ["--no-figures"]
    return words


def begun(folder: Place) -> bool:
    """Whether a sweep has written down its first trial there."""
    from impray.results.paths import Paths

    return bool(Paths(folder).row_files("trials"))


def stopped(folder: Place, again: str) -> None:
    """Say what is done, if anything was begun, and how to go on."""
    from impray.results import status

    if begun(folder):
        typer.echo(f"stopped: {status.sentence(folder)}", err=True)
    typer.echo(f"go on with: {again}", err=True)


def finish(request: Request, report: Report, console: Console, mlflow: str | None) -> None:
    """Say what happened and name the next useful command."""
    from impray.cli.looking import leaderboard  # here: `--help` lists `sweep` first
    from impray.results import outcomes
    from impray.results.paths import Paths

    folder = request.folder
    if not report.ran:
        diverged = outcomes.diverged_trials(folder)
        state = f"over ({diverged} diverged)" if diverged else "done"
        console.print(
            f"nothing to do: all {report.trials} trials are {state} in {folder}", markup=False, highlight=False
        )
    leaderboard(request.sweep, folder, console)
    for path in report.figures:
        text = path.store.file(path.key.removesuffix(".png") + ".txt").read()
        if text is not None:  # its title and what this run says; the whole text lies beside the figure
            title, *others = text.decode().splitlines()
            head = "\n".join([title, *(line for line in others if line.startswith("This run: "))])
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
        typer.echo(f"{failed} {'trial' if failed == 1 else 'trials'} failed; next: impray failures {quoted(folder)}")
        raise typer.Exit(1)
    typer.echo(f"next: impray failures {quoted(folder)}" if warning else next_view(folder, mlflow))


def told_aside(paths: Paths, names: list[str]) -> None:
    """What was found damaged, and has been made again."""
    if names:
        shown = ", ".join(names[:5]) + (" ..." if len(names) > 5 else "")
        what = "1 damaged file was" if len(names) == 1 else f"{len(names)} damaged files were"
        typer.echo(f"{what} set aside and made again: {paths.store.place('damaged')} has {shown}")


def _plan(sweep: Sweep, name: str, folder: Place, again: str) -> None:
    from impray.service import estimate

    for line in estimate.lines(sweep, name, folder):
        typer.echo(line)
    typer.echo(f"next: {again}")
