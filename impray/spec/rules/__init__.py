"""Methods: how masks come about. One class each, with what it needs; its rule is in `impray.masks`."""

from __future__ import annotations

from impray.spec.rules.base import RuleParameters, RuleSpec
from impray.spec.rules.cavity import HighestCavity, LowestCavity
from impray.spec.rules.follow import Reinit, Shuffled
from impray.spec.rules.magnitude import Imp, Oneshot
from impray.spec.rules.random import Random
from impray.spec.rules.sparse import Alignment, Backward, HardThreshold, Iht, Lasso, Omp, Pursuit, SolverRule

__all__ = [
    "Alignment",
    "Backward",
    "HardThreshold",
    "Iht",
    "Lasso",
    "Omp",
    "Pursuit",
    "SolverRule",
    "HighestCavity",
    "Imp",
    "LowestCavity",
    "Oneshot",
    "Random",
    "Reinit",
    "RuleParameters",
    "RuleSpec",
    "Shuffled",
]
