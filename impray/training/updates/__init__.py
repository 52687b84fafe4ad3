"""Update rules: what is done with a gradient, one file per rule."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from impray.spec import training as spec
from impray.training.updates.adam import Adam, AdamW
from impray.training.updates.base import Optimizer, Parameter
from impray.training.updates.sgd import Sgd

__all__ = ["OPTIMIZERS", "Optimizer", "Parameter", "alike"]

OPTIMIZERS: dict[type[spec.StepsSpec], type[Optimizer]] = {
    spec.Sgd: Sgd,
    spec.Adam: Adam,
    spec.AdamW: AdamW,
}


def alike(specs: Sequence[spec.StepsSpec]) -> list[list[int]]:
    """Nets by the arithmetic of their update."""
    groups: dict[Hashable, list[int]] = {}
    for net, training in enumerate(specs):
        groups.setdefault((type(training), OPTIMIZERS[type(training)].arithmetic(training)), []).append(net)
    return list(groups.values())
