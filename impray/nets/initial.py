"""Initial weights as `impray.spec.nets.Init` describes them, whatever kind of network they are for."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from impray.spec.nets import Init
from impray.spec.trial import stream_seed


def drawn(init: Init, shapes: Sequence[tuple[int, ...]], seed: int) -> list[Tensor]:
    """One weight per layer, first to last, in float64 on the CPU.

    Args:    shapes: units and inputs first, then the sides of a kernel. seed: of the net; the draw follows from it alone (stream
             `init`).
    """
    generator = torch.Generator().manual_seed(stream_seed(seed, "init"))
    weights = []
    for layer, shape in enumerate(shapes, start=1):
        window = math.prod(shape[2:])
        std = _std(init, shape[1] * window, shape[0] * window) * init.scale_of(layer)
        if init.kind.endswith("uniform"):
            unit = (torch.rand(*shape, generator=generator, dtype=torch.float64) * 2 - 1) * math.sqrt(3)
        else:
            unit = torch.randn(*shape, generator=generator, dtype=torch.float64)
        weights.append(unit * std)
    return weights


def _std(init: Init, fan_in: int, fan_out: int) -> float:
    """Standard deviation of a weight before `scale`; see `Init`."""
    if init.kind.startswith("glorot"):
        return math.sqrt(2 / (fan_in + fan_out))
    return 1 / math.sqrt(fan_in) if init.kind.startswith("fan_in") else 1.0
