"""What a network is to the rest of the package: its layers, and functions of all nets of a pack at once.

Names of parameters are known to the network alone. Everything else asks its layers: which tensor is a layer's weight, which its
bias, and how a kernel is a matrix [unit, input].
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

Params = dict[str, Tensor]
"""Parameters (or masks, or statistics) of nets by name, each with a leading `net` axis unless said otherwise."""


@dataclass(frozen=True)
class Layer:
    """A weight matrix of a network.

    Args:
        number: from 1; the output layer is the last.
        weight, bias: the names of its tensors; None where it has no bias.
        shape: of the weight as it is stored, the units first: (unit, input) or (channel, channel of the input, row, col).
        input_shape: how one unit's inputs lie: (input,), (row, col) or (channel, row, col).
        dense: whether a unit reads the whole of what lies below; a kernel that is moved over it does not.
    """

    number: int
    weight: str
    bias: str | None
    shape: tuple[int, ...]
    input_shape: tuple[int, ...]
    dense: bool = True

    @property
    def units(self) -> int:
        return self.shape[0]

    @property
    def inputs(self) -> int:
        """Inputs of one unit."""
        return math.prod(self.shape[1:])

    def matrix(self, values: Shaped[Tensor, "*net unit ..."]) -> Shaped[Tensor, "*net unit input"]:
        """Weights (or their masks) as a matrix; a view where memory allows it."""
        if len(self.shape) == 2:
            return values
        return values.reshape(*values.shape[: values.dim() - len(self.shape)], self.units, self.inputs)


class Network(ABC):
    """The shared form of the nets of a pack. A net's numbers do not depend on its neighbours (`exact`: not in the last bit).

    Attributes: layers: first to last. exact: whether a net's numbers are the same, bit for bit on one kind of CPU, whatever
    nets stand beside it. packed: whether nets train as one program, which a CUDA graph may record; else one after the other.
    """

    @property
    @abstractmethod
    def layers(self) -> tuple[Layer, ...]: ...

    @property
    def exact(self) -> bool:
        return True

    @property
    def packed(self) -> bool:
        return True

    @property
    def engine(self) -> Any | None:
        """What computes its gradients, an `impray.training.engine.MakeEngine`; None: the built-in one of its class."""
        return None

    @abstractmethod
    def initial(
        self, specs: Sequence[Any], seeds: Sequence[int], dtype: torch.dtype, device: torch.device | str
    ) -> Params:
        """Parameters before the first update.

        Args:    specs, seeds: one per net; specs may differ in what is packable. A net's draw depends on its own only (stream
                 `init`).
        """
        ...

    @abstractmethod
    def preactivations(
        self, params: Params, inputs: Float[Tensor, "net sample input"], stats: Params | None = None, last: int = 0
    ) -> list[Float[Tensor, "net sample unit"]]:
        """What each layer's units add up, first layer to layer `last` (0: all; then the last ones are the outputs).

        Args:    stats: evaluation statistics as trained nets carry them; None: those of these inputs, where it has any.
        Returns: of a layer that is not dense an empty tensor stands in its place.
        """
        ...

    @abstractmethod
    def addends(
        self,
        params: Params,
        inputs: Float[Tensor, "sample input"],
        stats: Params | None,
        below: Float[Tensor, "sample lower"] | None,
        layer: Layer,
    ) -> tuple[Float[Tensor, "unit feature"], Float[Tensor, "sample feature"]]:
        """Weights w and inputs h of one dense layer of one net, whose products w h add up to its preactivations, offsets left out.

        Args:    params, stats: with a net axis of 1. below: preactivations of the layer below; None for the first layer, and
                 where that one is not dense.
        """
        ...

    @abstractmethod
    def affine(self, params: Params) -> Params | None:
        """Statistics that make normalisation its affine part alone, gamma x + beta; None where there is none."""
        ...

    @abstractmethod
    def joins_samples(self, stats: Params | None) -> bool:
        """Whether one sample's preactivations depend on the others."""
        ...
