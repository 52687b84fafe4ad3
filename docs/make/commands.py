"""docs/commands.md and docs/exit_codes.md: the command line, as typer knows it."""

from __future__ import annotations

import re
from typing import Any

import typer
from typer.cli import get_docs_for_click
from typer.main import get_command

from docs.make.markdown import anchor, code, made_by, prose, table
from impray.cli import app
from impray.cli.app import EXIT_CODES

HEAD = """# Command line

Each command ends by naming the next useful one. A FOLDER is a sweep's own
folder, such as `runs/quickstart`, or `s3://bucket/runs/quickstart`. [Exit codes](exit_codes.md) are the same for all commands.
"""
CODES = """# Exit codes

Exit code 0 means that everything asked for is there and right. `impray COMMAND` ends with one of these:
"""
MORE = """
- `impray doctor` ends with 1 if it finds something wrong, `impray figures` with 2 if a figure could not be drawn.
- A lineage that diverges is a result, not an error: its sweep ends with 0, and says so. `impray failures FOLDER` names it.
- After any exit code the same command goes on where the last one ended: what exists is done.
- Errors of yours are told without a trace, all at once, with place, value and what would be right. A trace is a bug of ours.

In a script:

```sh
impray sweep my.yaml || { code=$?; [ $code -eq 1 ] && impray failures runs/my; exit $code; }
```
"""


def commands() -> str:
    """Every command, its arguments and its options."""
    group: Any = get_command(app)
    names = [*_names(group, "impray")]
    text = get_docs_for_click(obj=group, ctx=typer.Context(group, info_name="impray"), name="impray")
    text = text.replace(_epilog(text), "")
    text = text[text.index("\n## ") + 1 :]
    listed = "\n".join(f"- [`{name}`](#{anchor(name)}): {prose(_first(help_text))}" for name, help_text in names)
    return "\n".join(
        [made_by("the command line"), HEAD, listed + "\n", re.sub(r"\n{3,}", "\n\n", text).rstrip() + "\n"]
    )


def exit_codes() -> str:
    """Every exit code."""
    rows = []
    for line in EXIT_CODES.splitlines()[2:]:
        number, words = line.split(maxsplit=1)
        rows += _of_line(number, words)
    return "\n".join([made_by("the command line"), CODES, table(("code", "meaning"), rows) + MORE])


def _of_line(number: str, words: str) -> list[tuple[str, str]]:
    """A line may tell of several codes: `129  ended by SIGHUP, 130 by Ctrl-C, 143 by SIGTERM: the same command goes on`."""
    others = re.findall(r", (\d{3}) (by [\w-]+)", words)
    if not others:
        return [(code(number), prose(words))]
    first, last = words.split(",")[0], words.rpartition(": ")[2]
    return [(code(number), f"{first}: {last}"), *((code(n), f"ended {by}: {last}") for n, by in others)]


def _names(group: Any, path: str) -> list[tuple[str, str]]:
    found = []
    for name, command in group.commands.items():
        found.append((f"{path} {name}", command.help or ""))
        if hasattr(command, "commands"):
            found += _names(command, f"{path} {name}")
    return found


def _first(text: str) -> str:
    return " ".join(text.split("\n\n")[0].split())


def _epilog(text: str) -> str:
    start = text.index("\nExit codes:")
    return text[start : text.index("\n\n", start)]
