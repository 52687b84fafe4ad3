"""The command `impray`: its options that several commands share, and how a command ends."""

from __future__ import annotations

import os
import shlex
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from impray import __version__
from impray.cli import completing
from impray.cli.typed import problems_with
from impray.service import stopping
from impray.spec.text import cut, hidden

if TYPE_CHECKING:
    from impray.results.store import Place
    from impray.spec.errors import Problem

EXIT_CODES = """\b
Exit codes:
0    all that was asked for is there
1    trials failed (impray failures FOLDER), or a bug of ours, with its trace
2    what is wrong has been said; mend it and give the same command again
129  ended by SIGHUP, 130 by Ctrl-C, 143 by SIGTERM: the same command goes on
"""
_UsageError: Any = typer.BadParameter.__mro__[1]  # of click, which newer versions of typer have inside
_MOST_TOLD = 400  # characters of what typer says of wrong words, which repeats them


class _Commands(TyperGroup):
    """The commands; what was typed is looked at before any of it is read, and told without secrets."""

    def make_context(self, info_name: str | None, args: list[str], *others: Any, **extra: Any) -> Any:
        wrong = [] if extra.get("resilient_parsing") else problems_with(args)  # so while a shell completes words
        if wrong:
            from impray.spec.errors import SweepError

            typer.echo(str(SweepError("impray", wrong)), err=True)
            raise typer.Exit(2)
        with _short_usage_errors():
            return super().make_context(info_name, args, *others, **extra)

    def invoke(self, ctx: Any) -> Any:
        with _short_usage_errors():
            return super().invoke(ctx)


@contextmanager
def _short_usage_errors() -> Iterator[None]:
    try:
        yield
    except _UsageError as error:
        setattr(error, "message", cut(hidden(error.message), _MOST_TOLD))  # noqa: B010 - typer calls it final
        raise


app = typer.Typer(
    cls=_Commands,
    epilog=EXIT_CODES,
    help="Which statistics of the data make iterative magnitude pruning find structure?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
mlflow_app = typer.Typer(help="The MLflow view of a sweep's tables.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(mlflow_app, name="mlflow")


def place(text: str | Path) -> str | Path:
    """A path, or a URI as it was typed: a path would make `s3:/bucket` of it."""
    return text if "://" in str(text) else Path(text)


Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Override, such as prune.fraction=0.2 or rounds=3."),
]
File = Annotated[
    str,
    typer.Argument(help="A sweep's YAML file, or the name of one that `--list` has.", autocompletion=completing.sweeps),
]
Out = Annotated[
    str,
    typer.Option(
        "--out", parser=place, metavar="PLACE", help="Where sweeps' folders go: a folder, or s3://bucket/runs."
    ),
]
Folder = Annotated[
    str,
    typer.Argument(
        parser=place,
        metavar="FOLDER",
        autocompletion=completing.results,
        help="A sweep's own folder, such as runs/quickstart or s3://bucket/runs/quickstart.",
    ),
]
MlflowUri = Annotated[
    str | None,
    typer.Option(
        "--mlflow", help="URI of an MLflow store or server. Default: MLFLOW_TRACKING_URI, or sqlite in the folder."
    ),
]


def main() -> None:
    """The command `impray`. What is our bug keeps its trace, without the secrets that its errors may repeat."""
    with stopping.heard(to_the_end=True) as ending:
        try:
            app()
        except SystemExit as end:
            if ending.by is not None and end.code in (1, 130):  # Typer's word for Ctrl-C, outside a command's own block
                raise SystemExit(ending.code) from None
            raise
        except (KeyboardInterrupt, Exception) as error:
            if ending.expected(error):
                raise SystemExit(ending.code) from None
            if isinstance(error, KeyboardInterrupt):
                raise
            typer.echo(hidden(traceback.format_exc()), err=True, nl=False)
            sys.exit(1)


@contextmanager
def answered(again: Callable[[], str] = str) -> Iterator[None]:
    """A user's error is a message and exit code 2; a signal that asks for the end is one of EXIT_CODES; anything else is our bug and keeps
    its trace.

    Args:    again: tells the command to go on with after a signal, if there is more to say than that it was heard.
    """
    with stopping.heard() as ending:  # first: imports take seconds
        try:
            with _told():
                yield
        except typer.Exit:
            raise
        except Exception as error:
            if not ending.expected(error):
                raise
            ended(ending, again)  # what a library made of it
        except KeyboardInterrupt:
            ended(ending, again)


@contextmanager
def _told() -> Iterator[None]:
    from impray.spec.errors import ImprayError

    try:
        yield
    except ImprayError as error:
        if stopping.asked():
            raise KeyboardInterrupt from error
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None


def ended(ending: stopping.Stopping, again: Callable[[], str] = str) -> NoReturn:
    """Say how to go on, and end with the signal's exit code."""
    ending.told()
    if command := again():
        typer.echo(f"go on with: {command}", err=True)
    raise typer.Exit(ending.code) from None


@app.callback(invoke_without_command=True)
def top_level(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


def store_problems(mlflow: str | None) -> list[Problem]:
    """What is wrong with `--mlflow`, or with MLFLOW_TRACKING_URI where nothing was given."""
    from impray.results.mlflow import problems

    return problems(mlflow)


def chosen_store(folder: Place, mlflow: str | None) -> str | None:
    """The MLflow store that is meant; says so where that is not as typed and not in the folder."""
    from impray.results.mlflow import chosen

    store = chosen(folder, mlflow)
    if store.said is not None:
        typer.echo(store.said)
    return store.uri


def cluster_of(address: str | None) -> tuple[str | None, bool]:
    """The cluster that is meant: as typed, else as RAY_ADDRESS says; None for a local Ray. And whether RAY_ADDRESS says it."""
    named = os.environ.get("RAY_ADDRESS") or None
    meant = address or named
    return None if meant == "local" else meant, address is None and named is not None


def quoted(folder: Place) -> str:
    """As it must be typed in a command: a folder's name may hold blanks or brackets."""
    return shlex.quote(str(folder))


def next_view(folder: Place, mlflow: str | None = None) -> str:
    """Where to look at a sweep in MLflow: made first where there is nothing yet; a server has its own address.

    Args:    mlflow: as `chosen_store` gives it.
    """
    from impray.results import mlflow as view
    from impray.results.paths import Paths

    if mlflow in (None, "off"):
        return f"next: impray mlflow {'ui' if Paths(folder).mlflow.is_file() else 'sync'} {quoted(folder)}"
    if view.is_server(mlflow):
        return f"next: open {view.shown(mlflow)}"
    return f"next: {shlex.join(['impray', 'mlflow', 'ui', str(folder), '--mlflow', view.shown(mlflow)])}"
