"""What a sweep needs of disks and memory, from its description alone.

Checkpoints are counted exactly but for their headers. Tables are bytes per row as measured (quickstart: 138 per round, 38 per unit
and round once compacted), times two: small files and compacted ones lie beside each other for a moment. Memory is `impray.service.sizes`'.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from impray.service.sizes import ACTOR_BYTES, blended, bytes_of_item, parameters, prepared, tensors
from impray.spec.counts import fits
from impray.spec.data import DataSpec, Linear
from impray.spec.pack import Pack, rounds_with_rows
from impray.spec.sweep import Sweep
from impray.spec.trial import Lineage, Trial

if TYPE_CHECKING:
    from impray.results.ledger import Ledger

HEAD_BYTES = 700 << 20  # of memory: Ray's own processes on a head
NODE_BYTES = 210 << 20  # and on every other node
HEADER_BYTES = 800  # of a checkpoint
ROUND_BYTES, UNIT_BYTES = 2 * 138, 2 * 38  # of tables, per row of `rounds` and of `units`
REMOVAL_BYTES = 2 * 30  # per row of `removals`
VIEW_BYTES, TRIAL_BYTES = 1 << 20, 64 << 10  # mlflow.db: empty, and per trial


@dataclass(frozen=True)
class Needs:
    """Bytes, and what a pack asks Ray for."""

    lineages: int  # with something left to do
    packs: int
    checkpoints: int
    tables: int
    actor: int
    device: int  # of tensors of the largest pack
    data: int  # of a data set in the cache of every node; 0 where none is converted
    cpu: float
    gpu: float
    path: str  # of the data's files, "" where there are none or they are at a URI

    @property
    def disk(self) -> int:
        return self.checkpoints + self.tables

    def slots(self, cpus: float, gpus: float) -> int:
        """Actors that a node has room for by what Ray counts."""
        fit = [fits(self.cpu, cpus)] + ([fits(self.gpu, gpus)] if self.gpu > 0 else [])
        return min(min(fit), self.packs)

    def document(self) -> dict[str, Any]:
        return asdict(self)


def needs(sweep: Sweep, ledger: Ledger, slots: int = 1, left: Sequence[Pack] | None = None) -> Needs:
    """What is left of a sweep needs; with Optuna, what its trials would if each were like the base trial.

    Args:    ledger: what of the sweep is done. slots: actors at once, which decides how large packs are. left: packs of what
             is left, where they are known.
    """
    from impray.service.plan import axis_types, listed, pack_of, packs, planned

    times = (sweep.search.trials or 1) if sweep.search.algorithm == "optuna" else 1
    if left is None:
        columns = axis_types(sweep)
        if sweep.search.algorithm == "optuna":
            left = [pack_of(sweep, planned(sweep, 0, {}, sweep.trial).lineages, ledger, columns)]
        else:
            left = packs(sweep, listed(sweep), ledger, columns, slots)
    lineages = list(chain.from_iterable(pack.lineages for pack in left))
    trials = len({lineage.trial.id for lineage in lineages}) * times
    data = sweep.trial.data
    return Needs(
        lineages=len(lineages) * times,
        packs=len(left) * times,
        checkpoints=times * _checkpoints(left),
        tables=VIEW_BYTES + trials * TRIAL_BYTES + times * _rows_bytes(sweep, lineages),
        actor=ACTOR_BYTES + prepared(data, blended(sweep)) + max((tensors(pack) for pack in left), default=0),
        device=max((tensors(pack) for pack in left), default=0),
        data=_converted(sweep),
        cpu=sweep.resources.cpu,
        gpu=sweep.resources.gpu,
        path=_path(data),
    )


def _path(data: DataSpec) -> str:
    """Of the data's files on this machine; "" where there are none or they are at a URI."""
    source = data.design if isinstance(data, Linear) else data
    path = str(getattr(source, "path", "") or "")
    return "" if "://" in path else path


def _rows_bytes(sweep: Sweep, lineages: Sequence[Lineage]) -> int:
    """Of all tables; a trial's lineages of one method have as many."""
    alike: dict[tuple[str, str], list[Lineage]] = {}
    for lineage in lineages:
        alike.setdefault((lineage.trial.id, lineage.method), []).append(lineage)
    return sum(len(some) * _rows_bytes_of(sweep, some[0]) for some in alike.values())


def _rows_bytes_of(sweep: Sweep, lineage: Lineage) -> int:
    trial, rounds = lineage.trial, len(rounds_with_rows(lineage.trial, sweep.rounds, sweep.rows_at))
    removals = any(measure.removal_columns for measure in sweep.measures) and lineage.rule.nests
    gone = REMOVAL_BYTES * sum(trial.scope_sizes) if removals else 0
    if lineage.solved:  # its measures have no columns of units
        return rounds * ROUND_BYTES + gone
    return rounds * (ROUND_BYTES + UNIT_BYTES * sum(kernel.units for kernel in trial.kernels))


def _checkpoints(left: Sequence[Pack]) -> int:
    """Bytes of records and scores of all lineages, and of their trunks."""
    of_kind: dict[tuple, int] = {}  # trials differ in what does not show here: a lineage is counted once per kind
    trunks: dict[str, Trial] = {}
    steps: set[int] = set()
    total = 0
    for pack in left:
        steps.update(pack.snapshots)
        for lineage in pack.lineages:
            if lineage.solved:  # again rather than kept
                continue
            trunks.setdefault(lineage.trunk, lineage.trial)
            key = (lineage.trial.id, lineage.method)
            if key not in of_kind:
                of_kind[key] = _records(pack, lineage)
            total += of_kind[key]
    return total + sum(_trunk(trial, len(steps) or 1) for trial in trunks.values())


def _records(pack: Pack, lineage: Lineage) -> int:
    trial = lineage.trial
    prunable = sum(trial.scope_sizes)
    scores = sum(len(measure.fate_columns) for measure in pack.measures)
    total = 0
    for round, kept in enumerate(_kept(trial, pack.rounds)):
        end = kept + parameters(trial) - prunable if pack.trains(lineage, round) else 0
        record = HEADER_BYTES + prunable // 8 + bytes_of_item(trial) * end if round else 0
        total += record + bytes_of_item(trial) * scores * kept
    return total


def _kept(trial: Trial, rounds: int) -> Iterable[int]:
    schedules = [trial.prune.schedule(scope) for scope in trial.scope_sizes]
    kept = list(trial.scope_sizes)
    for _ in range(rounds + 1):
        kept = [next(schedule, last) for schedule, last in zip(schedules, kept, strict=True)]
        yield sum(kept)


def _trunk(trial: Trial, snapshots: int) -> int:
    return (1 + snapshots) * (HEADER_BYTES + bytes_of_item(trial) * parameters(trial))


# Images of published sets, held-out and all; they are kept as bytes.
_IMAGES: Mapping[str, int] = {"imagenet32": 1_331_167, "cifar10": 60_000, "cifar100": 60_000}


def _converted(sweep: Sweep) -> int:
    """Bytes of the data set, and of its Gaussian clone if one is blended in, in the cache of a machine; 0 where that is not known."""
    data = sweep.trial.data
    images = _IMAGES.get(str(getattr(data, "kind", "")), 0)
    return images * data.inputs * (3 if blended(sweep) else 1)  # the clone is in 16 bits
