"""How a sweep that leaves out what its files say gets it: the reader that loading is given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def sizes_in_files(description: Mapping[str, Any]) -> Mapping[str, Any]:
    """See `impray.data.formats.said`, which is imported when a sweep needs it: torch, which comes with it, takes seconds."""
    from impray.data.formats.said import sizes

    return sizes(description)
