"""What a person sees while a sweep runs: a live view on a terminal, one plain line per event elsewhere."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from impray.results.outcomes import share
from impray.service.listener import Listener, SweepStart, TrialEnd
from impray.service.pool import Outcome
from impray.service.trials import told
from impray.spec.pack import Pack, entries
from impray.spec.sweep import Sweep

SHOWN = 16  # running packs in the live view


class Progress(Listener):
    """Counts packs and lineage-rounds, and shows them. Trials are what the user asked for, so they are what is counted."""

    def __init__(self, console: Console) -> None:
        self.console, self.name = console, ""
        self.trials, self.done, self.failed, self.stopped, self.diverged = 0, 0, 0, 0, 0
        self.rounds_left, self.rounds_run = 0, 0
        self.sweep: Sweep | None = None
        self._best_value = math.inf
        self.running: dict[str, tuple[Pack, int]] = {}
        self.best = ""
        self.start = time.monotonic()
        self.live: Live | None = None
        self.clock: Callable[[], float] = time.monotonic

    # -- events -------------------------------------------------------------------------------------------------------

    def begun(self, begun: SweepStart) -> None:
        self.sweep, self.name, self.trials = begun.sweep, begun.name, begun.trials
        self.diverged = begun.over.count("diverged")
        self.done = begun.told - self.diverged
        lineages = len(begun.sweep.methods) * len(begun.sweep.seeds)
        self.rounds_left = (begun.trials - begun.told) * lineages * _told_rounds(begun.sweep)
        self.start = self.clock()
        if self.console.is_terminal:
            self.live = Live(self.view(), console=self.console, refresh_per_second=2, get_renderable=self.view)
            self.live.start()

    def ran(self) -> None:
        if self.live is not None:
            self.live.stop()

    def started(self, pack: Pack) -> None:
        self.running.setdefault(pack.id, (pack, -1))
        self.line(f"pack {pack.id} started: {len(pack.lineages)} lineages")

    def finished_round(self, pack: Pack, round: int) -> None:
        self.running[pack.id] = (pack, round)
        self.rounds_run += len(pack.lineages)
        self.line(f"pack {pack.id} round {round}/{pack.rounds} done; {self.summary()}")

    def pack_ended(self, pack: Pack, outcome: Outcome, error: str) -> None:
        _, round = self.running.pop(pack.id, (pack, -1))
        if outcome != "done":
            # What will not be run any more must not keep the estimate of the time left up.
            self.rounds_left -= (pack.rounds - round) * len(pack.lineages)
            self.line(f"pack {pack.id} {outcome}" + (f": {error}" if error else ""), always=outcome == "failed")

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
        self.line(f"trial {number} {ending}" + (f": {goals}" if goals else ""), always=bool(diverged))
        self._compare(number, values)

    def _compare(self, number: int, values: list[float]) -> None:
        """Best so far, by the first goal."""
        if self.sweep is None or not values or math.isnan(values[0]):
            return
        value = values[0] if self.sweep.search.goals[0].direction == "min" else -values[0]
        if value < self._best_value:
            self._best_value, self.best = value, f"trial {number}: {told(self.sweep, values)}"

    def line(self, text: str, always: bool = False) -> None:
        """One plain line per event; on a terminal the live view shows it instead."""
        if self.live is None:
            self.console.print(f"{time.strftime('%H:%M:%S')} {text}", highlight=False, markup=False, soft_wrap=True)
        elif always:
            self.live.console.print(text, highlight=False, markup=False)

    # -- view ---------------------------------------------------------------------------------------------------------

    def trials_running(self) -> set[str]:
        return {lineage.trial.id for pack, _ in self.running.values() for lineage in pack.lineages}

    @property
    def per_minute(self) -> float:
        elapsed = self.clock() - self.start
        return 60 * self.rounds_run / elapsed if elapsed > 0 else 0.0

    def time_left(self) -> str:
        left = max(0, self.rounds_left - self.rounds_run)
        if not self.per_minute:
            return "?" if left else "0 s"
        return duration(60 * left / self.per_minute)

    def summary(self) -> str:
        parts = [f"{self.done}/{self.trials} trials done", f"{len(self.trials_running())} running"]
        parts += [f"{self.stopped} stopped early"] if self.stopped else []
        parts += [f"{self.diverged} diverged"] if self.diverged else []
        parts += [f"{self.failed} failed"] if self.failed else []
        parts += [f"{self.per_minute:.0f} rounds/min", f"about {self.time_left()} left"]
        return ", ".join(parts)

    def view(self) -> Group:
        """The headline, a row per running pack, the best trial so far."""
        table = Table(box=None, pad_edge=False)
        for column in ("pack", "lineages", "round"):
            table.add_column(column, justify="left" if column == "pack" else "right")
        for pack, round in list(self.running.values())[:SHOWN]:
            table.add_row(pack.id, str(len(pack.lineages)), f"{max(round, 0)}/{pack.rounds}")
        more = [Text(f"and {len(self.running) - SHOWN} more")] if len(self.running) > SHOWN else []
        best = [Text(f"best so far: {self.best}")] if self.best else []
        return Group(
            Text(f"{self.name}: {self.summary()}", style="bold"), *([table] if self.running else []), *more, *best
        )


def _told_rounds(sweep: Sweep) -> int:
    """Rounds of a lineage that are told of."""
    return sweep.rounds + 1 if sweep.rows_at == "all" else len(entries(sweep.rows_at))


def duration(seconds: float) -> str:
    """`40 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
