"""Kinds of training: one round of optimisation; a class each, with its parameters and what is meant by them."""

from __future__ import annotations

from impray.spec.training.base import StepsSpec, TrainingSpec
from impray.spec.training.sgd import Sgd

__all__ = ["Sgd", "StepsSpec", "TrainingSpec"]
