"""Networks with one hidden ReLU layer in a form that their function decides: parallel units are one.

    sum over parallel j of a_j relu(w_j x) = sign(c) relu(|c| u x)        w_j = |w_j| u, c = sum_j a_j |w_j|

since a ReLU passes positive factors on. So two units that each have a single weight, on the same input and of the same sign, are one
with the summed weight; of opposite readouts, with the difference, or none where that is 0.

Parallel is what differs in direction by no more than 1e-6: single precision rounds directions by 1e-7. Units that point opposite ways are
not merged, although relu(z) - relu(-z) = z can be told from other such pairs only by their sum: a blind spot.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.optimize import linear_sum_assignment

_PARALLEL = 1e-6


@dataclass(frozen=True)
class Units:
    """Kept weights [unit, input] of a network; those of them that are not 0; and which units of another network may stand for each.

    Rows of units that were merged into others are empty.
    """

    kept: Bool[np.ndarray, "unit input"]
    solid: Bool[np.ndarray, "unit input"]
    group: Int[np.ndarray, " unit"]


def merged(units: Units, weights: Float[np.ndarray, "unit input"], readout: Float[np.ndarray, " unit"]) -> Units:
    """The network with its parallel units merged; itself, where there are none.

    Args:    weights: 0 where they are not kept. readout: a.
    """
    kept, solid, group = units.kept.copy(), units.solid.copy(), units.group.copy()
    sizes = np.linalg.norm(weights, axis=1) * readout  # signed
    for alike in _parallel(weights, readout):
        total = sizes[alike].sum()
        # The one of the sum's sign that is largest stands for all.
        place = alike[int(np.argmax(sizes[alike] * np.sign(total)))]
        gone = abs(total) <= _PARALLEL * np.abs(sizes[alike]).sum()
        row_kept, row_solid = kept[alike].any(axis=0) & ~gone, solid[alike].any(axis=0) & ~gone
        kept[alike], solid[alike] = False, False
        kept[place], solid[place] = row_kept, row_solid
    return Units(kept, solid, group)


def _parallel(
    weights: Float[np.ndarray, "unit input"], readout: Float[np.ndarray, " unit"]
) -> list[Int[np.ndarray, " some"]]:
    """Sets of two or more units that point the same way."""
    alive = np.flatnonzero(weights.any(axis=1) & (readout != 0))
    own = weights[alive] / np.abs(weights[alive]).max(
        axis=1, initial=0, keepdims=True
    )  # squares of small ones would be 0
    directions = own / np.linalg.norm(own, axis=1, keepdims=True)
    leader = np.arange(len(alive))
    for unit in range(len(alive)):
        off = np.abs(directions[:unit] - directions[unit]).max(axis=1, initial=0)
        first = np.flatnonzero(off <= _PARALLEL)
        if len(first):
            leader[unit] = leader[first[0]]
    return [alive[leader == one] for one in np.unique(leader) if (leader == one).sum() > 1]


def shared(found: Units, true: Units) -> tuple[int, int]:
    """Places that two networks share, under the permutation of units that makes them most; and how many of them `found` fills with a
    weight that is not 0 (the most, where several permutations share as many).
    """
    inside = true.kept.astype(np.int64).T
    overlap, of_solid = found.kept.astype(np.int64) @ inside, found.solid.astype(np.int64) @ inside
    base = int(found.kept.sum()) + 1
    joint = np.where(found.group[:, None] == true.group, overlap * base + of_solid, 0)
    both, solid = divmod(int(joint[linear_sum_assignment(joint, maximize=True)].sum()), base)
    return both, solid
