"""Kinds of data: one class each, with its parameters and what is meant by them."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

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


class Stimulus(DataSpec):
    """What the random processes on a ring or torus share: fresh samples in every step, classes that differ in length scale.

    Class 0 is the short length scale and class 1 the long one, by the papers' convention. Inputs have mean 0 and, where it is
    finite, variance 1; the theory of each is in `impray.theory.stimuli`.
    """

    packable: ClassVar[frozenset[str]] = frozenset({"gaussian_blend", "draw"})

    shape: Annotated[tuple[int, ...], Field(description="[40] is a ring of 40 inputs, [12, 12] a torus")] = (40,)
    gaussian_blend: Blend = 0.0
    held_out: Annotated[int, Field(ge=2, description="held-out samples per class, fresh for each seed")] = 500
    draw: Annotated[
        int | None,
        Field(
            ge=0,
            description="a number: the stream of samples that all seeds share, so that they differ in their initial "
            "weights only; null: every seed has samples of its own",
        ),
    ] = None

    @field_validator("shape")
    @classmethod
    def _one_or_two_axes(cls, shape: tuple[int, ...]) -> tuple[int, ...]:
        if len(shape) not in (1, 2) or any(side < 2 for side in shape):
            raise ValueError("must be [n] (a ring) or [rows, cols] (a torus), each side at least 2")
        return shape

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self.shape

    @property
    def variance_is_finite(self) -> bool:
        """Whether an input has a variance; without one there is no Gaussian clone."""
        return True

    def _no_clone_without_variance(self) -> None:
        if self.gaussian_blend > 0 and not self.variance_is_finite:
            raise ValueError("gaussian_blend: must be 0: these inputs have no finite variance, so no Gaussian clone")


class Correlated(Stimulus):
    """Stimuli made from a Gaussian field with C_ij = exp(-d_ij^2 / xi^2), d the circular distance in pixels."""

    packable: ClassVar[frozenset[str]] = Stimulus.packable | {"xi", "covariance"}

    xi: Annotated[tuple[float, ...], Field(min_length=2, description="length scale of each class, in pixels")] = (
        1.0,
        2.0,
    )
    covariance: Annotated[
        Literal["field", "matched"],
        Field(
            description="field: exp(-d^2/xi^2) is the correlation of the Gaussian field beneath (the papers'); matched: "
            "the inputs themselves have the covariance (2/pi) asin(exp(-d^2/xi^2)) whatever their marginals, so that "
            "stimuli of different kinds differ in higher moments only"
        ),
    ] = "field"

    @field_validator("xi")
    @classmethod
    def _positive_lengths(cls, xi: tuple[float, ...]) -> tuple[float, ...]:
        if any(length <= 0 for length in xi):
            raise ValueError("must be positive length scales in pixels, one per class")
        return xi

    @property
    def classes(self) -> int:
        return len(self.xi)


class Nlgp(Correlated):
    """Non-linear Gaussian process on a ring or torus: x = erf(gain z) / Z(gain), z ~ N(0, C), C_ij = exp(-d_ij^2 / xi^2).

    Lufkin et al. (2024), section 2; d is the circular distance and Z makes the variance 1. gain -> 0 is Gaussian, a large gain
    is binary. Class c has the length scale xi[c]: by the papers' convention class 0 is the short one.
    """

    packable: ClassVar[frozenset[str]] = Correlated.packable | {"gain"}

    kind: Literal["nlgp"] = "nlgp"
    gain: Annotated[
        float, Field(gt=0, description="slope of the error function, Lufkin's g (Goldt's divided by sqrt 2)")
    ] = 1.0


class Kur(Correlated):
    """Inputs of controllable kurtosis: x = q(Phi(z)) / scale, q(p) = (2p - 1) / (1 - |2p - 1|^k)^(1/k), z as for nlgp.

    Lufkin et al. (2024), eq. 4 and 7. Excess kurtosis is positive for k below about 5.9, infinite for k <= 4, and goes to that of
    uniform inputs, -1.2, for large k. For k <= 2 the variance is infinite too; the scale then gives the quartiles of a Gaussian.
    """

    packable: ClassVar[frozenset[str]] = Correlated.packable | {"k"}

    kind: Literal["kur"] = "kur"
    k: Annotated[float, Field(gt=0, description="exponent of the algebraic sigmoid; heavy tails for a small one")] = 5.0

    @model_validator(mode="after")
    def _clone(self) -> Self:
        self._no_clone_without_variance()
        if self.covariance == "matched" and not self.variance_is_finite:
            raise ValueError("covariance: must be field: for k <= 2 inputs have no finite variance")
        return self

    @property
    def variance_is_finite(self) -> bool:
        return self.k > 2


class Elliptical(Correlated):
    """x = r L u: u uniform on the sphere, L L^T the class's covariance, and a random radius r of its own law.

    Lufkin et al. (2024), section 3.3: student_t (the multivariate t distribution), shell (r = 1), extreme (r = 2 + atanh(U), U
    uniform on [0, 1]), or quantiles of your own. Preactivations can have any kurtosis, yet nothing localises.
    """

    packable: ClassVar[frozenset[str]] = Correlated.packable | {"radius", "degrees_of_freedom", "quantiles", "scale"}

    kind: Literal["elliptical"] = "elliptical"
    radius: Annotated[
        Literal["student_t", "shell", "extreme", "quantiles"], Field(description="the law of the radius r")
    ] = "student_t"
    degrees_of_freedom: Annotated[float, Field(gt=0, description="of student_t: small is heavy-tailed")] = 3.0
    quantiles: Annotated[
        tuple[Annotated[float, Field(ge=0)], ...] | None,
        Field(
            min_length=2,
            description="of the radius at equally spaced probabilities from 0 to 1, straight lines between them",
        ),
    ] = None
    scale: Annotated[
        Literal["variance", "radius"],
        Field(
            description="divide by the inputs' standard deviation, or leave them as the radius makes them (the paper)"
        ),
    ] = "variance"

    @model_validator(mode="after")
    def _law(self) -> Self:
        if (self.radius == "quantiles") != (self.quantiles is not None):
            raise ValueError("quantiles: go with radius: quantiles, and only with it")
        if self.quantiles is not None and (list(self.quantiles) != sorted(self.quantiles) or self.quantiles[-1] <= 0):
            raise ValueError("quantiles: must not fall, and end above 0")
        if not self.variance_is_finite and self.scale == "variance":
            raise ValueError("degrees_of_freedom: must be above 2 with scale: variance: these inputs have no variance")
        self._no_clone_without_variance()
        return self

    @property
    def variance_is_finite(self) -> bool:
        return self.radius != "student_t" or self.degrees_of_freedom > 2


class Ising(Stimulus):
    """The Ising model on a ring at zero field: spins of +1 and -1, P(x) ~ exp(J sum_i x_i x_i+1), J = coupling[c] for class c.

    Lufkin et al. (2024), eq. 2. Sampled exactly. covariance(d) = (a^d + a^(N-d)) / (1 + a^N), a = tanh J. A larger coupling is a
    longer length scale (a negative one alternates).
    """

    packable: ClassVar[frozenset[str]] = Stimulus.packable | {"coupling"}

    kind: Literal["ising"] = "ising"
    coupling: Annotated[
        tuple[float, ...], Field(min_length=2, description="interaction J of neighbours, one per class")
    ] = (0.3, 0.7)

    @field_validator("shape")
    @classmethod
    def _a_ring(cls, shape: tuple[int, ...]) -> tuple[int, ...]:
        if len(shape) != 1 or shape[0] < 3:
            raise ValueError("must be [n], a ring of 3 spins or more: in two dimensions there is no exact fast sampler")
        return shape

    @property
    def classes(self) -> int:
        return len(self.coupling)


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


class FileData(DataSpec):
    """What the kinds read from files share; `impray.data.stored` says how the files are opened.

    x = (inputs - mean) / scale, the mean and the scale taken from training inputs. The mean image of imagenet32 is the
    `mean` array of its first batch, as in the papers' code.
    """

    packable: ClassVar[frozenset[str]] = frozenset({"gaussian_blend", "clone"})

    path: Annotated[
        str,
        Field(
            min_length=1,
            description="the file or folder that holds the data, at the same place on every machine, or a URI such as "
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


class PublishedColour(FileData):
    """Base of the published sets of colour images of 32 x 32 pixels: where their files lie says nothing of what they are."""

    unidentifying: ClassVar[frozenset[str]] = frozenset({"path"})

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (3, 32, 32)


class Imagenet32(PublishedColour):
    """Downsampled ImageNet: 1,281,167 training and 50,000 held-out colour images of 32 x 32 pixels in 1,000 classes.

    `path` is the folder with train_data_batch_1 to 10 and val_data, pickled or .npz, from image-net.org (Chrabaszcz, Loshchilov
    & Hutter 2017). The defaults are those of Redman et al. (2025): x = (pixel - mean image) / 255.
    """

    kind: Literal["imagenet32"] = "imagenet32"

    @property
    def stored_classes(self) -> int:
        return 1000


class Cifar10(PublishedColour):
    """CIFAR-10: 50,000 training and 10,000 held-out colour images of 32 x 32 pixels in 10 classes (Krizhevsky 2009).

    `path` is the folder cifar-10-batches-py or cifar-10-batches-bin, or the one above it.
    """

    kind: Literal["cifar10"] = "cifar10"

    @property
    def stored_classes(self) -> int:
        return 10


class Cifar100(PublishedColour):
    """CIFAR-100: 50,000 training and 10,000 held-out colour images of 32 x 32 pixels in 100 or 20 classes.

    `path` is the folder cifar-100-python or cifar-100-binary, or the one above it.
    """

    kind: Literal["cifar100"] = "cifar100"
    labels: Annotated[Literal["fine", "coarse"], Field(description="100 classes, or the 20 they fall into")] = "fine"

    @property
    def stored_classes(self) -> int:
        return 100 if self.labels == "fine" else 20


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
        _all_positive(shape)
        return shape

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self.shape

    @property
    def stored_classes(self) -> int:
        return self.class_count


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
        _all_positive(shape)
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


def _all_positive(shape: tuple[int, ...]) -> None:
    if any(side < 1 for side in shape):
        raise ValueError("must have sides of 1 or more")


Data = Annotated[
    Nlgp | Kur | Ising | Elliptical | Photographs | Imagenet32 | Cifar10 | Cifar100 | Idx | Arrays,
    Field(discriminator="kind"),
]
DATA_KINDS: tuple[type[DataSpec], ...] = (
    Nlgp,
    Kur,
    Ising,
    Elliptical,
    Photographs,
    Imagenet32,
    Cifar10,
    Cifar100,
    Idx,
    Arrays,
)
