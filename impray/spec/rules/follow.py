"""Controls that follow imp's masks."""

from __future__ import annotations

from typing import Literal

from impray.spec.rules.base import RuleSpec


class Reinit(RuleSpec):
    """imp's masks on new initial weights, the same ones in every round: does the mask alone make the network learn?

    Round 0 is the dense trunk that all methods share. Later rounds train for all of train.steps, also with `after_rewind: remaining`:
    as long as imp's weights have been trained, those before the rewind step included.
    """

    follows = "imp"
    starts_anew = True
    source = "Frankle and Carbin (2019), section 1"
    name: Literal["reinit"] = "reinit"


class Shuffled(RuleSpec):
    """imp's masks permuted within each layer, the masks nested: do the places matter, or how many are left in each layer?"""

    follows = "imp"
    source = "Frankle et al. (2021), Pruning neural networks at initialization: why are we missing the mark?"
    name: Literal["shuffled"] = "shuffled"
