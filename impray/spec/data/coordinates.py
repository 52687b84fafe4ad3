"""An image as a function of its coordinates."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from impray.spec.data.base import DataSpec, Draw
from impray.spec.data.photographs import OTHERS, TEN


class ImageCoordinates(DataSpec):
    """One grey image to be represented by a network: inputs are Fourier features of a pixel's place, the target is its value in [0, 1].

    phi(p) = [sin(2 pi B p), cos(2 pi B p)], B [features / 2, 2] ~ N(0, sigma^2), drawn by the lineage's seed; p = (row, col) in [0, 1]
    (`unit`) or in whole pixels (`integer`, as Fridovich-Keil & Pilanci's code has it: sigma = 2 is aliased then). A share of the pixels
    is held out, at random.
    """

    packable: ClassVar[frozenset[str]] = frozenset({"sigma"})
    offers: ClassVar[frozenset[str]] = frozenset({"batches", "whole"})
    targets: ClassVar[Literal["classes", "real"]] = "real"

    kind: Literal["image_coordinates"] = "image_coordinates"
    image: Annotated[
        str,
        Field(
            min_length=1,
            description="a picture that comes with scikit-image or scikit-learn, such as camera, or a file",
        ),
    ] = "camera"
    side: Annotated[
        int, Field(ge=4, le=512, description="the image is cut to a square and averaged to side x side pixels")
    ] = 64
    features: Annotated[
        int, Field(ge=2, multiple_of=2, description="Fourier features of a pixel: half sines, half cosines")
    ] = 512
    sigma: Annotated[
        float, Field(gt=0, description="standard deviation of the frequencies, in cycles per unit of p")
    ] = 4.0
    coordinates: Annotated[
        Literal["unit", "integer"], Field(description="a pixel as (row, col) in [0, 1], or in whole pixels")
    ] = "unit"
    held_out_fraction: Annotated[float, Field(gt=0, lt=1, description="share of the pixels that is held out")] = 0.2
    draw: Draw = 0

    @property
    def path(self) -> str | None:
        """Of the image's file; None where it comes with a package."""
        return None if self.image in (*TEN, *OTHERS) else self.image

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (self.features,)

    @property
    def classes(self) -> int:
        return 1
