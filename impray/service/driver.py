"""A sweep from its file to its tables: prepare the folder, run what is left, tell how each trial ended, tidy up.

Where packs run is the pool's; what is shown, drawn and synced is the listeners'. The command line puts them together.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from rich.console import Console

from impray.data import coordinates, designs, open_pack
from impray.data.stored import drop_damaged, open_stored
from impray.kernels.kept import compiled_before
from impray.results import failures, files, ledger, tables
from impray.results.paths import Paths, aside
from impray.results.store import Place
from impray.results.store.lease import Lease, taken_over
from impray.service import folder
from impray.service.listener import Listener, Report, SweepStart, TrialEnd
from impray.service.plan import PlannedTrial, anything_left, apart, axis_types, listed, packs
from impray.service.pool import Outcome, Pool, Proposals, Work
from impray.service.proposals import PackQueue
from impray.service.trials import Trials
from impray.spec.data import FileData, ImageCoordinates, Linear
from impray.spec.pack import Pack
from impray.spec.sweep import Sweep


@dataclass(frozen=True)
class Request:
    """What `impray sweep` was asked: the sweep, and its folder."""

    sweep: Sweep
    name: str
    folder: Place


def run(request: Request, pool: Pool, listeners: Sequence[Listener], console: Console) -> Report:
    """Run what is left of a sweep; safe to call again after any interruption.

    Raises:  SweepError, DataError: before anything has started, with every problem. StorageError: also in the middle, when the
             folder takes nothing any more; what was written until then stays, and running again goes on.
    """
    paths = Paths(request.folder)
    with folder.held(paths, said(console)) as lease:
        files.clear_unfinished(paths.disk)
        before = aside(paths)
        broken = [f"{path}: {wrong}" for path, wrong in tables.set_damaged_aside(paths.store)]
        planned = listed(request.sweep)
        contents = open_files(request.sweep, paths, console, planned)
        for line in folder.changed_plugins(request.sweep, paths):
            said(console)(line)
        broken += folder.prepare(request.sweep, request.name, paths, contents)
        for line in broken:
            said(console)(f"set aside as damaged: {line}")
        trials = Trials(request.sweep, paths, planned)
        report = Report(_budget(trials), dict(trials.outcomes))
        if not trials.nothing_left():
            if not compiled_before():
                said(console)(
                    "the first sweep of this version: kernels are compiled once, some seconds in each process"
                )
            report = _run_packs(request, pool, listeners, trials, lease)
        if not report.interrupted:
            _finish(request, paths, listeners, trials, contents, lease, report)
        report.set_aside = [name for name in aside(paths) if name not in before and not name.startswith("mlflow.db")]
    return report


def _finish(
    request: Request,
    paths: Paths,
    listeners: Sequence[Listener],
    trials: Trials,
    contents: dict[str, str],
    lease: Lease,
    report: Report,
) -> None:
    """Also where nothing ran: an earlier run may have been killed, or its disk full, just before this."""
    with timed(report.seconds, "tables"):
        # Someone may have deleted provenance.json while packs ran: the axes are the sweep's, whatever lies there.
        folder.write(request.sweep, request.name, paths, trials.columns, contents)
        # What is merged is deleted: not beside another driver.
        tables.compact(paths.store, trials.columns, lambda: _still(lease))
    for listener in listeners:
        with timed(report.seconds, listener.part):
            listener.whole(paths, report)


def _still(lease: Lease) -> None:
    if not lease.ours():
        raise taken_over(lease.store)


@contextmanager
def timed(seconds: dict[str, float], part: str) -> Iterator[None]:
    """Add the wall time of a part; one without a name is not told."""
    start = time.perf_counter()
    try:
        yield
    finally:
        if part:
            seconds[part] = seconds.get(part, 0.0) + time.perf_counter() - start


def said(console: Console) -> Callable[[str], None]:
    """How a line is printed as it stands: a path may hold what a console takes for markup."""
    return lambda line: console.print(line, markup=False, highlight=False, soft_wrap=True)


def open_files(sweep: Sweep, paths: Paths, console: Console, trials: Sequence[PlannedTrial]) -> dict[str, str]:
    """Convert data sets that are read from files once, here, before the folder knows of the sweep and any actor needs them.

    Args:    trials: all that are listed (`plan.listed`).
    Returns: data set (its canonical form) -> a hash of its content; empty where nothing is left to do.
    Raises:  DataError: files are missing or damaged; all of one data set's problems at once.
    """
    contents: dict[str, str] = {}
    asks = sweep.search.algorithm == "optuna"
    specs = dict.fromkeys([sweep.trial.data] if asks else [planned.trial.data for planned in trials])
    if not any(isinstance(spec, (FileData, Linear, ImageCoordinates)) for spec in specs):
        return contents
    if trials and not anything_left(sweep, trials, ledger.read(paths.store), axis_types(sweep)):
        return contents  # all is done: figures can be drawn where the data are not
    for spec in specs:
        if isinstance(spec, FileData):
            with console.status(f"opening {spec.path} (converted once, then shared)"):
                for path in drop_damaged(spec):
                    said(console)(f"damaged, and made again: {path}")
                open_pack([spec], [0], batch=1, dtype=torch.float32, device=torch.device("cpu"))
                contents[folder.data_key(spec)] = open_stored(spec).content
        elif isinstance(spec, Linear) and (content := designs.content(spec)) is not None:
            contents[folder.data_key(spec)] = content
        elif isinstance(spec, ImageCoordinates) and (content := coordinates.content(spec)) is not None:
            contents[folder.data_key(spec)] = content
    return contents


def _budget(trials: Trials) -> int:
    return (trials.sweep.search.trials or 0) if trials.asks else len(trials.planned)


# -- running ----------------------------------------------------------------------------------------------------------


class Books:
    """Keeps the table `trials` while packs run, and passes on what happens to the listeners."""

    def __init__(self, trials: Trials, listeners: Sequence[Listener], lease: Lease) -> None:
        self.trials, self.listeners, self.lease = trials, listeners, lease
        self.queue: PackQueue | None = None  # of packs that were planned beforehand
        self.ran, self.open = 0, 0
        self.cut_short = False

    def proposed(self, pack: Pack) -> None:
        self.open += 1
        self.trials.waits_for(pack)

    def started(self, pack: Pack) -> None:
        for listener in self.listeners:
            listener.started(pack)

    def finished_round(self, pack: Pack, round: int) -> None:
        for listener in self.listeners:
            listener.finished_round(pack, round)

    def ended(self, pack: Pack, outcome: Outcome, error: str, lineages: Sequence[str] | None = None) -> None:
        if self.lease.lost:
            _still(self.lease)  # its row in `trials` is another driver's to write
        self.open -= 1
        self.ran += 1
        if outcome == "failed" and lineages is None and self._apart(pack, error):
            return
        for listener in self.listeners:
            listener.pack_ended(pack, outcome, error)
        for trial, trial_outcome in self.trials.pack_ended(pack, outcome, lineages):
            values = self.trials.goals_of(trial) if trial_outcome == "done" else []
            ended = TrialEnd(trial, trial_outcome, values, self.trials.diverged[trial.trial.id])
            for listener in self.listeners:
                listener.trial_ended(ended)

    def _apart(self, pack: Pack, error: str) -> bool:
        """Whether a pack that failed as a whole is tried again in parts: what is wrong with one trial must not cost the others."""
        if self.queue is None or self.trials.sweep.search.stop_early is not None:
            return False
        parts = apart(pack, smaller=failures.for_memory(error))
        for part in parts:
            self.trials.waits_for(part)
        self.queue.first(parts)
        if parts:
            self.trials.pack_ended(pack, "done")  # it is waited for no more; its trials wait for the parts
            for listener in self.listeners:
                listener.pack_ended(pack, "failed", f"{error}; tried again in {len(parts)} parts")
        return bool(parts)

    def report(self, seconds: dict[str, float]) -> Report:
        interrupted = self.cut_short or self.open > 0 or (not self.trials.asks and bool(self.trials.left()))
        outcomes = dict(self.trials.outcomes)
        return Report(_budget(self.trials), outcomes, self.ran, interrupted, seconds=seconds)


class _Announced:
    """Proposals whose packs the books hear of before they run; none any more once another driver has the folder."""

    def __init__(self, inner: Proposals, books: Books) -> None:
        self.inner, self.books, self.ended = inner, books, inner.ended

    @property
    def left(self) -> bool:
        return self.inner.left

    def next(self) -> Pack | Literal["finished"]:
        if self.books.lease.lost:
            _still(self.books.lease)
        pack = self.inner.next()
        if isinstance(pack, Pack):
            self.books.proposed(pack)
        return pack


def _run_packs(request: Request, pool: Pool, listeners: Sequence[Listener], trials: Trials, lease: Lease) -> Report:
    books, seconds = Books(trials, listeners, lease), {}
    over = trials.asked.told if trials.asks else len(trials.outcomes)
    outcomes = list(trials.outcomes.values())
    begun = SweepStart(request.sweep, request.name, trials.paths, _budget(trials), outcomes, over, trials)
    with ExitStack() as begin:
        for listener in listeners:
            listener.begun(begun)
            begin.callback(listener.ran)
        with timed(seconds, f"{pool.name} start" if pool.name else ""):
            slots = pool.open(request.sweep)
        try:
            with timed(seconds, "packs"):
                proposals, rungs = _proposals(request.sweep, trials, books, slots), trials.rungs()
                work = Work(request.sweep, trials.paths.store, lease.epoch, rungs)
                books.cut_short = pool.run(work, proposals, books)
        finally:
            with timed(seconds, f"{pool.name} stop" if pool.name else ""):
                pool.close()
    return books.report(seconds)


def _proposals(sweep: Sweep, trials: Trials, books: Books, slots: int) -> Proposals:
    if trials.asks:
        return _Announced(trials.asked, books)
    left = packs(sweep, trials.left(), trials.ledger, trials.columns, slots)
    for pack in left:
        trials.waits_for(pack)
    for trial in trials.left():
        if trial.trial.id not in trials.waiting:  # its rows were complete, but it was killed before it was told as done
            trials.end(trial)
    books.queue = PackQueue(left)
    return _Announced(books.queue, books)
