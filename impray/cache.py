"""Where this user's machine keeps what can be made again."""

from __future__ import annotations

import os
from pathlib import Path


def cache() -> Path:
    """IMPRAY_CACHE, XDG_CACHE_HOME/impray or ~/.cache/impray."""
    if place := os.environ.get("IMPRAY_CACHE"):
        return Path(place).expanduser().absolute()
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "impray"
