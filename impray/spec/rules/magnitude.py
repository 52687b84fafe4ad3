"""Methods that remove the weights of smallest magnitude."""

from __future__ import annotations

from typing import Literal

from impray.spec.rules.base import RuleSpec


class Imp(RuleSpec):
    """Iterative magnitude pruning: the smallest trained weights of the round before go."""

    ranks = True
    source = "Frankle and Carbin (2019); rewinding: Frankle et al. (2020)"
    name: Literal["imp"] = "imp"


class Oneshot(RuleSpec):
    """The smallest trained weights of round 0 go, however many a round removes: a control without iteration."""

    source = "Frankle and Carbin (2019)"
    name: Literal["oneshot"] = "oneshot"
