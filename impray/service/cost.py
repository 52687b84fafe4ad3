"""How long packs take, from parts of them that are run here (`impray.service.probe`), for a limited time.

    seconds of a pack = opening its data + steps x seconds of a step + rounds with rows x their measures + all rounds x what else they take
    of a sweep        = start + its packs on so many slots, largest first + figures and MLflow

Packs of one program (`stackable`) are alike: one of each is timed; when the time is up, the others are scaled by parameters x batch.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

from impray.service import probe, solving_time
from impray.service.plan import MOST_BYTES
from impray.service.sizes import parameters
from impray.spec.pack import Pack, stackable
from impray.spec.sweep import Sweep
from impray.spec.training import StepsSpec

WHOLE_S, QUICK_S = 12.0, 1.5  # how long may be looked: for a plan, and before a sweep that starts
# Rough: a local Ray starts in some 5 s on 2 cores, and its actors import torch and the rest in some 5 more.
RAY_S, HERE_S = 11.0, 2.0
FIGURE_S, MLFLOW_S = 3.0, 4.0


@dataclass(frozen=True)
class PackSeconds:
    """Of one pack, on one slot."""

    training: float = 0.0
    rounds: float = 0.0  # measures, rows, checkpoints
    solving: float = 0.0  # of what is solved, with all that belongs to it

    @property
    def total(self) -> float:
        return self.training + self.rounds + self.solving

    def __add__(self, other: PackSeconds) -> PackSeconds:
        return PackSeconds(self.training + other.training, self.rounds + other.rounds, self.solving + other.solving)

    def __mul__(self, share: float) -> PackSeconds:
        return PackSeconds(self.training * share, self.rounds * share, self.solving * share)


@dataclass(frozen=True)
class Cost:
    """Seconds: of each pack on its slot, of opening data in each slot, and of what comes before and after."""

    packs: Sequence[PackSeconds]
    slots: int
    opening: float
    before: float
    after: float

    @property
    def slot_s(self) -> float:
        """Of all slots together."""
        return sum(pack.total for pack in self.packs) + self.opening * min(self.slots, len(self.packs))

    @property
    def wall_s(self) -> float:
        """From the start of the sweep to its end; 0 where nothing is left to run."""
        if not self.packs:
            return 0.0
        busy = [self.opening] * self.slots
        for seconds in sorted((pack.total for pack in self.packs), reverse=True):
            heapq.heapreplace(busy, busy[0] + seconds)
        return self.before + max(busy) + self.after

    def part(self, name: str) -> float:
        """Of all packs together: `training`, `rounds` or `solving`."""
        return sum(getattr(pack, name) for pack in self.packs)


def of_packs(
    sweep: Sweep,
    packs: Sequence[Pack],
    slots: int,
    where: str = "ray",
    budget_s: float = WHOLE_S,
    share: float = 1.0,
    after_s: float | None = None,
) -> Cost:
    """What packs of a sweep cost here.

    Args:    slots: packs at once. where: `ray` or `here`. budget_s: about how long may be looked. share: of their rounds that is left.
             after_s: for figures and MLflow; None: for all of the sweep's.
    """
    parts = [part for pack in packs for part in pack.parts]
    to_solve = [part for part in parts if part.solved]
    solved = iter(solving_time.seconds(to_solve, budget_s if len(to_solve) == len(parts) else budget_s / 2))
    kinds: dict[str, list[Pack]] = {}
    for part in parts:
        if not part.solved:
            kinds.setdefault(stackable(part.lineages[0]), []).append(part)
    timed: dict[str, _Kind] = {}
    begun, latest = probe.clock(), ""
    for name, alike in sorted(kinds.items(), key=lambda kind: -sum(map(_work, kind[1]))):
        if not timed or probe.clock() - begun < budget_s:
            timed[name] = _Kind.of(alike[0], budget_s / max(2, 2 * len(kinds)))
            latest = name
        else:
            timed[name] = timed[latest].scaled(alike[0])
    opening = max((kind.opening for kind in timed.values()), default=0.0)

    def seconds(part: Pack) -> PackSeconds:
        return PackSeconds(solving=next(solved)) if part.solved else timed[stackable(part.lineages[0])].seconds(part)

    each = [sum(map(seconds, pack.parts), PackSeconds()) * share for pack in packs]
    after = ending_s(sweep) if after_s is None else after_s
    return Cost(each, slots, opening, RAY_S if where == "ray" else HERE_S, after)


def ending_s(sweep: Sweep, figures: bool = True, mlflow: bool = True) -> float:
    """Of figures and of the export to MLflow, where they are asked for."""
    return FIGURE_S * len(sweep.drawn) * figures + MLFLOW_S * mlflow


@dataclass(frozen=True)
class _Kind:
    """What packs of one program cost: seconds of a network's step, of a round besides, of opening the data."""

    step: float
    rounds: probe.RoundCosts
    opening: float
    work: float  # of a network's step

    @classmethod
    def of(cls, pack: Pack, budget_s: float) -> _Kind:
        part = probe.within(pack, MOST_BYTES)
        opening, step = probe.step_seconds(part, budget_s)
        rounds = probe.round_costs(pack, budget_s)
        return cls(step / len(part.lineages), rounds, opening, _step_work(pack))

    def scaled(self, pack: Pack) -> _Kind:
        work = _step_work(pack)
        return _Kind(self.step * work / self.work, self.rounds, self.opening, work)

    def seconds(self, pack: Pack) -> PackSeconds:
        nets, trial = len(pack.lineages), pack.lineages[0].trial
        rows = sum(len(pack.rows_of(lineage)) for lineage in pack.lineages) / nets
        fixed, each = (self.rounds.rows[part] * rows + self.rounds.other[part] * (pack.rounds + 1) for part in (0, 1))
        return PackSeconds(self.step * trial.train.length * _trainings(pack), fixed + each * nets)


def _trainings(pack: Pack) -> int:
    """Rounds of networks that are trained, a trunk once."""
    trained = sum(pack.trains(lineage, round) for lineage in pack.lineages for round in range(1, pack.rounds + 1))
    return trained + len({lineage.trunk for lineage in pack.lineages})


def _step_work(pack: Pack) -> float:
    trial = pack.lineages[0].trial
    batch = trial.train.batch_size if isinstance(trial.train, StepsSpec) else 1
    return float(parameters(trial) * batch)


def _work(pack: Pack) -> float:
    return _step_work(pack) * pack.lineages[0].trial.train.length * len(pack.lineages)
