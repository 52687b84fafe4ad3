"""`impray mlflow`: the MLflow view of a sweep's tables."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from impray.cli.app import Folder, Store, answered, mlflow_app, next_view, store_problems

if TYPE_CHECKING:
    from impray.results.paths import Paths
    from impray.results.store import Place


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
    typer.echo(next_view(folder, mlflow))


@contextmanager
def exportable(folder: Place, mlflow: str | None) -> Iterator[Paths]:
    """A sweep's folder and a store that can be one."""
    from impray.results.tables import reading
    from impray.spec.errors import SweepError

    with reading(folder) as paths:
        problems = store_problems(mlflow)
        if problems:
            raise SweepError("impray mlflow", problems)
        yield paths


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
            page = exporter.ui_page(folder, mlflow, port, typer.echo)
        typer.echo(f"{page}\n(ready in a few seconds; Ctrl-C ends it)")
        code = subprocess.call(command, env={**os.environ, **exporter.ui_environment()})
    raise typer.Exit(code if code >= 0 else 130)
