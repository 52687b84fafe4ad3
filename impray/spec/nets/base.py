"""What every kind of network says of itself, free of torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from impray.spec.base import Spec

if TYPE_CHECKING:
    from impray.spec.trial import Trial


@dataclass(frozen=True)
class Kernel:
    """The size of a layer: a matrix of so many units and inputs each, with a bias per unit or none.

    Args:    input_shape, dense: as of `impray.nets.Layer`: how one unit's inputs lie (left out: in a row), and whether it reads all
             that lies below.
    """

    units: int
    inputs: int
    bias: bool
    input_shape: tuple[int, ...] = ()
    dense: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "input_shape", self.input_shape or (self.inputs,))


class NetSpec(Spec):
    """What every kind of network says of itself."""

    def output_count(self, classes: int) -> int:
        """Outputs for data of that many classes."""
        return classes

    def kernels(self, input_shape: tuple[int, ...], outputs: int) -> tuple[Kernel, ...]:
        """The layers' sizes on inputs of that shape, the first layer first, the output layer last."""
        raise NotImplementedError

    def parameters(self, kernels: tuple[Kernel, ...]) -> int:
        """How many numbers a trained network of this kind is stored with, about: for estimates of memory and disk."""
        return sum(kernel.units * (kernel.inputs + kernel.bias) for kernel in kernels)

    def words(self, kernels: tuple[Kernel, ...]) -> str:
        """The network as a report says it: `100:32:2 relu`."""
        return ":".join(map(str, [kernels[0].inputs, *(kernel.units for kernel in kernels)]))

    def impossible(self, trial: Trial) -> Iterator[tuple[str, str]]:
        """(path below `trial`, what would be right) of what cannot be in this trial."""
        yield from ()

    def shared(self) -> NetSpec:
        """This spec without what may differ between the nets of a pack besides what is `packable`: a part of `init`, say."""
        return self
