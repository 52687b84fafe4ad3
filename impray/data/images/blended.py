"""What a blend is made of: x, its clone and the mean of its class, in the units of the nets."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float, Float32, Int
from torch import Tensor

from impray.data.images.kept import Images
from impray.data.images.units import Units
from impray.spec.data import FileData


class Gaussian:
    """What a blend is made of besides x, in the units of the nets."""

    def __init__(self, spec: FileData, images: Images, units: Units, unit: Float[np.ndarray, " input"]) -> None:
        """unit: that of the clones."""
        self._units = units
        self._lengths = units.lengths(unit)
        self._means = None if spec.center == "class" else units.points(images.mean)

    def clones(self, stored: Float[Tensor, "sample input"]) -> Float[Tensor, "sample input"]:
        """(clone - mu_c) / s; may overwrite `stored`."""
        return stored.to(self._units.dtype).mul_(self._lengths)

    def means(self, labels: Int[Tensor, " sample"]) -> Float[Tensor, "sample input"] | None:
        """mu'; None: 0."""
        return None if self._means is None else self._means.index_select(0, labels)

    def in_numbers(self) -> tuple[Float32[np.ndarray, " input"], Float32[np.ndarray, "class input"] | None]:
        """The units of clones, and the means, on the CPU and in float32."""
        return self._lengths.numpy(), None if self._means is None else self._means.numpy()


def blend_factors(b: float) -> tuple[float, float, float]:
    """Factors of x, (clone - mu_c) / s and mu' in a blend."""
    return math.sqrt(1 - b), math.sqrt(b), 1 - math.sqrt(1 - b)


def added_clone(
    clones: Float[Tensor, "*sample input"],
    means: Float[Tensor, "*sample input"] | None,
    of_clone: Tensor | float,
    of_mean: Tensor | float,
) -> Float[Tensor, "*sample input"]:
    """What is added to sqrt(1 - b) x. Products, then a sum: a fused one would round as its place in memory has it."""
    added = clones * of_clone
    return added if means is None else added.add_(means * of_mean)


def blend_in_place(
    x: Float[Tensor, "sample input"],
    clones: Float[Tensor, "sample input"],
    labels: Int[Tensor, " sample"],
    spec: FileData,
    gaussian: Gaussian,
) -> None:
    """Blends `x` with clones in the units of their file, in place."""
    of_x, of_clone, of_mean = blend_factors(spec.gaussian_blend)
    x.mul_(of_x).add_(added_clone(gaussian.clones(clones), gaussian.means(labels), of_clone, of_mean))
