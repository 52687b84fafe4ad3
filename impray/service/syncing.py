"""The sync to MLflow: finished rounds every now and then while packs run, everything when the tables are whole."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

from impray.results import mlflow
from impray.results.paths import Paths
from impray.service import stopping
from impray.service.listener import Listener, Report, SweepStart
from impray.spec.errors import ImprayError

EVERY_S = 30.0
LEAVE_S = 5.0


class Syncing(Listener):
    """Syncs to a store of MLflow's from one thread of this process.

    Args:    uri: the store; None is the one that MLflow's view of the folder takes by itself.
    """

    part = "mlflow"

    def __init__(self, uri: str | None, say: Callable[[str], None]) -> None:
        self.uri, self.say = uri, say
        self._stop, self._thread = threading.Event(), None

    def begun(self, begun: SweepStart) -> None:
        """Raises:  DataError: a server that was asked for does not answer. A file of our own waits its turn."""
        store = begun.paths.store
        if self.uri is not None:
            mlflow.prepare(store, self.uri)

        def sync() -> None:
            # Errors are silent here: what does not pass is met again by the sync at the sweep's end, which tells it.
            with suppress(ImprayError):
                mlflow.prepare(store, self.uri, self.say)
            while not self._stop.wait(EVERY_S):
                with suppress(ImprayError):
                    mlflow.sync(store, self.uri, figures=False, say=self.say)

        self._thread = threading.Thread(target=sync, name="mlflow-sync", daemon=True)
        self._thread.start()

    def ran(self) -> None:
        self._stop.set()
        if self._thread is not None:
            # After a signal it may still wait for a server; what it was to export the next export finds in the tables.
            self._thread.join(LEAVE_S if stopping.asked() else None)

    def whole(self, paths: Paths, report: Report) -> None:
        """Idempotent, so also where nothing ran: an earlier run may have been killed before it. The tables are whole without it."""
        try:
            mlflow.sync(paths.store, self.uri, say=self.say)
        except ImprayError as error:
            report.sync_error = str(error)
