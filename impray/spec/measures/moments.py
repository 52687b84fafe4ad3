"""Measures of how far preactivations are from Gaussian, and of what single weights have to do with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from impray.spec.errors import Problem
from impray.spec.measures.base import Column, MeasureSpec, Pass

if TYPE_CHECKING:
    from impray.spec.trial import Trial


class Kurtosis(MeasureSpec):
    """Kurtosis of each unit's preactivations on held-out data, Redman et al. (2025), eq. 3 and 4: Gaussian is 3."""

    reads_classes = True
    revision = 1  # kurtosis_class_median and kurtosis_by_class
    lineage_columns = (
        Column(
            "kurtosis_by_class",
            "list[float]",
            "1",
            "kurtosis within each class, label 0 first, averaged over layer 1's units, at theta(rewind) * mask; NaN: too few "
            "different inputs",
        ),
        Column("kurtosis_by_class_end", "list[float]", "1", "as kurtosis_by_class, after the round's training"),
    )
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
        Column(
            "kurtosis_class_median",
            "float",
            "1",
            "as kurtosis_per_class, the median over classes: a few heavy-tailed ones do not decide it",
        ),
        Column("kurtosis_class_median_end", "float", "1", "as kurtosis_class_median, after the round's training"),
    )
    limits = (
        "A fourth moment: a few samples, or a few heavy-tailed classes, can decide it. Read the median over classes beside the "
        "mean. A kurtosis of 3 does not make a distribution Gaussian."
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

    def passes(self, layers: int) -> frozenset[Pass]:
        if self.samples is not None:
            return frozenset()
        hidden = range(1, self.last_layer(layers) + 1)
        return frozenset(Pass(layer, "held_out", at, self.batch_norm) for layer in hidden for at in self.at)

    def problems(self, trials: Sequence[Trial]) -> Iterator[Problem]:
        yield from super().problems(trials)
        if not all(any(kernel.dense for kernel in trial.kernels[: self.last_layer(trial.layers)]) for trial in trials):
            yield Problem("", repr(self.name), "reads hidden layers that are dense, and this network has none")


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

    reads_classes = True
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
    limits = (
        "Scores of single weights do not add up. They are noisy near a kurtosis of 3, and of Gaussian data they shrink as "
        "samples grow: cavity_half, from half of the inputs, shows it."
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

    def problems(self, trials: Sequence[Trial]) -> Iterator[Problem]:
        yield from super().problems(trials)
        classes = min((trial.data.classes for trial in trials), default=None)
        if self.classes and classes and self.classes > classes:
            yield Problem("classes", str(self.classes), f"must be at most {classes}: the data's classes")
        asked = {number for trial in trials for number in self.layers if number <= trial.layers}
        moved = {
            number for number in asked if not all(t.kernels[number - 1].dense for t in trials if number <= t.layers)
        }
        if moved:
            right = f"must be dense layers: a kernel that is moved over its inputs, as layer {min(moved)} is, has no cavity score"
            yield Problem("layers", f"[{', '.join(map(str, self.layers))}]", right)
