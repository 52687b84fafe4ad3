"""Where a net's numbers lie in memory: each begins on a cache line, so that its place does not show.

On the CPU the matrix products of MKL round differently at different alignments: in a plain [net, unit, input]
tensor of 7 x 33 float32 numbers most nets begin off a cache line, and their products differ in the last bit
from those of the same net alone. A net's numbers stay contiguous; between nets there may be a gap. On other
devices nothing is changed.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Shaped
from torch import Tensor

LINE_BYTES = 64


def empty(like: Tensor, *shape: int) -> Shaped[Tensor, "net ..."]:
    """An uninitialised tensor of `shape`, with the dtype and device of `like`, each net on a cache line."""
    nets, size = shape[0], math.prod(shape[1:])
    if like.device.type != "cpu":
        return like.new_empty(shape)
    line = LINE_BYTES // like.element_size()
    return like.new_empty(nets, -(-size // line) * line)[:, :size].view(shape)


def aligned(x: Shaped[Tensor, "net ..."]) -> Shaped[Tensor, "net ..."]:
    """`x` itself where its nets begin on cache lines, else a copy that has them there."""
    at_lines = x.data_ptr() % LINE_BYTES == 0 and (len(x) == 1 or x.stride(0) * x.element_size() % LINE_BYTES == 0)
    return x if x.device.type != "cpu" or at_lines else copied(x)


def copied(x: Shaped[Tensor, "net ..."]) -> Shaped[Tensor, "net ..."]:
    """A copy of `x`, each net on a cache line."""
    return empty(x, *x.shape).copy_(x)


def zeros(like: Tensor, *shape: int) -> Shaped[Tensor, "net ..."]:
    """As `empty`, with zeros."""
    return empty(like, *shape).zero_()


def flat(x: Shaped[Tensor, "net ..."]) -> Shaped[np.ndarray, " number"]:
    """The memory of a CPU tensor as an array, gaps between nets included; each net's own numbers are contiguous."""
    assert x.select(0, 0).is_contiguous()
    nets = x.shape[0]
    span = (nets - 1) * x.stride(0) + x.numel() // nets
    return x.as_strided((span,), (1,)).numpy()


def in_rows(x: Shaped[Tensor, "net row col"]) -> Shaped[Tensor, "net row col"]:
    """`x` itself where a net's rows lie one after the other, as modules take them, else a copy; one net for all stays one."""
    if x[0].is_contiguous():
        return x
    return copied(x[:1]).expand(x.shape) if x.stride(0) == 0 else copied(x)
