"""One round of optimisation on a pack, one trainer or engine per file."""

from __future__ import annotations

from impray.spec.training import Adam, AdamW, Sgd, TrainingSpec
from impray.training import loop
from impray.training.base import Task, Trained, Trainer

__all__ = ["TRAINERS", "Task", "Trained", "Trainer"]

TRAINERS: dict[type[TrainingSpec], Trainer] = {
    Sgd: loop.train,
    Adam: loop.train,
    AdamW: loop.train,
}
