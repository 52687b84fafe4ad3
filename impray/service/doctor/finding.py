"""What doctor says: findings, each with its mend."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

Level = Literal["ok", "warn", "wrong"]
Said = TypeVar("Said", bound=Hashable)
LEVELS: tuple[Level, ...] = ("ok", "warn", "wrong")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: how it is, what it is, what was found there, and what mends it."""

    level: Level
    what: str
    value: str
    mend: str = ""

    def document(self) -> dict[str, str]:
        return {"level": self.level, "what": self.what, "value": self.value, "mend": self.mend}


def ok(what: str, value: str) -> Finding:
    return Finding("ok", what, value)


def warn(what: str, value: str, mend: str) -> Finding:
    return Finding("warn", what, value, mend)


def wrong(what: str, value: str, mend: str) -> Finding:
    return Finding("wrong", what, value, mend)


def read(document: Mapping[str, str]) -> Finding:
    """A finding that another machine told.

    Raises:  ValueError: it is none.
    """
    level = document.get("level")
    for known in LEVELS:
        if level == known:
            return Finding(known, *(str(document.get(name, "")) for name in ("what", "value", "mend")))
    raise ValueError(f"not a finding: {document}")


def alike(of_nodes: Mapping[str, Said]) -> list[tuple[str, Said]]:
    """Nodes that say the same, told together: (which nodes, what they say). A cluster of 50 alike is one line."""
    groups: dict[Said, list[str]] = {}
    for node, answer in of_nodes.items():
        groups.setdefault(answer, []).append(node)
    return [(names(nodes, len(of_nodes)), answer) for answer, nodes in groups.items()]


def names(nodes: list[str], total: int) -> str:
    """`node 10.0.0.7`, `nodes 10.0.0.7, 10.0.0.8`, `all 12 nodes`."""
    if len(nodes) == total > 1:
        return f"all {total} nodes"
    shown = ", ".join(nodes[:3]) + (f" and {len(nodes) - 3} more" if len(nodes) > 3 else "")
    return f"{'node' if len(nodes) == 1 else 'nodes'} {shown}"
