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
from impray.data.images.mapped import Table, sent, shared_memory, table
from impray.data.images.units import Units
from impray.kernels import images as kernel
from impray.spec.data import FileData


@remembered(2)
def pixels(key: FileData, device: torch.device) -> Table:
    """The training images, as they are stored."""
    images = kept_images(key)
    return table(np.asarray(images.stored.train.inputs), images.rows(np.arange(len(images.labels))), device)


@remembered(2)
def clone_rows(key: FileData, device: torch.device) -> Table:
    clones = clone_table(key).train
    return table(clones, np.arange(len(clones)), device)


class NaturalImages:
    """The training images of a spec, without its blend.

    Attributes: sent: whether the files' rows stay on the host, and `sent_rows` of batches go to the device.
    """

    def __init__(self, spec: FileData, dtype: torch.dtype, device: torch.device) -> None:
        images = opened_images(spec)
        self._device = device
        self.units = Units(spec, images, dtype, device)
        self._pixels, self.sent = pixels(files_key(spec), device)
        self._labels = shared_memory(images.labels).to(device)
        # A copy on a device has the rows kept alone; a memory map has all.
        mapped = self.sent or device.type == "cpu"
        self._kept = shared_memory(images.kept) if mapped and images.kept is not None else None

    @property
    def bytes_of_row(self) -> int:
        return self._pixels[:1].nbytes

    def sent_rows(self, places: Int[Tensor, "order step sample"]) -> Shaped[Tensor, "order step sample input"]:
        """Rows as they are stored, on the device; places: on the CPU."""
        return sent(self._pixels, self._rows(places).view(places.shape), self._device)

    def _rows(self, places: Int[Tensor, ...]) -> Int[Tensor, " place"]:
        return places.flatten() if self._kept is None else self._kept.index_select(0, places.flatten())

    def labels(self, places: Int[Tensor, "order sample"]) -> Int[Tensor, "order sample"]:
        return self._labels.index_select(0, places.flatten()).view(places.shape)

    def rows(
        self,
        places: Int[Tensor, "order sample"],
        labels: Int[Tensor, "order sample"],
        sent: Shaped[Tensor, "order sample input"] | None,
    ) -> Float[Tensor, "order sample input"]:
        """Inputs; sent: a step of `sent_rows`, which stays as it is."""
        if sent is None:
            stored = self._pixels.index_select(0, self._rows(places))
        else:
            stored = sent.flatten(0, 1)
            stored = stored.clone() if stored.dtype == self.units.dtype else stored
        return self.units.rows(stored, labels.flatten()).view(*places.shape, -1)

    def of_kernel(self) -> kernel.Natural:
        """As `impray.kernels.images` reads them, on the CPU and in float32."""
        m, s = self.units.in_numbers(self._pixels.shape[1])
        kept = np.empty(0, np.int64) if self._kept is None else self._kept.numpy()
        return kernel.Natural(self._labels.numpy(), kept, self._pixels.numpy(), m, s)


class CloneImages:
    """The clones of a spec's training images."""

    def __init__(self, spec: FileData, units: Units, device: torch.device) -> None:
        images = opened_images(spec)
        self._device = device
        self._clones, self.sent = clone_rows(clone_key(spec), device)
        self._rows = shared_memory(images.clone_rows).to(self._clones.device)
        self._gaussian = Gaussian(spec, images, units, clone_table(spec).unit)

    @property
    def bytes_of_row(self) -> int:
        return self._clones[:1].nbytes

    def sent_rows(self, places: Int[Tensor, "order step sample"]) -> Float[Tensor, "order step sample input"]:
        """As `NaturalImages.sent_rows`."""
        return sent(self._clones, self._rows.index_select(0, places.flatten()).view(places.shape), self._device)

    def rows(
        self,
        places: Int[Tensor, "order sample"],
        labels: Int[Tensor, "order sample"],
        sent: Float[Tensor, "order sample input"] | None,
    ) -> tuple[Float[Tensor, "order sample input"], Float[Tensor, "order sample input"] | None]:
        """Clones and means; see `Gaussian`; sent: as of `NaturalImages.rows` (halves are of no net's dtype)."""
        if sent is None:
            stored = self._clones.index_select(0, self._rows.index_select(0, places.flatten()))
        else:
            stored = sent.flatten(0, 1)
        clones, means = self._gaussian.clones(stored), self._gaussian.means(labels.flatten())
        return clones.view(*places.shape, -1), None if means is None else means.view(*places.shape, -1)

    def of_kernel(self) -> kernel.Clone:
        """As `NaturalImages.of_kernel`."""
        lengths, means = self._gaussian.in_numbers()
        return kernel.Clone(self._rows.numpy(), self._clones.numpy().view(np.uint16), lengths, means)
