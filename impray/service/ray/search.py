"""Tune's view of the proposals and of the events.

Both objects hold the driver's live state (a console, a study, threads). Tune pickles its arguments into a folder that is thrown away;
their state stays out of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ray.tune import Callback
from ray.tune.search import Searcher

from impray.results import failures
from impray.results.store import Store
from impray.service.pool import Events, Outcome, Proposals
from impray.service.ray.deaths import Deaths, lost_machines, machine_of
from impray.spec.errors import DataError, StorageError
from impray.spec.pack import Pack

_TUNE = "Ray Tune gave it up: its actor could not be started, or died while it was told what to do"


class PackSearcher(Searcher):
    """Hands Tune one pack after another. Tune would tell a stopped trial as complete; this says how it really ended."""

    def __init__(
        self, proposals: Proposals, events: Events, store: Store, again: Sequence[Pack] = (), *, last: bool = True
    ) -> None:
        super().__init__()
        self.proposals, self.events, self.store = proposals, events, store
        self.again = list(again)  # packs that an earlier search lost: they come first
        self.last = last  # whether no search follows
        self.lost: list[Pack] = []  # packs that Tune gave up though nobody asked it to, for the next search
        self.packs: dict[str, Pack] = {}
        self.open: set[str] = set()
        self.given_up: dict[
            str, tuple[str, int]
        ] = {}  # Tune's name of a pack whose actors died too often -> why, round
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
        if error and not self.last and trial_id not in self.given_up:
            self.lost.append(pack)
            return
        with self._noting():
            if result and result.get("unwritable"):
                raise StorageError(result["failed"])
            tune = (_TUNE, (result or {}).get("round", -1)) if error else None
            outcome, why = self._outcome(pack, result or {}, self.given_up.get(trial_id, tune))
            self.proposals.ended(pack, outcome)
            self.events.ended(pack, outcome, why, (result or {}).get("lineages"))

    @contextmanager
    def _noting(self) -> Iterator[None]:
        """Tune would bury an error of ours under its own; `RayPool.run` raises it when Tune is done."""
        try:
            yield
        except DataError as error:
            self.unwritable = self.unwritable or error

    def _outcome(self, pack: Pack, result: dict, given_up: tuple[str, int] | None) -> tuple[Outcome, str]:
        if given_up is not None:
            failures.write(self.store, pack, given_up[1], given_up[0])
            return "failed", given_up[0]
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
        self.deaths: dict[str, Deaths] = {}

    def on_step_begin(self, iteration: int, trials: list, **info: Any) -> None:
        if self.over():
            raise KeyboardInterrupt

    def on_step_end(self, iteration: int, trials: list, **info: Any) -> None:
        self.on_step_begin(iteration, trials)

    def on_trial_start(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        self.events.started(self.searcher.packs[trial.trial_id])

    def on_trial_result(self, iteration: int, trials: list, trial: Any, result: dict, **info: Any) -> None:
        if not result.get("failed"):
            # A sweep of weeks loses the same pack many times, each time with rounds done in between. What may not go on for ever is
            # a pack that kills its actor in the same round.
            before = self.reached.get(trial.trial_id, -1)
            if result["round"] > before:  # one that starts again tells of old rounds first
                self.reached[trial.trial_id] = result["round"]
                self._deaths(trial).finished_round()
            self.events.finished_round(self.searcher.packs[trial.trial_id], result["round"])

    def on_trial_recover(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        """A pack's actor has died. Tune tries again for ever: a pack that is given up is told so when it starts, and ends there."""
        deaths, said = self._deaths(trial), Path(trial.error_file).read_text().rpartition("Failure # ")[2]
        named = re.search(r"actor_id: ([0-9a-f]+)", said)
        # An actor that never was has no name: each of its failures is a death.
        deaths.note(named[1] if named else f"start-{len(deaths.machines)}", machine_of(named[1]) if named else None)
        why = deaths.too_many()
        if why:
            why += f"; of the last one Ray says: {said.strip().splitlines()[-1].strip()}"
            trial.config["given_up"], trial.max_failures = why, 0  # 0: should it not even start
            self.searcher.given_up[trial.trial_id] = why, self.reached.get(trial.trial_id, -1) + 1

    def _deaths(self, trial: Any) -> Deaths:
        return self.deaths.setdefault(trial.trial_id, Deaths(lost_machines))

    def __reduce__(self) -> tuple[Callable, tuple]:
        return (Callback, ())
