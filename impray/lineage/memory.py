"""What a pack's rounds need of the world: what is done already, and a place for checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from impray.spec.trial import Lineage


class Memory(Protocol):
    """Knows the rows of earlier runs, and keeps checkpoints as bytes."""

    def done(self, lineage: Lineage, round: int) -> bool: ...

    def diverged(self, lineage: Lineage) -> int | None:
        """The round in which an earlier run saw it diverge."""
        ...

    def load_trunk(self, trunk: str, part: str) -> bytes | None:
        """A part is `end`, or `at200` for the snapshot after 200 updates."""
        ...

    def save_trunk(self, trunk: str, part: str, content: bytes) -> None: ...

    def locked_trunks(self, trunks: Sequence[str]) -> AbstractContextManager[None]: ...

    def load_record(self, lineage: str, round: int) -> bytes | None: ...

    def save_record(self, lineage: str, round: int, content: bytes) -> None: ...

    def load_scores(self, lineage: str, measure: str, digest: str, round: int) -> bytes | None: ...

    def save_scores(self, lineage: str, measure: str, digest: str, round: int, content: bytes) -> None: ...

    def earlier_scores(self, lineage: Lineage) -> list[tuple[str, str]]:
        """(measure, hash of its parameters) of the numbers of single weights that only earlier runs asked for."""
        ...
