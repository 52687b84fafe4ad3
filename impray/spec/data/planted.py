"""Targets of a planted network."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from impray.spec.data.base import DataSpec


class Planted(DataSpec):
    """Targets of a sparse ReLU network that is drawn: y = sum_j a_j relu(w_j x), x ~ N(0, I), a_j = 1 (`sum`) or +1, -1 in turn (`signed`).

    `nonzero` of the units x inputs weights are not 0: places drawn without replacement, N(0, 1) values. With three layers
    y = sum_j a_j relu(v_j relu(W x)), half of them (rounded up) in W, [units, inputs], the rest in v, [units, units].

    With `stream: impray` a seed draws its own inputs, truth and noise. `stream: authors` are the numbers of Fridovich-Keil & Pilanci
    (2025), so that their runs can be met seed by seed: numpy's legacy generator, inputs and targets rounded to float32.
    """

    packable: ClassVar[frozenset[str]] = frozenset({"nonzero", "noise_scale"})
    offers: ClassVar[frozenset[str]] = frozenset({"batches", "whole", "truth"})
    targets: ClassVar[Literal["classes", "real"]] = "real"

    kind: Literal["planted"] = "planted"
    samples: Annotated[int, Field(ge=1, description="n, training inputs")] = 50_000
    inputs_count: Annotated[int, Field(ge=1, description="d, length of an input")] = 100
    units: Annotated[
        int, Field(ge=1, description="m, hidden units of the planted network, in each of its hidden layers")
    ]
    nonzero: Annotated[int, Field(ge=1, description="s, weights of the planted network that are not 0")]
    layers: Annotated[Literal[2, 3], Field(description="of the planted network, the readout among them")] = 2
    readout: Annotated[Literal["sum", "signed"], Field(description="the fixed readout of the planted network")] = "sum"
    stream: Annotated[
        Literal["impray", "authors"], Field(description="whose random numbers: impray's named streams, or the paper's")
    ] = "impray"
    noise_scale: Annotated[float, Field(ge=0, description="standard deviation of Gaussian noise on the targets")] = 0.0
    held_out: Annotated[int, Field(ge=1, description="new inputs with their targets, without noise")] = 10_000

    def impossible(self) -> Iterator[tuple[str, str]]:
        places = self.units * self.inputs_count
        if self.layers == 2 and self.nonzero > places:
            yield "nonzero", f"must be at most units x inputs_count = {places}"
        if self.layers == 3 and (-(-self.nonzero // 2) > places or self.nonzero // 2 > self.units**2):
            yield "nonzero", f"half of them must fit into {places} and half into {self.units**2} weights"
        if self.stream == "authors" and (self.noise_scale > 0 or self.layers == 3 or self.readout == "signed"):
            yield "stream", "the paper's numbers are of two layers with readout: sum, without noise"

    @property
    def support(self) -> int:
        """As `DataSpec.support`: s."""
        return self.nonzero

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (self.inputs_count,)

    @property
    def classes(self) -> int:
        return 1
