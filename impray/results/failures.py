"""The table `failures`: what went wrong in a pack, so that nothing is lost in an actor's log."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from impray.results import tables
from impray.results.paths import Paths
from impray.results.store import Place
from impray.spec.pack import Pack
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
    }
    tables.write(Paths(folder), "failures", f"{pack.id}-{datetime.now(UTC):%Y%m%dT%H%M%S%f}", [row], pack.axes)
