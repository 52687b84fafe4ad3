"""From the units of the files to those of the nets: centre and scale, x = (image - m) / s."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Float32, Int, Shaped
from torch import Tensor

from impray.data.images.kept import Images
from impray.spec.data import FileData, Imagenet32
from impray.spec.errors import DataError


def _removed(spec: FileData, images: Images) -> Float[np.ndarray, "group input"] | None:
    """m, float64: one for all or one per class; None: nothing."""
    if spec.center == "none":
        return None
    if spec.center == "class":
        return images.mean
    if isinstance(spec, Imagenet32):  # the `mean` array of the files, as in the papers
        return np.asarray(images.stored.mean, dtype=np.float64)[None]
    return images.sums[0].sum(axis=0, keepdims=True) / images.count.sum()


def _scale(spec: FileData, images: Images, removed: Float[np.ndarray, "group input"] | None) -> float:
    """s.

    Raises: DataError: all centred inputs are equal.
    """
    if spec.scale != "deviation":
        return 255.0 if spec.scale == "pixel" else 1.0
    sums, squares = images.sums
    m, count = 0.0 if removed is None else removed, images.count[:, None]
    total = images.count.sum() * spec.inputs
    square = (squares - 2 * m * sums + count * np.square(m)).sum() / total
    variance = square - ((sums - count * m).sum() / total) ** 2
    # Rounding of the sums leaves as much where there is no spread at all.
    if not variance > 1e-14 * squares.sum() / total:
        raise DataError(
            f"{spec.path}: all training inputs are equal after centring; scale: deviation would divide by 0"
        )
    return float(np.sqrt(variance))


class Units:
    """From the units of the files to those of the nets."""

    def __init__(self, spec: FileData, images: Images, dtype: torch.dtype, device: torch.device) -> None:
        self.dtype, self._device = dtype, device
        self._m = _removed(spec, images)
        self._scale = _scale(spec, images, self._m)
        self._removed = None if self._m is None else self._on_device(self._m)

    def rows(
        self, stored: Shaped[Tensor, "sample input"], labels: Int[Tensor, " sample"]
    ) -> Float[Tensor, "sample input"]:
        """x, from rows of the files that are on the device already; may overwrite them."""
        x = stored.to(self.dtype)
        if self._removed is not None:
            x.sub_(self._removed if len(self._removed) == 1 else self._removed.index_select(0, labels))
        return x if self._scale == 1 else x.div_(self._scale)

    def points(self, given: Float[np.ndarray, "place input"]) -> Float[Tensor, "place input"]:
        """mu', from mu."""
        return self._on_device((given - (0.0 if self._m is None else self._m)) / self._scale)

    def lengths(self, given: Float[np.ndarray, " input"]) -> Float[Tensor, " input"]:
        return self._on_device(given / self._scale)

    def in_numbers(self, inputs: int) -> tuple[Float32[np.ndarray, "group input"], np.float32]:
        """m and s of `rows`, on the CPU and in float32."""
        m = np.zeros((1, inputs), np.float32) if self._removed is None else self._removed.numpy()
        return m, np.float32(self._scale)

    def _on_device(self, numbers: np.ndarray) -> Tensor:
        return torch.from_numpy(numbers).to(dtype=self.dtype, device=self._device)
