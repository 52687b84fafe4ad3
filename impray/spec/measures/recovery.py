"""Measures of what a ReLU network recovers: its fit of training and held-out data, the gates of its units, what its solver needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from impray.spec.data.coordinates import ImageCoordinates
from impray.spec.errors import Problem
from impray.spec.measures.base import IMAGE_COLUMNS, Column, MeasureSpec, measure_name
from impray.spec.nets.mlp import Mlp

if TYPE_CHECKING:
    from impray.spec.trial import Trial


class OfTrainingSet(MeasureSpec):
    """Of data whose training set is finite."""

    def problems(self, trials: Sequence[Trial]) -> Iterator[Problem]:
        yield from super().problems(trials)
        if not all("whole" in trial.data.offers for trial in trials):
            name = measure_name(self)
            right = f"{name} reads the whole training set: these data are drawn anew in every step (`data.kind`)"
            yield Problem("", repr(name), right)


class Psnr(OfTrainingSet):
    """Peak signal-to-noise ratio: 20 log10 max|y| - 10 log10 of the mean squared error; max|y| of the training targets in both.

    Of real targets, or of the labels 0 and 1 of a single output. Infinite where the fit is exact; NaN where all training targets are 0.
    """

    reads = frozenset({"end", "held_out", "whole"})
    lineage_columns = (
        Column(
            "psnr", "float", "dB", "peak signal-to-noise ratio on held-out data, its peak that of the training targets"
        ),
        Column("psnr_train", "float", "dB", "peak signal-to-noise ratio on the training set"),
    )
    name: Literal["psnr"] = "psnr"

    def problems(self, trials: Sequence[Trial]) -> Iterator[Problem]:
        yield from super().problems(trials)
        if any(trial.data.targets == "classes" and trial.outputs > 1 for trial in trials):
            right = "psnr compares outputs with numbers: data with real targets, or two classes and net.outputs: 1"
            yield Problem("", repr(self.name), right)


class Reconstruction(MeasureSpec):
    """The image that a network represents, beside the one it was trained on: its output on every pixel, held out or not.

    In the table `images`: `reconstruction`, whose value is the PSNR of all pixels in dB (its peak that of `psnr`: the largest training
    target), and `original`. Of data.kind: image_coordinates.
    """

    reads = frozenset({"end", "held_out", "whole"})
    image_columns = IMAGE_COLUMNS
    name: Literal["reconstruction"] = "reconstruction"

    def problems(self, trials: Sequence[Trial]) -> Iterator[Problem]:
        yield from super().problems(trials)
        if not all(isinstance(trial.data, ImageCoordinates) for trial in trials):
            right = "reconstruction shows an image that is a function of its coordinates: data.kind: image_coordinates"
            yield Problem("", repr(self.name), right)


class TrainingAccuracy(OfTrainingSet):
    """Share of training inputs whose largest output is their class (a single output: nearer to 0 or to 1)."""

    reads_classes = True
    reads = frozenset({"end", "whole"})
    lineage_columns = (
        Column("accuracy_train", "float", "share", "share of the training set classified rightly after the training"),
    )
    name: Literal["training_accuracy"] = "training_accuracy"


class Gates(OfTrainingSet):
    """The activation patterns of layer 1, 1[z_j > 0] over the training inputs: how far apart two of them are, and how full.

    Of units with a weight left. NaN: there is none (trace_min), or only one (hamming_min).
    """

    compares_with_inputs = True
    reads = frozenset({"mask", "end", "whole"})
    lineage_columns = (
        Column("hamming_min", "float", "share", "smallest share of training inputs on which two units' gates differ"),
        Column("trace_min", "float", "share", "smallest share of training inputs on which a unit's gate is open"),
    )
    name: Literal["gates"] = "gates"

    def problems(self, trials: Sequence[Trial]) -> Iterator[Problem]:
        yield from super().problems(trials)
        nets = [trial.net for trial in trials]
        if not all(isinstance(net, Mlp) and net.hidden and net.activation == "relu" for net in nets):
            right = (
                "gates are those of hidden ReLU units: it takes net.kind: mlp with hidden units and activation: relu"
            )
            yield Problem("", repr(self.name), right)


class UnitsAlive(MeasureSpec):
    """Hidden units with at least one incoming weight that is kept and not 0."""

    reads = frozenset({"mask", "end"})
    lineage_columns = (
        Column("units_alive", "int", "units", "hidden units, of all layers, with an incoming weight kept and not 0"),
    )
    name: Literal["units_alive"] = "units_alive"

    def problems(self, trials: Sequence[Trial]) -> Iterator[Problem]:
        yield from super().problems(trials)
        if any(trial.layers < 2 for trial in trials):
            yield Problem("", repr(self.name), "units_alive counts hidden units, and this network has none")


class Solver(MeasureSpec):
    """What a solver of networks says of itself (methods iht, pursuit); null of networks that are trained."""

    lineage_columns = (
        Column("optimizer_bytes", "int", "bytes", "largest memory the solver held at once"),
        Column(
            "converged",
            "float",
            "share",
            "1 where the last epoch changed no place, and the loss by no more than 1e-6 of it, else 0",
        ),
        Column("epochs", "int", "epochs", "epochs of the solver"),
    )
    name: Literal["solver"] = "solver"

    def problems(self, trials: Sequence[Trial]) -> Iterator[Problem]:
        yield from super().problems(trials)
        if not all(trial.is_relu for trial in trials):
            right = "solvers of ReLU networks tell it (methods iht, pursuit): it takes net.kind: mlp, activation: relu, one hidden layer"
            yield Problem("", repr(self.name), right)
