"""Linear models: outputs = W x, one layer without bias. A perceptron without hidden units, but for its start."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from impray.nets.base import Params
from impray.nets.mlp import Architecture
from impray.spec.nets import LinearNet
from impray.spec.trial import stream_seed


@dataclass(frozen=True)
class LinearArchitecture(Architecture):
    """What the nets of a pack share: `weight1` [net, output, input]."""

    def initial(
        self, specs: Sequence[Any], seeds: Sequence[int], dtype: torch.dtype, device: torch.device | str
    ) -> Params:
        """As `Network.initial`: N(0, scale^2), drawn in float64 on the CPU; 0 where the scale is."""
        (layer,) = self.layers
        drawn = [
            spec.init.scale * torch.randn(layer.shape, generator=_stream(seed), dtype=torch.float64)
            for spec, seed in zip(specs, seeds, strict=True)
        ]
        return {layer.weight: torch.stack(drawn).to(device, dtype)}


def _stream(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(stream_seed(seed, "init"))


def architecture(net: LinearNet, input_shape: tuple[int, ...], outputs: int) -> LinearArchitecture:
    """The shared form of linear models on inputs of that shape, with so many outputs."""
    sizes = (math.prod(input_shape), outputs)
    return LinearArchitecture(sizes, "linear", batch_norm=False, bias=False, input_shape=input_shape)
