"""The table `failures`: what went wrong in a pack, so that nothing is lost in an actor's log, and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime

from impray.results import tables
from impray.results.paths import Paths
from impray.results.store import Place
from impray.spec.errors import ImprayError, MemberError
from impray.spec.pack import Pack
from impray.spec.plugins.joined import blamed
from impray.spec.trial import Lineage


def write(
    folder: Place,
    pack: Pack,
    round: int,
    error: BaseException | str,
    trace: str = "",
    lineages: Sequence[Lineage] | None = None,
) -> None:
    """One row for one failure, of some of a pack's lineages or (None) of all."""
    lineages = pack.lineages if lineages is None else lineages
    row = {
        "pack": pack.id,
        "round": round,
        "trials": sorted({lineage.trial.id for lineage in lineages}),
        "lineages": [lineage.id for lineage in lineages],
        "error": error if isinstance(error, str) else f"{type(error).__name__}: {error}",
        "trace": trace,
        "hint": hint(error),
    }
    tables.write(Paths(folder), "failures", f"{pack.id}-{datetime.now(UTC):%Y%m%dT%H%M%S%f}", [row], pack.axes)


# What memory that is full is called: by Python and torch, by the kernel through Ray, by Ray itself.
_MEMORY = re.compile(
    r"out ?of ?memory|MemoryError|can.?t allocate memory|cannot allocate memory|\bOOM\b", re.IGNORECASE
)


def for_memory(error: str) -> bool:
    """Whether something failed because memory was full."""
    return _MEMORY.search(error) is not None


def hint(error: BaseException | str) -> str:
    """What to do about a failure, in a sentence; `impray sweep` then runs what failed again, and nothing else."""
    again = "then run the sweep again: only what failed is run"
    text = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
    if for_memory(text):
        right = (
            "fewer axes in search.pack, a smaller train.batch, or fewer packs at once (resources.cpu, resources.gpu)"
        )
        return f"memory was full: {right}; {again}"
    if isinstance(error, MemberError):
        return f"mend the plugin's member {error.member}; {again}"
    if isinstance(error, ImprayError):
        return f"mend what the message names; {again}"
    if isinstance(error, str):
        return f"its process was ended from outside, most often because memory was full (dmesg says so); {again}"
    where = blamed(error)
    if where is not None:
        return f"mend {where}; {again}"
    return "a bug of impray's: report it with the trace (impray failures --trace); running again tries it again"
