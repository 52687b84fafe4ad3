"""How many parameters of a scope each round keeps: exact arithmetic on the decimals that a sweep is written in.

    fraction     kept_0 = prunable        kept_n = kept_(n-1) - round(fraction kept_(n-1))
    densities    kept_0 = prunable        kept_n = round(densities_n prunable)

(round half to even). A float stands for the shortest decimal that reads as it, which is what was written: 0.7 is 7/10, and of
85 weights 0.7 is 59.5, so 60 go. In floats 0.7 * 85 is 59.49999999999999: versions before 0.4.0 removed 59. `rounds_in_floats`
says which schedules that concerns.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from itertools import islice

MOST_ROUNDS = (
    10_000  # that are looked ahead: a fraction of 1e-6 could be followed for millions, and nobody trains so many
)


def exact(decimal: float) -> Fraction:
    """The decimal that `decimal` was written as."""
    return Fraction(repr(float(decimal)))


def share(fraction: float, count: int) -> int:
    """fraction * count, half to even."""
    return round(exact(fraction) * count)


def fits(amount: float, available: float) -> int:
    """How many of `amount` go into `available`: 100 of 0.07 into 7, where 7 / 0.07 is 99.99999999999999."""
    return exact(available) // exact(amount)


def falling(prunable: int, fraction: float) -> Iterator[int]:
    """Kept parameters of a scope in rounds 0, 1, ..., until they fall no more."""
    goes, kept = exact(fraction), prunable
    yield kept
    while removed := round(goes * kept):
        kept -= removed
        yield kept


def counts(prunable: int, fraction: float, rounds: int) -> list[int]:
    """Kept parameters of a scope of `prunable` in rounds 0 to `rounds`; where round(fraction * kept) is 0 they stay."""
    kept = list(islice(falling(prunable, fraction), rounds + 1))
    return kept + kept[-1:] * (rounds + 1 - len(kept))


@lru_cache(maxsize=2**16)
def rounds_in_floats(prunable: int, fraction: float) -> bool:
    """Whether arithmetic in floats, as of versions before 0.4.0, gives a schedule that is not the exact one."""
    kept = prunable
    for following in islice(falling(prunable, fraction), 1, MOST_ROUNDS + 1):
        if kept - round(fraction * kept) != following:
            return True
        kept = following
    return round(fraction * kept) != share(fraction, kept)  # where the exact one ends, floats might go on
