"""Batches on the CPU, each recipe's in one pass over the files' rows; `gathered` makes the same bits in several."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Float32, Int, Int64
from torch import Tensor

from impray.data.images.gathered import CloneImages, NaturalImages
from impray.data.room import Room
from impray.kernels import images as kernel


def in_one_pass(inputs: int, dtype: torch.dtype, device: torch.device) -> bool:
    """Whether `impray.kernels.images` makes batches of images of so many inputs."""
    return dtype == torch.float32 and device.type == "cpu" and inputs >= kernel.LANES and kernel.lacking() is None


class OnePass:
    """A recipe's batches. factors: `blend_factors`, of a recipe with a clone."""

    def __init__(self, images: NaturalImages, clone: CloneImages | None, factors: tuple[float, float, float]) -> None:
        self._natural = images.of_kernel()
        self._clone = None if clone is None else clone.of_kernel()
        f, c, d = (np.float32(factor) for factor in factors)
        self._factors = f, c, d

    def write(
        self,
        places: Int64[np.ndarray, " sample"],
        out: Float32[np.ndarray, " number"],
        begin: int,
        labels: Int64[np.ndarray, " sample"],
    ) -> None:
        """Inputs [sample, input] into the flat `out`, from `begin` on, and labels."""
        kernel.made(places, out, begin, labels, self._natural, self._clone, self._factors)


def batch_of(
    recipes: list[tuple[int, OnePass]], order: Int[Tensor, "order sample"], room: Room
) -> tuple[Float[Tensor, "recipe sample input"], Int[Tensor, "recipe sample"]]:
    """One step's batches; recipes: each with its order. room: for [recipe, sample, input]."""
    places = order.numpy()
    labels = torch.empty(len(recipes), places.shape[1], dtype=torch.int64)
    of_recipes = labels.numpy()
    for place, (own, recipe) in enumerate(recipes):
        recipe.write(np.ascontiguousarray(places[own]), room.numbers, place * room.apart, of_recipes[place])
    return room.x, labels
