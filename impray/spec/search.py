"""What is explored: axes over a trial's fields, how they are searched, when a trial stops early."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue, model_validator

from impray.spec.base import Spec
from impray.spec.families import Method

MOST_TRIALS = 20_000  # of a sweep: each is looked at before any work starts


class Range(Spec):
    """An interval to draw from; whole numbers where the field takes only those, both ends included."""

    low: Annotated[float, Field(description="lower end")]
    high: Annotated[float, Field(description="upper end")]
    log: Annotated[bool, Field(description="whether to draw evenly on a log scale; low is positive then")] = False

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if not self.low < self.high:
            raise ValueError("low must be below high")
        if self.log and self.low <= 0:
            raise ValueError("low must be positive for a log scale")
        return self


class AtDensity(Spec):
    """The first round that keeps no more than this, to the nearest whole weight of each scope (`Trial.round_at`): compares prune
    fractions fairly."""

    density: Annotated[float, Field(gt=0, le=1, description="share of the prunable weights that is left")]


class Criterion(Spec):
    """One number of a trial: a measure's column, for one method, reduced over units, then averaged over seeds."""

    measure: Annotated[str, Field(description="a measure's name (its first column is read) or a column")]
    method: Annotated[Method, Field(description="whose lineages are read")] = "imp"
    layer: Annotated[
        int, Field(ge=1, description="whose units are read, where the column is one of units; the first is 1")
    ] = 1
    reduce: Annotated[Literal["mean", "median"], Field(description="over units")] = "median"
    direction: Annotated[Literal["min", "max"], Field(description="whether small (min) or large (max) is good")]


class Goal(Criterion):
    """What the search makes small or large."""

    at: Annotated[
        Literal["last"] | Annotated[int, Field(ge=0)] | AtDensity, Field(description="last, a round, or {density: 0.1}")
    ] = "last"


class StopEarly(Criterion):
    """Asynchronous successive halving between rounds: of the trials that reached a rung, the best 1/factor go on."""

    grace: Annotated[int, Field(ge=1, description="rounds that every trial gets")] = 2
    factor: Annotated[
        float,
        Field(
            gt=1, description="the best 1/factor go on at each rung; rungs are after grace, grace x factor, ... rounds"
        ),
    ] = 3.0


Axis = Range | Annotated[tuple[JsonValue, ...], Field(min_length=1)]


class Search(Spec):
    """How trials come from axes. Paths start below `trial`: `data.gain`, `prune.fraction`, `train.lr`."""

    algorithm: Annotated[
        Literal["grid", "random", "optuna"],
        Field(description="all combinations of the axes; draws from them; or what Optuna proposes after each trial"),
    ] = "grid"
    space: Annotated[
        dict[str, Axis], Field(min_length=1, description="axes and their values; leave it out for a single trial")
    ] = Field(default_factory=dict)
    follow: Annotated[
        dict[str, str],
        Field(
            description="fields that have an axis's value in every trial, {field: axis}: {data.units: net.hidden} plants as many "
            "units as the network has"
        ),
    ] = Field(default_factory=dict)
    trials: Annotated[int | None, Field(ge=1, le=MOST_TRIALS, description="how many, for random and optuna")] = None
    seed: Annotated[int, Field(ge=0, description="of the search itself, not of a lineage")] = 0
    goals: Annotated[
        tuple[Goal, ...],
        Field(description="what the search makes small or large; of several it looks for the best trade-offs"),
    ] = ()
    stop_early: Annotated[
        StopEarly | None, Field(description="which trials end before the last round; left out: none does")
    ] = None
    pack: Annotated[
        tuple[str, ...] | None,
        Field(
            description="axes whose values share one pack; left out: all trials that can share packs do; []: none do"
        ),
    ] = None
