"""One round of optimisation on a pack, one trainer or engine per file."""

from __future__ import annotations

from impray.nets.mlp import Architecture
from impray.spec.training import Sgd, TrainingSpec
from impray.training import sgd
from impray.training.base import Task, Trained, Trainer

__all__ = ["TRAINERS", "Task", "Trained", "Trainer"]


def _sgd(task: Task) -> Trained:
    assert isinstance(task.network, Architecture)
    until, snapshots = int(task.until), [int(step) for step in task.snapshots]
    found, saved = sgd.train(
        task.network,
        task.specs,
        task.start,
        task.masks,
        task.data,
        until,
        snapshots,
        task.record,  # type: ignore[arg-type]
    )
    return Trained(found.params, found.stats, saved)  # type: ignore[arg-type]


TRAINERS: dict[type[TrainingSpec], Trainer] = {
    Sgd: _sgd,
}
