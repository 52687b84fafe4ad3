"""Axes, values and endings of trials in Optuna's words: the same for a search and for the study that is kept of it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from impray.service.pool import Outcome
from impray.spec import axes
from impray.spec.base import canonical
from impray.spec.search import Axis, Range
from impray.spec.sweep import Sweep
from impray.spec.trial import Trial

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import TrialState


def ending(outcome: Outcome, goals: Sequence[float]) -> tuple[TrialState, list[float] | None]:
    """The state of a trial that is over, and its values: only a complete one has any.

    Args:    goals: a number per goal, NaN where undefined. A trial that diverged after its goals were read has all of them.
    """
    from optuna.trial import TrialState

    if outcome == "stopped":
        return TrialState.PRUNED, None
    whole = bool(goals) and all(math.isfinite(value) for value in goals)
    if outcome in ("done", "diverged") and whole:
        return TrialState.COMPLETE, list(goals)
    return TrialState.FAIL, None


class Space:
    """A sweep's axes: path -> distribution, and values there as an Optuna trial has them (its params)."""

    def __init__(self, sweep: Sweep) -> None:
        self.sweep = sweep
        self.distributions = {path: self._distribution(path, axis) for path, axis in sweep.search.space.items()}

    def on_axes(self, trial: Trial) -> dict[str, Any]:
        """A trial's values as the axes write them: [1, 3] for its (1.0, 3.0), 6 for its (6,)."""
        return {path: _on_axis(axis, axes.value(trial, path)) for path, axis in self.sweep.search.space.items()}

    def params(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return {path: stored(value) for path, value in values.items()}

    def values(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The reverse of `params`, of values that are on the axes."""
        return {path: _plain(axis, params[path]) for path, axis in self.sweep.search.space.items()}

    def holds(self, params: Mapping[str, Any]) -> bool:
        """Whether a search in this space may ask for these."""
        return all(contains(of_path, params[path]) for path, of_path in self.distributions.items())

    def _distribution(self, path: str, axis: Axis) -> BaseDistribution:
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if not isinstance(axis, Range):
            return CategoricalDistribution([stored(value) for value in axis])
        if axes.takes_integers(self.sweep, path):
            return IntDistribution(int(axis.low), int(axis.high), log=axis.log)
        return FloatDistribution(axis.low, axis.high, log=axis.log)


def covering(distribution: BaseDistribution, values: Sequence[Any]) -> BaseDistribution:
    """A distribution that holds these values too: trials of an earlier form of the space are in the same study."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    beyond = list(dict.fromkeys(value for value in values if not contains(distribution, value)))
    if not beyond:
        return distribution
    if isinstance(distribution, CategoricalDistribution):
        return CategoricalDistribution([*distribution.choices, *beyond])
    assert isinstance(distribution, (IntDistribution, FloatDistribution))
    if not all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in beyond):
        return CategoricalDistribution(list(dict.fromkeys(values)))
    low, high = min(distribution.low, *beyond), max(distribution.high, *beyond)
    log = distribution.log and low > 0
    if isinstance(distribution, IntDistribution) and all(isinstance(value, int) for value in beyond):
        return IntDistribution(int(low), int(high), log=log)
    return FloatDistribution(low, high, log=log)


def contains(distribution: BaseDistribution, value: Any) -> bool:
    try:
        return distribution._contains(distribution.to_internal_repr(value))
    except (TypeError, ValueError):  # a value of another type, from before the axis was changed
        return False


def stored(value: Any) -> Any:
    """Categories must be scalars for Optuna: lists travel as JSON."""
    return json.dumps(value) if isinstance(value, (list, tuple, dict)) else value


def _plain(axis: Axis, value: Any) -> Any:
    return value if isinstance(axis, Range) else next(item for item in axis if stored(item) == value)


def _on_axis(axis: Axis, value: Any) -> Any:
    """As the axis writes it; a range over a field that is a list of one (`net.hidden`) takes that one."""
    if isinstance(axis, Range):
        return value[0] if isinstance(value, (tuple, list)) and len(value) == 1 else value
    return next((item for item in axis if _same(item, value)), value)


def _same(item: Any, value: Any) -> bool:
    """[1, 3] on an axis and (1.0, 3.0) in a trial are the same value; so are 6 and (6,)."""
    on_axis, in_trial = canonical(item, whole=True), canonical(value, whole=True)
    return on_axis == in_trial or [on_axis] == in_trial
