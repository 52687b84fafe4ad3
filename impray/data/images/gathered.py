"""The training images and their clones, as batches gather them."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from impray.data.base import remembered
from impray.data.images.blended import Gaussian
from impray.data.images.clones import clone_table
from impray.data.images.kept import clone_key, files_key, kept_images, opened_images
from impray.data.images.mapped import copied, shared_memory
from impray.data.images.units import Units
from impray.kernels import images as kernel
from impray.spec.data import FileData


@remembered(2)
def pixels(key: FileData, device: torch.device) -> Shaped[Tensor, "row input"]:
    """The training images: on the CPU the whole memory map, elsewhere a copy of those kept."""
    images = kept_images(key)
    inputs = np.asarray(images.stored.train.inputs)
    if device.type == "cpu":
        return shared_memory(inputs)
    return copied(inputs, images.rows(np.arange(len(images.labels))), device)


@remembered(2)
def clone_rows(key: FileData, device: torch.device) -> Float[Tensor, "row input"]:
    clones = clone_table(key).train
    return shared_memory(clones) if device.type == "cpu" else copied(clones, np.arange(len(clones)), device)


class NaturalImages:
    """The training images of a spec, without its blend."""

    def __init__(self, spec: FileData, dtype: torch.dtype, device: torch.device) -> None:
        images = opened_images(spec)
        self.units = Units(spec, images, dtype, device)
        self._pixels = pixels(files_key(spec), device)
        self._labels = shared_memory(images.labels).to(device)
        self._kept = None if images.kept is None or device.type != "cpu" else shared_memory(images.kept)

    def labels(self, places: Int[Tensor, "order sample"]) -> Int[Tensor, "order sample"]:
        return self._labels.index_select(0, places.flatten()).view(places.shape)

    def rows(
        self, places: Int[Tensor, "order sample"], labels: Int[Tensor, "order sample"]
    ) -> Float[Tensor, "order sample input"]:
        rows = places.flatten() if self._kept is None else self._kept.index_select(0, places.flatten())
        return self.units.rows(self._pixels.index_select(0, rows), labels.flatten()).view(*places.shape, -1)

    def of_kernel(self) -> kernel.Natural:
        """As `impray.kernels.images` reads them, on the CPU and in float32."""
        m, s = self.units.in_numbers(self._pixels.shape[1])
        kept = np.empty(0, np.int64) if self._kept is None else self._kept.numpy()
        return kernel.Natural(self._labels.numpy(), kept, self._pixels.numpy(), m, s)


class CloneImages:
    """The clones of a spec's training images."""

    def __init__(self, spec: FileData, units: Units, device: torch.device) -> None:
        images = opened_images(spec)
        self._clones = clone_rows(clone_key(spec), device)
        self._rows = shared_memory(images.clone_rows).to(device)
        self._gaussian = Gaussian(spec, images, units, clone_table(spec).unit)

    def rows(
        self, places: Int[Tensor, "order sample"], labels: Int[Tensor, "order sample"]
    ) -> tuple[Float[Tensor, "order sample input"], Float[Tensor, "order sample input"] | None]:
        """Clones and means; see `Gaussian`."""
        stored = self._clones.index_select(0, self._rows.index_select(0, places.flatten()))
        clones, means = self._gaussian.clones(stored), self._gaussian.means(labels.flatten())
        return clones.view(*places.shape, -1), None if means is None else means.view(*places.shape, -1)

    def of_kernel(self) -> kernel.Clone:
        """As `NaturalImages.of_kernel`."""
        lengths, means = self._gaussian.in_numbers()
        return kernel.Clone(self._rows.numpy(), self._clones.numpy().view(np.uint16), lengths, means)
