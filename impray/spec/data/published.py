"""Published sets of colour images, read from the files in which they are distributed."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from impray.spec.data.files import FileData


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
