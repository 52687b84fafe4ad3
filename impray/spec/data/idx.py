"""Grey images in the idx format."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from impray.spec.data.base import all_positive
from impray.spec.data.files import FileData


class Idx(FileData):
    """MNIST, Fashion-MNIST and others in the idx format, plain or .gz: grey images of one size.

    `path` is the folder with train-images-idx3-ubyte, train-labels-idx1-ubyte and the two t10k files. It tells MNIST from
    Fashion-MNIST, so it is part of a lineage's id: write it the same way each time.
    """

    kind: Literal["idx"] = "idx"
    shape: Annotated[tuple[int, int], Field(description="rows and columns of an image, as the files have them")] = (
        28,
        28,
    )
    class_count: Annotated[int, Field(ge=2, description="labels in the files go from 0 to class_count - 1")] = 10

    @field_validator("shape")
    @classmethod
    def _sides(cls, shape: tuple[int, int]) -> tuple[int, int]:
        all_positive(shape)
        return shape

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self.shape

    @property
    def stored_classes(self) -> int:
        return self.class_count
