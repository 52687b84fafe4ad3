"""Pools: where packs run. `here.LocalPool` runs them in this process, `ray.pool.RayPool` in Ray's actors; the driver knows neither.

A pool asks the proposals for a pack whenever it has room for one, and tells the events what becomes of it. Both may raise a
StorageError, after which a pool starts nothing more and raises it again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from impray.results.store import Store
from impray.spec.pack import Pack
from impray.spec.sweep import Sweep

Outcome = Literal["done", "diverged", "stopped", "failed"]  # packs never are diverged; trials are, if every lineage is


class Proposals(Protocol):
    """Hands out packs and hears how they end."""

    def next(self) -> Pack | Literal["finished"]: ...

    def ended(self, pack: Pack, outcome: Outcome) -> None: ...

    @property
    def left(self) -> bool:
        """Whether there are packs again, after `next` has said "finished": those of one that failed are tried apart."""
        ...


class Events(Protocol):
    """What a pool tells of packs as they run."""

    def started(self, pack: Pack) -> None: ...

    def finished_round(self, pack: Pack, round: int) -> None: ...

    def ended(self, pack: Pack, outcome: Outcome, error: str, lineages: Sequence[str] | None = None) -> None:
        """lineages: those that failed, where not the whole pack did."""
        ...


@dataclass(frozen=True)
class Work:
    """What a pool is to run: the packs of a sweep, into its store, for the holder of the store's lease `running`.

    rungs: what early stopping reads of each trial that was over before: round -> value, NaN where undefined.
    """

    sweep: Sweep
    store: Store
    epoch: int
    rungs: Sequence[Mapping[int, float]] = ()


class Pool(Protocol):
    """Opened once, runs once, is closed in any case."""

    elsewhere: bool  # whether packs run on other machines than this one, or may
    name: str  # what opening and closing it is called where times are told; "" if they take none

    def open(self, sweep: Sweep) -> int:
        """Make it ready; how many packs it runs at once.

        Raises:  SweepError: it cannot be had, or will never have what one pack asks for.
        """
        ...

    def run(self, work: Work, proposals: Proposals, events: Events) -> bool:
        """Run every pack there is; whether it was cut short by Ctrl-C.

        Raises:  StorageError: the store takes nothing any more, or another sweep has taken it over.
        """
        ...

    def close(self) -> None: ...
