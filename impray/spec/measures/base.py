"""What every measure says of itself, and what a column is.

`reads` names parts of a finished round: `mask`; `start`, the weights theta(rewind) * mask that the round started from; `end`, the
trained weights; `pruned`, the end weights of the round before times the mask of this one, not trained again; `held_out` data; the `whole`
training set, and the `truth` that made its targets; the `order` in which weights went.
A measure that reads `end` makes the oneshot and random networks train too, one that reads `pruned` in the round before; else they need not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

from impray.spec.base import Spec
from impray.spec.errors import Problem

if TYPE_CHECKING:
    from impray.spec.trial import Trial


@dataclass(frozen=True)
class Column:
    """A column of a table: its name, type (`float`, `int`, `str`, `bytes`, `list[float]`), unit and one sentence."""

    name: str
    type: str
    unit: str
    sentence: str

    @property
    def is_quantity(self) -> bool:
        """Whether means of it mean something: numbers with a unit, rather than the number of an image, say."""
        return self.type in ("float", "int") and self.unit != ""


class Pass(NamedTuple):
    """A layer's preactivations on all inputs of a set: what several measures of a round may read, and is made once for them."""

    layer: int
    inputs: Literal["held_out", "whole"] = "held_out"
    at: Literal["start", "end"] = "end"
    batch_norm: Literal["affine", "network"] = "network"


class MeasureSpec(Spec):
    """What every measure says of itself."""

    # What it does not see, and where its numbers mislead, in a sentence or three; `impray measures NAME` and the docs tell it.
    limits: ClassVar[str] = ""
    reads: ClassVar[frozenset[str]] = frozenset()
    lineage_columns: ClassVar[tuple[Column, ...]] = ()  # of the table `rounds`
    # Of the table `units`; the mean and median over layer 1 go to `rounds`.
    unit_columns: ClassVar[tuple[Column, ...]] = ()
    mask_columns: ClassVar[tuple[Column, ...]] = ()  # of the table `masks`
    fate_columns: ClassVar[tuple[Column, ...]] = ()  # of the table `fates`: what each weight's value gives by fate
    image_columns: ClassVar[tuple[Column, ...]] = ()  # of the table `images`
    histogram_columns: ClassVar[tuple[Column, ...]] = ()  # of the table `histograms`
    step_columns: ClassVar[tuple[Column, ...]] = ()  # of the table `steps`
    removal_columns: ClassVar[tuple[Column, ...]] = ()  # of the table `removals`
    # Raised when a released measure's columns change: rows written before lack them and are measured again.
    revision: ClassVar[int] = 0
    # The revision in which the first number, which goals and early stopping read, came to be what it is.
    first_number_since: ClassVar[int] = 0
    needs_image: ClassVar[bool] = False
    # Whether it reads classes: of data with real targets there are none, and it is refused.
    reads_classes: ClassVar[bool] = False
    # Whether it holds the units of layer 1 against the inputs: they must read them whole.
    compares_with_inputs: ClassVar[bool] = False

    @classmethod
    def first_number(cls) -> str:
        """The column that goals and early stopping read where they name the measure; "" if none is one number per lineage or unit."""
        return next((column.name for column in (*cls.lineage_columns, *cls.unit_columns) if column.is_quantity), "")

    @property
    def needs(self) -> frozenset[str]:
        """What this measure, with its parameters, reads."""
        return self.reads

    def passes(self, layers: int) -> frozenset[Pass]:
        """The preactivations that it reads of a network of `layers` weight matrices, as far as others could read them too."""
        return frozenset()

    @property
    def unit_layers(self) -> tuple[int, ...] | None:
        """The layers whose units have its columns; None: those of every layer that it can read."""
        return None

    def last_layer(self, layers: int) -> int:
        """The last layer whose units can have its columns, of a network of `layers` weight matrices."""
        return layers

    @property
    def least_held_out(self) -> int | None:
        """How many held-out inputs per class there must be; None: as many as there are will do."""
        return getattr(self, "samples", None)

    def unfilled(self, trials: Sequence[Trial]) -> frozenset[str]:
        """Its columns of `rounds` that have no meaning for any of these trials, and stay null: no goal may read them."""
        return frozenset()

    def problems(self, trials: Sequence[Trial]) -> Iterator[Problem]:
        """What these trials, which stand for all of a sweep, cannot give; the path is a parameter, or empty."""
        tag = measure_name(self)
        if self.reads_classes and any(trial.data.targets == "real" for trial in trials):
            yield Problem("", repr(tag), f"{tag} reads classes, and these data have real targets (`data.kind`)")
        if self.needs_image and not all(trial.data.is_image for trial in trials):
            yield Problem("", repr(tag), f"a ring has no image: {tag} needs data.shape: [rows, cols]")
        firsts = [(trial.kernels[0], trial) for trial in trials]
        if self.needs_image and any(len(kernel.input_shape) < 2 and trial.data.is_image for kernel, trial in firsts):
            yield Problem("", repr(tag), "needs a first layer that reads images: a Linear on whole inputs, or a Conv2d")
        if self.compares_with_inputs and any(
            kernel.input_shape != trial.data.input_shape or not kernel.dense for kernel, trial in firsts
        ):
            yield Problem(
                "",
                repr(tag),
                "compares units with the inputs: the first layer must read them whole, as no convolution does",
            )
        last = min((self.last_layer(trial.layers) for trial in trials), default=None)
        if self.unit_layers is not None and last is not None and max(self.unit_layers) > last:
            right = f"must be at most {last}: the last layer that {tag} reads in the smallest network"
            yield Problem("layers", f"[{', '.join(map(str, self.unit_layers))}]", right)
        least = min((held_out for trial in trials if (held_out := getattr(trial.data, "held_out", None))), default=None)
        if self.least_held_out is not None and least is not None and self.least_held_out > least:
            right = f"must be at most data.held_out = {least}: held-out inputs per class"
            yield Problem("samples", str(self.least_held_out), right)


def measure_name(measure: MeasureSpec) -> str:
    """The name by which YAML asks for it."""
    return measure.name  # type: ignore[attr-defined]  # every member of the family has one


# Columns that tables have besides those of measures (`impray.results.schema`), so that no measure may have them.
RESERVED = frozenset(
    {
        "lineage",
        "round",
        "method",
        "seed",
        "trunk",
        "trial",
        "status",
        "trained",
        "density",
        "exact",
        "units_counted",
        "measured",
    }
    | {
        "rows_elsewhere",
        "wall_s",
        "lineage_s",
        "version",
        "git_sha",
        "host",
        "device",
        "written_at",
        "layer",
        "unit",
        "fate",
        "weights",
    }
    | {"abs_weight_start_mean", "abs_weight_start_sem", "abs_weight_end_mean", "name", "number", "step", "removal"}
)
# Types that a column may have.
TYPES = ("float", "int", "str", "bool", "bytes", "list[float]", "list[int]", "list[str]")
# What a measure may read of a finished round.
READS = frozenset({"mask", "start", "end", "pruned", "held_out", "course", "whole", "truth", "order"})

IMAGE_COLUMNS = (
    Column("values", "bytes", "", "the image as little-endian 32-bit floats, first row first"),
    Column("shape", "list[int]", "", "how the values lie: (row, col), (channel, row, col), or (input,) on a ring"),
    Column("value", "float", "", "one number that belongs to the image, as its name says"),
)
