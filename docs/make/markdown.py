"""Words of the code as Markdown, which GitHub and the built site show alike."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

_CODE = re.compile(r"(`[^`]*`)")
_MARKED = re.compile(r"[\\*\[\]]|(?<!\w)_|_(?!\w)")
_ENTITIES = {"<": "&lt;", "|": "&#124;", "~": "&#126;"}  # GitHub and the site escape others than these alike


def made_by(what: str) -> str:
    """The first line of a page that nobody edits."""
    return f"<!-- Made from {what} by `python -m docs.make`; edit that, not this page. -->\n"


def prose(text: str) -> str:
    """A docstring's words: nothing in them is markup but code between backticks."""
    return "".join(part.replace("|", "\\|") if part.startswith("`") else _plain(part) for part in _CODE.split(text))


def _plain(text: str) -> str:
    text = text.replace("&", "&amp;")
    for mark, entity in _ENTITIES.items():
        text = text.replace(mark, entity)
    return _MARKED.sub(r"\\\g<0>", text)


def paragraphs(text: str) -> str:
    """A docstring: a blank line begins a paragraph."""
    return "\n\n".join(prose(" ".join(part.split())) for part in text.split("\n\n"))


def code(words: str) -> str:
    """Inline code, also in a table's cell."""
    return f"`{words}`".replace("|", "\\|")


def value(default: Any) -> str:
    """A default as YAML has it."""
    if default is None:
        return "left out"
    if isinstance(default, float) and default.is_integer():
        default = int(default)
    return code(default if isinstance(default, str) and default else json.dumps(default))


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; cells are Markdown already."""
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    lines += [f"| {' | '.join(' '.join(cell.split()) for cell in row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def anchor(heading: str) -> str:
    """The anchor of a heading, as GitHub and the site make it."""
    plain = re.sub(r"[^\w\- ]", "", heading.replace("`", "")).strip().lower()
    return plain.replace(" ", "-")
