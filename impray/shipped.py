"""Where the shipped sweeps and figure scripts lie: in the package, where setup.py has put them, else beside it, in the checkout."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

OVERVIEW = "overview"  # the figure of every sweep; what is drawn where one names no figures
SEARCHED = ("goals", "importance")  # before it, of a search: what it found, and which axes matter
_PACKAGE = Path(__file__).parent


def figure_scripts() -> dict[str, Path]:
    """Figures by name: the overview of any sweep, and the scripts of `analysis/`."""
    files = [_PACKAGE / "figures" / f"{OVERVIEW}.py", *sorted(shipped("analysis").glob("*.py"))]
    return {path.stem: path for path in files if not path.stem.startswith("_")}


def shipped(folder: Literal["sweeps", "analysis"]) -> Path:
    """The folder `sweeps/` or `analysis/`."""
    inside = _PACKAGE / "_shipped" / folder
    return inside if inside.is_dir() else _PACKAGE.parent / folder
