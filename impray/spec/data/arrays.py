"""Arrays of your own."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from impray.spec.data.base import ClassCount, FirstLabel, all_positive
from impray.spec.data.files import FileData, same_place

_OR_SHARE = "or leave held_out_path out: a random share is held out (held_out_fraction)"


class Arrays(FileData):
    """Your own arrays: .npz, .npy or Parquet. Inputs of unsigned bytes stay so, all others become float32.

    Which rows are held out: those of `held_out_path`; else those of the arrays that held_out_inputs_name and
    held_out_labels_name name in `path`; else those that the column held_out_rows_name marks; else a random share. Keras' .npz files
    are {inputs_name: x_train, labels_name: y_train, held_out_inputs_name: x_test, held_out_labels_name: y_test}, MedMNIST's the
    same with train_images, train_labels, test_images (or val_images) and test_labels.

    Images are channels first. Nothing is centred or scaled by default; the inputs should have a variance near 1. The paths are part of
    a lineage's id: write them the same way each time.
    """

    said_by_files: ClassVar[frozenset[str]] = frozenset({"shape", "class_count"})
    sources: ClassVar[frozenset[str]] = frozenset(
        {"path", "labels_path", "held_out_path", "held_out_labels_path", "inputs_name", "labels_name"}
        | {"held_out_inputs_name", "held_out_labels_name", "held_out_rows_name", "first_label"}
    )

    kind: Literal["arrays"] = "arrays"
    path: Annotated[
        str,
        Field(
            min_length=1,
            description="a .npz file (arrays `inputs` and `labels`), a .npy file of inputs, or a .parquet file (a "
            "column `inputs` of lists, or every numeric column but `labels`): absolute, or seen from the folder in "
            "which impray is started (not from the sweep's file); at the same place on every machine, or a URI such "
            "as s3://bucket/file.npz",
        ),
    ]
    shape: Annotated[
        tuple[int, ...],
        Field(
            description="of one input: [unit], [row, col] or [channel, row, col]; left out: as the files have them "
            "(lists and columns of Parquet are [unit])"
        ),
    ]
    class_count: ClassCount
    first_label: FirstLabel = 0
    labels_path: Annotated[str | None, Field(description="labels of a .npy file, also .npy")] = None
    held_out_path: Annotated[
        str | None, Field(description="held-out inputs in a file of their own, as `path`; else a share of `path`")
    ] = None
    held_out_labels_path: Annotated[str | None, Field(description="labels of a held-out .npy file, also .npy")] = None
    held_out_fraction: Annotated[
        float, Field(gt=0, lt=1, description="share held out at random, by `draw`, where nothing says which rows are")
    ] = 0.2
    inputs_name: Annotated[str, Field(min_length=1, description="name of the inputs in a .npz or Parquet file")] = (
        "inputs"
    )
    labels_name: Annotated[str, Field(min_length=1, description="name of the labels in a .npz or Parquet file")] = (
        "labels"
    )
    held_out_inputs_name: Annotated[
        str | None,
        Field(
            min_length=1,
            description="name of the held-out inputs, in held_out_path (there inputs_name by default) or in a .npz "
            "`path` that holds both parts",
        ),
    ] = None
    held_out_labels_name: Annotated[
        str | None, Field(min_length=1, description="name of the held-out labels, as held_out_inputs_name")
    ] = None
    held_out_rows_name: Annotated[
        str | None,
        Field(
            min_length=1,
            description="name of a column (or .npz array) that says of each row of `path` whether it is held out: true "
            "or false, or 1 or 0",
        ),
    ] = None
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

    @model_validator(mode="after")
    def _names_that_say_something(self) -> Self:
        names = {name: getattr(self, name) for name in ("held_out_inputs_name", "held_out_labels_name")}
        given = [name for name, value in names.items() if value is not None]
        if self.held_out_rows_name is not None:
            if self.path.endswith(".npy"):
                raise ValueError("held_out_rows_name: is for a .npz or Parquet file; a .npy file has no names")
            if given or self.held_out_path is not None:
                other = given[0] if given else "held_out_path"
                raise ValueError(f"held_out_rows_name: {other} says already which rows are held out; keep one of them")
        if not given:
            return self
        if (self.held_out_path or self.path).endswith(".npy"):
            raise ValueError(f"{given[0]}: is for a .npz or Parquet file; a .npy file has no names")
        if self.held_out_path is None and self.path.endswith(".parquet"):
            raise ValueError(f"{given[0]}: is for a .npz file, or one in held_out_path; use held_out_rows_name")
        if self.held_out_path is None and len(given) == 1:
            (absent,) = set(names) - set(given)
            raise ValueError(f"{absent}: is missing: inputs and labels that are held out go together")
        return self

    @model_validator(mode="after")
    def _two_parts(self) -> Self:
        """The held-out rows must not be the training rows; copies under other names are found when they are converted."""
        pairs = (("path", "held_out_path"), ("labels_path", "held_out_labels_path"))
        for mine, theirs in pairs:
            training, held_out = getattr(self, mine), getattr(self, theirs)
            if training is None or held_out is None or not same_place(training, held_out):
                continue
            if training.endswith(".npy"):
                raise ValueError(f"{theirs}: is {mine} too, so that training rows would be held out")
            self._two_arrays(theirs, f"is {mine} too, so that training rows would be held out")
        if self.held_out_path is None and self.held_out_inputs_name is not None:
            self._two_arrays("held_out_inputs_name", "is inputs_name too, so that training rows would be held out")
        return self

    def _two_arrays(self, field: str, why: str) -> None:
        """Where both parts are in one file: their arrays must be two."""
        inputs, labels = self.names(held_out=True)
        if self.path.endswith(".parquet"):
            raise ValueError(f"{field}: {why}; mark those to hold out by a column (held_out_rows_name), {_OR_SHARE}")
        if inputs == self.inputs_name:
            mend = "name the held-out arrays (held_out_inputs_name, held_out_labels_name)"
            raise ValueError(f"{field}: {why}; {mend}, {_OR_SHARE}")
        if labels == self.labels_name:
            right = "must be another array than labels_name, which has the training labels of the same file"
            raise ValueError(f"held_out_labels_name: {right}")

    def names(self, held_out: bool) -> tuple[str, str]:
        """Of the inputs and of the labels of a part, in its file."""
        if not held_out:
            return self.inputs_name, self.labels_name
        return self.held_out_inputs_name or self.inputs_name, self.held_out_labels_name or self.labels_name

    @property
    def one_file(self) -> bool:
        """Whether rows of one array are divided into the two parts."""
        return self.held_out_path is None and self.held_out_inputs_name is None

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self.shape

    @property
    def stored_classes(self) -> int:
        return self.class_count
