"""From a sweep to packs: trials, their lineages, which of them are left to do, and who shares a pack."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from impray.results.ledger import Ledger
from impray.service.room import parts_that_fit
from impray.spec import axes
from impray.spec.pack import Pack, rounds_with_rows, stackable
from impray.spec.sweep import Sweep
from impray.spec.trial import Lineage, Trial

_MOST_ENTRIES = 2**24  # 9 bytes each: 150 MB


@dataclass(frozen=True)
class PlannedTrial:
    """A trial with its place in the search, its axis values and its lineages."""

    number: int
    values: Mapping[str, object]
    trial: Trial
    lineages: tuple[Lineage, ...]


def planned(sweep: Sweep, number: int, values: Mapping[str, object], trial: Trial) -> PlannedTrial:
    return PlannedTrial(number, values, trial, tuple(trial.lineages(sweep.methods, sweep.seeds)))


def listed(sweep: Sweep) -> list[PlannedTrial]:
    """Every trial of a grid or random search, each once, in order."""
    trials: dict[str, PlannedTrial] = {}
    for values, trial in axes.trials(sweep):
        trials.setdefault(trial.id, planned(sweep, len(trials), values, trial))
    return list(trials.values())


def axis_types(sweep: Sweep) -> dict[str, str]:
    return {path: axes.axis_type(sweep, path) for path in sweep.search.space}


def pack_of(
    sweep: Sweep, lineages: Sequence[Lineage], ledger: Ledger, columns: Mapping[str, str], snapshots: Sequence[int] = ()
) -> Pack:
    """A pack; `columns` are the folder's axis columns and their types (an earlier run may have had other axes)."""
    return Pack(
        lineages=tuple(lineages),
        rounds=sweep.rounds,
        rows_at=sweep.rows_at,
        measures=sweep.measures,
        axes=dict(columns),
        snapshots=tuple(sorted(set(snapshots))),
        known=any(ledger.has_rows(lineage) for lineage in lineages),
    )


def packs(
    sweep: Sweep, trials: Sequence[PlannedTrial], ledger: Ledger, columns: Mapping[str, str], slots: int
) -> list[Pack]:
    """Packs of what is left to do, so many that they keep `slots` device slots busy, and none too large for memory.

    Trials that differ only along `search.pack` share one; packs are split between seeds (then trials) where slots would stay
    empty at the end. A lineage is in one pack only.
    """
    whole = pack_of(sweep, trials[0].lineages, ledger, columns) if trials else None
    groups: dict[tuple, list[Lineage]] = {}
    alike: dict[tuple[str, bool], str] = {}  # whatever the seed
    for trial in trials:
        shared = tuple(repr(value) for path, value in trial.values.items() if path not in sweep.search.pack)
        for lineage in trial.lineages:
            if whole is not None and not ledger.complete(lineage, whole):
                key = (trial.trial.id, lineage.solved)
                alike[key] = alike.get(key) or stackable(lineage)
                groups.setdefault((shared, alike[key]), []).append(lineage)
    # Early stopping compares whole trials, so their packs stay whole.
    parts = parts_for(len(groups), slots) if sweep.search.stop_early is None else 1
    # Every rewind step of the sweep, so that a trunk shared between packs is trained once and serves all of them.
    snapshots = [trial.trial.prune.rewind_step for trial in trials]
    return [
        pack_of(sweep, part, ledger, columns, snapshots)
        for group in groups.values()
        for part in split(group, max(parts, _parts_that_fit(sweep, group)))
    ]


def _parts_that_fit(sweep: Sweep, lineages: Sequence[Lineage]) -> int:
    """As many parts as keep within memory: of lineages that are solved at once, all of their masks and weights in `_MOST_ENTRIES`."""
    if not lineages[0].solved:
        return parts_that_fit(lineages)
    rows = [len(rounds_with_rows(lineage.trial, sweep.rounds, sweep.rows_at)) for lineage in lineages]
    entries = sum(count * sum(i.trial.scope_sizes) for count, i in zip(rows, lineages, strict=True))
    return math.ceil(entries / _MOST_ENTRIES)


def parts_for(groups: int, slots: int) -> int:
    """Into how many parts each of `groups` packs is cut: the fewest that leave at most 8 % of the slots' time empty."""
    for parts in range(1, slots):
        packs = groups * parts
        if packs >= 0.92 * slots * math.ceil(packs / slots) > 0:
            return parts
    return max(1, slots)


def split(lineages: Sequence[Lineage], parts: int) -> list[list[Lineage]]:
    """Nearly equal parts; lineages with one seed and one trial stay together, since they share a trunk and their data."""
    units: dict[tuple[int, str], list[Lineage]] = {}
    for lineage in lineages:
        units.setdefault((lineage.seed, lineage.trial.id), []).append(lineage)
    ordered = [units[key] for key in sorted(units, key=lambda key: key[0])]
    parts = min(parts, len(ordered))
    cuts = [round(index * len(ordered) / parts) for index in range(parts + 1)]
    return [[lineage for unit in ordered[a:b] for lineage in unit] for a, b in zip(cuts, cuts[1:], strict=False)]
