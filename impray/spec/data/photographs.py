"""Crops of real photographs."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from impray.spec.data.base import Blend, DataSpec, Draw

TEN = ("china", "flower", "astronaut", "camera", "chelsea", "coffee", "rocket", "motorcycle", "coins", "moon")
OTHERS = ("brick", "cell", "clock", "grass", "gravel", "hubble", "ihc", "microaneurysms", "page", "retina")
GREY = ("camera", "coins", "moon", "brick", "cell", "clock", "grass", "gravel", "microaneurysms", "page")


class Photographs(DataSpec):
    """Random crops of the real photographs that come with scikit-learn and scikit-image; the label is the photograph.

    Train and held-out crops come from disjoint regions of each photograph. `center: class` removes each class's mean image
    (from held-out crops too: this uses their labels), then one global scale brings the variance to 1.
    """

    packable: ClassVar[frozenset[str]] = frozenset({"gaussian_blend", "clone"})
    offers: ClassVar[frozenset[str]] = frozenset({"batches", "whole"})

    kind: Literal["photographs"] = "photographs"
    shape: Annotated[tuple[int, int], Field(description="rows and columns of a crop, in pixels")] = (16, 16)
    colour: Annotated[bool, Field(description="three channels from the colour photographs only, or grey from all")] = (
        False
    )
    images: Annotated[
        tuple[Literal[*TEN, *OTHERS], ...] | None,  # type: ignore[valid-type]
        Field(min_length=2, description="which pictures, in the order of their labels; by default the ten photographs"),
    ] = None
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

    @model_validator(mode="after")
    def _pictures(self) -> Photographs:
        images = self.images or ()
        grey = [name for name in images if name in GREY]
        if self.colour and grey:
            raise ValueError(
                f"images: {', '.join(grey)} {'are' if len(grey) > 1 else 'is'} grey; leave colour or them out"
            )
        if len(set(images)) < len(images):
            raise ValueError("images: each picture once; it is a class")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The pictures of the classes, in the order of their labels."""
        return self.images or tuple(name for name in TEN if not (self.colour and name in GREY))

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (3, *self.shape) if self.colour else self.shape

    @property
    def classes(self) -> int:
        return len(self.names)
