"""One round of optimisation on a pack: trainers, engines and update rules, one per file."""

from __future__ import annotations

from impray.spec import families
from impray.spec.errors import MemberError
from impray.spec.family import BUILT_IN, Implementations
from impray.training.base import Task, Trainer, TrainingEnd, wrong_with

__all__ = ["TRAINERS", "Task", "TrainingEnd", "Trainer", "train_round"]

TRAINERS: Implementations[Trainer] = Implementations(families.training)


def train_round(task: Task) -> TrainingEnd:
    """A round of training, by the trainer of its specs' kind.

    Raises:  MemberError: it returns something else than what it was asked for.
    """
    kind = type(task.specs[0])
    made = TRAINERS.call(kind, task)
    member = families.training.member(kind)
    if member.source != BUILT_IN:  # tests hold the built-in ones to it
        why = wrong_with(made, task)
        if why:
            raise MemberError(families.training.tag_of(kind), member.source, why)
    return made
