"""`impray mlflow`: the MLflow view of a sweep's tables."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from impray.cli.app import Folder, MlflowUri, answered, chosen_store, mlflow_app, next_view, store_problems
from impray.service.children import child

if TYPE_CHECKING:
    from impray.results.paths import Paths
    from impray.results.store import Place


@mlflow_app.command("sync")
def mlflow_sync(
    folder: Folder,
    mlflow: MlflowUri = None,
    rebuild: Annotated[bool, typer.Option(help="Delete and sync anew.")] = False,
) -> None:
    """Sync the tables to MLflow; doing it twice changes nothing."""
    with answered():
        from impray.results import mlflow as view

        with syncable(folder, mlflow):
            uri = chosen_store(folder, mlflow)
            counts = (view.rebuild if rebuild else view.sync)(folder, uri, say=typer.echo)
            page = view.ui_page(folder, uri) if view.is_server(uri) else None
        typer.echo(f"synced: {counts.trials} trials, {counts.metrics} new points")
    typer.echo(f"next: open {page}" if page else next_view(folder, uri))


@contextmanager
def syncable(folder: Place, mlflow: str | None) -> Iterator[Paths]:
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
    mlflow: MlflowUri = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where the UI listens.")] = 5000,
) -> None:
    """Open the MLflow UI on 127.0.0.1; of a server, which has its own, say the page."""
    with answered():
        from impray.results import mlflow as view

        with syncable(folder, mlflow):
            uri = chosen_store(folder, mlflow)
            command = [] if view.is_server(uri) else view.ui_command(folder, uri, port)
            page = view.ui_page(folder, uri, port, typer.echo)
        if not command:
            typer.echo(page)
            return
        typer.echo(f"{page}\n(ready in a few seconds; Ctrl-C ends it)")
        with child(command, env={**os.environ, **view.ui_environment(folder, uri)}) as server:
            code = server.wait()
    raise typer.Exit(code if code >= 0 else 128 - code)
