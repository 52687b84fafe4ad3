"""Kinds of measures: parameters, what each reads, and the columns it fills.

`reads` names parts of a finished round: `mask`; `start`, the weights theta(rewind) * mask that the round started from; `end`, the
trained weights; `held_out` data. A measure that reads `end` makes the oneshot and random networks train too, else they need not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from impray.spec.base import Spec


@dataclass(frozen=True)
class Column:
    """A column of a table: its name, type (`float`, `int`, `str`, `bytes`, `list[float]`), unit and one sentence."""

    name: str
    type: str
    unit: str
    sentence: str


class MeasureSpec(Spec):
    """What every measure says of itself."""

    reads: ClassVar[frozenset[str]] = frozenset()
    lineage_columns: ClassVar[tuple[Column, ...]] = ()  # of the table `rounds`
    unit_columns: ClassVar[
        tuple[Column, ...]
    ] = ()  # of the table `units`; the mean and median over layer 1 go to `rounds`
    image_columns: ClassVar[tuple[Column, ...]] = ()  # of the table `masks`
    needs_image: ClassVar[bool] = False

    @property
    def needs(self) -> frozenset[str]:
        """What this measure, with its parameters, reads."""
        return self.reads


class Accuracy(MeasureSpec):
    """Share of held-out inputs whose largest output is their class."""

    reads = frozenset({"end", "held_out"})
    lineage_columns = (
        Column("accuracy", "float", "share", "share of held-out inputs classified rightly after the round's training"),
    )
    name: Literal["accuracy"] = "accuracy"


class Loss(MeasureSpec):
    """The training loss on held-out data."""

    reads = frozenset({"end", "held_out"})
    lineage_columns = (
        Column(
            "loss", "float", "nats or squared error", "the training loss on held-out data after the round's training"
        ),
    )
    name: Literal["loss"] = "loss"


class Density(MeasureSpec):
    """Kept share per layer (the total is always in `rounds`)."""

    reads = frozenset({"mask"})
    lineage_columns = (
        Column("density_by_layer", "list[float]", "share", "kept share of each layer's weights, first layer first"),
    )
    name: Literal["density"] = "density"


class FanIn(MeasureSpec):
    """Kept inputs of each unit."""

    reads = frozenset({"mask"})
    unit_columns = (Column("fan_in", "int", "weights", "number of weights into the unit that the mask keeps"),)
    name: Literal["fan_in"] = "fan_in"


class MaskOnImage(MeasureSpec):
    """Base of the measures that read first-layer masks as images."""

    reads = frozenset({"mask"})
    needs_image = True
    min_fan_in: Annotated[int, Field(ge=1, description="units with fewer inputs left are NaN")] = 8
    most_connected: Annotated[
        int | None, Field(ge=1, description="only the n units with the most inputs left (ties: lower unit first)")
    ] = None
    colours: Annotated[
        Literal["same", "different", "all"],
        Field(description="pairs within a colour channel, between channels, or both"),
    ] = "same"


class RfWidth(MaskOnImage):
    """Receptive-field width: the standard deviations of a Gaussian fitted to S_i(d), Redman et al. (2025), eq. 1 and Appendix A."""

    unit_columns = (
        Column("rf_width_x_px", "float", "px", "standard deviation along columns of the Gaussian fitted to S_i(d)"),
        Column("rf_width_y_px", "float", "px", "standard deviation along rows of the Gaussian fitted to S_i(d)"),
        Column("rf_fit_mse", "float", "pairs^2", "mean squared residual of that fit"),
    )
    name: Literal["rf_width"] = "rf_width"
    include_zero: Annotated[
        bool, Field(description="whether S(0), the number of inputs, is fitted (eq. 1) or left out")
    ] = True
    offset: Annotated[bool, Field(description="whether a constant is fitted beside the Gaussian")] = False


class Clustering(MaskOnImage):
    """Pairs of kept inputs within `radius_px`, relative to chance at the same fan-in."""

    unit_columns = (
        Column(
            "clustering",
            "float",
            "ratio to chance",
            "kept pairs within the radius relative to chance at the same fan-in",
        ),
    )
    name: Literal["clustering"] = "clustering"
    radius_px: Annotated[float, Field(gt=0)] = 2.0


class Spread(MaskOnImage):
    """Fit-free width: per-axis root mean squared distance of kept inputs from their centroid."""

    unit_columns = (Column("spread_px", "float", "px", "per-axis rms distance of kept inputs from their centroid"),)
    name: Literal["spread"] = "spread"


class Kurtosis(MeasureSpec):
    """Kurtosis of each unit's preactivations on held-out data, Redman et al. (2025), eq. 3 and 4: Gaussian is 3."""

    unit_columns = (
        Column(
            "kurtosis", "float", "1", "kurtosis of the preactivation over all classes pooled, at theta(rewind) * mask"
        ),
        Column(
            "kurtosis_per_class",
            "float",
            "1",
            "mean over classes of the kurtosis within a class, at theta(rewind) * mask",
        ),
        Column("kurtosis_end", "float", "1", "as kurtosis, after the round's training"),
        Column("kurtosis_per_class_end", "float", "1", "as kurtosis_per_class, after the round's training"),
    )
    name: Literal["kurtosis"] = "kurtosis"
    at: Annotated[
        tuple[Literal["start", "end"], ...],
        Field(min_length=1, description="start: theta(rewind) * mask; end: after training (then every network trains)"),
    ] = ("start",)
    samples: Annotated[int | None, Field(ge=4, description="held-out inputs per class; all by default")] = None
    batch_norm: Annotated[
        Literal["affine", "network"],
        Field(description="with batch norm, preactivations of gamma x + beta (eq. 3) or of the whitened inputs"),
    ] = "affine"

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"mask", "held_out", *self.at})


class Ipr(MeasureSpec):
    """Inverse participation ratio sum w^4 / (sum w^2)^2 of each unit's weights: 1 is one weight, 1/n is n equal ones (Lufkin's form)."""

    reads = frozenset({"start"})
    unit_columns = (
        Column("ipr", "float", "1", "sum w^4 / (sum w^2)^2 of the unit's weights after the round's training"),
        Column("ipr_start", "float", "1", "as ipr, at theta(rewind) * mask"),
    )
    name: Literal["ipr"] = "ipr"
    at: Annotated[tuple[Literal["start", "end"], ...], Field(min_length=1)] = ("end",)

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"mask", *self.at})


class Masks(MeasureSpec):
    """Keeps first-layer masks of the most connected units in the table `masks`, bit by bit."""

    reads = frozenset({"mask"})
    image_columns = (
        Column("fan_in", "int", "weights", "number of inputs that the mask keeps"),
        Column(
            "bits", "bytes", "bit", "the unit's mask, packed eight inputs to a byte, first input in the highest bit"
        ),
        Column("shape", "list[int]", "inputs", "how the inputs lie: (row, col) or (channel, row, col)"),
    )
    name: Literal["masks"] = "masks"
    most_connected: Annotated[int, Field(ge=1)] = 24


Measure = Annotated[
    Accuracy | Loss | Density | FanIn | RfWidth | Clustering | Spread | Kurtosis | Ipr | Masks,
    Field(discriminator="name"),
]
MEASURE_KINDS: tuple[type[MeasureSpec], ...] = (
    Accuracy,
    Loss,
    Density,
    FanIn,
    RfWidth,
    Clustering,
    Spread,
    Kurtosis,
    Ipr,
    Masks,
)
