"""Kinds of data: one class each, with its parameters and what is meant by them; a file for each group.

`impray.spec.families` lists them.
"""

from __future__ import annotations

from impray.spec.data.arrays import Arrays
from impray.spec.data.base import DataSpec
from impray.spec.data.coordinates import ImageCoordinates
from impray.spec.data.digits import Digits
from impray.spec.data.files import FileData
from impray.spec.data.idx import Idx
from impray.spec.data.linear import Linear
from impray.spec.data.photographs import Photographs
from impray.spec.data.planted import Planted
from impray.spec.data.published import Cifar10, Cifar100, Imagenet32, PublishedColour
from impray.spec.data.stimuli import Correlated, Elliptical, Ising, Kur, Nlgp, Stimulus

__all__ = [
    "Arrays",
    "Cifar10",
    "Cifar100",
    "Correlated",
    "DataSpec",
    "Digits",
    "Elliptical",
    "FileData",
    "Idx",
    "ImageCoordinates",
    "Imagenet32",
    "Ising",
    "Kur",
    "Linear",
    "Nlgp",
    "Photographs",
    "Planted",
    "PublishedColour",
    "Stimulus",
]
