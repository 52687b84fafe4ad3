"""Any `torch.nn.Module`, made by a function of the user's."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, JsonValue, model_validator

from impray.spec.base import Spec
from impray.spec.nets.base import Kernel, NetSpec
from impray.spec.nets.mlp import Init

if TYPE_CHECKING:
    from impray.spec.trial import Trial


class LayerSize(Spec):
    """What the factory's module says of one layer."""

    shape: Annotated[
        tuple[Annotated[int, Field(ge=1)], ...],
        Field(
            min_length=2, description="of its weight: units, inputs; or channels, channels of the input, rows, columns"
        ),
    ]
    bias: Annotated[bool, Field(description="whether the layer has biases")] = True
    dense: Annotated[
        bool,
        Field(description="whether a unit reads all that lies below, once; a kernel that is moved over it does not"),
    ] = True

    def input_shape(self, number: int, of_data: tuple[int, ...]) -> tuple[int, ...]:
        """How one unit's inputs lie: those of layer 1 as the data's, where it reads them whole; those of a kernel on images as the
        kernel's (one channel is none, as of grey images); else in a row."""
        inputs = math.prod(self.shape[1:])
        if number == 1 and self.dense and inputs == math.prod(of_data):
            return of_data
        if len(self.shape) == 4:
            return self.shape[2:] if self.shape[1] == 1 else self.shape[1:]
        return (inputs,)


class Module(NetSpec):
    """A `torch.nn.Module` that a function of yours makes: factory(input_shape, outputs, **arguments).

    input_shape is (channel, row, col) for images, with one channel where they are grey, and (input,) otherwise; the module is called
    with [sample, *input_shape] and gives [sample, outputs]. Layers, which are pruned and measured, are its Linear, Conv1d, Conv2d and
    Conv3d in the order of `named_modules()`, so that the last one is the output layer; other parameters are trained only. Decay acts
    on parameters of two or more dimensions.

    The factory is code that you chose: it is imported and called wherever the sweep is loaded or runs. Ids know its name, arguments,
    `version` and layers: give it another version when it changes in a way that its layers' sizes do not show.
    """

    packable: ClassVar[frozenset[str]] = frozenset()

    kind: Literal["module"] = "module"
    factory: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$",
            description="package.module:function, importable on every machine that trains; or plugin:function, plugin being the stem of "
            "a file among the sweep's plugins",
        ),
    ]
    arguments: Annotated[dict[str, JsonValue], Field(description="passed to the factory by name")] = {}
    version: Annotated[str, Field(description="of the factory; part of the id")] = ""
    outputs: Annotated[
        Literal["classes", 1], Field(description="one output per class, or a single one (two classes, loss mse)")
    ] = "classes"
    init: Annotated[
        Literal["module"] | Init,
        Field(
            description="module: weights as the factory's module draws them, from torch's generator; or the layers' weights are "
            "drawn as an mlp's (fan_in: inputs of one unit; fan_out: units times the size of the kernel) and their biases are 0"
        ),
    ] = "module"
    sizes: Annotated[
        tuple[LayerSize, ...],
        Field(description="the layers, first to last; left out, the factory is asked when the sweep is loaded"),
    ] = ()

    @model_validator(mode="before")
    @classmethod
    def _numbers_in_arguments_are_canonical(cls, values: Any) -> Any:
        # 1 and 1.0 ask for the same thing, as everywhere; the factory gets a whole number.
        if isinstance(values, dict) and isinstance(values.get("arguments"), dict):
            return {**values, "arguments": plain(values["arguments"])}
        return values

    @model_validator(mode="after")
    def _asked(self) -> Module:
        if not self.sizes:
            raise ValueError(
                "sizes: is missing: the layers, first to last, such as [{shape: [100, 784]}, {shape: [2, 100]}]"
            )
        return self

    def output_count(self, classes: int) -> int:
        return 1 if self.outputs == 1 else classes

    def kernels(self, input_shape: tuple[int, ...], outputs: int) -> tuple[Kernel, ...]:
        return tuple(
            Kernel(
                size.shape[0], math.prod(size.shape[1:]), size.bias, size.input_shape(place, input_shape), size.dense
            )
            for place, size in enumerate(self.sizes, start=1)
        )

    def words(self, kernels: tuple[Kernel, ...]) -> str:
        layers = ":".join("x".join(map(str, size.shape)) for size in self.sizes)
        arguments = ", ".join(f"{name} {value}" for name, value in self.arguments.items())
        return f"{self.factory}{f' ({arguments})' if arguments else ''}, layers {layers}"

    def impossible(self, trial: Trial) -> Iterator[tuple[str, str]]:
        scale = 1.0 if self.init == "module" else self.init.scale
        if isinstance(scale, tuple) and len(scale) != len(self.sizes):
            yield "net.init.scale", f"must be one number, or {len(self.sizes)}: one per layer, the output layer last"

    def shared(self) -> Module:
        if self.init == "module":
            return self
        return self.model_copy(update={"init": self.init.model_copy(update={"scale": 1.0})})


def plain(value: Any) -> Any:
    """Arguments of a factory with whole numbers for whole floats."""
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, list):
        return [plain(part) for part in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
