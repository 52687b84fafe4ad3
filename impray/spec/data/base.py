"""What every kind of data says of itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from impray.spec.base import Spec

Blend = Annotated[
    float,
    Field(
        ge=0,
        le=1,
        description="0 is the data, 1 their Gaussian clone: same class means and covariances, no higher cumulants",
    ),
]
Draw = Annotated[
    int,
    Field(ge=0, description="which draw of the fixed data set (crops, clone, held-out sample); not a lineage's seed"),
]

ClassCount = Annotated[
    int,
    Field(
        ge=2,
        description="labels are first_label and the class_count - 1 numbers after it; left out: as many as the "
        "files have. More than they have gives outputs for classes that never occur",
    ),
]
FirstLabel = Annotated[int, Field(ge=0, description="the label of class 0 in the files: 1 where labels count from 1")]


class DataSpec(Spec):
    """What every kind of data says of itself.

    `offers` names what a training may have of it (`TrainingSpec.needs`): `batches`, drawn anew; the `whole` training set, which is
    finite then; the `truth`, weights that made the targets. `targets`: a class per sample, or real numbers, one per output.
    """

    offers: ClassVar[frozenset[str]] = frozenset({"batches"})
    targets: ClassVar[Literal["classes", "real"]] = "classes"

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(unit,), (row, col) or (channel, row, col) of one input."""
        raise NotImplementedError

    @property
    def classes(self) -> int:
        """How many classes there are; of real targets, how many numbers a target is."""
        raise NotImplementedError

    def impossible(self) -> Iterator[tuple[str, str]]:
        """(path below `data`, what would be right) of fields that are fine one by one but cannot be together."""
        yield from ()

    @property
    def support(self) -> int | None:
        """How many weights of the truth are not 0; None where there is no truth."""
        return None

    @property
    def inputs(self) -> int:
        """Length of one flattened input."""
        product = 1
        for side in self.input_shape:
            product *= side
        return product

    @property
    def is_image(self) -> bool:
        return len(self.input_shape) >= 2


def all_positive(shape: tuple[int, ...]) -> None:
    if any(side < 1 for side in shape):
        raise ValueError("must have sides of 1 or more")
