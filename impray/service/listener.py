"""What the driver tells while it works: the live view, the sync to MLflow and the drawing of figures listen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from impray.results.paths import Paths
from impray.results.store import File
from impray.service.plan import PlannedTrial
from impray.service.pool import Outcome
from impray.spec.pack import Pack
from impray.spec.sweep import Sweep

if TYPE_CHECKING:
    from impray.service.trials import Trials


@dataclass
class Report:
    """How a sweep ended; listeners add what became of their part."""

    trials: int
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    ran: int = 0  # packs that were run now; 0 means that there was nothing to do
    interrupted: bool = False
    figures: list[File] = field(default_factory=list)
    broken_figures: list[str] = field(default_factory=list)
    page: File | None = None  # the report on one page
    study: File | None = None  # the Optuna study of a search
    sync_error: str = ""
    set_aside: list[str] = field(default_factory=list)  # names in damaged/ of what was found broken and made again
    seconds: dict[str, float] = field(default_factory=dict)  # wall time of each part

    def count(self, outcome: Outcome) -> int:
        return sum(value == outcome for value in self.outcomes.values())


@dataclass(frozen=True)
class SweepStart:
    """What is known when packs are about to run."""

    sweep: Sweep
    name: str
    paths: Paths
    trials: int
    over: Sequence[Outcome]  # how those ended that were over before
    told: int  # trials that count as over
    known: Trials  # what is left of them; a search adds to it while it runs


@dataclass(frozen=True)
class TrialEnd:
    """A trial that has ended; `diverged` of its lineages did, and the goals are `values`."""

    planned: PlannedTrial
    outcome: Outcome
    values: Sequence[float]
    diverged: int


class Listener:
    """Hears everything, does nothing. `begun` and `ran` come in pairs, and not where nothing is left to run."""

    part = ""  # what its work after `whole` is called where times are told

    def begun(self, begun: SweepStart) -> None:
        """Packs are about to run.

        Raises:  ImprayError: what the user asked for cannot be had; nothing has been run.
        """

    def started(self, pack: Pack) -> None:
        """A pack has a place to run."""

    def finished_round(self, pack: Pack, round: int) -> None:
        """The rows of a pack's round are there."""

    def pack_ended(self, pack: Pack, outcome: Outcome, error: str) -> None: ...

    def trial_ended(self, ended: TrialEnd) -> None: ...

    def ran(self) -> None:
        """No more packs run, for whatever reason."""

    def whole(self, paths: Paths, report: Report) -> None:
        """Nothing is left to run, and the tables are merged. Comes also where nothing ran."""
