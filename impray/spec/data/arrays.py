"""Arrays of your own."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from impray.spec.data.base import all_positive
from impray.spec.data.files import FileData


class Arrays(FileData):
    """Your own arrays: .npz, .npy or Parquet. Inputs of unsigned bytes stay so, all others become float32.

    Images are channels first. Nothing is centred or scaled by default; the inputs should have a variance near 1. The paths are part of
    a lineage's id: write them the same way each time.
    """

    kind: Literal["arrays"] = "arrays"
    path: Annotated[
        str,
        Field(
            min_length=1,
            description="a .npz file (arrays `inputs` and `labels`), a .npy file of inputs, or a .parquet file (a "
            "column `inputs` of lists, or every numeric column but `labels`), at the same place on every machine, or a "
            "URI such as s3://bucket/file.npz",
        ),
    ]
    shape: Annotated[tuple[int, ...], Field(description="of one input: [unit], [row, col] or [channel, row, col]")]
    class_count: Annotated[int, Field(ge=2, description="labels go from 0 to class_count - 1")]
    labels_path: Annotated[str | None, Field(description="labels of a .npy file, also .npy")] = None
    held_out_path: Annotated[
        str | None, Field(description="held-out inputs in a file of their own, as `path`; else a share of `path`")
    ] = None
    held_out_labels_path: Annotated[str | None, Field(description="labels of a held-out .npy file, also .npy")] = None
    held_out_fraction: Annotated[
        float, Field(gt=0, lt=1, description="share held out at random, by `draw`, where there is no held_out_path")
    ] = 0.2
    inputs_name: Annotated[str, Field(min_length=1, description="name of the inputs in a .npz or Parquet file")] = (
        "inputs"
    )
    labels_name: Annotated[str, Field(min_length=1, description="name of the labels in a .npz or Parquet file")] = (
        "labels"
    )
    center: Annotated[
        Literal["image", "class", "none"],
        Field(
            description="remove the training mean, or each class's own (from held-out inputs too, by their label), or "
            "nothing"
        ),
    ] = "none"
    scale: Annotated[
        Literal["pixel", "deviation", "none"],
        Field(
            description="divide by 255, or by the standard deviation of all centred training inputs (one number), or "
            "by nothing"
        ),
    ] = "none"

    @field_validator("shape")
    @classmethod
    def _one_to_three_axes(cls, shape: tuple[int, ...]) -> tuple[int, ...]:
        if len(shape) not in (1, 2, 3):
            raise ValueError("must be [unit], [row, col] or [channel, row, col]")
        all_positive(shape)
        return shape

    @field_validator("path", "held_out_path")
    @classmethod
    def _known_formats(cls, path: str | None) -> str | None:
        if path is not None and not path.endswith((".npz", ".npy", ".parquet")):
            raise ValueError("must end in .npz, .npy or .parquet")
        return path

    @field_validator("labels_path", "held_out_labels_path")
    @classmethod
    def _labels_are_npy(cls, path: str | None) -> str | None:
        if path is not None and not path.endswith(".npy"):
            raise ValueError("must end in .npy")
        return path

    @model_validator(mode="after")
    def _labels_of_npy(self) -> Self:
        pairs = (("path", "labels_path"), ("held_out_path", "held_out_labels_path"))
        for inputs, labels in pairs:
            path, of_labels = getattr(self, inputs), getattr(self, labels)
            bare = path is not None and path.endswith(".npy")
            if bare and of_labels is None:
                raise ValueError(f"{labels}: is missing: a .npy file holds inputs only; name the .npy file of labels")
            if of_labels is not None and not bare:
                raise ValueError(f"{labels}: is for a .npy file in {inputs}; other formats hold the labels themselves")
        return self

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self.shape

    @property
    def stored_classes(self) -> int:
        return self.class_count
