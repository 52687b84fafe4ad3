"""Which pack comes next: the same question for a grid, a random search and Optuna, and free of ray.

`PackQueue` hands out packs that were planned beforehand. `OptunaQueue` asks an Optuna study, one trial per pack, and tells it how each
ended: its goals' values, PRUNED for a trial stopped early, FAIL for one that failed or whose goals are NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from impray.results.ledger import Ledger
from impray.service.as_optuna import Space, ending
from impray.service.plan import PlannedTrial, pack_of, planned
from impray.service.pool import Outcome
from impray.spec import axes
from impray.spec.pack import Pack
from impray.spec.search import Range
from impray.spec.sweep import Sweep
from impray.spec.trial import Trial

REPEATS = 100  # draws in a row of points that were asked before, after which a search ends


@dataclass(frozen=True)
class EarlierTrial:
    """A trial of an earlier run of a search; `outcome` is None if something of it is left to do."""

    number: int
    trial: Trial
    outcome: Outcome | None
    goals: list[float]


class PackQueue:
    """Packs in a fixed order."""

    def __init__(self, packs: Sequence[Pack]) -> None:
        self._left = list(packs)

    def next(self) -> Pack | Literal["finished"]:
        return self._left.pop(0) if self._left else "finished"

    def first(self, packs: Sequence[Pack]) -> None:
        """Further packs, before all that are left."""
        self._left[:0] = packs

    @property
    def left(self) -> bool:
        return bool(self._left)

    def ended(self, pack: Pack, outcome: Outcome) -> None:
        pass


class OptunaQueue:
    """Packs of one trial each, as an Optuna study suggests them.

    Trials of an earlier run that are over are told to the study and not run; those that were interrupted are asked again first.
    """

    def __init__(
        self,
        sweep: Sweep,
        ledger: Ledger,
        columns: Mapping[str, str],
        earlier: Sequence[EarlierTrial],
        goals_of: Callable[[PlannedTrial], list[float]],
        announce: Callable[[PlannedTrial], None],
    ) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        assert sweep.search.trials is not None
        self._sweep, self._ledger, self._columns = sweep, ledger, columns
        self._goals_of, self._announce = goals_of, announce
        self._budget = sweep.search.trials
        # The sampler starts anew in every run: another seed then, or it would ask for the same points again.
        sampler = optuna.samplers.TPESampler(seed=sweep.search.seed + len(earlier))
        sense = optuna.study.StudyDirection
        directions = [sense.MINIMIZE if goal.direction == "min" else sense.MAXIMIZE for goal in sweep.search.goals]
        self._study = optuna.create_study(directions=directions, sampler=sampler)
        self._space = Space(sweep)
        sizes = [math.inf if isinstance(axis, Range) else len(axis) for axis in sweep.search.space.values()]
        self._points = math.prod(sizes)  # a range of integers is counted as endless: REPEATS ends that
        self._trials: dict[str, Any] = {}  # pack id -> (optuna trial, planned)
        self._seen: dict[str, list[float] | None] = {}  # trials already handed out -> what the study was told
        self._handed = 0
        self._numbers: dict[str, int] = {}
        self._next_number = 1 + max((trial.number for trial in earlier), default=-1)
        for trial in earlier:
            self._recall(trial)
        self.told = self._handed  # trials of earlier runs that are over

    @property
    def nothing_left(self) -> bool:
        """Whether the budget is spent, or every point of the space was asked for."""
        return self._handed >= self._budget or len(self._seen) >= self._points

    def next(self) -> Pack | Literal["finished"]:
        """The next new trial's pack. A point that was asked before is not run again: the study is told what it gave."""
        for _ in range(REPEATS):
            if self.nothing_left:
                return "finished"
            asked = self._study.ask(self._space.distributions)
            values = self._space.values(asked.params)
            trial = axes.at(self._sweep, values)
            if trial.id in self._seen:
                self._repeat(asked, trial.id)
                continue
            self._seen[trial.id] = None
            number = self._numbers.get(trial.id, self._next_number)
            self._next_number = max(self._next_number, number + 1)
            planned_trial = planned(self._sweep, number, values, trial)
            self._handed += 1
            pack = pack_of(self._sweep, planned_trial.lineages, self._ledger, self._columns)
            self._trials[pack.id] = (asked, planned_trial)
            self._announce(planned_trial)
            return pack
        return "finished"  # nothing but points that were asked before: the space is (nearly) exhausted

    @property
    def left(self) -> bool:
        return False  # whatever is left is asked for until it is "finished"

    def ended(self, pack: Pack, outcome: Outcome) -> None:
        asked, planned_trial = self._trials[pack.id]
        state, values = ending(outcome, self._goals_of(planned_trial) if outcome == "done" else [])
        self._study.tell(asked, values, state)
        if values is not None:
            self._seen[planned_trial.trial.id] = values

    # -- what was asked before ----------------------------------------------------------------------------------------

    def _recall(self, earlier: EarlierTrial) -> None:
        import optuna

        values = self._space.on_axes(earlier.trial)
        params = self._space.params(values)
        if not self._space.holds(params) or axes.at(self._sweep, values).id != earlier.trial.id:
            return  # the space or the base trial has changed since: this point is no longer asked for
        self._numbers[earlier.trial.id] = earlier.number
        if earlier.outcome is None:
            self._study.enqueue_trial(params)
            return
        state, told = ending(earlier.outcome, earlier.goals)
        over = optuna.trial.create_trial(
            state=state, params=params, distributions=self._space.distributions, values=told
        )
        self._study.add_trial(over)
        self._seen[earlier.trial.id] = told
        self._handed += 1

    def _repeat(self, asked: Any, trial_id: str) -> None:
        from optuna.trial import TrialState

        if self._seen[trial_id] is not None:
            self._study.tell(asked, self._seen[trial_id])
        else:
            self._study.tell(asked, state=TrialState.PRUNED)
