"""Measures of a network: how well it does, what is left of it, and how it trains."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from impray.spec.errors import Problem
from impray.spec.measures.base import Column, MeasureSpec, Pass
from impray.spec.training import StepsSpec

if TYPE_CHECKING:
    from impray.spec.trial import Trial


class Accuracy(MeasureSpec):
    """Share of held-out inputs whose largest output is their class."""

    reads_classes = True
    reads = frozenset({"end", "held_out"})
    lineage_columns = (
        Column("accuracy", "float", "share", "share of held-out inputs classified rightly after the round's training"),
    )
    limits = "It saturates: two networks that are both nearly right cannot be told apart. It says nothing of what a mask looks like."
    name: Literal["accuracy"] = "accuracy"

    def passes(self, layers: int) -> frozenset[Pass]:
        return frozenset({Pass(layers)})


class Loss(MeasureSpec):
    """The training loss on held-out data."""

    reads = frozenset({"end", "held_out"})
    lineage_columns = (
        Column(
            "loss", "float", "nats or squared error", "the training loss on held-out data after the round's training"
        ),
    )
    limits = "Comparable only within one kind of loss. A few confidently wrong samples can decide a cross-entropy."
    name: Literal["loss"] = "loss"

    def passes(self, layers: int) -> frozenset[Pass]:
        return frozenset({Pass(layers)})


class Density(MeasureSpec):
    """Kept share per layer (the total is always in `rounds`)."""

    reads = frozenset({"mask"})
    lineage_columns = (
        Column("density_by_layer", "list[float]", "share", "kept share of each layer's weights, first layer first"),
    )
    limits = "How many weights are left, not which; every method keeps the same number."
    name: Literal["density"] = "density"


class FanIn(MeasureSpec):
    """Kept inputs of each unit."""

    reads = frozenset({"mask"})
    unit_columns = (Column("fan_in", "int", "weights", "number of weights into the unit that the mask keeps"),)
    limits = "How many inputs are left, not where they are. Most other measures of masks depend on it: compare at equal fan-in."
    name: Literal["fan_in"] = "fan_in"


class Ipr(MeasureSpec):
    """Inverse participation ratio sum w^4 / (sum w^2)^2 of each unit's weights: 1 is one weight, 1/n is n equal ones (Lufkin's form)."""

    reads = frozenset({"start"})
    unit_columns = (
        Column("ipr", "float", "1", "sum w^4 / (sum w^2)^2 of the unit's weights after the round's training"),
        Column("ipr_start", "float", "1", "as ipr, at theta(rewind) * mask"),
        Column("ipr_mask", "float", "1", "as ipr, of the mask alone: one over the number of inputs left"),
    )
    limits = "It counts weights, not where they are: two far pixels read as two near ones."
    name: Literal["ipr"] = "ipr"
    at: Annotated[
        tuple[Literal["mask", "start", "end"], ...],
        Field(min_length=1, description="of the mask alone; of theta(rewind) * mask; of the trained weights"),
    ] = ("end",)

    def last_layer(self, layers: int) -> int:
        return max(layers - 1, 1)

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"mask", *self.at})


class Course(MeasureSpec):
    """The time course within a round, in the table `steps`: held-out loss, IPR, peak position, and weights where asked for."""

    reads = frozenset({"end", "held_out", "course"})
    step_columns = (
        Column("loss", "float", "nats or squared error", "the training loss on held-out data after this many updates"),
        Column("ipr", "float", "1", "sum w^4 / (sum w^2)^2 of the unit's first-layer weights"),
        Column("peak", "int", "", "input with the largest |weight|, from 0"),
        Column("peak_weight", "float", "1", "the weight there"),
        Column("norm", "float", "1", "length of the unit's weight vector"),
        Column("weights", "list[float]", "1", "the unit's first-layer weights, where asked for"),
    )
    limits = "Of the first layer, and only every record_every-th update: what happens between two records is not seen."
    name: Literal["course"] = "course"
    record_every: Annotated[int, Field(ge=1, description="updates between two records; the last step is one too")] = 10
    weights_every: Annotated[
        int | None, Field(ge=1, description="keep the weights themselves at every n-th record, the first and the last")
    ] = None
    samples: Annotated[
        int, Field(ge=1, description="held-out inputs per class for the loss; at most what there are")
    ] = 250

    @property
    def least_held_out(self) -> int | None:
        return None

    @property
    def unit_layers(self) -> tuple[int, ...] | None:
        return (1,)

    def problems(self, trials: Sequence[Trial]) -> Iterator[Problem]:
        yield from super().problems(trials)
        if not all(isinstance(trial.train, StepsSpec) for trial in trials):
            right = "needs a training that goes in updates; a closed form has no course"
            yield Problem("", repr(self.name), right)


class Masks(MeasureSpec):
    """Keeps first-layer masks of the most connected units in the table `masks`, bit by bit."""

    reads = frozenset({"mask"})
    mask_columns = (
        Column("fan_in", "int", "weights", "number of inputs that the mask keeps"),
        Column(
            "bits", "bytes", "bit", "the unit's mask, packed eight inputs to a byte, first input in the highest bit"
        ),
        Column("shape", "list[int]", "inputs", "how the inputs lie: (row, col) or (channel, row, col)"),
    )
    limits = "Only the most connected units are kept, which are not typical ones."
    name: Literal["masks"] = "masks"
    most_connected: Annotated[int, Field(ge=1, description="how many units, those with the most inputs left first")] = (
        24
    )
