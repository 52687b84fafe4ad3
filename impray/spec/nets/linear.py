"""Linear models: one layer, no bias."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from impray.spec.base import Spec
from impray.spec.nets.base import Kernel, NetSpec
from impray.spec.nets.mlp import Scale


class LinearInit(Spec):
    """How weights start: N(0, scale^2); 0 with the default."""

    packable: ClassVar[frozenset[str]] = frozenset({"scale"})

    scale: Annotated[Scale, Field(description="standard deviation of the initial weights; 0: they start at 0")] = 0.0


class LinearNet(NetSpec):
    """A linear model: every output is a weighted sum of the inputs, without bias. All of its weights are prunable (`layers: all`)."""

    kind: Literal["linear"] = "linear"
    init: Annotated[LinearInit, Field(description="how weights start")] = LinearInit()

    def kernels(self, input_shape: tuple[int, ...], outputs: int) -> tuple[Kernel, ...]:
        return (Kernel(outputs, math.prod(input_shape), False, input_shape),)

    def shared(self) -> LinearNet:
        return self.model_copy(update={"init": LinearInit()})
