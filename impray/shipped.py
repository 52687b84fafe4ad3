"""Where the shipped sweeps and figure scripts lie: in the package, where setup.py has put them, else beside it, in the checkout."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

_PACKAGE = Path(__file__).parent


def shipped(folder: Literal["sweeps", "analysis"]) -> Path:
    """The folder `sweeps/` or `analysis/`."""
    inside = _PACKAGE / "_shipped" / folder
    return inside if inside.is_dir() else _PACKAGE.parent / folder
