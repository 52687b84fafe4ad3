"""What the kinds of data that are read from files share."""

from __future__ import annotations

from posixpath import normpath
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from impray.spec.data.base import Blend, DataSpec, Draw


class FileData(DataSpec):
    """What the kinds read from files share; `impray.data.stored` says how the files are opened.

    x = (inputs - mean) / scale, the mean and the scale taken from training inputs. The mean image of imagenet32 is the
    `mean` array of its first batch, as in the papers' code.
    """

    packable: ClassVar[frozenset[str]] = frozenset({"gaussian_blend", "clone"})
    offers: ClassVar[frozenset[str]] = frozenset({"batches", "whole"})

    # Fields that a sweep may leave out where its files say them: `impray.spec.left_out` fills them in before anything is
    # validated, so a spec always has them, and ids hash what was found.
    said_by_files: ClassVar[frozenset[str]] = frozenset()

    # Fields that say which files and arrays these are.
    sources: ClassVar[frozenset[str]] = frozenset({"path"})

    path: Annotated[
        str,
        Field(
            min_length=1,
            description="the file or folder that holds the data: absolute, or seen from the folder in which impray is "
            "started (not from the sweep's file); at the same place on every machine, or a URI such as "
            "s3://bucket/folder",
        ),
    ]
    center: Annotated[
        Literal["image", "class", "none"],
        Field(
            description="remove the training mean image, or each class's own (from held-out inputs too, by their "
            "label), or nothing"
        ),
    ] = "image"
    scale: Annotated[
        Literal["pixel", "deviation", "none"],
        Field(
            description="divide by 255, or by the standard deviation of all centred training inputs (one number), or "
            "by nothing"
        ),
    ] = "pixel"
    keep_classes: Annotated[
        int | None, Field(ge=2, description="only the first n classes, labels 0 to n - 1; all by default")
    ] = None
    held_out: Annotated[
        int | None,
        Field(ge=1, description="held-out inputs per class, the first ones in the files; all by default"),
    ] = None
    gaussian_blend: Blend = 0.0
    clone: Annotated[
        Literal["channel", "joint"],
        Field(description="fit the clone's covariance per colour channel (as Redman et al.) or jointly"),
    ] = "channel"
    clone_images: Annotated[
        int | None,
        Field(ge=2, description="training inputs, drawn at random by `draw`, that the clone is fitted to; null: all"),
    ] = 100_000
    draw: Draw = 0

    @model_validator(mode="after")
    def _no_more_than_there_are(self) -> Self:
        if self.keep_classes is not None and self.keep_classes > self.stored_classes:
            raise ValueError(f"keep_classes: must be at most {self.stored_classes}, the classes in the files")
        return self

    @property
    def stored_classes(self) -> int:
        """Classes in the files, before `keep_classes`."""
        raise NotImplementedError

    @property
    def classes(self) -> int:
        return self.keep_classes or self.stored_classes


def same_place(first: str, second: str) -> bool:
    """Whether two paths are the same by their writing: `./a.npz` and `a.npz` are."""
    return first == second or ("://" not in first + second and normpath(first) == normpath(second))
