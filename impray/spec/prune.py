"""How masks come about: what is ranked with what, how much goes each round, where weights rewind to."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice, pairwise
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from impray.spec.base import Spec
from impray.spec.counts import falling, share
from impray.spec.families import Parameters, rule_parameters
from impray.spec.family import embeds

_INSTEAD = ("densities", "remove", "keep")  # of a fraction


def _until(schedule: Iterator[int], least: int) -> Iterator[int]:
    """A falling schedule, cut to `least` where it would fall below; what starts below it stays as it is."""
    before = None
    for kept in schedule:
        if kept <= least:
            yield kept if before is None else least
            return
        yield kept
        before = kept


class CavityRule(Spec):
    """What the methods `cavity` and `cavity_lowest` rank: cavity scores (Redman et al. 2025, eq. 5) on training inputs."""

    at: Annotated[
        Literal["start", "end"],
        Field(description="scores of theta(rewind) * m(n-1), as the paper's; or of the weights after training them"),
    ] = "start"
    within: Annotated[
        Literal["layer", "unit"],
        Field(description="rank the scope's scores together (as imp ranks weights), or take equal shares of each unit"),
    ] = "layer"
    rescore: Annotated[
        int, Field(ge=1, description="prune a round's share in so many equal parts, with new scores before each")
    ] = 1
    samples: Annotated[int, Field(ge=16, description="training inputs, drawn as batches are, in each round anew")] = (
        4000
    )


class IhtRule(Spec):
    """What the method `iht` does in ReLU networks (Fridovich-Keil & Pilanci 2025); linear models know none of it.

    Gates 1[x.h_j > 0] are random in the first epochs; then h_j is the current w_j. An epoch is a gradient step on all weights, of which the
    largest are kept, and `inner_steps` steps on these.
    """

    epochs: Annotated[
        int, Field(ge=1, description="passes, each of a step on all weights and inner_steps on the support")
    ] = 15
    random_gates: Annotated[int, Field(ge=1, description="epochs with random gates, the first ones")] = 2
    gate: Annotated[
        Literal["open", "closed"],
        Field(description="a unit is active where x.h > 0 (as the authors' code has it), or x.h >= 0 (as their text)"),
    ] = "open"
    step: Annotated[
        Literal["authors", "guarded"],
        Field(
            description="|g|^2 / (|A g|^2 + 1e-8) whatever g is, or none where g is 0 to rounding: a converged support's is 0/0"
        ),
    ] = "guarded"
    inner_steps: Annotated[int, Field(ge=0, description="steps on the support in each epoch")] = 10
    batch: Annotated[int | None, Field(ge=1, description="samples of a step; left out: all")] = None
    rate: Annotated[
        float | None,
        Field(
            gt=0, description="step of networks with several outputs; left out: the authors' for the sparsity and loss"
        ),
    ] = None
    accumulate: Annotated[
        Literal["exact", "sketch"],
        Field(
            description="sums of changes, which networks with several outputs choose weights by: dense, or a count sketch"
        ),
    ] = "exact"
    sketch_width: Annotated[
        int, Field(ge=1, description="columns of the count sketch's five rows, per weight kept")
    ] = 10


class PursuitRule(Spec):
    """What the method `pursuit` does in ReLU networks: grow by correlation, least squares, keep the largest, least squares, gates follow.

    The support's size falls geometrically from `growth` times the count to the count over the first `falling` share of the epochs.
    """

    epochs: Annotated[int, Field(ge=1, description="times that support, weights and gates are found anew")] = 30
    growth: Annotated[float, Field(ge=1, description="the first support's size, times the count")] = 8.0
    falling: Annotated[
        float, Field(gt=0, le=1, description="share of the epochs in which the support shrinks to the count")
    ] = 0.7
    ridge: Annotated[
        float, Field(ge=0, description="added to the least squares, times the mean square of the columns")
    ] = 0.0
    validation: Annotated[
        float,
        Field(ge=0, lt=1, description="share of the training set that the best epoch is chosen on; 0: the rest itself"),
    ] = 0.0


@embeds
class Prune(Spec):
    """One round removes round(fraction * kept) of each scope's kept weights, the smallest magnitudes first, ties by position.

    With `densities` round n keeps round(densities[n - 1] * prunable) instead, with `keep` keep[n - 1], and with `remove` so many fewer
    than the round before; `fraction` is None then. A count may be that of the round before (its mask is trained again, on other
    samples) or 0 (what then has no value is NaN).

    The method `cavity` removes the highest cavity scores first instead, `cavity_lowest` the lowest; what has no score (a bias, a
    unit's last weight) goes last, earlier ones first.
    """

    packable: ClassVar[frozenset[str]] = frozenset({"fraction", "densities", "remove", "keep", "least", "rewind_step"})

    densities: Annotated[
        tuple[Annotated[float, Field(gt=0, le=1)], ...] | None,
        Field(
            min_length=1,
            description="instead of a fraction, the share of all prunable weights that each round keeps, the first round's "
            "first: falling, each in (0, 1]",
        ),
    ] = None
    remove: Annotated[
        int | None, Field(ge=1, description="instead of a fraction, so many weights of each scope go in each round")
    ] = None
    keep: Annotated[
        tuple[Annotated[int, Field(ge=0)], ...] | None,
        Field(
            min_length=1,
            description="instead of a fraction, how many weights of each scope each round keeps, the first round's first: falling",
        ),
    ] = None
    fraction: Annotated[
        float | None, Field(gt=0, lt=1, description="share of the remaining weights removed each round (20 % is 0.2)")
    ] = 0.2
    least: Annotated[
        int | None,
        Field(
            ge=0,
            description="no round keeps fewer weights of a scope: the last cut is to exactly so many; for fraction and remove",
        ),
    ] = None
    rewind_step: Annotated[
        int, Field(ge=0, description="weights go back to where they were after this many updates of round 0")
    ] = 0
    after_rewind: Annotated[
        Literal["full", "remaining"],
        Field(description="updates after a rewind: all of train.steps again, or steps - rewind_step"),
    ] = "full"
    scope: Annotated[
        Literal["layer", "global"], Field(description="rank within each layer, or over all pruned layers together")
    ] = "layer"
    layers: Annotated[
        Literal["hidden", "all"] | tuple[Annotated[int, Field(ge=1)], ...],
        Field(description="hidden: all but the output layer; or a list, 1 is the first"),
    ] = "hidden"
    biases: Annotated[
        Literal["kept", "ranked"], Field(description="leave biases alone, or rank them with their layer's weights")
    ] = "kept"
    cavity: Annotated[CavityRule, Field(description="parameters of the methods cavity and cavity_lowest")] = (
        CavityRule()
    )
    iht: Annotated[IhtRule, Field(description="parameters of the method iht, in networks")] = IhtRule()
    pursuit: Annotated[PursuitRule, Field(description="parameters of the method pursuit")] = PursuitRule()
    rules: Parameters = Field(
        default_factory=lambda: rule_parameters()(),
        description="parameters of the methods that plugins bring, by plugin and method: {my_rules: {blocks: {size: 4}}}",
    )

    @model_validator(mode="before")
    @classmethod
    def _others_need_no_fraction(cls, values: Any) -> Any:
        if isinstance(values, dict) and any(values.get(name) is not None for name in _INSTEAD):
            return {"fraction": None, **values}
        return values

    @field_validator("densities", "keep")
    @classmethod
    def _falling(cls, kept: tuple[float, ...] | None) -> tuple[float, ...] | None:
        wrong = [f"{after!r} after {before!r}" for before, after in pairwise(kept or ()) if not after < before]
        if wrong:
            raise ValueError(f"must fall from round to round, not {', '.join(wrong)}")
        return kept

    @field_validator("remove", "keep")
    @classmethod
    def _stands_alone(cls, value: Any, others: ValidationInfo) -> Any:
        # What is wrong in itself is not among `others.data`: it was given all the same.
        beside = [name for name in _INSTEAD if name in others.data and others.data[name] is not None]
        if value is not None and beside:
            raise ValueError(f"stands beside prune.{beside[0]}; keep one of the two")
        return value

    @field_validator("fraction")
    @classmethod
    def _one_schedule(cls, fraction: float | None, others: ValidationInfo) -> float | None:
        # What is wrong in itself is not among `others.data`: it was given all the same.
        given = [name for name in _INSTEAD if others.data.get(name, ()) is not None]
        if given and fraction is not None:
            raise ValueError(f"stands beside prune.{given[0]}; keep one of the two")
        if not given and fraction is None:
            raise ValueError("must be in (0, 1), or prune.densities, prune.remove or prune.keep be given")
        return fraction

    @field_validator("least")
    @classmethod
    def _of_a_rate(cls, least: int | None, others: ValidationInfo) -> int | None:
        named = [name for name in ("densities", "keep") if others.data.get(name) is not None]
        if least is not None and named:
            raise ValueError(f"is for fraction and remove; prune.{named[0]} names what each round keeps")
        return least

    def schedule(self, prunable: int) -> Iterator[int]:
        """Kept parameters of a scope of `prunable` in rounds 0, 1, ..., whatever the method; ends where nothing more is removed."""
        if self.densities is not None:
            return iter([prunable, *(share(density, prunable) for density in self.densities)])
        if self.keep is not None:
            return iter([prunable, *(min(kept, prunable) for kept in self.keep)])
        if self.remove is not None:
            schedule = chain(range(prunable, 0, -self.remove), (0,))
        else:
            assert self.fraction is not None, "there is one of the four"
            schedule = falling(prunable, self.fraction)
        return schedule if self.least is None else _until(schedule, self.least)

    def kept(self, prunable: int, round: int) -> int:
        """How many parameters of a scope of `prunable` the mask of `round` keeps. There are no more rounds than `listed` says."""
        assert self.listed is None or round <= self.listed, "checked before a sweep runs"
        return list(islice(self.schedule(prunable), round + 1))[-1]

    def counts(self, prunable: int, rounds: int) -> list[int]:
        """Kept parameters of a scope of `prunable` in rounds 0 to `rounds`."""
        kept = list(islice(self.schedule(prunable), rounds + 1))
        return kept + kept[-1:] * (rounds + 1 - len(kept))

    @property
    def listed(self) -> int | None:
        """How many rounds are named one by one (`densities`, `keep`); None where there may be any number."""
        named = self.densities or self.keep
        return None if named is None else len(named)

    def words(self) -> str:
        """The schedule as it is written: `prune.fraction = 0.2`."""
        name = next((name for name in _INSTEAD if getattr(self, name) is not None), "fraction")
        value = getattr(self, name)
        return f"prune.{name} = {list(value) if isinstance(value, tuple) else value}"

    def pruned_layers(self, layers: int) -> tuple[int, ...]:
        """Layer numbers (from 1) that are pruned in a network of `layers` weight matrices."""
        if self.layers == "all":
            return tuple(range(1, layers + 1))
        if self.layers == "hidden":
            return tuple(range(1, layers))
        return tuple(sorted(set(self.layers)))
