"""A sweep from its file to its figures: prepare the folder, run what is left, tell how each trial ended, tidy up."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
from rich.console import Console

import impray
from impray.data import open_pack
from impray.data.stored import drop_damaged, open_stored
from impray.results import failures, mlflow, tables
from impray.results.known import known
from impray.results.outcomes import share
from impray.results.paths import Paths, aside
from impray.results.store import File, Place
from impray.service import folder
from impray.service.plan import axis_types, listed, packs
from impray.service.progress import Progress
from impray.service.proposals import Listed, Outcome, Proposals
from impray.service.trials import Trials, told
from impray.spec.data import FileData
from impray.spec.errors import ImprayError, LineagesEnded, StorageError
from impray.spec.pack import Pack
from impray.spec.sweep import Sweep, Where

EXPORT_EVERY_S = 30.0


@dataclass(frozen=True)
class Request:
    """What `impray sweep` was asked: the sweep, its folder, and where to run it."""

    sweep: Sweep
    name: str
    folder: Place
    where: Where = "ray"
    address: str | None = None
    mlflow: str | None = None  # a store's URI; None is the sqlite file in the folder, "off" is none
    figures: bool = True


@dataclass
class Report:
    """How a sweep ended."""

    trials: int
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    ran: int = 0  # packs that were run now; 0 means that there was nothing to do
    interrupted: bool = False
    figures: list[File] = field(default_factory=list)
    broken_figures: list[str] = field(default_factory=list)
    export_error: str = ""
    set_aside: list[str] = field(default_factory=list)  # names in damaged/ of what was found broken and made again
    seconds: dict[str, float] = field(default_factory=dict)  # wall time of each part

    def count(self, outcome: Outcome) -> int:
        return sum(value == outcome for value in self.outcomes.values())


def run(request: Request, console: Console) -> Report:
    """Run what is left of a sweep; safe to call again after any interruption.

    Raises:  SweepError, DataError: before anything has started, with every problem. StorageError: also in the middle, when the
             folder takes nothing any more; what was written until then stays, and running again goes on.
    """
    paths = Paths(request.folder)
    with folder.held(paths, _said(console)):
        before = aside(paths)
        broken = [f"{path}: {wrong}" for path, wrong in tables.set_damaged_aside(request.folder)]
        contents = _open_files(request.sweep, paths, console)
        broken += folder.prepare(request.sweep, request.name, paths, contents)
        for line in broken:
            console.print(f"set aside as damaged: {line}", markup=False, highlight=False, soft_wrap=True)
        trials = Trials(request.sweep, paths)
        if not trials.nothing_left():
            watcher = Watcher(trials, console, request.name)
            seconds: dict[str, float] = {}
            with watcher.progress, exporting(request, console):
                _run_packs(request, trials, watcher, seconds)
            report = watcher.report()
            report.seconds = seconds
        else:
            report = Report(_budget(trials), dict(trials.outcomes))
        if not report.interrupted:
            # Also where nothing ran: an earlier run may have been killed, or its disk full, just before this.
            with timed(report.seconds, "tables"):
                # Someone may have deleted provenance.json while packs ran: the axes are the sweep's, whatever lies there.
                folder.write(request.sweep, request.name, paths, trials.columns, contents)
                tables.compact(request.folder, trials.columns)
            with timed(report.seconds, "figures"):
                _draw(request, report)
            with timed(report.seconds, "mlflow"):
                _export(request, report, console)
        report.set_aside = [name for name in aside(paths) if name not in before and not name.startswith("mlflow.db")]
    return report


@contextmanager
def timed(seconds: dict[str, float], part: str) -> Iterator[None]:
    """Add the wall time of a part."""
    start = time.perf_counter()
    try:
        yield
    finally:
        seconds[part] = seconds.get(part, 0.0) + time.perf_counter() - start


def _open_files(sweep: Sweep, paths: Paths, console: Console) -> dict[str, str]:
    """Convert data sets that are read from files once, here, before the folder knows of the sweep and any actor needs them.

    Returns: data set (its canonical form) -> a hash of its content; empty where nothing is left to do.
    Raises:  DataError: files are missing or damaged; all of one data set's problems at once.
    """
    contents: dict[str, str] = {}
    asks = sweep.search.algorithm == "optuna"
    trials = [] if asks else listed(sweep)
    specs = dict.fromkeys([sweep.trial.data] if asks else [planned.trial.data for planned in trials])
    if not any(isinstance(spec, FileData) for spec in specs):
        return contents
    if trials and not packs(sweep, trials, known(paths.folder), axis_types(sweep), 1):
        return contents  # all is done: figures can be drawn where the data are not
    for spec in specs:
        if isinstance(spec, FileData):
            with console.status(f"opening {spec.path} (converted once, then shared)"):
                for path in drop_damaged(spec):
                    console.print(f"damaged, and made again: {path}", markup=False, highlight=False, soft_wrap=True)
                open_pack([spec], [0], batch=1, dtype=torch.float32, device=torch.device("cpu"))
                contents[folder.data_key(spec)] = open_stored(spec).content
    return contents


def _budget(trials: Trials) -> int:
    return (trials.sweep.search.trials or 0) if trials.asks else len(trials.planned)


# -- running ----------------------------------------------------------------------------------------------------------


class Watcher:
    """Hears of packs as they run; keeps the live view and the table `trials` up to date."""

    def __init__(self, trials: Trials, console: Console, name: str) -> None:
        self.trials, self.ran, self.open = trials, 0, 0
        over = trials.asked.told if trials.asks else len(trials.outcomes)
        lineages = len(trials.sweep.methods) * len(trials.sweep.seeds)
        left = (_budget(trials) - over) * lineages * (trials.sweep.rounds + 1)
        self.progress = Progress(console, name, _budget(trials), over, left)
        self.progress.diverged = sum(outcome == "diverged" for outcome in trials.outcomes.values())
        self.progress.done -= self.progress.diverged
        self.best: tuple[float, str] | None = None
        self.cut_short = False

    def proposed(self, pack: Pack) -> None:
        self.open += 1
        self.trials.waits_for(pack)

    def started(self, pack: Pack) -> None:
        self.progress.started(pack)

    def finished_round(self, pack: Pack, round: int) -> None:
        self.progress.finished_round(pack, round)

    def ended(self, pack: Pack, outcome: Outcome, error: str, lineages: Sequence[str] | None = None) -> None:
        self.open -= 1
        self.ran += 1
        self.progress.pack_ended(pack, outcome, error)
        for trial, how in self.trials.pack_ended(pack, outcome, lineages):
            values = self.trials.goals_of(trial) if how == "done" else []
            gone = share(self.trials.diverged[trial.trial.id], len(trial.lineages))
            self.progress.trial_ended(trial.number, how, told(self.trials.sweep, values) if values else "", gone)
            self._compare(trial.number, values)

    def _compare(self, number: int, values: list[float]) -> None:
        """Best so far, by the first goal."""
        if not values or values[0] != values[0]:
            return
        value = values[0] if self.trials.sweep.search.goals[0].direction == "min" else -values[0]
        if self.best is None or value < self.best[0]:
            self.best = (value, f"trial {number}: {told(self.trials.sweep, values)}")
            self.progress.best = self.best[1]

    def report(self) -> Report:
        interrupted = self.cut_short or self.open > 0 or (not self.trials.asks and bool(self.trials.left()))
        return Report(_budget(self.trials), dict(self.trials.outcomes), self.ran, interrupted)


def _run_packs(request: Request, trials: Trials, watcher: Watcher, seconds: dict[str, float]) -> None:
    """Where the packs run is all that differs: in this process, or in Ray's actors."""
    if request.where == "here":
        with timed(seconds, "packs"):
            _here(request, _proposals(request, trials, watcher, slots=1), watcher)
        return
    from impray.service import cluster

    with timed(seconds, "ray start"):
        slots = cluster.connect(request.address, request.sweep)
    try:
        with timed(seconds, "packs"):
            cluster.run(request.sweep, request.folder, _proposals(request, trials, watcher, slots), watcher)
    finally:
        with timed(seconds, "ray stop"):
            cluster.disconnect()


class _Announced:
    """Proposals whose packs the watcher hears of before they run."""

    def __init__(self, inner: Proposals, watcher: Watcher) -> None:
        self.inner, self.watcher, self.ended = inner, watcher, inner.ended

    def next(self) -> Pack | Literal["finished"]:
        pack = self.inner.next()
        if isinstance(pack, Pack):
            self.watcher.proposed(pack)
        return pack


def _proposals(request: Request, trials: Trials, watcher: Watcher, slots: int) -> Proposals:
    if trials.asks:
        return _Announced(trials.asked, watcher)
    left = packs(request.sweep, trials.left(), trials.known, trials.columns, slots)
    for pack in left:
        trials.waits_for(pack)
    for trial in trials.left():
        if trial.trial.id not in trials.waiting:  # its rows were complete, but it was killed before it was told as done
            trials.end(trial)
    return _Announced(Listed(left), watcher)


def _here(request: Request, proposals: Proposals, watcher: Watcher) -> None:
    """Run packs one after another in this process."""
    import traceback

    from impray.run import run_pack, use_device

    device = use_device(request.sweep.resources.cpu, request.sweep.resources.gpu)
    while isinstance(pack := proposals.next(), Pack):
        watcher.started(pack)
        outcome: Outcome = "done"
        error, round, lineages = "", -1, None
        try:
            for round in run_pack(pack, request.folder, device):
                watcher.finished_round(pack, round)
        except KeyboardInterrupt:
            watcher.cut_short = True
            return
        except StorageError:
            raise  # every other pack would meet the same, and not even a failure could be written down
        except LineagesEnded as caught:  # recorded one by one, and the rest of the pack has finished
            outcome, error, lineages = "failed", str(caught), caught.lineages
        except Exception as caught:  # recorded with its trace, told as failed: other packs go on
            outcome, error = "failed", f"{type(caught).__name__}: {caught}"
            failures.write(request.folder, pack, round + 1, caught, traceback.format_exc())
        proposals.ended(pack, outcome)
        watcher.ended(pack, outcome, error, lineages)


# -- views ------------------------------------------------------------------------------------------------------------


@contextmanager
def exporting(request: Request, console: Console) -> Iterator[None]:
    """Export finished rounds to MLflow every now and then while packs run, from one thread of this process."""
    if request.mlflow == "off":
        yield
        return
    if (
        request.mlflow is not None
    ):  # a server that does not answer is told before any work; a file of our own waits its turn
        mlflow.prepare(request.folder, request.mlflow)
    stop = threading.Event()

    def export() -> None:
        # Errors end this thread only, silently: the export at the sweep's end meets the same error and tells it.
        with suppress(ImprayError):
            mlflow.prepare(request.folder, request.mlflow, _said(console))
            while not stop.wait(EXPORT_EVERY_S):
                mlflow.sync(request.folder, request.mlflow, figures=False, say=_said(console))

    thread = threading.Thread(target=export, name="mlflow-export", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _said(console: Console) -> Callable[[str], None]:
    return lambda line: console.print(line, markup=False, highlight=False, soft_wrap=True)


def _export(request: Request, report: Report, console: Console) -> None:
    """Idempotent, so also where nothing ran: an earlier run may have been killed before it. The tables are whole without it."""
    if request.mlflow == "off":
        return
    try:
        mlflow.sync(request.folder, request.mlflow, say=_said(console))
    except ImprayError as error:
        report.export_error = str(error)


def analysis_folder() -> Path:
    """Where the scripts of `analysis/` lie: beside the package, in the checkout."""
    return Path(impray.__file__).parent.parent / "analysis"


def _draw(request: Request, report: Report) -> None:
    """Draw the sweep's figures, two at a time; a script that fails is named with its last line, the sweep is not lost."""
    paths = Paths(request.folder)
    wanted = [name for name in request.sweep.figures if report.ran or not paths.figure(f"{name}.png").is_file()]
    running: list[tuple[str, subprocess.Popen]] = []
    for name in wanted if request.figures else []:
        if len(running) == 2:
            _await(*running.pop(0), paths, report)
        command = [sys.executable, str(analysis_folder() / f"{name}.py"), str(request.folder)]
        running.append((name, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)))
    for item in running:
        _await(*item, paths, report)


def _await(name: str, process: subprocess.Popen, paths: Paths, report: Report) -> None:
    output, _ = process.communicate()
    if process.returncode == 0:
        report.figures.append(paths.figure(f"{name}.png"))
    else:
        report.broken_figures.append(f"{name}: {(output.strip().splitlines() or ['no output'])[-1]}")
