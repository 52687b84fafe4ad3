"""Random gates: h ~ N(0, I) of each unit, drawn again where they are asked for again, so that nobody holds them all."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, Int

from impray.spec.trial import stream_seed
from impray.training.relu.streamed import Gates


def own(seed: int, inputs: int, stream: str = "init", first: int = 0) -> Gates:
    """By a stream of the seed, each unit in the place of a round, counted from `first`."""

    def draw(unit: int) -> Float[np.ndarray, " input"]:
        generator = torch.Generator().manual_seed(stream_seed(seed, stream, first + unit))
        return torch.randn(inputs, generator=generator, dtype=torch.float64).numpy()

    return _remembering(draw, inputs)


def authors(seed: int, units: int, inputs: int) -> Gates:
    """Fridovich-Keil & Pilanci's seeds: unit j has a generator of its own, at j plus an offset that the seed draws (0 at seed 0).

    Their numbers are of cupy on a GPU, and these of numpy at the same seeds: the same law, other values.
    """
    offset = 0 if seed == 0 else int(np.random.RandomState(seed).randint(0, units * inputs))
    return _remembering(lambda unit: np.random.RandomState(unit + offset).normal(size=inputs), inputs)


def _remembering(draw: Callable[[int], np.ndarray], inputs: int) -> Gates:
    """Those of the last units that were asked for are kept: row blocks ask for the same ones in turn."""
    last: dict[bytes, np.ndarray] = {}

    def gates(units: Int[np.ndarray, " unit"]) -> Float[np.ndarray, "unit input"]:
        key = units.tobytes()
        if key not in last:
            last.clear()
            last[key] = np.stack([draw(int(unit)) for unit in units]) if len(units) else np.zeros((0, inputs))
        return last[key]

    return gates
