"""What steps ask for one after the other: memory for their inputs, and what is made of a block's numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import numpy as np
from jaxtyping import Float
from torch import Tensor

from impray.nets import layout

Made = TypeVar("Made")


class Room:
    """Memory for one batch, each stream's numbers in one piece that begins on a cache line.

    Attributes: x: [stream, row, column], not filled. turned: the same as [stream, column, row]. apart: numbers from stream to stream.
    """

    def __init__(self, streams: int, rows: int, columns: int, like: Tensor) -> None:
        """like: of the dtype and the device that are wanted."""
        self.x: Float[Tensor, "stream row column"] = layout.empty(like, streams, rows, columns)
        self.apart = self.x.stride(0)
        self.turned: Float[Tensor, "stream column row"] = self.x.mT
        self._numbers: Float[np.ndarray, " number"] | None = None

    @property
    def numbers(self) -> Float[np.ndarray, " number"]:
        """All of it on the CPU, gaps between streams included, flat."""
        if self._numbers is None:
            self._numbers = layout.flat(self.x)
        return self._numbers


class OfBlock(Generic[Made]):
    """What is made of a block's tensor on the CPU, kept while steps ask for the same one and nobody has written to it."""

    def __init__(self, make: Callable[[Tensor], Made]) -> None:
        self._make = make
        self._of: Tensor | None = None
        self._version = 0

    def __call__(self, x: Tensor) -> Made:
        if x.device.type != "cpu":
            return self._make(x)  # a CUDA graph is to record it
        if x is not self._of or x._version != self._version:
            self._made = self._make(x)
            self._of, self._version = x, x._version
        return self._made


def flat(x: Tensor) -> np.ndarray:
    """All numbers in a row, for a kernel."""
    return x.contiguous().numpy().ravel()
