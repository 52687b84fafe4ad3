"""One round of optimisation on a pack: trainers, engines and update rules, one per file."""

from __future__ import annotations

from collections.abc import MutableMapping

from impray.spec import families
from impray.spec.family import Implementations
from impray.spec.training import TrainingSpec
from impray.training.base import Task, Trained, Trainer

__all__ = ["TRAINERS", "Task", "Trained", "Trainer"]

TRAINERS: MutableMapping[type[TrainingSpec], Trainer] = Implementations(families.training)
