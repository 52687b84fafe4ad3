"""Which pack comes next: the same question for a grid, a random search and Optuna, and free of ray.

`Listed` hands out packs that were planned beforehand. `Asked` asks an Optuna study, one trial per pack, and tells it how each
ended: its goals' values, PRUNED for a trial stopped early, FAIL for one that failed or whose goals are NaN.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol

from impray.results.known import Known
from impray.service.plan import Planned, pack_of, planned
from impray.spec import axes
from impray.spec.pack import Pack
from impray.spec.search import Range
from impray.spec.sweep import Sweep

Outcome = Literal["done", "stopped", "failed"]


REPEATS = 100  # draws in a row of points that were asked before, after which a search ends


class Proposals(Protocol):
    """Hands out packs and hears how they end."""

    def next(self) -> Pack | Literal["finished"]: ...

    def ended(self, pack: Pack, outcome: Outcome) -> None: ...


class Watcher(Protocol):
    """What hears of packs as they run: the live view and the table of trials."""

    def started(self, pack: Pack) -> None: ...

    def finished_round(self, pack: Pack, round: int) -> None: ...

    def ended(self, pack: Pack, outcome: Outcome, error: str) -> None: ...


class Listed:
    """Packs in a fixed order."""

    def __init__(self, packs: Sequence[Pack]) -> None:
        self._left = list(packs)

    def next(self) -> Pack | Literal["finished"]:
        return self._left.pop(0) if self._left else "finished"

    def ended(self, pack: Pack, outcome: Outcome) -> None:
        pass


class Asked:
    """Packs of one trial each, as an Optuna study suggests them.

    Trials of an earlier run are asked again first, with the same values: those that are done replay from the tables in no time
    and teach the sampler; those that were interrupted go on; those that were stopped early are told as PRUNED and not run.
    """

    def __init__(
        self,
        sweep: Sweep,
        known: Known,
        columns: Mapping[str, str],
        earlier: Sequence[Mapping[str, Any]],
        goals_of: Callable[[Planned], list[float]],
        announce: Callable[[Planned], None],
    ) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        assert sweep.search.trials is not None
        self._sweep, self._known, self._columns = sweep, known, columns
        self._goals_of, self._announce = goals_of, announce
        self._budget = sweep.search.trials
        # The sampler starts anew in every run: another seed then, or it would ask for the same points again.
        sampler = optuna.samplers.TPESampler(seed=sweep.search.seed + len(earlier))
        sense = optuna.study.StudyDirection
        directions = [sense.MINIMIZE if goal.direction == "min" else sense.MAXIMIZE for goal in sweep.search.goals]
        self._study = optuna.create_study(directions=directions, sampler=sampler)
        self._distributions = {path: self._distribution(path, axis) for path, axis in sweep.search.space.items()}
        sizes = [math.inf if isinstance(axis, Range) else len(axis) for axis in sweep.search.space.values()]
        self._points = math.prod(sizes)  # a range of integers is counted as endless: REPEATS ends that
        self._trials: dict[str, Any] = {}  # pack id -> (optuna trial, planned)
        self._seen: set[str] = set()  # ids of trials already handed out
        self._handed = 0
        self._numbers: dict[str, int] = {row["trial"]: row["number"] for row in earlier}
        for row in earlier:
            self._recall(row)

    def next(self) -> Pack | Literal["finished"]:
        """The next new trial's pack. A point that was asked before is not run again: the study is told what it gave."""
        for _ in range(REPEATS):
            if self._handed >= self._budget or len(self._seen) >= self._points:
                return "finished"
            asked = self._study.ask(self._distributions)
            values = {path: self._plain(path, asked.params[path]) for path in self._sweep.search.space}
            trial = axes.at(self._sweep, values)
            if trial.id in self._seen:
                self._repeat(asked, trial.id)
                continue
            self._seen.add(trial.id)
            number = self._numbers.setdefault(trial.id, 1 + max(self._numbers.values(), default=-1))
            found = planned(self._sweep, number, values, trial)
            self._handed += 1
            pack = pack_of(self._sweep, found.lineages, self._known, self._columns)
            self._trials[pack.id] = (asked, found)
            self._announce(found)
            return pack
        return "finished"  # nothing but points that were asked before: the space is (nearly) exhausted

    def ended(self, pack: Pack, outcome: Outcome) -> None:
        from optuna.trial import TrialState

        asked, found = self._trials[pack.id]
        values = self._goals_of(found) if outcome == "done" else []
        if outcome == "stopped":
            self._study.tell(asked, state=TrialState.PRUNED)
        elif outcome == "failed" or not values or any(math.isnan(value) for value in values):
            self._study.tell(asked, state=TrialState.FAIL)
        else:
            self._study.tell(asked, values)

    # -- what was asked before ----------------------------------------------------------------------------------------

    def _recall(self, row: Mapping[str, Any]) -> None:
        import optuna

        values = {path: self._from_row(path, row.get(path)) for path in self._sweep.search.space}
        params = {path: self._stored(path, value) for path, value in values.items()}
        if any(value is None for value in values.values()) or not self._within(params):
            return  # the space has changed since: this point is no longer in it
        if row["status"] == "stopped":
            stopped = optuna.trial.create_trial(
                state=optuna.trial.TrialState.PRUNED, params=params, distributions=self._distributions
            )
            self._study.add_trial(stopped)
            self._seen.add(axes.at(self._sweep, values).id)
            self._handed += 1
        else:
            self._study.enqueue_trial(params)

    def _repeat(self, asked: Any, trial_id: str) -> None:  # noqa: ANN401
        from optuna.trial import TrialState

        for other, found in self._trials.values():
            frozen = self._study.trials[other.number]
            if found.trial.id == trial_id and frozen.state == TrialState.COMPLETE:
                self._study.tell(asked, frozen.values)
                return
        self._study.tell(asked, state=TrialState.PRUNED)

    # -- axes as Optuna's distributions -------------------------------------------------------------------------------

    def _distribution(self, path: str, axis: Any) -> Any:  # noqa: ANN401
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if not isinstance(axis, Range):
            return CategoricalDistribution([self._stored(path, value) for value in axis])
        if axes.takes_integers(self._sweep, path):
            return IntDistribution(int(axis.low), int(axis.high), log=axis.log)
        return FloatDistribution(axis.low, axis.high, log=axis.log)

    def _stored(self, path: str, value: Any) -> Any:  # noqa: ANN401
        """Categories must be scalars for Optuna: lists travel as JSON."""
        return json.dumps(value) if isinstance(value, (list, tuple, dict)) else value

    def _plain(self, path: str, value: Any) -> Any:  # noqa: ANN401
        axis = self._sweep.search.space[path]
        if isinstance(axis, Range):
            return value
        return next(item for item in axis if self._stored(path, item) == value)

    def _from_row(self, path: str, value: Any) -> Any:  # noqa: ANN401
        axis = self._sweep.search.space[path]
        if isinstance(axis, Range) or value is None:
            return value
        return next((item for item in axis if item == value or json.dumps(item) == value), None)

    def _within(self, params: Mapping[str, Any]) -> bool:
        return all(dist._contains(dist.to_internal_repr(params[path])) for path, dist in self._distributions.items())
