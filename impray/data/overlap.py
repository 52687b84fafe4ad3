"""Whether held-out rows are training rows: then accuracy on them would say nothing.

    a   share of the held-out inputs that are, byte for byte, also training inputs
    b   share of the training inputs that have a twin among the training inputs

Rows drawn independently of one another make a and b equal on average, however often inputs repeat (a few binary columns repeat
always, photographs never). So a alone is no leak, and a - b is. It is refused above 0.1 and 4 standard errors,

    a - b > 0.1 + 4 sqrt(p (1 - p) (1 / n_a + 1 / n_b)),      p the share of both together,

and where both parts are the same inputs equally often, in any order. Labels are not looked at.

Why a tenth, and an error: real sets have a few such rows by chance (of 5,000 held-out images of CIFAR-10 tried here, none), and a
tenth that is known by heart moves accuracy by as much as the effects that sweeps look for. A warning would be read once, at
conversion, and the numbers for years. What lies below is counted in `complete.json`. Blind spots: rows that are nearly the same,
mirrored or rescaled; a leak in which the training rows repeat just as often; fewer than four held-out rows.
"""

from __future__ import annotations

import hashlib

import numpy as np
from jaxtyping import Shaped, UInt64

_LEAST = 0.1
_STANDARD_ERRORS = 4


def digests(rows: Shaped[np.ndarray, "row input"]) -> UInt64[np.ndarray, " row"]:
    """A hash of each row: of a billion rows, two different ones share one with a chance of 3 %."""
    hashes = (hashlib.blake2b(row.data, digest_size=8).digest() for row in np.ascontiguousarray(rows))
    return np.frombuffer(b"".join(hashes), np.uint64)


def shared(train: UInt64[np.ndarray, " row"], held_out: UInt64[np.ndarray, " held_out_row"]) -> int:
    """How many held-out rows are also training rows."""
    return int(np.isin(held_out, train).sum())


def leaks(train: UInt64[np.ndarray, " row"], held_out: UInt64[np.ndarray, " held_out_row"]) -> bool:
    """Whether the held-out rows were not drawn independently of the training rows; see the module's first words."""
    if len(train) == len(held_out) and np.array_equal(np.sort(train), np.sort(held_out)):
        return len(np.unique(train)) > 1
    _, times = np.unique(train, return_counts=True)
    in_both, twins = shared(train, held_out), int(times[times > 1].sum())
    p = (in_both + twins) / (len(held_out) + len(train))
    error = np.sqrt(p * (1 - p) * (1 / len(held_out) + 1 / len(train)))
    return bool(in_both / len(held_out) - twins / len(train) > _LEAST + _STANDARD_ERRORS * error)
