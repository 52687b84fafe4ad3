"""Errors a user can cause, each with the place, the value and what would be right.

`ImprayError` is what the command line turns into a message and exit code 2; anything else is a bug of ours and
shows its traceback. A network that diverges is not an error: it is a row with `status = "diverged"`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from impray.spec.text import PATH_SHOWN, SHOWN, cut, hidden, told

_MOST_TOLD = 2000  # characters of what would be right: it may list all figures, and should not list a file
_MOST_PROBLEMS = 100


class ImprayError(Exception):
    """Base of all errors that a user can cause and mend. As a text it holds no login and no signature of a URI."""

    def __str__(self) -> str:
        return hidden(super().__str__())


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: where (dotted path, line or other place), what stands there, what would be right.

    What it repeats of a file or an option is shortened, and secrets are left out, whoever makes it.
    """

    path: str
    value: str | None
    right: str
    line: int | None = None
    place: str | None = None  # where it was written when not in the file: `--set data.gain=x`

    def __post_init__(self) -> None:
        for name, most in (("path", PATH_SHOWN), ("value", SHOWN), ("right", _MOST_TOLD), ("place", SHOWN)):
            text = getattr(self, name)
            if text is not None:
                object.__setattr__(self, name, told(text, most))

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
        told = [f"  {problem}" for problem in problems[:_MOST_PROBLEMS]]
        more = [f"  and {len(problems) - _MOST_PROBLEMS} more"] if len(problems) > _MOST_PROBLEMS else []
        super().__init__("\n".join([f"{cut(source, PATH_SHOWN)}: {count}", *told, *more]))


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
