"""Kinds of networks and their initialisations."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from impray.spec.base import Spec

Activation = Literal["relu", "sigmoid", "erf", "tanh", "linear"]
Scale = Annotated[float, Field(ge=0)]


class Init(Spec):
    """How weights start: zero-mean with this standard deviation times `scale`; biases start at 0.

    glorot_*: sqrt(2 / (fan_in + fan_out)); fan_in_*: 1 / sqrt(fan_in); normal, uniform: 1. The uniform forms have the same
    standard deviation as the normal ones (their limit is sqrt(3) times it).
    """

    packable: ClassVar[frozenset[str]] = frozenset({"scale"})

    kind: Literal["glorot_normal", "glorot_uniform", "fan_in_normal", "fan_in_uniform", "normal", "uniform"] = (
        "glorot_normal"
    )
    scale: Annotated[
        Scale | Annotated[tuple[Scale, ...], Field(min_length=1)],
        Field(description="one number, or one per layer (output layer last)"),
    ] = 1.0

    def scale_of(self, layer: int) -> float:
        """Factor of layer `layer` (1 is the first)."""
        return self.scale[layer - 1] if isinstance(self.scale, tuple) else self.scale


class Mlp(Spec):
    """A multilayer perceptron: `hidden` sizes, then one output per class.

    With `batch_norm`, a batch norm stands before every product, the first included (as Pellegrini & Biroli's code):
    BN, W x + b, activation. eps 1e-10, population variance, evaluation by an exponential moving average (0.99).
    """

    kind: Literal["mlp"] = "mlp"
    hidden: tuple[Annotated[int, Field(ge=1)], ...] = (100,)
    activation: Activation = "relu"
    batch_norm: bool = False
    bias: Annotated[bool, Field(description="whether layers have biases")] = True
    outputs: Annotated[
        Literal["classes", 1], Field(description="one output per class, or a single one (two classes, loss mse)")
    ] = "classes"
    readout: Annotated[
        Literal["trained", "mean"],
        Field(
            description="the output layer's weights are trained; or the single output is the mean over the last hidden "
            "layer's units, fixed: a soft committee machine, with one unit that unit alone"
        ),
    ] = "trained"
    init: Init = Init()

    @field_validator("hidden", mode="before")
    @classmethod
    def _one_layer_may_be_a_number(cls, hidden: object) -> object:
        return [hidden] if isinstance(hidden, int) and not isinstance(hidden, bool) else hidden

    @property
    def layers(self) -> int:
        """Number of weight matrices."""
        return len(self.hidden) + 1
