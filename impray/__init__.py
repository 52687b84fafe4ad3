"""impray: which statistics of the data make iterative magnitude pruning find structure?

From Python: `impray.run` a sweep, `impray.load` its results, `impray.scan` its tables (docs/python.md). Importing the package loads
nothing else: torch, polars and ray come with the first of these that needs them.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from impray.api import Frames, TrialsFailed, load, run, scan
    from impray.spec.errors import DataError, ImprayError, SweepError

__version__ = "0.11.0"
__all__ = ["DataError", "Frames", "ImprayError", "SweepError", "TrialsFailed", "load", "run", "scan"]

_HOME = {"DataError": "impray.spec.errors", "ImprayError": "impray.spec.errors", "SweepError": "impray.spec.errors"}


def __getattr__(name: str) -> object:
    """What the package offers, imported when it is asked for."""
    if name not in __all__:
        raise AttributeError(f"module 'impray' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOME.get(name, "impray.api")), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__", "__doc__"])
