"""Trials as the user counts them: which packs they are spread over, how they ended, their rows in the table `trials`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import polars as pl

from impray.results import goals, tables
from impray.results.known import known
from impray.results.paths import Paths
from impray.results.rows import axis_value_of_column
from impray.service.plan import Planned, listed, pack_of, planned
from impray.service.proposals import Outcome
from impray.spec.base import canonical
from impray.spec.pack import Pack
from impray.spec.sweep import Sweep
from impray.spec.trial import Trial


class Trials:
    """Every trial of a sweep that is known so far, and the packs each still waits for."""

    def __init__(self, sweep: Sweep, paths: Paths) -> None:
        self.sweep, self.paths = sweep, paths
        self.columns = tables.axes_of(paths)
        self.known = known(paths.folder)
        self.earlier = self._rows()
        self.planned: dict[str, Planned] = {}
        self.waiting: dict[str, set[str]] = {}  # trial -> ids of packs that have not ended
        self.outcomes: dict[str, Outcome] = {}
        self.asks = sweep.search.algorithm == "optuna"
        if not self.asks:
            for trial in listed(sweep):
                self.add(trial)

    def _rows(self) -> list[dict[str, Any]]:
        """Rows of an earlier run of this search, in the order of their numbers."""
        rows = tables.scan("trials", self.paths.folder).sort("number").collect()
        return list(rows.iter_rows(named=True))

    def add(self, trial: Planned) -> None:
        """Take note of a trial. Its row says `running` until it ends, so that an interrupted search asks for it again."""
        self.planned[trial.trial.id] = trial
        earlier = next((row for row in self.earlier if row["trial"] == trial.trial.id), None)
        if earlier is None or earlier["number"] != trial.number:
            self.write(trial, "running")
        elif earlier["status"] == "stopped" or (earlier["status"] == "done" and self.complete(trial)):
            self.outcomes[trial.trial.id] = earlier["status"]

    def complete(self, trial: Planned) -> bool:
        """Whether nothing of this trial is left to run."""
        asked = pack_of(self.sweep, trial.lineages, self.known, self.columns).asked
        return all(self.known.complete(lineage, self.sweep.rounds, asked) for lineage in trial.lineages)

    def left(self) -> list[Planned]:
        """Listed trials that are not over: also those whose rows are complete but that were never told as done."""
        return [trial for id, trial in self.planned.items() if id not in self.outcomes]

    def nothing_left(self) -> bool:
        if not self.asks:
            return not self.left()
        over = [
            row for row in self.earlier if row["status"] == "stopped" or (row["status"] == "done" and self._covers(row))
        ]
        return len(over) >= (self.sweep.search.trials or 0)

    def _covers(self, row: Mapping[str, Any]) -> bool:
        """Whether an earlier trial of an asking search has all rounds, seeds and measures that are asked for now."""
        trial = Trial.model_validate_json(row["description"])
        return self.complete(planned(self.sweep, row["number"], {}, trial))

    # -- while it runs ------------------------------------------------------------------------------------------------

    def waits_for(self, pack: Pack) -> None:
        for lineage in pack.lineages:
            self.waiting.setdefault(lineage.trial.id, set()).add(pack.id)

    def pack_ended(self, pack: Pack, outcome: Outcome) -> list[tuple[Planned, Outcome]]:
        """Trials that ended with this pack. One failed pack makes its trials failed."""
        ended = []
        for id in dict.fromkeys(lineage.trial.id for lineage in pack.lineages):
            self.waiting[id].discard(pack.id)
            if outcome != "done":
                self.outcomes[id] = outcome
            if not self.waiting[id]:
                how = self.outcomes.setdefault(id, "done")
                self.write(self.planned[id], how)
                ended.append((self.planned[id], how))
        return ended

    def goals_of(self, trial: Planned, round: int | None = None) -> list[float]:
        """Values of the sweep's goals, NaN where undefined."""
        ids = [lineage.id for lineage in trial.lineages]
        last = self.sweep.rounds if round is None else round
        return [goals.value(goal, self.paths.folder, ids, last) for goal in self.sweep.search.goals]

    def write(self, trial: Planned, status: str) -> None:
        over = status != "running"
        ids = [lineage.id for lineage in trial.lineages]
        last = self._last_round(ids) if over else None
        row = {
            "trial": trial.trial.id,
            "number": trial.number,
            "status": status,
            "rounds": last,
            "goals": self.goals_of(trial, last) if last is not None and self.sweep.search.goals else None,
            "lineages": ids,
            "description": json.dumps(canonical(trial.trial), sort_keys=True),
            **{path: axis_value_of_column(kind, trial.trial, path) for path, kind in self.columns.items()},
        }
        tables.write(self.paths, "trials", f"{trial.number:06d}-{trial.trial.id}", [row], self.columns)

    def _last_round(self, lineages: list[str]) -> int | None:
        found = tables.scan("rounds", self.paths.folder).filter(pl.col("lineage").is_in(lineages))
        return found.select(pl.col("round").max()).collect().item()


def told(sweep: Sweep, values: list[float]) -> str:
    """Goals as a person reads them: `median rf_width_x_px of imp 1.53`."""
    return ", ".join(
        f"{goals.label(goal)} {'undefined' if math.isnan(value) else f'{value:.4g}'}"
        for goal, value in zip(sweep.search.goals, values, strict=True)
    )
