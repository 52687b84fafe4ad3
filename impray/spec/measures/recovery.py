"""Measures of what a ReLU network recovers: its fit of training and held-out data, the gates of its units, what its solver needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from impray.spec.data.coordinates import ImageCoordinates
from impray.spec.errors import Problem
from impray.spec.measures.base import IMAGE_COLUMNS, Column, MeasureSpec, Pass, measure_name
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
    limits = (
        "Its peak is one sample's: where targets have heavy tails it says more of that sample than of the fit. Exact fits are "
        "infinite, so means over seeds need a cap."
    )
    name: Literal["psnr"] = "psnr"

    def passes(self, layers: int) -> frozenset[Pass]:
        return frozenset({Pass(layers), Pass(layers, "whole")})

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
    limits = "Pixels that were held out and pixels that were trained on are in one picture and one number."
    name: Literal["reconstruction"] = "reconstruction"

    def passes(self, layers: int) -> frozenset[Pass]:
        return frozenset({Pass(layers), Pass(layers, "whole")})

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
    limits = "As accuracy. High here and low there is a network that has learnt its samples by heart."
    name: Literal["training_accuracy"] = "training_accuracy"

    def passes(self, layers: int) -> frozenset[Pass]:
        return frozenset({Pass(layers, "whole")})


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
    limits = "The smallest of all pairs, or of all units: one pair, or one unit, decides it."
    name: Literal["gates"] = "gates"

    def passes(self, layers: int) -> frozenset[Pass]:
        return frozenset({Pass(1, "whole")})

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
    limits = "A unit with one tiny weight is alive."
    name: Literal["units_alive"] = "units_alive"

    def problems(self, trials: Sequence[Trial]) -> Iterator[Problem]:
        yield from super().problems(trials)
        if any(trial.layers < 2 for trial in trials):
            yield Problem("", repr(self.name), "units_alive counts hidden units, and this network has none")


class OptimalityGap(OfTrainingSet):
    """How far a ReLU network is from converged: the loss that least squares on its kept weights would still take off.

    With the gates as the weights have them the network is linear in the weights of its first layer: its training loss L has a least
    one, L*, over the kept weights. 0: converged, at these gates; also where L is within the rounding of weights and targets. Near 1: the
    same weights would fit much better. What a ridge or weight decay holds back counts as well.

    Exact up to 500 kept weights. Of more from below: the share within about 0.001; null where samples x units with a weight x inputs are
    more than 5e8.
    """

    reads = frozenset({"mask", "end", "whole"})
    lineage_columns = (
        Column(
            "optimality_gap",
            "float",
            "share",
            "(L - L*) / L: share of the training loss that least squares on the kept weights would remove, gates as they are",
        ),
        Column(
            "optimality_gap_db",
            "float",
            "dB",
            "10 log10(L / L*): what the training PSNR would gain by it; of more than 500 kept weights at least so much",
        ),
    )
    limits = (
        "At fixed gates: a network whose gap is 0 may still change them, and one whose gates are wrong has converged where it "
        "is."
    )
    name: Literal["optimality_gap"] = "optimality_gap"

    def problems(self, trials: Sequence[Trial]) -> Iterator[Problem]:
        yield from super().problems(trials)
        if not all(_linear_at_its_gates(trial) for trial in trials):
            right = (
                "takes networks that are linear once their gates are fixed, and trained by squares: net.kind: mlp with one hidden layer, "
                "activation: relu, bias: false, no batch norm, outputs: 1, and train.loss: mse"
            )
            yield Problem("", repr(self.name), right)


def _linear_at_its_gates(trial: Trial) -> bool:
    net = trial.net
    if not isinstance(net, Mlp) or len(net.hidden) != 1 or net.activation != "relu" or net.bias or net.batch_norm:
        return False
    return trial.outputs == 1 and trial.train.loss == "mse"


class LinearOmp(OfTrainingSet):
    """A line to draw: what a linear model of as many weights as the network keeps does on the same data.

    Orthogonal matching pursuit on the inputs themselves, with min(s, inputs) of them, fitted by least squares to the training set; s:
    the weights that the network's mask keeps. With an intercept, which s does not count. It depends on data and count alone. Fewer
    inputs where the pursuit finds no use for more.
    """

    reads = frozenset({"mask", "held_out", "whole"})
    lineage_columns = (
        Column("psnr_linear", "float", "dB", "as psnr, of a linear model with as many weights (linear OMP)"),
        Column(
            "psnr_train_linear", "float", "dB", "as psnr_train, of a linear model with as many weights (linear OMP)"
        ),
        Column(
            "accuracy_linear",
            "float",
            "share",
            "as accuracy, of a linear model with as many weights (linear OMP); null of real targets",
        ),
        Column(
            "accuracy_train_linear",
            "float",
            "share",
            "as accuracy_train, of a linear model with as many weights (linear OMP); null of real targets",
        ),
    )
    limits = "A line to compare with, not a bound: networks of as many weights can be worse."
    name: Literal["linear_omp"] = "linear_omp"

    def problems(self, trials: Sequence[Trial]) -> Iterator[Problem]:
        yield from super().problems(trials)
        if any(trial.outputs > 1 for trial in trials):
            right = "a linear model of one output: data with one real target, or two classes and net.outputs: 1"
            yield Problem("", repr(self.name), right)


class Solver(MeasureSpec):
    """What a method needed: memory, of networks that are trained too; and what a solver (iht, pursuit) says of itself, else null."""

    revision = 1  # 0: no bytes of networks that are trained
    lineage_columns = (
        Column(
            "optimizer_bytes",
            "int",
            "bytes",
            "held beside inputs and targets: the most that a solver held at once; of a network that is trained its weights, masks, "
            "gradients, optimizer state, learning rates and a batch's buffers",
        ),
        Column(
            "converged",
            "float",
            "share",
            "1 where the last epoch changed no place, and the loss by no more than 1e-6 of it, else 0",
        ),
        Column("epochs", "int", "epochs", "epochs of the solver"),
    )
    limits = "Memory by what is held, counted from shapes; the peak of the process is larger."
    name: Literal["solver"] = "solver"

    def problems(self, trials: Sequence[Trial]) -> Iterator[Problem]:
        yield from super().problems(trials)
        if not all(trial.is_relu for trial in trials):
            right = "solvers of ReLU networks tell it (methods iht, pursuit): it takes net.kind: mlp, activation: relu, one hidden layer"
            yield Problem("", repr(self.name), right)
