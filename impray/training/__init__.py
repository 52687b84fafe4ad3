"""One round of optimisation on a pack, one optimiser or engine per file."""

from __future__ import annotations

from collections.abc import Callable

from impray.nets.mlp import Params
from impray.spec.train import Sgd
from impray.training import sgd

OPTIMIZERS: dict[type[Sgd], Callable[..., tuple[sgd.Trained, dict[int, Params]]]] = {
    Sgd: sgd.train,
}
