"""How the learning rate changes within a round: lr_t = lr * s_t, with t the round's updates counted from 0.

    s_t = min(1, (t + 1) / warm_up) * shape_t          (the first factor is 1 where warm_up is 0)

    constant    shape_t = 1
    cosine      shape_t = final + (1 - final) (1 + cos(pi t / steps)) / 2
    step        shape_t = factor^floor(t / every)
    milestones  shape_t = factor^(number of `at` that are <= t)

They are CosineAnnealingLR, StepLR and MultiStepLR of torch, stepped once per update; the warm-up is a factor of its own, as in
ChainedScheduler. A round that makes all of train.steps runs through the whole schedule anew, warm-up included. With
`prune.after_rewind: remaining` a round begins at t = rewind_step: the schedule goes on where theta(rewind) left it, as in
Frankle et al. (2020), "Linear Mode Connectivity and the Lottery Ticket Hypothesis".
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, Field, field_validator

from impray.spec.base import Spec

_SAYS_ITS_KIND = ConfigDict(json_schema_extra={"required": ["kind"]})  # without a kind it is the constant one

Factor = Annotated[float, Field(gt=0, description="what the learning rate is multiplied by, 0.1 for a tenth")]


class ScheduleSpec(Spec):
    """What every schedule has; see the first words of this file for the formula."""

    warm_up: Annotated[
        int, Field(ge=0, description="updates over which the learning rate rises linearly, whatever the kind; 0: none")
    ] = 0

    @property
    def is_constant(self) -> bool:
        """Whether the learning rate is `lr` in every update."""
        return False

    def rate(self, update: int, steps: int) -> float:
        """s_t of update t = `update` (from 0) in a round of so many steps."""
        return min(1.0, (update + 1) / self.warm_up if self.warm_up else 1.0) * self.shape(update, steps)

    def shape(self, update: int, steps: int) -> float:
        """s_t without the warm-up."""
        raise NotImplementedError

    def words(self) -> str:
        """The schedule as a report says it; nothing where it is constant."""
        warm_up = [f"warm-up {self.warm_up:,}"] if self.warm_up else []
        return ", ".join([*self._shape_words(), *warm_up])

    def _shape_words(self) -> list[str]:
        raise NotImplementedError

    def impossible(self, steps: int) -> Iterator[tuple[str, str]]:
        """(field, what would be right) of what cannot be in a round of so many steps."""
        if self.warm_up > steps:
            yield "warm_up", f"must be at most train.steps = {steps}"


class Constant(ScheduleSpec):
    """The learning rate stays, but for the warm-up."""

    implied = True

    kind: Literal["constant"] = "constant"

    @property
    def is_constant(self) -> bool:
        return self.warm_up <= 1

    def shape(self, update: int, steps: int) -> float:
        return 1.0

    def _shape_words(self) -> list[str]:
        return []


class Cosine(ScheduleSpec):
    """Half a period of a cosine over the round, from 1 to `final`, which it would reach in update t = steps."""

    model_config = _SAYS_ITS_KIND

    kind: Literal["cosine"] = "cosine"
    final: Annotated[float, Field(ge=0, le=1, description="share of the learning rate at the round's end")] = 0.0

    def shape(self, update: int, steps: int) -> float:
        return self.final + (1 - self.final) * (1 + math.cos(math.pi * update / steps)) / 2

    def _shape_words(self) -> list[str]:
        return [f"cosine to {self.final:g}"]


class Step(ScheduleSpec):
    """The learning rate is multiplied by `factor` after every `every` updates."""

    model_config = ConfigDict(json_schema_extra={"required": ["kind", "every"]})

    kind: Literal["step"] = "step"
    every: Annotated[int, Field(ge=1, description="updates between two changes of the learning rate")]
    factor: Factor = 0.1

    def shape(self, update: int, steps: int) -> float:
        return self.factor ** (update // self.every)

    def _shape_words(self) -> list[str]:
        return [f"times {self.factor:g} every {self.every:,}"]


class Milestones(ScheduleSpec):
    """The learning rate is multiplied by `factor` from each of the updates `at` on."""

    model_config = ConfigDict(json_schema_extra={"required": ["kind", "at"]})

    kind: Literal["milestones"] = "milestones"
    at: Annotated[
        tuple[Annotated[int, Field(ge=1)], ...],
        Field(min_length=1, description="updates of the round from which on the learning rate is another, rising"),
    ]
    factor: Factor = 0.1

    @field_validator("at")
    @classmethod
    def _rising(cls, at: tuple[int, ...]) -> tuple[int, ...]:
        if any(later <= earlier for earlier, later in pairwise(at)):
            raise ValueError("must rise from entry to entry")
        return at

    def shape(self, update: int, steps: int) -> float:
        return self.factor ** sum(milestone <= update for milestone in self.at)

    def _shape_words(self) -> list[str]:
        return [f"times {self.factor:g} at {', '.join(f'{milestone:,}' for milestone in self.at)}"]

    def impossible(self, steps: int) -> Iterator[tuple[str, str]]:
        yield from super().impossible(steps)
        if self.at[-1] >= steps:
            yield "at", f"must be below train.steps = {steps}: no update comes after it"


def _constant_unless_said(value: object) -> object:
    return {"kind": "constant", **value} if isinstance(value, dict) else value


Schedule = Annotated[
    Constant | Cosine | Step | Milestones, Field(discriminator="kind"), BeforeValidator(_constant_unless_said)
]
