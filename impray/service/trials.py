"""Trials as the user counts them: which packs they are spread over, how they ended, their rows in the table `trials`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from typing import Any

import polars as pl

from impray.results import goals, ledger, tables
from impray.results.paths import Paths
from impray.results.rows import axis_value_of_column
from impray.service.plan import PlannedTrial, axis_types, listed, pack_of, planned
from impray.service.pool import Outcome
from impray.service.proposals import EarlierTrial, OptunaQueue
from impray.spec.base import canonical
from impray.spec.pack import Pack
from impray.spec.sweep import Sweep
from impray.spec.trial import Lineage, Trial
from impray.theory.naming import Names, described


class Trials:
    """Every trial of a sweep that is known so far, and the packs each still waits for."""

    def __init__(
        self, sweep: Sweep, paths: Paths, trials: Sequence[PlannedTrial] | None = None, *, writes: bool = True
    ) -> None:
        """trials: all that are listed (`plan.listed`), where that is known. writes: whether the table `trials` is kept; else it is only
        looked at."""
        self.sweep, self.paths, self.writes = sweep, paths, writes
        self.columns = {**tables.axes_of(paths), **axis_types(sweep)}
        self.ledger = ledger.read(paths.store)
        there = tables.scan("trials", paths.store).collect() if writes or paths.store.exists() else pl.DataFrame()
        self.rows = {row["trial"]: row for row in there.iter_rows(named=True)}
        self._names = self._given()
        self.planned: dict[str, PlannedTrial] = {}
        self.waiting: dict[str, set[str]] = {}  # trial -> ids of packs that have not ended
        self.packs: dict[str, list[Pack]] = {}  # trial -> its packs
        self.outcomes: dict[str, Outcome] = {}
        self.diverged: dict[str, int] = {}  # trial that ended in this run -> how many of its lineages diverged
        self._values: dict[tuple[str, int], list[float]] = {}
        self.asks = sweep.search.algorithm == "optuna"
        if not self.asks:
            for trial in listed(sweep) if trials is None else trials:
                self.add(trial)

    def add(self, trial: PlannedTrial) -> None:
        """Take note of a trial. Its row says `running` until it ends, so that an interrupted search asks for it again."""
        self.planned[trial.trial.id] = trial
        row = self.rows.get(trial.trial.id)
        outcome = self._outcome(row, trial) if row else None
        if outcome is not None:
            self.outcomes[trial.trial.id] = outcome
        if row is None or row["number"] != trial.number or (outcome is not None and self._outdated(row, outcome)):
            self.write(trial, outcome or "running")

    def _given(self) -> Names:
        """The names that rows of earlier runs have; they stay."""
        names = Names()
        for row in sorted(self.rows.values(), key=lambda row: row["number"]):
            if row["name"] is not None:
                names.keep(row["name"], Trial.model_validate_json(row["description"]).data)
        return names

    def _outcome(self, row: Mapping[str, Any], trial: PlannedTrial) -> Outcome | None:
        """How a trial of an earlier run ended; None if something of it is left to do."""
        if row["status"] == "stopped" and row["stopped_by"] == self._stop_early:
            return "stopped"
        if row["status"] not in ("done", "diverged") or not self.complete(trial):
            return None
        return _how(sum(self.ledger.diverged(lineage) is not None for lineage in trial.lineages), trial)

    def _outdated(self, row: Mapping[str, Any], outcome: Outcome) -> bool:
        """Whether a row says something else than is so: versions before 0.4.0 wrote `done` of a trial that had diverged, those
        up to 0.5.0 no name, and the goals may be others by now. They are read again from the rounds, without running anything."""
        return row["status"] != outcome or row["goal_names"] != self._goal_names or row["name"] is None

    @property
    def _stop_early(self) -> str | None:
        """Names what ended a trial: its parameters and, where the measure's first column has changed, its revision."""
        stop = self.sweep.search.stop_early
        if stop is None:
            return None
        revision = goals.revision_of(stop.measure)
        return json.dumps(canonical(stop) | ({"revision": revision} if revision else {}), sort_keys=True)

    @property
    def _goal_names(self) -> list[str]:
        return [goals.label(goal) for goal in self.sweep.search.goals]

    @cached_property
    def earlier(self) -> list[EarlierTrial]:
        """Trials of earlier runs of an asking search, in the order of their numbers."""
        trials = []
        for row in sorted(self.rows.values(), key=lambda row: row["number"]):
            trial = Trial.model_validate_json(row["description"])
            of_row = planned(self.sweep, row["number"], {}, trial)
            outcome = self._outcome(row, of_row)
            if outcome in ("done", "diverged") and self._outdated(row, outcome):
                self.planned[trial.id] = of_row
                self.write(of_row, outcome)
                row = {**row, "goals": self.goals_of(of_row)}
            trials.append(EarlierTrial(row["number"], trial, outcome, row["goals"] or []))
        return trials

    @cached_property
    def asked(self) -> OptunaQueue:
        """The proposals of an asking search."""
        return OptunaQueue(self.sweep, self.ledger, self.columns, self.earlier, self.goals_of, self.add)

    def rungs(self) -> list[dict[int, float]]:
        """What early stopping knows of trials that were over before this run: round -> value, NaN where undefined.

        Of those that are not over it hears when they go on: they tell of the rounds that they have.
        """
        stop = self.sweep.search.stop_early
        if stop is None:
            return []
        over = [earlier.trial.id for earlier in self.earlier if earlier.outcome] if self.asks else list(self.outcomes)
        lineages = {id: self.rows[id]["lineages"] for id in over if id in self.rows}
        return list(goals.by_round(stop, self.paths.store, lineages).values())

    def complete(self, trial: PlannedTrial) -> bool:
        """Whether nothing of this trial is left to run."""
        pack = pack_of(self.sweep, trial.lineages, self.ledger, self.columns)
        return all(self.ledger.complete(lineage, pack) for lineage in trial.lineages)

    def rounds_left(self) -> int:
        """Rounds of lineages that are left to do; each trial that a search has yet to name counts as new."""
        if self.asks:
            left = max(0, (self.sweep.search.trials or 0) - self.asked.told)
            return left * len(self.sweep.methods) * len(self.sweep.seeds) * told_rounds(self.sweep)
        return sum(len(self.undone(lineage)) for trial in self.left() for lineage in trial.lineages)

    def asked_rounds(self, lineage: Lineage) -> Sequence[int]:
        """Rounds of a lineage that are to have rows."""
        return self._any_pack.rows_of(lineage)

    def undone(self, lineage: Lineage) -> tuple[int, ...]:
        """Rounds of a lineage that are to have rows and are not done."""
        pack = self._any_pack
        if not self.ledger.has_rows(lineage):
            return tuple(pack.rows_of(lineage))
        return tuple(round for round in pack.rows_of(lineage) if not self.ledger.round_done(lineage, round, pack))

    @cached_property
    def _any_pack(self) -> Pack:
        """What is asked of every lineage's rows."""
        return pack_of(
            self.sweep, self.sweep.trial.lineages(self.sweep.methods, self.sweep.seeds), self.ledger, self.columns
        )

    def left(self) -> list[PlannedTrial]:
        """Listed trials that are not over: also those whose rows are complete but that were never told as done."""
        return [trial for id, trial in self.planned.items() if id not in self.outcomes]

    def nothing_left(self) -> bool:
        return self.asked.nothing_left if self.asks else not self.left()

    # -- while it runs ------------------------------------------------------------------------------------------------

    def waits_for(self, pack: Pack) -> None:
        for id in dict.fromkeys(lineage.trial.id for lineage in pack.lineages):
            if pack.id not in self.waiting.setdefault(id, set()):
                self.waiting[id].add(pack.id)
                self.packs.setdefault(id, []).append(pack)

    def pack_ended(
        self, pack: Pack, outcome: Outcome, lineages: Sequence[str] | None = None
    ) -> list[tuple[PlannedTrial, Outcome]]:
        """Trials that ended with this pack. One failed pack makes its trials failed; only those of `lineages` where these failed."""
        ended = []
        spared = {lineage.trial.id for lineage in pack.lineages}
        spared -= {lineage.trial.id for lineage in pack.lineages if lineages is None or lineage.id in lineages}
        for id in dict.fromkeys(lineage.trial.id for lineage in pack.lineages):
            self.waiting[id].discard(pack.id)
            if outcome != "done" and id not in spared:
                self.outcomes[id] = outcome
            if not self.waiting[id]:
                ended.append((self.planned[id], self.end(self.planned[id])))
        return ended

    def end(self, trial: PlannedTrial) -> Outcome:
        """A trial with nothing left to run, and no failed or stopped pack, is done or diverged; its row says so."""
        gone = self._of_trial(trial).filter(pl.col("status") == "diverged")
        self.diverged[trial.trial.id] = gone.select(pl.col("lineage").n_unique()).collect().item()
        outcome = self.outcomes.setdefault(trial.trial.id, _how(self.diverged[trial.trial.id], trial))
        self.write(trial, outcome)
        return outcome

    def goals_of(self, trial: PlannedTrial, round: int | None = None) -> list[float]:
        """Values of the sweep's goals, NaN where undefined; read once, when the trial is over."""
        last = self.sweep.rounds if round is None else round
        key = (trial.trial.id, last)
        if key not in self._values:
            ids = [lineage.id for lineage in trial.lineages]
            files = self._files(trial)
            asked = [goals.in_round(goal, trial.trial) for goal in self.sweep.search.goals]
            self._values[key] = [
                math.nan if goal is None else goals.value(goal, self.paths.store, ids, last, files) for goal in asked
            ]
        return self._values[key]

    def _files(self, trial: PlannedTrial) -> list[str] | None:
        """Packs whose files hold all rows of a trial; None (every file) if an earlier run left some elsewhere."""
        packs = self.packs.get(trial.trial.id, [])
        return (
            [part.id for pack in packs for part in pack.parts]
            if packs and not any(pack.known for pack in packs)
            else None
        )

    def write(self, trial: PlannedTrial, status: str) -> None:
        if not self.writes:
            return
        over = status != "running"
        ids = [lineage.id for lineage in trial.lineages]
        last = self._last_round(trial) if over else None
        row = {
            "trial": trial.trial.id,
            "number": trial.number,
            **asdict(described(trial.trial.data, self._names)),
            "status": status,
            "rounds": last,
            "goals": self.goals_of(trial, last) if last is not None and self.sweep.search.goals else None,
            "goal_names": self._goal_names if over else None,
            "stopped_by": self._stop_early if status == "stopped" else None,
            "lineages": ids,
            "description": json.dumps(canonical(trial.trial, whole=True), sort_keys=True),
            **{path: axis_value_of_column(kind, trial.trial, path) for path, kind in self.columns.items()},
        }
        tables.write(self.paths, "trials", f"{trial.number:06d}-{trial.trial.id}", [row], self.columns)

    def _last_round(self, trial: PlannedTrial) -> int | None:
        return self._of_trial(trial).select(pl.col("round").max()).collect().item()

    def _of_trial(self, trial: PlannedTrial) -> pl.LazyFrame:
        """Its rows of `rounds`."""
        rounds = tables.scan("rounds", self.paths.store, self._files(trial))
        return rounds.filter(pl.col("lineage").is_in([lineage.id for lineage in trial.lineages]))


def _how(diverged: int, trial: PlannedTrial) -> Outcome:
    return "diverged" if diverged == len(trial.lineages) else "done"


def told(sweep: Sweep, values: list[float]) -> str:
    """Goals as a person reads them: `rf_width_px_median of imp 1.53`."""
    return ", ".join(
        f"{goals.label(goal)} {'undefined' if math.isnan(value) else f'{value:.4g}'}"
        for goal, value in zip(sweep.search.goals, values, strict=True)
    )


def told_rounds(sweep: Sweep) -> int:
    """Rounds of a lineage that are to have rows."""
    if sweep.rows_at == "all":
        return sweep.rounds + 1
    return len(sweep.rows_at) if isinstance(sweep.rows_at, tuple) else 1
