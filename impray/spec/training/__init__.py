"""Kinds of training: one round of optimisation; a class each, with its parameters and what is meant by them."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from impray.spec.training.adam import Adam, Adaptive
from impray.spec.training.adamw import AdamW
from impray.spec.training.base import StepsSpec, TrainingSpec
from impray.spec.training.schedules import Constant, Cosine, Milestones, Schedule, ScheduleSpec, Step
from impray.spec.training.sgd import Sgd

__all__ = [
    "Adam",
    "AdamW",
    "Adaptive",
    "Constant",
    "Cosine",
    "Milestones",
    "Schedule",
    "ScheduleSpec",
    "Sgd",
    "Step",
    "StepsSpec",
    "Training",
    "TrainingSpec",
]


def sgd_unless_said(value: object) -> object:
    """A description with its optimizer, where it names none."""
    return {"optimizer": "sgd", **value} if isinstance(value, dict) else value


Training = Annotated[Sgd | Adam | AdamW, Field(discriminator="optimizer"), BeforeValidator(sgd_unless_said)]
