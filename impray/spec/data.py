"""Kinds of data: one class each, with its parameters and what is meant by them."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

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


class DataSpec(Spec):
    """What every kind of data says of itself."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(unit,), (row, col) or (channel, row, col) of one input."""
        raise NotImplementedError

    @property
    def classes(self) -> int:
        raise NotImplementedError

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


class Nlgp(DataSpec):
    """Non-linear Gaussian process on a ring or torus: x = erf(gain z) / Z(gain), z ~ N(0, C), C_ij = exp(-d_ij^2 / xi^2).

    Lufkin et al. (2024), section 2; d is the circular distance and Z makes the variance 1. gain -> 0 is Gaussian, a large gain
    is binary. Class c has the length scale xi[c]: by the papers' convention class 0 is the short one.
    """

    packable: ClassVar[frozenset[str]] = frozenset({"gain", "xi", "gaussian_blend"})

    kind: Literal["nlgp"] = "nlgp"
    shape: Annotated[tuple[int, ...], Field(description="[40] is a ring of 40 inputs, [12, 12] a torus")] = (40,)
    gain: Annotated[
        float, Field(gt=0, description="slope of the error function, Lufkin's g (Goldt's divided by sqrt 2)")
    ] = 1.0
    xi: Annotated[tuple[float, ...], Field(min_length=2, description="length scale of each class, in pixels")] = (
        1.0,
        2.0,
    )
    gaussian_blend: Blend = 0.0
    held_out: Annotated[int, Field(ge=2, description="held-out samples per class, fresh for each seed")] = 500

    @field_validator("shape")
    @classmethod
    def _one_or_two_axes(cls, shape: tuple[int, ...]) -> tuple[int, ...]:
        if len(shape) not in (1, 2) or any(side < 2 for side in shape):
            raise ValueError("must be [n] (a ring) or [rows, cols] (a torus), each side at least 2")
        return shape

    @field_validator("xi")
    @classmethod
    def _positive_lengths(cls, xi: tuple[float, ...]) -> tuple[float, ...]:
        if any(length <= 0 for length in xi):
            raise ValueError("must be positive length scales in pixels, one per class")
        return xi

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self.shape

    @property
    def classes(self) -> int:
        return len(self.xi)


class Photographs(DataSpec):
    """Random crops of the real photographs that come with scikit-learn and scikit-image; the label is the photograph.

    Train and held-out crops come from disjoint regions of each photograph. `center: class` removes each class's mean image
    (from held-out crops too: this uses their labels), then one global scale brings the variance to 1.
    """

    packable: ClassVar[frozenset[str]] = frozenset({"gaussian_blend", "clone"})

    kind: Literal["photographs"] = "photographs"
    shape: Annotated[tuple[int, int], Field(description="rows and columns of a crop, in pixels")] = (16, 16)
    colour: Annotated[bool, Field(description="three channels from the colour photographs only, or grey from all")] = (
        False
    )
    reduce: Annotated[int, Field(ge=1, le=8, description="block-average the photographs by this factor first")] = 2
    crops: Annotated[int, Field(ge=2, description="training crops per class")] = 3000
    held_out: Annotated[int, Field(ge=2, description="held-out crops per class")] = 300
    flips: Annotated[bool, Field(description="flip half of the crops left-right")] = True
    center: Annotated[
        Literal["class", "global"], Field(description="remove each class's mean image, or the mean over all")
    ] = "class"
    gaussian_blend: Blend = 0.0
    clone: Annotated[
        Literal["channel", "joint"],
        Field(description="fit the clone's covariance per colour channel (as Redman et al.) or jointly"),
    ] = "channel"
    draw: Draw = 0

    @model_validator(mode="after")
    def _sides(self) -> Photographs:
        if any(side < 4 or side > 64 for side in self.shape):
            raise ValueError("shape: each side of a crop must be 4 to 64 pixels")
        return self

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (3, *self.shape) if self.colour else self.shape

    @property
    def classes(self) -> int:
        return 7 if self.colour else 10


Data = Annotated[Nlgp | Photographs, Field(discriminator="kind")]
DATA_KINDS: tuple[type[DataSpec], ...] = (Nlgp, Photographs)
