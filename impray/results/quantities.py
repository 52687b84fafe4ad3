"""The catalogue of reported quantities: one name is one number, wherever it is reported.

A quantity says which column it reads, how that reduces over a layer's units to one number per lineage and round, how it is called,
and which way is better. Leaderboard, goals, MLflow, figures and the report all take them from here. Where a paper reduces another
way (Redman et al. 2025, Fig. 4A, has the mean of sigma_x, Fig. 3C its median) that is another entry with another name.

The means and medians over units of layer 1 are columns of the table `rounds` already, and have the names they have there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import polars as pl

from impray.results import schema
from impray.spec.errors import DataError
from impray.spec.wording import near
from impray.theory.masks import touching, unpacked
from impray.theory.statistics import standardised

IN_DOCS = "docs/quantities.md"
Better = Literal["lower", "higher"]


@dataclass(frozen=True)
class Quantity:
    """A number per lineage and round.

    name: one name, one number.  label: for an axis.  unit: as written behind a number.  better: which way is more local, or
    more accurate; None: neither.  comparative: "narrower in autocorrelation", for sentences.  reference: what chance, or a Gaussian, gives.
    column: of the table `rounds`, or of `units` where `reduce` says how units become one number.  layer: of `units`.
    score: what is compared, where that is not the number itself.  make: the rows of a number that is in no column: a function of a
    sweep's results that gives lineage, round and `value`.
    """

    name: str
    label: str
    unit: str = ""
    better: Better | None = None
    comparative: str = "higher"
    reference: float | None = None
    column: str = ""
    reduce: Literal["", "mean", "median", "count"] = ""
    layer: int = 1
    score: Callable[[pl.Expr], pl.Expr] | None = None
    make: Callable[..., pl.DataFrame] | None = None
    log: bool = False

    @property
    def read(self) -> str:
        """The column it is read from."""
        return self.column or self.name

    @property
    def sign(self) -> int:
        """Of the difference, in what is compared, that is better."""
        return -1 if self.better == "lower" else 1

    def compared(self, value: pl.Expr) -> pl.Expr:
        """What claims compare."""
        return self.score(value) if self.score is not None else value

    def in_layer(self, layer: int) -> Quantity:
        """The same of another layer's units."""
        column = self.read.removesuffix(f"_{self.reduce_of_name}")
        return replace(
            self,
            name=f"{self.name}_layer_{layer}",
            label=f"{self.label}, layer {layer}",
            column=column,
            reduce=self.reduce_of_name or self.reduce or "mean",
            layer=layer,
        )

    @property
    def reduce_of_name(self) -> Literal["", "mean", "median", "count"]:
        for statistic in ("mean", "median"):
            if self.read.endswith(f"_{statistic}"):
                return statistic
        return self.reduce


def _from_3(value: pl.Expr) -> pl.Expr:
    """A kurtosis's distance from a Gaussian's: binary inputs lie below it."""
    return (value - 3).abs()


MASK_WIDTH = "width of the mask's\nautocorrelation"  # what Redman et al. (2025) call the RF width, eq. 1

WIDTH = Quantity(
    "rf_width_px_median",
    f"{MASK_WIDTH} (px)\nmedian over units",
    "px",
    "lower",
    "narrower in autocorrelation",
)
WIDTH_X_MEDIAN = Quantity(
    "rf_width_x_px_median", f"{MASK_WIDTH}\nσx (px), median", "px", "lower", "narrower in autocorrelation"
)
WIDTH_X_MEAN = Quantity(
    "rf_width_x_px_mean", f"{MASK_WIDTH}\nσx (px), mean", "px", "lower", "narrower in autocorrelation"
)
SPREAD = Quantity(
    "spread_px_mean", "spread of kept inputs (px)\nrms distance, mean over units", "px", "lower", "less spread out"
)
PIECES = Quantity("pieces_mean", "connected pieces\nmean over units", "", "lower", "in fewer pieces", 1.0)
LARGEST_PIECE = Quantity(
    "largest_piece_mean", "share of inputs in\nthe largest piece", "", "higher", "more in one piece", 1.0
)
# The mean, not the median: with a handful of pairs per unit the count is skewed, and only its mean is 1 at chance.
CLUSTERING = Quantity("clustering_mean", "clustering\nmean over units (chance: 1)", "", "higher", "more clustered", 1.0)
OF_CEILING = Quantity(
    "clustering_of_ceiling_mean",
    "clustering, as a share of the\nmost that the fan-in allows",
    "",
    "higher",
    "more clustered relative to its ceiling",
    0.0,
)
KURTOSIS = Quantity(
    "kurtosis_per_class_mean",
    "kurtosis of preactivations\nper class, at θ(rewind) · mask",
    "",
    "higher",
    "further from a Gaussian's 3",
    3.0,
    score=_from_3,
    log=True,
)
# Means over classes can be those of a few heavy-tailed ones.
KURTOSIS_MEDIAN_CLASS = replace(
    KURTOSIS, name="kurtosis_class_median_mean", label="kurtosis of preactivations\nmedian over classes"
)
KURTOSIS_END = replace(
    KURTOSIS, name="kurtosis_per_class_end_mean", label="kurtosis of preactivations\nper class, after training"
)


def _touching(results: Any) -> pl.DataFrame:
    """Per lineage and round the mean of `touching` over the first-layer masks that are stored; NaN where no unit has two inputs."""
    rows = results.rows("masks", ["layer", "bits", "shape"], layer=1).filter(pl.col("shape").list.len() >= 2)
    near = [touching(unpacked(bits, tuple(shape))) for bits, shape in rows.select("bits", "shape").iter_rows()]
    known = pl.Series("value", near, dtype=pl.Float64).fill_nan(None)
    return rows.with_columns(known).group_by("lineage", "round").agg(pl.col("value").mean().fill_null(float("nan")))


TOUCHING = Quantity(
    "touching",
    "kept neighbours\nrelative to chance",
    "",
    "higher",
    "more compact",
    1.0,
    make=_touching,
)


def _at_equal_fan_in(results: Any) -> pl.DataFrame:
    """Clustering of lineages as if the units of all had the fan-ins of one pool: a method's units at a round, of images apart."""
    rows = results.rows("units", ["clustering", "fan_in"], layer=1)
    rows = rows.filter(pl.col("clustering").cast(pl.Float64).is_finite())
    pools = [pl.DataFrame(schema={"lineage": pl.String, "round": rows.schema["round"], "value": pl.Float64})]
    for _, pool in rows.group_by("method", "round", pl.col("family") == "images", maintain_order=True):
        lineages = pool["lineage"].unique(maintain_order=True)
        group = pool["lineage"].replace_strict(lineages, list(range(len(lineages))), return_dtype=pl.Int64)
        values, fan_in = (pool[name].cast(pl.Float64).to_numpy() for name in ("clustering", "fan_in"))
        adjusted = pl.DataFrame({"lineage": lineages, "value": standardised(values, fan_in, group.to_numpy())})
        pools.append(adjusted.select("lineage", pl.lit(pool["round"][0], rows.schema["round"]).alias("round"), "value"))
    return pl.concat(pools)


# Clustering has a ceiling that falls with fan-in: a few pairs are easily all neighbours. So methods are not compared by it, whose
# fan-ins have different ranges; stimuli are.
CLUSTERING_EQUAL = Quantity(
    "clustering_at_equal_fan_in",
    "clustering\nat equal fan-in",
    "",
    "higher",
    "more clustered at equal fan-in",
    1.0,
    make=_at_equal_fan_in,
)
ACCURACY = Quantity("accuracy", "held-out accuracy", "", "higher", "more accurate")
LOSS = Quantity("loss", "held-out loss", "", "lower", "lower in loss")
IPR = Quantity("ipr_mean", "IPR of weights\nafter training", "", "higher", "more concentrated")
IPR_MASK = Quantity("ipr_mask_mean", "IPR of masks\n(1 / inputs left)", "", "higher", "more concentrated in its masks")
FAN_IN = Quantity("fan_in_mean", "inputs per unit\nmean")
UNITS_COUNTED = Quantity("units_counted", "units with a width")
INPUT_KURTOSIS = Quantity("input_kurtosis", "kurtosis of the inputs", reference=3.0)

# Of linear models with a sparse truth.
EXACT_RECOVERY = Quantity("exact_recovery", "exact recovery\nshare of draws", "", "higher", "more often exactly right")
SUPPORT_RECALL = Quantity(
    "support_recall", "true features kept\nshare", "", "higher", "more complete in true features", 1.0
)
ESTIMATION_ERROR = Quantity(
    "estimation_error", "error of the weights\n|w - s| / |s|", "", "lower", "nearer to the truth", log=True
)
AGREEMENT = Quantity(
    "alignment_agreement", "removals as the\nalignment heuristic's", "", "higher", "more like the alignment heuristic"
)
ORDER_TAU = Quantity(
    "order_tau",
    "Kendall's tau of the\norder with |φᵀy|",
    "",
    "higher",
    "more like the alignment heuristic in its order",
    0.0,
)
ORDER_TAU_ONESHOT = Quantity(
    "order_tau_oneshot",
    "Kendall's tau of the\norder with dense |w|",
    "",
    "higher",
    "more like oneshot in its order",
    0.0,
)
COHERENCE = Quantity("coherence", "coherence\nlargest |correlation|", "", "lower", "less coherent")

# Of networks that recover one. An exact fit has as many decibels as rounding leaves: differences among those say nothing.
EXACT_DB = 100.0


def _until_exact(value: pl.Expr) -> pl.Expr:
    return value.clip(upper_bound=EXACT_DB)


PSNR = Quantity("psnr", "PSNR, held out\ndB", "dB", "higher", "better in held-out PSNR", score=_until_exact)
PSNR_TRAIN = Quantity("psnr_train", "PSNR, training set\ndB", "dB", "higher", "better in PSNR", score=_until_exact)
SUPPORT_PRECISION = Quantity(
    "support_precision", "kept weights that\nare true, share", "", "higher", "more precise in true weights", 1.0
)
UNITS_ALIVE = Quantity("units_alive", "units with\na weight")
ACCURACY_TRAIN = Quantity("accuracy_train", "accuracy on the\ntraining set", "", "higher", "more accurate in training")
OPTIMIZER_BYTES = Quantity(
    "optimizer_bytes", "memory beside the data\nbytes", "bytes", "lower", "smaller in memory", log=True
)
SECONDS = Quantity("lineage_s", "core seconds up to\nthis round, measures apart", "s", "lower", "quicker", log=True)
PSNR_PRUNED = Quantity(
    "psnr_pruned",
    "PSNR just after pruning\nheld out, dB",
    "dB",
    "higher",
    "better in held-out PSNR",
    score=_until_exact,
)
PSNR_TRAIN_PRUNED = Quantity(
    "psnr_train_pruned",
    "PSNR just after pruning\ntraining set, dB",
    "dB",
    "higher",
    "better in PSNR",
    score=_until_exact,
)
CONVERGED = Quantity("converged", "converged\nshare", "", "higher", "more often converged")

OPTIMALITY_GAP = Quantity(
    "optimality_gap", "share of the loss\nleft to least squares", "", "lower", "nearer to converged"
)
ACCURACY_LINEAR = Quantity(
    "accuracy_linear", "accuracy of a linear model\nof as many weights", "", "higher", "more accurate"
)
ACCURACY_TRAIN_LINEAR = replace(ACCURACY_LINEAR, name="accuracy_train_linear", comparative="more accurate in training")
PSNR_LINEAR = replace(PSNR, name="psnr_linear", label="PSNR of a linear model\nof as many weights, dB")
PSNR_TRAIN_LINEAR = replace(PSNR_LINEAR, name="psnr_train_linear", comparative="better in PSNR")

QUANTITIES: dict[str, Quantity] = {
    quantity.name: quantity
    for quantity in (
        WIDTH,
        WIDTH_X_MEDIAN,
        WIDTH_X_MEAN,
        SPREAD,
        PIECES,
        LARGEST_PIECE,
        CLUSTERING,
        OF_CEILING,
        CLUSTERING_EQUAL,
        KURTOSIS,
        KURTOSIS_MEDIAN_CLASS,
        KURTOSIS_END,
        ACCURACY,
        LOSS,
        IPR,
        IPR_MASK,
        FAN_IN,
        UNITS_COUNTED,
        INPUT_KURTOSIS,
        EXACT_RECOVERY,
        SUPPORT_RECALL,
        ESTIMATION_ERROR,
        AGREEMENT,
        ORDER_TAU,
        ORDER_TAU_ONESHOT,
        COHERENCE,
        PSNR,
        PSNR_TRAIN,
        SUPPORT_PRECISION,
        UNITS_ALIVE,
        ACCURACY_TRAIN,
        OPTIMIZER_BYTES,
        CONVERGED,
        SECONDS,
        PSNR_PRUNED,
        PSNR_TRAIN_PRUNED,
        OPTIMALITY_GAP,
        ACCURACY_LINEAR,
        ACCURACY_TRAIN_LINEAR,
        PSNR_LINEAR,
        PSNR_TRAIN_LINEAR,
    )
}

# Where a sweep has no goals: what the leaderboard shows of each method, if it was measured.
SHOWN = (ACCURACY, WIDTH, SPREAD, CLUSTERING, KURTOSIS, IPR, EXACT_RECOVERY, ESTIMATION_ERROR, PSNR)


def quantity(name: str | Quantity) -> Quantity:
    """The catalogue's entry; of any other column of `rounds` a plain one, with the words of the schema. A quantity is itself.

    Raises:  DataError: neither is called so.
    """
    if isinstance(name, Quantity):
        return name
    if name in QUANTITIES:
        return QUANTITIES[name]
    column = next((candidate for candidate in schema.columns("rounds") if candidate.name == name), None)
    if column is None:
        known = [*QUANTITIES, *(candidate.name for candidate in schema.columns("rounds"))]
        right = near(name, known) or f"; {IN_DOCS} has them all"
        raise DataError(f"quantity = {name!r}: is in no catalogue, and no column of the table rounds{right}")
    unit = column.unit if column.unit not in ("1", "share") else ""
    return Quantity(name, name.replace("_", " ") + (f"\n({unit})" if unit else ""), unit)
