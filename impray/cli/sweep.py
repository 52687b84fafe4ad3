"""`impray sweep`: from a file to a request, and what is said when it ends."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from impray.cli import completing, jobs
from impray.cli.app import (
    EXIT_CODES,
    File,
    Out,
    Sets,
    answered,
    app,
    chosen_store,
    cluster_of,
    ended,
    next_view,
    quoted,
    store_problems,
)
from impray.cli.listing import sweep_lines
from impray.service import stopping
from impray.service.said import found, load_sweep, name_of

if TYPE_CHECKING:
    from rich.console import Console

    from impray.results.paths import Paths
    from impray.results.store import Place
    from impray.service.driver import Request
    from impray.service.listener import Listener, Report, SweepStart
    from impray.service.pool import Pool
    from impray.spec.errors import Problem
    from impray.spec.sweep import Sweep

DEFAULT_SWEEP = "sweeps/quickstart.yaml"


@app.command(epilog=EXIT_CODES)
def sweep(
    file: File = DEFAULT_SWEEP,
    sets: Sets = None,
    out: Out = "runs",
    plan: Annotated[
        bool, typer.Option("--plan", help="Print trials, lineages, packs and an estimated time; run nothing.")
    ] = False,
    where: Annotated[
        str,
        typer.Option(
            help="`ray` (actors) or `here` (this process; grid and random only).",
            autocompletion=completing.one_of("ray", "here"),
        ),
    ] = "ray",
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
    figures: Annotated[bool, typer.Option(help="Draw the sweep's figures at the end, and write its report.")] = True,
    shipped: Annotated[
        bool, typer.Option("--list", help="List the shipped sweeps: what each asks and costs; run nothing.")
    ] = False,
    stop: Annotated[bool, typer.Option("--stop", help="With --address http://...: stop the job that runs it.")] = False,
) -> None:
    """Run a sweep, or go on where it stopped."""
    if shipped:
        for line in sweep_lines():
            typer.echo(line)
        return
    typed, (address, named) = address, cluster_of(address)

    def command() -> str:
        return _command(file, sets or [], out, where, typed, mlflow, figures)

    with answered(str if plan else command):
        from impray.results.store import within
        from impray.service.drawing import own_scripts
        from impray.service.where import pool

        if named and where == "here":
            address = None  # RAY_ADDRESS is for those who use Ray
        elif named:
            shown = "the address in RAY_ADDRESS" if address and "@" in address else address or "local"
            typer.echo(f"Ray at {shown} (RAY_ADDRESS; --address local for none)")
        own = own_scripts(found(file))
        sweep, path = load_sweep(
            file, sets or [], lambda checked: call_problems(checked, where, address, mlflow, out, stop, own)
        )
        name = name_of(path)
        again = command()
        if plan:
            _plan(sweep, name, within(out, name), where, figures, mlflow != "off", again)
        elif jobs.is_outside(address):
            words = _options(sets or [], out, where, None, mlflow, figures)
            sent = jobs.Sent(path, name, sweep.plugins, [own[figure] for figure in sweep.figures if figure in own])
            raise typer.Exit(jobs.run(sent, words, out, address, again, stop))
        else:
            jobs.told_version()
            drawing = own if figures else None
            if address is not None and where == "ray":  # before torch and the folder are opened, which takes seconds
                from impray.service.ray.pool import check

                check(address)
            from impray.service import driver

            request = driver.Request(sweep, name, within(out, name))
            _run(request, pool(where, address), mlflow, drawing, again)


def _run(request: Request, pool: Pool, mlflow: str | None, drawing: Mapping[str, Path] | None, again: str) -> None:
    """Run it from this process, and say how it ended: also that it was asked to."""
    with stopping.heard() as ending:
        ending.last_words = f"go on with: {again}"
        ending.said = lambda by: f"{by}: stopping, which takes up to {stopping.PATIENCE_S:.0f} s; what is done stays"
        try:
            _run_to_its_end(request, pool, mlflow, drawing, again)
        except typer.Exit:
            raise
        except (KeyboardInterrupt, Exception) as error:
            if not ending.expected(error):
                raise
            ending.told()
            with suppress(Exception):  # the folder may be what does not answer
                stopped(request.folder)
            ended(ending, lambda: again)


def _run_to_its_end(
    request: Request, pool: Pool, mlflow: str | None, drawing: Mapping[str, Path] | None, again: str
) -> None:
    from rich.console import Console

    from impray.service import driver, leftovers
    from impray.spec.errors import PoolError, StorageError

    sweep, folder = request.sweep, request.folder
    mlflow = mlflow if mlflow == "off" else chosen_store(folder, mlflow)
    console = Console(width=None if sys.stdout.isatty() else 120)
    driver.said(console)(f"{request.name}: {sweep.question}")
    try:
        stopping.due()
        leftovers.clear()
        expected = _expecting(console, pool, drawing is not None, mlflow != "off")
        report = driver.run(request, pool, _listeners(sweep, console, mlflow, drawing, expected), console)
    except (StorageError, PoolError) as error:
        if stopping.asked():
            raise
        if not (isinstance(error, PoolError) and error.told):
            typer.echo(str(error), err=True)
        with suppress(StorageError):  # it may be a bucket that does not answer
            if isinstance(error, StorageError) and not begun(folder):
                raise typer.Exit(2) from None
            stopped(folder)
        typer.echo(f"go on with: {again}", err=True)
        raise typer.Exit(2) from None
    if report.interrupted:
        raise KeyboardInterrupt
    finish(request, report, console, mlflow)


def _expecting(console: Console, pool: Pool, figures: bool, syncs: bool) -> Callable[[SweepStart], float | None]:
    """Says what is going to be run, and for how long about; that in seconds."""
    from impray.service import cost, driver, estimate

    def expected(begun: SweepStart) -> float | None:
        after_s = cost.ending_s(begun.sweep, figures, syncs)
        lines, seconds = estimate.briefly(begun.known, "ray" if pool.name else "here", not pool.elsewhere, after_s)
        for line in lines:
            driver.said(console)(line)
        return seconds

    return expected


def _listeners(
    sweep: Sweep,
    console: Console,
    mlflow: str | None,
    drawing: Mapping[str, Path] | None,
    expected: Callable[[SweepStart], float | None],
) -> list[Listener]:
    """In the order in which they hear of things: MLflow shows figures, so they are drawn before.

    Args:    drawing: the user's own scripts of figures; None: nothing is drawn.
    """
    from impray.service.drawing import Drawing
    from impray.service.driver import said
    from impray.service.progress import Progress
    from impray.service.reporting import Reporting
    from impray.service.study import Keeping
    from impray.service.syncing import Syncing

    listeners: list[Listener] = [Progress(console, expected)]
    listeners += [Drawing(sweep.drawn, drawing)] if drawing is not None else []
    listeners += [Syncing(mlflow, said(console))] if mlflow != "off" else []
    listeners += [Reporting()] if drawing is not None else []
    listeners += [Keeping()] if sweep.search.algorithm == "optuna" else []
    return listeners


def call_problems(
    sweep: Sweep | None,
    where: str,
    address: str | None,
    mlflow: str | None,
    out: str | Path,
    stop: bool,
    own: Mapping[str, Path],
) -> list[Problem]:
    """What only the command line can see: whether the figures' scripts exist, and whether the options fit each other."""
    from impray.results.store import problems as place_problems
    from impray.service import room
    from impray.service.drawing import scripts as known_scripts
    from impray.service.ray.nodes import memory
    from impray.service.where import problems as where_problems
    from impray.spec import families
    from impray.spec.errors import Problem
    from impray.spec.wording import near

    problems = []
    scripts = [*dict.fromkeys([*known_scripts(), *own]), *families.figures.tags]
    for position, name in enumerate(sweep.figures if sweep else ()):
        if name not in scripts:
            right = f"not one of {', '.join(scripts)}{near(name, scripts)}"
            problems.append(Problem(f"figures[{position}]", repr(name), right))
    problems += where_problems(sweep, where, address)
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
    words = [word for item in sets for word in ("--set", item)]
    words += ["--out", str(out)] if out != Path("runs") else []
    words += ["--where", where] if where != "ray" else []
    words += ["--address", address] if address else []
    if mlflow == "off":
        words += ["--mlflow", "off"]
    elif mlflow:
        from impray.results.mlflow.chosen import shown

        words += ["--mlflow", shown(mlflow)]
    words += [] if figures else ["--no-figures"]
    return words


def begun(folder: Place) -> bool:
    """Whether a sweep has written down its first trial there."""
    from impray.results.paths import Paths

    return bool(Paths(folder).row_files("trials"))


def stopped(folder: Place) -> None:
    """Say what is done, if anything was begun."""
    from impray.results import status

    if begun(folder):
        typer.echo(f"stopped: {status.sentence(folder)}", err=True)


def finish(request: Request, report: Report, console: Console, mlflow: str | None) -> None:
    """Say what happened and name the next useful command."""
    from impray.cli.looking import leaderboard  # here: `--help` lists `sweep` first
    from impray.figures.judge import NO_CLAIMS
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
            told = [line for line in others if line.startswith("This run: ") and line != f"This run: {NO_CLAIMS}"]
            head = "\n".join([title, *told])
            if told:  # a figure without claims is told by its file alone
                console.print(f"\n{head}", markup=False, highlight=False, soft_wrap=not console.is_terminal)
        console.print(f"figure: {path}", markup=False, highlight=False, soft_wrap=True)
    for line in report.broken_figures:
        console.print(f"figure not drawn: {line}", markup=False, highlight=False, soft_wrap=True)
    if report.page is not None:
        console.print(f"report: {report.page}", markup=False, highlight=False, soft_wrap=True)
    if report.study is not None:
        console.print(
            f"study: {report.study} (optuna-dashboard opens it)", markup=False, highlight=False, soft_wrap=True
        )
    if report.ran:
        parts = ", ".join(f"{part} {seconds:.1f} s" for part, seconds in report.seconds.items())
        console.print(f"time: {parts}", markup=False, highlight=False, soft_wrap=True)
    told_aside(Paths(folder), report.set_aside)
    warning = outcomes.warning(folder)
    if warning:
        typer.echo(warning, err=True)
    if report.sync_error:
        typer.echo(f"not synced to MLflow: {report.sync_error}", err=True)
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


def _plan(sweep: Sweep, name: str, folder: Place, where: str, figures: bool, exports: bool, again: str) -> None:
    from impray.service import cost, estimate

    for line in estimate.lines(sweep, name, folder, where, cost.ending_s(sweep, figures, exports)):
        typer.echo(line)
    typer.echo(f"next: {again}")
