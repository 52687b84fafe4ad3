"""Update rules: what is done with a gradient, one file per rule."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from impray.spec import training as spec
from impray.spec.errors import MemberError
from impray.training.updates.adam import Adam, AdamW
from impray.training.updates.base import Optimizer, Parameter
from impray.training.updates.sgd import Sgd

__all__ = ["OPTIMIZERS", "Optimizer", "Parameter", "alike", "optimizer_of"]

OPTIMIZERS: dict[type[spec.StepsSpec], type[Optimizer]] = {
    spec.Sgd: Sgd,
    spec.Adam: Adam,
    spec.AdamW: AdamW,
}


def optimizer_of(training: spec.StepsSpec) -> type[Optimizer]:
    """The update rule of a kind of training: its own (`StepsSpec.update_rule`), or that of the built-in one that it derives from.

    Raises:  MemberError: it has none.
    """
    own = training.update_rule
    if own is not None:
        return own
    for kind in type(training).__mro__:
        if kind in OPTIMIZERS:
            return OPTIMIZERS[kind]
    right = "has no update rule: give it `update_rule` (a subclass of `impray.training.updates.Optimizer`), or derive it from Sgd or Adam"
    raise MemberError(str(getattr(training, "optimizer", type(training).__name__)), type(training).__module__, right)


def alike(specs: Sequence[spec.StepsSpec]) -> list[list[int]]:
    """Nets by the arithmetic of their update."""
    groups: dict[Hashable, list[int]] = {}
    for net, training in enumerate(specs):
        groups.setdefault((type(training), optimizer_of(training).arithmetic(training)), []).append(net)
    return list(groups.values())
