"""What a person sees while a sweep runs: a live view on a terminal, one plain line per event elsewhere."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from impray.results.axis_values import numbers_in_words, trials_in_words
from impray.results.outcomes import share
from impray.service import stopping
from impray.service.listener import Listener, SweepStart, TrialEnd
from impray.service.pool import Outcome
from impray.service.trials import told, told_rounds
from impray.spec.pack import Pack
from impray.spec.sweep import Sweep

SHOWN = 16  # running packs in the live view


class Progress(Listener):
    """Counts trials, and the rounds of lineages that are left to do, and shows them: trials by number and axis values."""

    def __init__(self, console: Console, expected_s: Callable[[SweepStart], float | None] = lambda begun: None) -> None:
        """expected_s: how long what is left would take, told before any round has; it may say what it finds."""
        self.console, self.name = console, ""
        self.trials, self.done, self.failed, self.stopped, self.diverged = 0, 0, 0, 0, 0
        self.rounds_left, self.rounds_run = 0, 0
        self.expected_s, self._expected = expected_s, None
        self.sweep: Sweep | None = None
        self._best_value = math.inf
        self.running: dict[str, tuple[Pack, int]] = {}
        self._names: dict[str, str] = {}  # pack -> its trials
        self._left: dict[str, dict[int, int]] = {}  # pack -> round -> its lineages that have yet to do it
        self.best = ""
        self.start: float | None = None  # when the first pack did
        self.live: Live | None = None
        self.clock: Callable[[], float] = time.monotonic

    # -- events -------------------------------------------------------------------------------------------------------

    def begun(self, begun: SweepStart) -> None:
        self.sweep, self.name, self.trials = begun.sweep, begun.name, begun.trials
        self._known, self._undone = begun.known.planned, begun.known.undone
        self.diverged = begun.over.count("diverged")
        self.done = begun.told - self.diverged
        self.rounds_left = begun.known.rounds_left()
        self._expected = self.expected_s(begun)
        if self.console.is_terminal:
            self.live = Live(self.view(), console=self.console, refresh_per_second=2, get_renderable=self.view)
            self.live.start()

    def ran(self) -> None:
        if self.live is not None:
            self.live.stop()

    def started(self, pack: Pack) -> None:
        assert self.sweep is not None
        if self.start is None:
            self.start = self.clock()
        if pack.id not in self._left:
            counts = Counter(round for lineage in pack.lineages for round in self._undone(lineage))
            self._left[pack.id], self._names[pack.id] = dict(counts), self._in_words(pack)
            if self.sweep.search.algorithm == "optuna":
                self.rounds_left -= len(pack.lineages) * told_rounds(self.sweep) - counts.total()
            self.line(f"{self._names[pack.id]} started: {len(pack.lineages)} lineages")
        self.running.setdefault(pack.id, (pack, -1))

    def finished_round(self, pack: Pack, round: int) -> None:
        """A round that was done before this run, or is told again by an actor that has started anew, is no progress."""
        self.running[pack.id] = (pack, round)
        self.rounds_run += self._left.get(pack.id, {}).pop(round, 0)
        self.line(f"{self._names.get(pack.id, pack.id)} round {round}/{pack.rounds} done; {self.summary()}")

    def pack_ended(self, pack: Pack, outcome: Outcome, error: str) -> None:
        self.running.pop(pack.id, None)
        # What will not be run any more must not keep the estimate of the time left up.
        self.rounds_left -= sum(self._left.pop(pack.id, {}).values())
        if outcome != "done":
            name = self._names.get(pack.id, pack.id)
            self.line(f"{name} {outcome}" + (f": {error}" if error else ""), always=outcome == "failed")

    def _in_words(self, pack: Pack) -> str:
        """`trials 0-3 (data.gain=0.1, 1), seeds 0-2`; seeds and methods where the pack has not all."""
        assert self.sweep is not None
        ids = dict.fromkeys(lineage.trial.id for lineage in pack.lineages)
        words = trials_in_words((self._known[id].number, self._known[id].values) for id in ids)
        seeds = sorted({lineage.seed for lineage in pack.lineages})
        methods = dict.fromkeys(lineage.method for lineage in pack.lineages)
        if len(seeds) < len(self.sweep.seeds):
            words += f", seed{'s' if len(seeds) > 1 else ''} {numbers_in_words(seeds)}"
        return f"{words}, {', '.join(methods)}" if len(methods) < len(self.sweep.methods) else words

    def trial_ended(self, ended: TrialEnd) -> None:
        assert self.sweep is not None
        values = list(ended.values)
        goals = told(self.sweep, values) if values else ""
        outcome, number = ended.outcome, ended.planned.number
        self.done += outcome == "done"
        self.diverged += outcome == "diverged"
        self.stopped += outcome == "stopped"
        self.failed += outcome == "failed"
        diverged = share(ended.diverged, len(ended.planned.lineages))
        ending = ", ".join(part for part in ("" if outcome == "diverged" else outcome, diverged) if part)
        name = trials_in_words([(number, ended.planned.values)])
        self.line(f"{name} {ending}" + (f": {goals}" if goals else ""), always=bool(diverged))
        self._compare(name, values)

    def _compare(self, name: str, values: list[float]) -> None:
        """Best so far, by the first goal."""
        if self.sweep is None or not values or math.isnan(values[0]):
            return
        value = values[0] if self.sweep.search.goals[0].direction == "min" else -values[0]
        if value < self._best_value:
            self._best_value, self.best = value, f"{name}: {told(self.sweep, values)}"

    def line(self, text: str, always: bool = False) -> None:
        """One plain line per event; on a terminal the live view shows it instead. None while the sweep stops, which has been said."""
        if stopping.begun() and not always:
            return
        if self.live is None:
            self.console.print(f"{time.strftime('%H:%M:%S')} {text}", highlight=False, markup=False, soft_wrap=True)
        elif always:
            self.live.console.print(text, highlight=False, markup=False)

    # -- view ---------------------------------------------------------------------------------------------------------

    def trials_running(self) -> set[str]:
        return {lineage.trial.id for pack, _ in self.running.values() for lineage in pack.lineages}

    @property
    def per_minute(self) -> float:
        """Rounds of lineages since the first pack started; 0 until one has been run."""
        elapsed = 0.0 if self.start is None else self.clock() - self.start
        return 60 * self.rounds_run / elapsed if elapsed > 0 else 0.0

    def time_left(self) -> str:
        """`about 3 min left`, from the rounds that were run; before there is one, from what was expected; "" if nothing is known."""
        if stopping.begun():
            return "stopping"
        left = self.rounds_left - self.rounds_run
        if left <= 0:
            return "ending"
        if self.per_minute:
            return f"about {duration(60 * left / self.per_minute)} left"
        if self._expected is None:
            return ""
        gone = 0.0 if self.start is None else self.clock() - self.start
        return f"about {duration(self._expected - gone)} left" if self._expected > gone else ""

    def summary(self) -> str:
        parts = [f"{self.done}/{self.trials} trials done", f"{len(self.trials_running())} running"]
        parts += [f"{self.stopped} stopped early"] if self.stopped else []
        parts += [f"{self.diverged} diverged"] if self.diverged else []
        parts += [f"{self.failed} failed"] if self.failed else []
        parts += ["starting"] if self.start is None else []
        parts += [f"{self.per_minute:.0f} rounds/min"] if self.per_minute else []
        return ", ".join([*parts, *filter(None, [self.time_left()])])

    def view(self) -> Group:
        """The headline, a row per running pack, the best trial so far."""
        table = Table(box=None, pad_edge=False)
        for column in ("lineages", "round", "running"):
            justify = "left" if column == "running" else "right"
            table.add_column(column, justify=justify, no_wrap=column == "running", overflow="ellipsis")
        for pack, round in list(self.running.values())[:SHOWN]:
            done = f"{round}/{pack.rounds}" if round >= 0 else f"-/{pack.rounds}"
            table.add_row(str(len(pack.lineages)), done, Text(self._names.get(pack.id, pack.id)))
        more = [Text(f"and {len(self.running) - SHOWN} more")] if len(self.running) > SHOWN else []
        best = [Text(f"best so far: {self.best}")] if self.best else []
        return Group(
            Text(f"{self.name}: {self.summary()}", style="bold"), *([table] if self.running else []), *more, *best
        )


def duration(seconds: float) -> str:
    """`40 s`, `12 min`, `3.5 h`; never 0."""
    if seconds < 90:
        return f"{max(1.0, seconds):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
