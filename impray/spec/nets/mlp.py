"""Multilayer perceptrons and their initialisations."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from impray.spec.base import Spec, whole_number
from impray.spec.nets.base import Kernel, NetSpec

if TYPE_CHECKING:
    from impray.spec.trial import Trial

Activation = Literal["relu", "sigmoid", "erf", "tanh", "linear"]
Scale = Annotated[float, Field(ge=0)]


MOST_LAYERS = 1000


class Init(Spec):
    """How weights start: zero-mean with this standard deviation times `scale`; biases start at 0.

    glorot_*: sqrt(2 / (fan_in + fan_out)); fan_in_*: 1 / sqrt(fan_in); normal, uniform: 1. The uniform forms have the same
    standard deviation as the normal ones (their limit is sqrt(3) times it).
    """

    packable: ClassVar[frozenset[str]] = frozenset({"scale"})

    kind: Annotated[
        Literal["glorot_normal", "glorot_uniform", "fan_in_normal", "fan_in_uniform", "normal", "uniform"],
        Field(
            description="the law of the initial weights: its shape, and how its standard deviation follows the layer's size"
        ),
    ] = "glorot_normal"
    scale: Annotated[
        Scale | Annotated[tuple[Scale, ...], Field(min_length=1)],
        Field(description="one number, or one per layer (output layer last)"),
    ] = 1.0

    def scale_of(self, layer: int) -> float:
        """Factor of layer `layer` (1 is the first)."""
        return self.scale[layer - 1] if isinstance(self.scale, tuple) else self.scale


class Mlp(NetSpec):
    """A multilayer perceptron: `hidden` sizes, then one output per class.

    With `batch_norm`, a batch norm stands before every product, the first included (as Pellegrini & Biroli's code):
    BN, W x + b, activation. eps 1e-10, population variance, evaluation by an exponential moving average (0.99).
    """

    kind: Literal["mlp"] = "mlp"
    hidden: Annotated[
        tuple[Annotated[int, Field(ge=1)], ...],
        Field(
            max_length=MOST_LAYERS, description="units of each hidden layer, first to last; one layer may be a number"
        ),
    ] = (100,)
    activation: Annotated[Activation, Field(description="of every hidden unit")] = "relu"
    batch_norm: Annotated[
        bool, Field(description="whether a batch norm stands before every layer, the first included")
    ] = False
    bias: Annotated[bool, Field(description="whether layers have biases")] = True
    outputs: Annotated[
        Literal["classes", 1], Field(description="one output per class, or a single one (two classes, loss mse)")
    ] = "classes"
    readout: Annotated[
        Literal["trained", "mean", "sum", "signed"],
        Field(
            description="the output layer's weights are trained; or the single output is fixed: the mean over the last hidden "
            "layer's units (a soft committee machine, with one unit that unit alone), their sum, or their sum with the signs +1, -1 in turn"
        ),
    ] = "trained"
    init: Annotated[Init, Field(description="how weights start")] = Init()

    @field_validator("hidden", mode="before")
    @classmethod
    def _one_layer_may_be_a_number(cls, hidden: object) -> object:
        return [hidden] if isinstance(whole_number(hidden), int) and not isinstance(hidden, bool) else hidden

    @property
    def layers(self) -> int:
        """Number of weight matrices."""
        return len(self.hidden) + 1

    def output_count(self, classes: int) -> int:
        return 1 if self.outputs == 1 else classes

    def kernels(self, input_shape: tuple[int, ...], outputs: int) -> tuple[Kernel, ...]:
        sizes = (math.prod(input_shape), *self.hidden, outputs)
        shapes = [input_shape, *((inputs,) for inputs in sizes[1:])]
        pairs = zip(pairwise(sizes), shapes, strict=False)
        return tuple(Kernel(units, inputs, self.bias, shape) for (inputs, units), shape in pairs)

    def parameters(self, kernels: tuple[Kernel, ...]) -> int:
        of_norms = 4 * sum(kernel.inputs for kernel in kernels) if self.batch_norm else 0
        return super().parameters(kernels) + of_norms

    def words(self, kernels: tuple[Kernel, ...]) -> str:
        sizes = [kernels[0].inputs, *(kernel.units for kernel in kernels)]
        return f"{':'.join(map(str, sizes))} {self.activation}{', batch norm' * self.batch_norm}"

    def shared(self) -> Mlp:
        return self.model_copy(update={"init": self.init.model_copy(update={"scale": 1.0})})

    def impossible(self, trial: Trial) -> Iterator[tuple[str, str]]:
        if self.readout != "trained":
            yield from self._fixed_readout_problems(trial)
        if isinstance(self.init.scale, tuple) and len(self.init.scale) != self.layers:
            yield "net.init.scale", f"must be one number, or {self.layers}: one per layer, the output layer last"

    def _fixed_readout_problems(self, trial: Trial) -> Iterator[tuple[str, str]]:
        if self.outputs != 1:
            yield "net.readout", f"{self.readout} gives a single output; add outputs: 1"
        if not self.hidden or self.batch_norm:
            yield "net.readout", f"{self.readout} takes hidden units, and no batch norm between them and the output"
        elif self.layers in trial.prune.pruned_layers(self.layers):
            yield "prune.layers", f"layer {self.layers} is fixed (net.readout: {self.readout}); leave it out"
