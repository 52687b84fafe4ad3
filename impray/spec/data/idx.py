"""Grey images in the idx format."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from impray.spec.data.base import ClassCount, FirstLabel, all_positive
from impray.spec.data.files import FileData


class Idx(FileData):
    """MNIST, Fashion-MNIST, EMNIST and others in the idx format, plain or .gz: grey images of one size.

    `path` is the folder with train-images-idx3-ubyte, train-labels-idx1-ubyte and the two t10k files, or the one above it in
    torchvision's layout (MNIST/raw). It tells MNIST from Fashion-MNIST, so it is part of a lineage's id: write it the same way
    each time. EMNIST letters are {train_name: emnist-letters-train, held_out_name: emnist-letters-test, first_label: 1}. EMNIST's
    files hold their images transposed, and they stay so here: rows are what one reads as columns.
    """

    said_by_files: ClassVar[frozenset[str]] = frozenset({"shape", "class_count"})
    sources: ClassVar[frozenset[str]] = frozenset({"path", "train_name", "held_out_name", "first_label"})

    kind: Literal["idx"] = "idx"
    # The defaults are those that ids leave out; a sweep that leaves these fields out gets what its files say.
    shape: Annotated[
        tuple[int, int],
        Field(description="rows and columns of an image; left out: as the files have them"),
    ] = (28, 28)
    class_count: ClassCount = 10
    first_label: FirstLabel = 0
    train_name: Annotated[
        str, Field(pattern=r"^[^/]+$", description="training files are called <train_name>-images-idx3-ubyte and so on")
    ] = "train"
    held_out_name: Annotated[
        str, Field(pattern=r"^[^/]+$", description="as train_name, of the held-out files; EMNIST has a test")
    ] = "t10k"

    @field_validator("shape")
    @classmethod
    def _sides(cls, shape: tuple[int, int]) -> tuple[int, int]:
        all_positive(shape)
        return shape

    @model_validator(mode="after")
    def _two_parts(self) -> Self:
        if self.train_name == self.held_out_name:
            raise ValueError("held_out_name: is train_name too, so that training rows would be held out")
        return self

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self.shape

    @property
    def stored_classes(self) -> int:
        return self.class_count
