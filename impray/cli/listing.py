"""`impray sweep --list`: the shipped sweeps."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

from impray.shipped import shipped

_QUESTION = re.compile(r"^question:.*\n(?:[ \t].*\n)*", re.MULTILINE)  # its line, and those that go on with it
_COST = re.compile(r"^# Run:[^(\n]*\(((?:[^()]|\n)*)\)", re.MULTILINE)


def sweep_lines() -> Iterator[str]:
    """The shipped sweeps by name, each with its question and what it costs."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 120
    for path in sorted(shipped("sweeps").glob("*.yaml")):
        question, cost = asked(path)
        yield path.stem
        for words in (question, cost):
            yield from textwrap.wrap(words, width, initial_indent="    ", subsequent_indent="    ")
    yield "\nnext: impray sweep NAME --plan"


def asked(path: Path) -> tuple[str, str]:
    """A shipped sweep's question, and its cost as its head says it behind `# Run:` in parentheses."""
    import yaml

    text = path.read_text("utf-8")
    found = _COST.search(text)
    cost = " ".join(found[1].replace("\n#", " ").split()) if found else ""
    return str(yaml.safe_load(_QUESTION.findall(text)[0])["question"]), cost  # the whole file takes ten times as long
