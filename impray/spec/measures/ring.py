"""Measures that hold a neuron against the theory of localization, on a ring or torus."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from impray.spec.data import Kur, Stimulus
from impray.spec.errors import Problem
from impray.spec.measures.base import Column, MeasureSpec
from impray.spec.nets import Mlp
from impray.spec.training import Sgd

if TYPE_CHECKING:
    from impray.spec.trial import Trial


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
    limits = "Near 1 for a localised field and for noise alike: read it beside ipr."
    name: Literal["sinusoid"] = "sinusoid"

    @property
    def unit_layers(self) -> tuple[int, ...] | None:
        return (1,)

    def problems(self, trials: Sequence[Trial]) -> Iterator[Problem]:
        yield from super().problems(trials)
        if any(len(trial.data.input_shape) > 2 for trial in trials):
            yield Problem("", repr(self.name), "needs inputs on a ring or in one colour: [n] or [rows, cols]")


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
    limits = "The theory holds until the IPR rises, for one ReLU neuron in round 0; it has no masks."
    name: Literal["flow"] = "flow"
    form: Annotated[
        Literal["exact", "taylor"],
        Field(description="the amplifier of eq. 6, or its third-order Taylor polynomial (Lemma B.1)"),
    ] = "exact"

    @property
    def unit_layers(self) -> tuple[int, ...] | None:
        return (1,)

    def problems(self, trials: Sequence[Trial]) -> Iterator[Problem]:
        yield from super().problems(trials)
        told = dict.fromkeys(why for trial in trials for why in self._not_about(trial))
        yield from (Problem("", repr(self.name), why) for why in told)

    def _not_about(self, trial: Trial) -> Iterator[str]:
        """Why eq. 5 of Lufkin et al. (2024) is not about this trial."""
        net = trial.net
        if not isinstance(trial.data, Stimulus) or trial.data.classes != 2:
            yield "is about two classes of nlgp, kur, ising or elliptical inputs"
        neuron = ((1,), "relu", False, "mean")
        if not isinstance(net, Mlp) or (net.hidden, net.activation, net.bias, net.readout) != neuron:
            yield "is about a single neuron: net: {hidden: [1], activation: relu, bias: false, outputs: 1, readout: mean}"
        train = trial.train
        plain = isinstance(train, Sgd) and not train.momentum and not train.weight_decay and train.schedule.is_constant
        if not plain:
            yield "is about plain gradient descent: sgd, no momentum, no weight_decay, no schedule"
        if trial.prune.rewind_step != 0:
            yield "starts at the initial weights: prune.rewind_step: 0"
        if isinstance(trial.data, Stimulus) and not trial.data.variance_is_finite:
            yield "needs inputs with a finite variance"
        if self.form == "taylor" and isinstance(trial.data, Kur) and trial.data.k <= 4:
            yield "has no Taylor form for kur with k <= 4, whose kurtosis is infinite; use form: exact"
