"""Formats of data sets in files: which files belong together, and how each gives rows of inputs and labels.

Each module has a function from a spec to a `Plan`; `impray.data.stored` carries plans out. No format is trusted: sizes,
shapes, types and labels are checked, pickles are read by `unpickle` only.
Where a format's files say the shape of an input and the number of classes, it also has a function to `Sizes`.
To add one: a class in `impray/spec/data/`, a file here, and a line in PLANS (and in SIZES).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from impray.data.formats import arrays, cifar, idx, imagenet32
from impray.data.formats.plan import Plan, Sizes
from impray.spec.data import Arrays, Cifar10, Cifar100, FileData, Idx, Imagenet32

PLANS: dict[type[FileData], Callable[[Any], Plan]] = {
    Imagenet32: imagenet32.plan,
    Cifar10: cifar.plan,
    Cifar100: cifar.plan,
    Idx: idx.plan,
    Arrays: arrays.plan,
}
SIZES: dict[type[FileData], Callable[[Any], Sizes]] = {Idx: idx.sizes, Arrays: arrays.sizes}
