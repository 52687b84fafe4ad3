"""Errors a user can cause, each with the place, the value and what would be right.

`ImprayError` is what the command line turns into a message and exit code 2; anything else is a bug of ours and
shows its traceback. A network that diverges is not an error: it is a row with `status = "diverged"`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


class ImprayError(Exception):
    """Base of all errors that a user can cause and mend."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: where (dotted path, line or other place), what stands there, what would be right."""

    path: str
    value: str | None
    right: str
    line: int | None = None
    place: str | None = None  # where it was written when not in the file: `--set data.gain=x`

    def __str__(self) -> str:
        place = f"line {self.line}: " if self.line is not None else f"{self.place}: " if self.place else ""
        shown = f"{self.path} = {self.value}" if self.value is not None else self.path
        return f"{place}{shown}    {self.right}"


class SweepError(ImprayError):
    """What was asked for is wrong; carries every problem found, not only the first."""

    def __init__(self, source: str, problems: list[Problem]) -> None:
        self.source = source
        self.problems = problems
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__("\n".join([f"{source}: {count}", *(f"  {p}" for p in problems)]))


class ShapeError(ImprayError):
    """A tensor does not have the shape that the message repeats."""


class DataError(ImprayError):
    """A data set or a results folder cannot be read or written as asked; names the file."""


class StorageError(DataError):
    """A file cannot be written: the disk is full, the folder read-only; or a bucket does not answer. No pack can go on until that
    is mended.
    """


class PoolError(ImprayError):
    """Nothing can run any more where packs run. What is done stays, and running the sweep again goes on.

    Args:    told: whether this has been said already.
    """

    def __init__(self, why: str, *, told: bool = False) -> None:
        self.told = told
        super().__init__(why)


class MemberError(ImprayError):
    """A member of a family does not keep what it promised: a plugin's measure, rule, data, net or training."""

    def __init__(self, member: str, source: str, why: str) -> None:
        """member: its name. source: where it is written. why: what it did, and what would be right."""
        self.member = member
        super().__init__(f"{member} ({source}): {why}")


class LineageError(ImprayError):
    """A lineage cannot go on; names the lineage and the round."""


class LineagesEnded(ImprayError):
    """Some lineages of a pack could not go on, and the others have finished; `lineages` are the ids of those that ended."""

    def __init__(self, reasons: Mapping[str, str]) -> None:
        """reasons: lineage -> why."""
        self.lineages = tuple(reasons)
        super().__init__("; ".join(reasons.values()))
