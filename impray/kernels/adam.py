"""Adam's update in one pass over memory, where torch's operations make nine.

    m <- k1 m + n1 g        v <- k2 v + n2 (g g)        w <- (w + m / (sqrt(v) / root + eps) * step) mask

Every operation rounds once, as IEEE 754 has it, and none is fused with another. (torch's square root is off by one unit in the last
place for one number in 150, so its updates differ in theirs now and then.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Float

from impray.kernels.compiled import compiled
from impray.kernels.vectors import element, load, splat, sqrt, store

_LANES = 64
Numbers = Float[np.ndarray, " number"]


def moved(
    of_weights: Sequence[Numbers],
    mask: Numbers | None,
    apart: int,
    size: int,
    of_nets: Sequence[Numbers],
) -> None:
    """Updates weights, m and v.

    of_weights: weights, m, v and the gradient. mask: 0 and 1, or None. All are flat memory of one layout: each net has `size` numbers,
    and begins `apart` after the one before. of_nets: step, root, eps, k1, k2, n1 and n2, [net] each.
    """
    if mask is None:
        _moved(False)(*of_weights, of_weights[0], apart, size, *of_nets)
    else:
        _moved(True)(*of_weights, mask, apart, size, *of_nets)


@cache
def _moved(masked: bool) -> Callable[..., Any]:
    lanes = _LANES

    @compiled
    def move(weights, m, v, gradient, mask, apart, size, step, root, eps, k1, k2, n1, n2):
        for net in range(len(step)):
            first, whole = net * apart, size // lanes * lanes
            for at in range(first, first + whole, lanes):
                g = load(gradient, at, lanes)
                m_new = load(m, at, lanes) * k1[net] + g * n1[net]
                v_new = load(v, at, lanes) * k2[net] + (g * g) * n2[net]
                store(m, at, m_new)
                store(v, at, v_new)
                below = sqrt(v_new) / splat(root[net], lanes) + eps[net]
                moved = load(weights, at, lanes) + m_new / below * step[net]
                if masked:
                    moved = moved * load(mask, at, lanes)
                store(weights, at, moved)
            for at in range(first + whole, first + size):
                g = element(gradient, at)
                m[at] = m[at] * k1[net] + g * n1[net]
                v[at] = v[at] * k2[net] + (g * g) * n2[net]
                below = np.sqrt(v[at]) / root[net] + eps[net]
                moved_one = weights[at] + m[at] / below * step[net]
                weights[at] = moved_one * mask[at] if masked else moved_one

    return move
