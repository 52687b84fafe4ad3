"""What killed runs left on this machine, outside results folders: cleared before the next one. Only this user's, and only of the dead."""

from __future__ import annotations

from impray import scratch
from impray.service.ray import warden


def clear() -> None:
    """Remove temporary folders, and end servers of Ray, whose drivers have ended; the warden of a killed driver has mostly done so."""
    scratch.clear()
    warden.clear()
