"""Linear models: one layer, no bias."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from impray.spec.base import Spec
from impray.spec.nets.base import Kernel, NetSpec
from impray.spec.nets.mlp import Scale


class LinearInit(Spec):
    """How weights start: N(0, scale^2); 0 with the default."""

    packable: ClassVar[frozenset[str]] = frozenset({"scale"})

    scale: Scale = 0.0


class LinearNet(NetSpec):
    """A linear model: every output is a weighted sum of the inputs, without bias. All of its weights are prunable (`layers: all`)."""

    kind: Literal["linear"] = "linear"
    init: LinearInit = LinearInit()

    def kernels(self, input_shape: tuple[int, ...], outputs: int) -> tuple[Kernel, ...]:
        return (Kernel(outputs, math.prod(input_shape), False, input_shape),)

    def shared(self) -> LinearNet:
        return self.model_copy(update={"init": LinearInit()})
