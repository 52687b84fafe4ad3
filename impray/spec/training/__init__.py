"""Kinds of training: one round of optimisation; a class each, with its parameters and what is meant by them."""

from __future__ import annotations

from impray.spec.training.adam import Adam, Adaptive
from impray.spec.training.adamw import AdamW
from impray.spec.training.base import GRAPH_STEPS, StepsSpec, TrainingSpec
from impray.spec.training.closed_form import ClosedForm, GradientDescent, GradientFlow
from impray.spec.training.schedules import Constant, Cosine, Milestones, Schedule, ScheduleSpec, Step
from impray.spec.training.sgd import Sgd

__all__ = [
    "GRAPH_STEPS",
    "Adam",
    "AdamW",
    "Adaptive",
    "ClosedForm",
    "Constant",
    "Cosine",
    "GradientDescent",
    "GradientFlow",
    "Milestones",
    "Schedule",
    "ScheduleSpec",
    "Sgd",
    "Step",
    "StepsSpec",
    "TrainingSpec",
]
