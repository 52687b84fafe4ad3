"""Which pack Tune starts next, and which trials it stops early."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler

from impray.spec.search import Criterion
from impray.spec.sweep import Sweep


class BegunFirst(FIFOScheduler):
    """Packs in their order, but those that have lost their actor before all that have not begun: Tune would put them last."""

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        waiting = (trial for trial in tune_controller.get_trials() if trial.status == Trial.PENDING)
        begun = next((trial for trial in waiting if trial.run_metadata.error_filename), None)
        if begun is None:
            return super().choose_trial_to_run(tune_controller)
        _first_in_line(tune_controller._tune_controller, begun)
        return begun


def _first_in_line(controller: Any, trial: Trial) -> None:
    """Let a trial have the next place that falls free: Tune gives places to actors in the order in which it asked for them."""
    line = controller._actor_manager._resource_request_to_pending_actors.get(trial.placement_group_factory, [])
    actor = controller._trial_to_actor.get(trial)
    if actor in line[1:]:
        line.remove(actor)
        line.insert(0, actor)


class Halving(BegunFirst, AsyncHyperBandScheduler):
    """Asynchronous successive halving (ASHA) of trials' progress."""


def scheduler(sweep: Sweep, rungs: Sequence[Mapping[int, float]] = ()) -> FIFOScheduler:
    """The sweep's scheduler.

    Args:    rungs: round -> value of each trial that was over before; a trial of this run is compared with them, too.
    """
    stop = sweep.search.stop_early
    if stop is None:
        return BegunFirst()
    halving = Halving(
        metric="progress",
        mode=stop.direction,
        grace_period=stop.grace + 1,  # training_iteration counts round 0 as 1
        reduction_factor=stop.factor,
        max_t=sweep.rounds + 1,
    )
    for number, values in enumerate(rungs):
        trial: Any = SimpleNamespace(trial_id=f"over-{number}")
        halving.on_trial_add(None, trial)  # type: ignore[arg-type]
        for round, value in sorted(values.items()):
            result = {"training_iteration": round + 1, "progress": compared(stop, value)}
            halving.on_trial_result(None, trial, result)  # type: ignore[arg-type]
    return halving


def compared(stop: Criterion, value: float) -> float:
    """Early stopping compares numbers: what is undefined counts as the worst (infinity would make its quantiles NaN)."""
    worst = 1e30 if stop.direction == "min" else -1e30
    return value if value == value else worst
