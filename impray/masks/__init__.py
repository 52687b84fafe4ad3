"""Rules: pure functions from what is known of a lineage to its next mask, one file each.

RULES says which rule each method uses. All methods keep the same number of weights in every scope and round (`Prune.kept`).
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from impray.masks import cavity as of_cavity
from impray.masks import follow, magnitude, random
from impray.masks.past import Past
from impray.masks.scope import Masks, Scope, density, full, scopes
from impray.spec.prune import Method

__all__ = ["RULES", "Masks", "Past", "Scope", "density", "full", "scopes"]

RULES: dict[Method, Callable[[Past, Scope, int], Tensor]] = {
    "imp": magnitude.imp,
    "oneshot": magnitude.oneshot,
    "random": random.permuted,
    "cavity": of_cavity.highest_first,
    "cavity_lowest": of_cavity.lowest_first,
    "reinit": follow.leaders,
    "shuffled": follow.shuffled,
}
