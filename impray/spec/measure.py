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

    @property
    def is_quantity(self) -> bool:
        """Whether means of it mean something: numbers with a unit, rather than the number of an image, say."""
        return self.type in ("float", "int") and self.unit != ""


class MeasureSpec(Spec):
    """What every measure says of itself."""

    reads: ClassVar[frozenset[str]] = frozenset()
    lineage_columns: ClassVar[tuple[Column, ...]] = ()  # of the table `rounds`
    unit_columns: ClassVar[
        tuple[Column, ...]
    ] = ()  # of the table `units`; the mean and median over layer 1 go to `rounds`
    mask_columns: ClassVar[tuple[Column, ...]] = ()  # of the table `masks`
    fate_columns: ClassVar[tuple[Column, ...]] = ()  # of the table `fates`: what each weight's value gives by fate
    image_columns: ClassVar[tuple[Column, ...]] = ()  # of the table `images`
    histogram_columns: ClassVar[tuple[Column, ...]] = ()  # of the table `histograms`
    step_columns: ClassVar[tuple[Column, ...]] = ()  # of the table `steps`
    # Raised when a released measure's columns change: rows written before lack them and are measured again.
    revision: ClassVar[int] = 0
    needs_image: ClassVar[bool] = False

    @property
    def needs(self) -> frozenset[str]:
        """What this measure, with its parameters, reads."""
        return self.reads

    @property
    def unit_layers(self) -> tuple[int, ...] | None:
        """The layers whose units have its columns; None: those of every layer that it can read."""
        return None

    def last_layer(self, layers: int) -> int:
        """The last layer whose units can have its columns, of a network of `layers` weight matrices."""
        return layers


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
    centred: Annotated[
        bool,
        Field(
            description="where the inputs are a torus (nlgp, kur, elliptical), shift each mask so that its circular mean "
            "is in the middle: a field across the edge reads as two otherwise"
        ),
    ] = False

    @property
    def unit_layers(self) -> tuple[int, ...] | None:
        return (1,)

    def last_layer(self, layers: int) -> int:
        return max(layers - 1, 1)


class RfWidth(MaskOnImage):
    """Receptive-field width: the standard deviations of a Gaussian fitted to S_i(d), Redman et al. (2025), eq. 1 and Appendix A."""

    revision = 1  # rf_width_px
    unit_columns = (
        Column("rf_width_px", "float", "px", "mean of the unit's rf_width_x_px and rf_width_y_px; NaN where either is"),
        Column("rf_width_x_px", "float", "px", "standard deviation along columns of the Gaussian fitted to S_i(d)"),
        Column("rf_width_y_px", "float", "px", "standard deviation along rows of the Gaussian fitted to S_i(d)"),
        Column("rf_fit_mse", "float", "pairs^2", "mean squared residual of that fit"),
    )
    name: Literal["rf_width"] = "rf_width"
    include_zero: Annotated[
        bool, Field(description="whether S(0), the number of inputs, is fitted (eq. 1) or left out")
    ] = True
    offset: Annotated[bool, Field(description="whether a constant is fitted beside the Gaussian")] = False
    layers: Annotated[
        tuple[Annotated[int, Field(ge=1)], ...],
        Field(
            min_length=1,
            description="a later hidden layer's masks are multiplied back to the input: an input counts by its paths to the unit",
        ),
    ] = (1,)

    @property
    def unit_layers(self) -> tuple[int, ...] | None:
        return self.layers


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
            "mean of the kurtosis within a class, over classes of 8 different inputs or more, at theta(rewind) * mask",
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

    def last_layer(self, layers: int) -> int:
        return max(layers - 1, 1)

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"mask", "held_out", *self.at})


def _cavity_columns(prefix: str, what: str) -> tuple[Column, ...]:
    return (
        Column(f"{prefix}_mean", "float", "1", f"mean {what} of these weights"),
        Column(f"{prefix}_sem", "float", "1", f"its standard error, as if the weights were independent: {what}"),
        Column(f"{prefix}_median", "float", "1", f"median {what} of these weights"),
        Column(f"{prefix}_scaled_mean", "float", "weights", f"N_W x mean {what}; N_W: weights of the layer still kept"),
        Column(f"{prefix}_scaled_sem", "float", "weights", f"N_W x standard error of the {what}"),
        Column(f"{prefix}_scaled_median", "float", "weights", f"N_W x median {what}"),
    )


class Cavity(MeasureSpec):
    """Cavity score of each kept weight at theta(rewind) * mask, Redman et al. (2025), eq. 5 and 6: what its removal does to the
    non-Gaussianity of its unit's preactivation (positive: less Gaussian without it)."""

    reads = frozenset({"mask", "start", "held_out"})
    unit_columns = (
        Column("cavity", "float", "1", "mean cavity score of the unit's kept weights, at theta(rewind) * mask"),
    )
    fate_columns = (
        Column("cavity_weights", "int", "weights", "how many of them have a cavity score, in units that count"),
        *_cavity_columns("cavity", "cavity score"),
        *_cavity_columns("cavity_half", "cavity score from half of the inputs"),
    )
    histogram_columns = (
        Column("x_edges", "list[float]", "1", "edges of the bins of x; the outermost bins take what lies beyond"),
        Column("y_edges", "list[float]", "1", "edges of the bins of y; the outermost bins take what lies beyond"),
        Column("counts", "list[int]", "weights", "counts, one row of y bins after another for each x bin"),
        Column("spearman", "float", "1", "rank correlation of x and y over the same weights"),
        Column("spearman_magnitude", "float", "1", "rank correlation of |x| and y over the same weights"),
    )
    name: Literal["cavity"] = "cavity"
    layers: Annotated[
        tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1, description="layers whose weights are scored")
    ] = (1,)
    classes: Annotated[int | None, Field(ge=1, description="only the first n classes; all by default")] = None
    samples: Annotated[int | None, Field(ge=8, description="held-out inputs per class; all by default")] = None
    half: Annotated[
        bool, Field(description="also from half of the inputs: scores of Gaussian data shrink with the sample")
    ] = True
    min_fan_in: Annotated[
        int, Field(ge=2, description="weights of units with fewer inputs left have no score: it would be enormous")
    ] = 4
    batch_norm: Annotated[
        Literal["affine", "network"],
        Field(description="with batch norm, preactivations of gamma x + beta (eq. 3) or of the whitened inputs"),
    ] = "affine"
    bins: Annotated[int, Field(ge=2, description="of the histogram of weights against scores, along each side")] = 40

    @property
    def unit_layers(self) -> tuple[int, ...] | None:
        return self.layers


_IMAGE_COLUMNS = (
    Column("values", "bytes", "", "the image as little-endian 32-bit floats, first row first"),
    Column("shape", "list[int]", "", "how the values lie: (row, col), (channel, row, col), or (input,) on a ring"),
    Column("value", "float", "", "one number that belongs to the image, as its name says"),
)


class Components(MeasureSpec):
    """PCA and FastICA components of the held-out inputs, and each mask's largest cosine similarity with them (Redman et al. 2025,
    Appendix B, Fig. 2 and S2). The sign of a component is arbitrary, so the magnitude of the cosine counts."""

    reads = frozenset({"mask", "held_out"})
    lineage_columns = (
        Column("ica_steps", "int", "steps", "steps that FastICA took on the inputs; 500: it did not converge"),
    )
    unit_columns = (
        Column("cosine_pca", "float", "1", "largest |cosine| of the unit's mask with a PCA component of the inputs"),
        Column(
            "cosine_ica", "float", "1", "largest |cosine| of the unit's mask with a FastICA component of the inputs"
        ),
        Column("ica_component", "int", "", "number of that FastICA component in the table `images`, round 0"),
    )
    image_columns = _IMAGE_COLUMNS
    name: Literal["components"] = "components"
    count: Annotated[
        int, Field(ge=1, description="components of each kind; fewer where there are fewer inputs or samples - 1")
    ] = 64
    samples: Annotated[int | None, Field(ge=2, description="held-out inputs per class; all by default")] = None
    min_fan_in: Annotated[int, Field(ge=1, description="units with fewer inputs left are NaN")] = 1

    @property
    def unit_layers(self) -> tuple[int, ...] | None:
        return (1,)


class Inputs(MeasureSpec):
    """How the held-out data fill the input: mean |x|, variance and kurtosis, the first two also as images, and a few samples."""

    reads = frozenset({"held_out"})
    lineage_columns = (
        Column("input_abs_mean", "float", "1", "mean |x| over held-out samples and inputs"),
        Column("input_variance", "float", "1", "variance of an input over held-out samples, averaged over inputs"),
        Column(
            "input_kurtosis",
            "float",
            "1",
            "kurtosis of an input over held-out samples, averaged over those not constant",
        ),
    )
    image_columns = _IMAGE_COLUMNS
    name: Literal["inputs"] = "inputs"
    examples: Annotated[int, Field(ge=0, description="held-out samples kept as images, classes in turn")] = 8


class Correlation(MaskOnImage):
    """S(d) of eq. 1 as images: the mean over units of same-colour and different-colour pairs (Pellegrini & Biroli 2022), and S_i(d)
    with its fitted Gaussian for a few units (Redman et al. 2025, Fig. S1A)."""

    image_columns = _IMAGE_COLUMNS
    name: Literal["correlation"] = "correlation"
    examples: Annotated[int, Field(ge=0, description="units shown on their own, the most connected first")] = 3
    include_zero: Annotated[bool, Field(description="whether S(0) is fitted; see rf_width")] = True
    offset: Annotated[bool, Field(description="whether a constant is fitted beside the Gaussian")] = False


class Ipr(MeasureSpec):
    """Inverse participation ratio sum w^4 / (sum w^2)^2 of each unit's weights: 1 is one weight, 1/n is n equal ones (Lufkin's form)."""

    reads = frozenset({"start"})
    unit_columns = (
        Column("ipr", "float", "1", "sum w^4 / (sum w^2)^2 of the unit's weights after the round's training"),
        Column("ipr_start", "float", "1", "as ipr, at theta(rewind) * mask"),
        Column("ipr_mask", "float", "1", "as ipr, of the mask alone: one over the number of inputs left"),
    )
    name: Literal["ipr"] = "ipr"
    at: Annotated[tuple[Literal["mask", "start", "end"], ...], Field(min_length=1)] = ("end",)

    def last_layer(self, layers: int) -> int:
        return max(layers - 1, 1)

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"mask", *self.at})


class Sinusoid(MeasureSpec):
    """Distance of each first-layer unit's trained weights from the best-fitting sinusoid, Lufkin et al. (2024), section 4.3:
    0 is a wave over all inputs, near 1 is localised (or noise)."""

    reads = frozenset({"end"})
    unit_columns = (
        Column("sinusoid_distance", "float", "share", "|w - best single Fourier mode| / |w| of the trained weights"),
        Column("sinusoid_row_cycles", "int", "", "cycles of that mode along the rows of a torus (0 on a ring)"),
        Column(
            "sinusoid_col_cycles", "int", "", "cycles of that mode along the columns, or around the ring; 0: constant"
        ),
    )
    name: Literal["sinusoid"] = "sinusoid"

    @property
    def unit_layers(self) -> tuple[int, ...] | None:
        return (1,)


class Flow(MeasureSpec):
    """A single ReLU neuron against Lufkin et al. (2024), eq. 5, integrated from the same initial weights over the same time: where
    the peak is, and how far the weights are apart. Round 0 only; the theory has no masks."""

    reads = frozenset({"start", "end"})
    unit_columns = (
        Column("peak", "int", "", "input with the largest |weight| after training, from 0"),
        Column("peak_flow", "int", "", "the same by eq. 5"),
        Column("peak_agrees", "float", "share", "1 where both peaks are the same input, else 0"),
        Column("ipr_flow", "float", "1", "IPR of the weights by eq. 5"),
        Column("flow_distance", "float", "share", "|w - w by eq. 5| / |w| after training"),
    )
    name: Literal["flow"] = "flow"
    form: Annotated[
        Literal["exact", "taylor"],
        Field(description="the amplifier of eq. 6, or its third-order Taylor polynomial (Lemma B.1)"),
    ] = "exact"

    @property
    def unit_layers(self) -> tuple[int, ...] | None:
        return (1,)


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
    name: Literal["course"] = "course"
    record_every: Annotated[int, Field(ge=1, description="updates between two records; the last step is one too")] = 10
    weights_every: Annotated[
        int | None, Field(ge=1, description="keep the weights themselves at every n-th record, the first and the last")
    ] = None
    samples: Annotated[
        int, Field(ge=1, description="held-out inputs per class for the loss; at most what there are")
    ] = 250

    @property
    def unit_layers(self) -> tuple[int, ...] | None:
        return (1,)


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
    name: Literal["masks"] = "masks"
    most_connected: Annotated[int, Field(ge=1)] = 24


Measure = Annotated[
    Accuracy
    | Loss
    | Density
    | FanIn
    | RfWidth
    | Clustering
    | Spread
    | Correlation
    | Kurtosis
    | Cavity
    | Components
    | Inputs
    | Ipr
    | Sinusoid
    | Flow
    | Course
    | Masks,
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
    Correlation,
    Kurtosis,
    Cavity,
    Components,
    Inputs,
    Ipr,
    Sinusoid,
    Flow,
    Course,
    Masks,
)
