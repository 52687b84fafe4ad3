"""Where the inputs of a step are made."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from torch import Tensor

_TILE = 16


def padded(numbers: int) -> int:
    """Numbers in whole tiles, which are cache lines of float32."""
    return -(-numbers // _TILE) * _TILE


class Room:
    """Memory for one batch, each stream's numbers in one piece that begins on a cache line.

    Attributes: x: [stream, input, sample], not filled. batch: the same as [stream, sample, input]. apart: numbers from stream to stream.
    """

    def __init__(self, streams: int, inputs: int, samples: int, like: Tensor) -> None:
        """like: of the dtype and the device that are wanted."""
        self.apart = padded(inputs * samples)
        self._memory = like.new_empty(streams * self.apart)
        self.x: Float[Tensor, "stream input sample"] = self._memory.as_strided(
            (streams, inputs, samples), (self.apart, samples, 1)
        )
        self.batch: Float[Tensor, "stream sample input"] = self.x.mT
        self._numbers: Float[np.ndarray, " number"] | None = None

    @property
    def numbers(self) -> Float[np.ndarray, " number"]:
        """All of it on the CPU, gaps included, flat."""
        if self._numbers is None:
            self._numbers = self._memory.numpy()
        return self._numbers


class Flat:
    """A block's numbers in a row, for a kernel: made once where steps ask for the same tensor one after the other."""

    def __init__(self) -> None:
        self._of: Tensor | None = None

    def __call__(self, x: Tensor) -> np.ndarray:
        """A view, or where the numbers do not lie in a row a copy, made anew."""
        if x is not self._of:
            if not x.is_contiguous():
                return flat(x)
            self._of, self._numbers = x, flat(x)
        return self._numbers


def flat(x: Tensor) -> np.ndarray:
    """All numbers in a row, for a kernel."""
    return x.contiguous().numpy().ravel()
