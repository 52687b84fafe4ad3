"""Measures: a round's state -> numbers per lineage and per unit, one measure per file.

To add one: a class in `impray/spec/measures/` (parameters, what it reads, its columns), a file here, a line in `impray.spec.families`.
"""

from __future__ import annotations

from collections.abc import Callable

from impray.measures.contract import checked
from impray.measures.state import Readings, RoundState
from impray.spec import families
from impray.spec.family import Implementations
from impray.spec.measure import MeasureSpec

__all__ = ["MEASURES", "Readings", "RoundState", "readings_of"]

MEASURES: Implementations[Callable[..., Readings]] = Implementations(families.measures)


def readings_of(asked: MeasureSpec, state: RoundState) -> Readings:
    """What a measure reads of a round.

    Raises:  MemberError: it gives something else than its columns, for each net and unit.
    """
    return checked(asked, state, MEASURES.call(type(asked), asked, state))
