"""The method that removes weights at random."""

from __future__ import annotations

from typing import Literal

from impray.spec.rules.base import RuleSpec


class Random(RuleSpec):
    """Weights go at random, the masks nested: the control for the number of weights alone."""

    name: Literal["random"] = "random"
