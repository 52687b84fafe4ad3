"""A batch laid out anew: [sample, input] to [input, sample]."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from impray.kernels.compiled import compiled
from impray.kernels.sparse import Rows
from impray.kernels.vectors import WIDEST, element, turn


def turned(x: Rows, samples: int, inputs: int, out: Rows, nets: int, apart: int | None = None) -> None:
    """Writes x [net, sample, input] into out [net, input, sample]; apart: from one input to the next, None: `samples`."""
    _turned()(*x, samples, inputs, *out, samples if apart is None else apart, nets)


@cache
def _turned() -> Callable[..., Any]:
    block = WIDEST

    @compiled
    def lay(x, x_net, samples, inputs, out, out_net, apart, nets):
        for net in range(nets):
            source, target = net * x_net, net * out_net
            if samples < block or inputs < block:
                for sample in range(samples):
                    for place in range(inputs):
                        out[target + place * apart + sample] = element(x, source + sample * inputs + place)
                continue
            # The last block of a row lies over the one before where blocks do not fit.
            for corner in range(0, inputs, block):
                first = min(corner, inputs - block)
                for edge in range(0, samples, block):
                    begin = min(edge, samples - block)
                    turn(x, source + begin * inputs + first, inputs, out, target + first * apart + begin, apart)

    return lay
