"""The pages that are made from the code, by the name of their file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from docs.make import commands, keys, measures, quantities, sweeps, tables

DOCS = Path(__file__).parent.parent
PAGES: Mapping[str, Callable[[], str]] = {
    "keys.md": keys.page,
    "measures.md": measures.page,
    "quantities.md": quantities.page,
    "sweeps.md": sweeps.page,
    "tables.md": tables.page,
    "commands.md": commands.commands,
    "exit_codes.md": commands.exit_codes,
}
