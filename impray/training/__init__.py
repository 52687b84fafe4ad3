"""One round of optimisation on a pack, one trainer or engine per file."""

from __future__ import annotations

from impray.nets.mlp import Architecture
from impray.spec import families
from impray.spec.family import Implementations
from impray.training import sgd
from impray.training.base import Task, Trained, Trainer

__all__ = ["TRAINERS", "Task", "Trained", "Trainer"]


def sgd_trainer(task: Task) -> Trained:
    """As `Trainer`."""
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


TRAINERS: Implementations[Trainer] = Implementations(families.training)
