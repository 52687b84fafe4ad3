"""Tune's view of the proposals and of the events.

Both objects hold the driver's live state (a console, a study, threads). Tune pickles its arguments into a folder that is thrown away;
their state stays out of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ray.tune import Callback
from ray.tune.search import Searcher

from impray.results import failures
from impray.results.store import Store
from impray.service.pool import Events, Outcome, Proposals
from impray.spec.errors import DataError, StorageError
from impray.spec.pack import Pack

RETRIES = 3  # of a round whose actor or machine died; a Python error is not tried again


class PackSearcher(Searcher):
    """Hands Tune one pack after another. Tune would tell a stopped trial as complete; this says how it really ended."""

    def __init__(
        self, proposals: Proposals, events: Events, store: Store, again: Sequence[Pack] = (), *, last: bool = True
    ) -> None:
        super().__init__()
        self.proposals, self.events, self.store = proposals, events, store
        self.again = list(again)  # packs that an earlier search lost: they come first
        self.last = last  # whether no search follows
        self.lost: list[Pack] = []  # packs whose actors died too often, for the next search
        self.packs: dict[str, Pack] = {}
        self.open: set[str] = set()
        self.unwritable: DataError | None = None  # once the folder takes nothing any more, no pack is started

    def suggest(self, trial_id: str) -> Any:
        proposed = "finished"
        with self._noting():
            proposed = "finished" if self.unwritable else self.again.pop(0) if self.again else self.proposals.next()
        if proposed == "finished":
            return Searcher.FINISHED
        self.packs[trial_id] = proposed
        self.open.add(trial_id)
        return {"pack": proposed.model_dump_json()}

    def on_trial_complete(self, trial_id: str, result: dict | None = None, error: bool = False) -> None:
        pack = self.packs[trial_id]
        self.open.discard(trial_id)
        if error and not self.last:
            self.lost.append(pack)
            return
        with self._noting():
            if result and result.get("unwritable"):
                raise StorageError(result["failed"])
            outcome, why = self._outcome(pack, result or {}, error)
            self.proposals.ended(pack, outcome)
            self.events.ended(pack, outcome, why, (result or {}).get("lineages"))

    @contextmanager
    def _noting(self) -> Iterator[None]:
        """Tune would bury an error of ours under its own; `RayPool.run` raises it when Tune is done."""
        try:
            yield
        except DataError as error:
            self.unwritable = self.unwritable or error

    def _outcome(self, pack: Pack, result: dict, error: bool) -> tuple[Outcome, str]:
        if error:
            why = f"its actor died {RETRIES + 1} times in one round, or could not be started"
            failures.write(self.store, pack, result.get("round", -1), why)
            return "failed", why
        if result.get("failed"):
            if result.get("unrecorded"):  # the actor could not even read its pack
                failures.write(self.store, pack, 0, result["failed"])
            return "failed", result["failed"]
        return ("done", "") if result.get("round", -1) >= pack.rounds else ("stopped", "")

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the tables are the truth."""

    def restore(self, checkpoint_path: str) -> None:
        """Never restored."""

    def __reduce__(self) -> tuple[Callable, tuple]:
        return (Searcher, ())


class Announcer(Callback):
    """Tells the events what Tune sees, and ends Tune once all is `over`: between two of its steps, and without its own tidying up."""

    def __init__(self, searcher: PackSearcher, events: Events, over: Callable[[], bool] = lambda: False) -> None:
        self.searcher, self.events, self.over = searcher, events, over
        self.reached: dict[str, int] = {}

    def on_step_begin(self, iteration: int, trials: list, **info: Any) -> None:
        if self.over():
            raise KeyboardInterrupt

    def on_step_end(self, iteration: int, trials: list, **info: Any) -> None:
        self.on_step_begin(iteration, trials)

    def on_trial_start(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        self.events.started(self.searcher.packs[trial.trial_id])

    def on_trial_result(self, iteration: int, trials: list, trial: Any, result: dict, **info: Any) -> None:
        if not result.get("failed"):
            # A sweep of weeks on spot machines loses the same pack many times, each time with rounds done in between. What may not
            # go on for ever is a pack that kills its actor in the same round.
            before = self.reached.get(trial.trial_id, -1)
            if result["round"] > before:  # one that starts again tells of old rounds first
                self.reached[trial.trial_id] = result["round"]
                trial.max_failures = trial.num_failures + RETRIES
            self.events.finished_round(self.searcher.packs[trial.trial_id], result["round"])

    def __reduce__(self) -> tuple[Callable, tuple]:
        return (Callback, ())
