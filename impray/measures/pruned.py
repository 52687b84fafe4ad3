"""The network just after pruning: weights theta(T) of the round before, times the mask of this one, not trained again.

Fridovich-Keil & Pilanci (2025) score imp so: right after the last pruning. The numbers are those of `loss`, `accuracy` and `psnr`, as they
would read the same weights at the end of a round.
Blind spot: a network that keeps no weight of some layer gives 0 everywhere, and its PSNR is that of the targets' mean square.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from impray.measures.accuracy import accuracy, loss
from impray.measures.recovery import psnr
from impray.measures.state import Readings, RoundState
from impray.spec import measure as spec
from impray.spec.measure import MeasureSpec

_PARTS: dict[type[MeasureSpec], Callable[..., Readings]] = {
    spec.Loss: loss,
    spec.Accuracy: accuracy,
    spec.Psnr: psnr,
}


def pruned(asked: spec.Pruned, state: RoundState) -> Readings:
    """As far as it has a meaning; nothing in round 0 and of solved rounds, which have no such network."""
    if state.pruned is None:
        return Readings()
    params, stats = state.pruned()
    parts = asked.parts(state.trials)
    network = replace(state, end=params, end_stats=stats, measures=parts)
    columns = {}
    for part in parts:
        readings = _PARTS[type(part)](part, network)
        columns |= {f"{name}_pruned": values for name, values in readings.lineage.items()}
    return Readings(lineage=columns)
