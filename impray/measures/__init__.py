"""Measures: a round's state -> numbers per lineage and per unit, one measure per file.

To add one: a class in `impray/spec/measures/` (parameters, what it reads, its columns), a file here, a line in `impray.spec.families`.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping

from impray.measures.state import Readings, RoundState
from impray.spec import families
from impray.spec.family import Implementations
from impray.spec.measure import MeasureSpec

__all__ = ["MEASURES", "Readings", "RoundState"]

MEASURES: MutableMapping[type[MeasureSpec], Callable[..., Readings]] = Implementations(families.measures)
