"""One round of optimisation on a pack: trainers, engines and update rules, one per file."""

from __future__ import annotations

from impray.nets.base import Network, Params
from impray.spec import families
from impray.spec.errors import MemberError
from impray.spec.family import BUILT_IN, Implementations
from impray.spec.training import StepsSpec, TrainingSpec
from impray.training import loop
from impray.training.base import Task, Trainer, TrainingEnd, wrong_with
from impray.training.loop import form_of

__all__ = ["TRAINERS", "Task", "TrainingEnd", "Trainer", "form_of", "held", "train_round"]

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


def held(
    network: Network, spec: TrainingSpec, start: Params, masks: Params | None, begin: int | float, updates: int | float
) -> int | None:
    """As `impray.training.loop.held`; None also of trainings that do not go in updates of ours."""
    if not isinstance(spec, StepsSpec) or TRAINERS[type(spec)] is not loop.train:
        return None
    return loop.held(network, spec, start, masks, int(begin), int(updates))
