"""Kinds of data: one class each, with its parameters and what is meant by them; a file for each group."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from impray.spec.data.arrays import Arrays
from impray.spec.data.base import DataSpec
from impray.spec.data.files import FileData
from impray.spec.data.idx import Idx
from impray.spec.data.photographs import Photographs
from impray.spec.data.published import Cifar10, Cifar100, Imagenet32, PublishedColour
from impray.spec.data.stimuli import Correlated, Elliptical, Ising, Kur, Nlgp, Stimulus

__all__ = [
    "Arrays",
    "Cifar10",
    "Cifar100",
    "Correlated",
    "DATA_KINDS",
    "Data",
    "DataSpec",
    "Elliptical",
    "FileData",
    "Idx",
    "Imagenet32",
    "Ising",
    "Kur",
    "Nlgp",
    "Photographs",
    "PublishedColour",
    "Stimulus",
]

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
