"""From a sweep to packs: trials, their lineages, which of them are left to do, and who shares a pack."""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from impray.results.ledger import Ledger
from impray.service.sizes import tensors
from impray.spec import axes
from impray.spec.nets import Module
from impray.spec.pack import Pack, rounds_with_rows, stackable
from impray.spec.sweep import Sweep
from impray.spec.trial import Lineage, Trial

_MOST_ENTRIES = 2**24  # 9 bytes each: 150 MB
# Of the tensors of a pack that trials share unasked, on a CPU and on a whole GPU. One network's step took 61, 39, 38, 38, 40 and 42 us
# in packs of 6, 30, 60, 120, 270 and 540 (rewind_prune_gain; 10, 49, 97, 195, 439 and 877 MiB): beyond some 50 nothing is gained.
MOST_BYTES, MOST_GPU_BYTES = 256 << 20, 4 << 30
PACK_BYTES = 4 << 30  # of any that is trained and can be split: larger ones are no faster
_MOST_SOLVED = 1_000  # linear models of such a pack: their rows come when all are solved
_FINEST = 16  # times as many packs as slots, at most


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


def anything_left(sweep: Sweep, trials: Sequence[PlannedTrial], ledger: Ledger, columns: Mapping[str, str]) -> bool:
    """Whether `packs` would give any."""
    if not trials:
        return False
    whole = pack_of(sweep, trials[0].lineages, ledger, columns)
    return any(not ledger.complete(lineage, whole) for trial in trials for lineage in trial.lineages)


def packs(
    sweep: Sweep, trials: Sequence[PlannedTrial], ledger: Ledger, columns: Mapping[str, str], slots: int
) -> list[Pack]:
    """Packs of what is left to do, so many that they keep `slots` device slots busy, and none too large for memory; largest first.

    Trials that differ only along `search.pack` share one; where it is left out, all do that can, within `MOST_BYTES`. Packs are split
    between seeds (then trials) where slots would stay empty at the end. A lineage is in one pack only.
    """
    whole = pack_of(sweep, trials[0].lineages, ledger, columns) if trials else None
    groups: dict[tuple, list[Lineage]] = {}
    for trial in trials:
        alike: dict[bool, tuple] = {}  # whatever the seed
        for lineage in trial.lineages:
            if whole is not None and not ledger.complete(lineage, whole):
                if lineage.solved not in alike:
                    # Early stopping compares whole trials, so their packs stay whole: also those with solved and trained lineages.
                    program = stackable(lineage) if sweep.search.stop_early is None else trial.trial.id
                    alike[lineage.solved] = (_shared(sweep, trial, lineage), program)
                groups.setdefault(alike[lineage.solved], []).append(lineage)
    spread = parts_for([len(_units(group)) for group in groups.values()], slots)
    parts = spread if sweep.search.stop_early is None else [1] * len(groups)
    # Every rewind step of the sweep, so that a trunk shared between packs is trained once and serves all of them.
    snapshots = [trial.trial.prune.rewind_step for trial in trials]
    cut = [
        pack_of(sweep, part, ledger, columns, snapshots)
        for group, some in zip(groups.values(), parts, strict=True)
        for part in split(group, max(some, _parts_that_fit(sweep, group)))
    ]
    return sorted(cut, key=lambda pack: -len(pack.lineages))  # those that take longest must not begin last


def packs_itself(sweep: Sweep) -> bool:
    """Whether trials share packs without being told to: `search.pack` is left out, and trials neither come nor end one by one."""
    return sweep.search.pack is None and sweep.search.algorithm != "optuna" and sweep.search.stop_early is None


def _shared(sweep: Sweep, planned: PlannedTrial, lineage: Lineage) -> tuple:
    """What lineages that may share a pack have in common, besides what `stackable` says."""
    if not packs_itself(sweep):
        return tuple(repr(value) for path, value in planned.values.items() if path not in (sweep.search.pack or ()))
    trial = planned.trial
    # Modules round by their neighbours (`Network.exact`), and a plugin may: their numbers stay those of a trial by itself.
    exact = not isinstance(trial.net, Module) and not any(p.origin for p in (trial.data, trial.net, trial.train))
    # Networks that are solved take seconds each, one after another: a larger pack would only write its rows later.
    quick = trial.solvable or not lineage.solved
    return trial.shapes if exact and quick else (trial.id,)


def _parts_that_fit(sweep: Sweep, lineages: Sequence[Lineage]) -> int:
    """As many parts as keep within memory: of lineages that are solved at once, all of their masks and weights in `_MOST_ENTRIES`; of
    those that are trained, `PACK_BYTES`. Those that share a pack unasked keep within `MOST_BYTES` or `_MOST_SOLVED`, but a trial by itself
    is never cut for that."""
    if sweep.search.stop_early is not None:
        return 1
    trials, shares = len({lineage.trial.id for lineage in lineages}), packs_itself(sweep)
    if lineages[0].solved:
        rows = [len(rounds_with_rows(lineage.trial, sweep.rounds, sweep.rows_at)) for lineage in lineages]
        entries = sum(count * sum(i.trial.scope_sizes) for count, i in zip(rows, lineages, strict=True))
        unasked = math.ceil(len(lineages) / _MOST_SOLVED)
        parts = math.ceil(entries / _MOST_ENTRIES)
    else:
        most = MOST_BYTES if sweep.resources.gpu == 0 else MOST_GPU_BYTES * min(1.0, sweep.resources.gpu)
        taken = tensors(Pack(lineages=tuple(lineages), rounds=sweep.rounds, measures=()))
        unasked = math.ceil(taken / most)
        parts = math.ceil(taken / PACK_BYTES)
    return max(1, parts, min(trials, unasked) if shares else 1)


def parts_for(groups: Sequence[int], slots: int) -> list[int]:
    """Into how many packs each group is cut: few, and so that of the slots' time at most 8 % is empty, where that can be.

    Args:    groups: sizes, in units that are not cut and take equally long; packs are handed out largest first.
    """
    fewest, least = [1] * len(groups), 1.0
    for finer in range(1, _FINEST + 1):
        most = sum(groups) / (slots * finer)
        parts = [min(size, max(1, math.ceil(size / most))) for size in groups]
        if (empty := _empty(groups, parts, slots)) < least:
            fewest, least = parts, empty
        if least <= 0.08 or parts == list(groups):
            break
    return fewest


def _empty(groups: Sequence[int], parts: Sequence[int], slots: int) -> float:
    """The share of the slots' time that is empty, if a slot that is free takes the largest pack that is left."""
    sizes = [
        size // some + (place < size % some) for size, some in zip(groups, parts, strict=True) for place in range(some)
    ]
    busy = [0] * slots
    for size in sorted(sizes, reverse=True):
        heapq.heapreplace(busy, busy[0] + size)
    return 1 - sum(sizes) / (slots * max(busy)) if sizes else 0.0


def split(lineages: Sequence[Lineage], parts: int) -> list[list[Lineage]]:
    """Nearly equal parts; lineages with one seed and one trial stay together, since they share a trunk and their data."""
    units = _units(lineages)
    ordered = [units[key] for key in sorted(units, key=lambda key: key[0])]
    parts = min(parts, len(ordered))
    cuts = [round(index * len(ordered) / parts) for index in range(parts + 1)]
    return [[lineage for unit in ordered[a:b] for lineage in unit] for a, b in zip(cuts, cuts[1:], strict=False)]


def apart(pack: Pack, *, smaller: bool) -> list[Pack]:
    """What is left to try of a pack that failed as a whole: a pack for each of its trials, so that those fail alone that have to.

    Args:    smaller: whether it failed for its size (memory was full): then one trial's seeds, too, are cut in two.
    Returns: nothing where it cannot be cut.
    """
    of_trials: dict[str, list[Lineage]] = {}
    for lineage in pack.lineages:
        of_trials.setdefault(lineage.trial.id, []).append(lineage)
    parts = list(of_trials.values())
    if len(parts) == 1:
        parts = split(parts[0], 2) if smaller else []
    # Not as a copy: that would keep the name of the whole pack.
    whole = {name: getattr(pack, name) for name in Pack.model_fields}
    return [Pack(**{**whole, "lineages": tuple(part), "known": True}) for part in parts] if len(parts) > 1 else []


def _units(lineages: Sequence[Lineage]) -> dict[tuple[int, str], list[Lineage]]:
    """Lineages by seed and trial."""
    units: dict[tuple[int, str], list[Lineage]] = {}
    for lineage in lineages:
        units.setdefault((lineage.seed, lineage.trial.id), []).append(lineage)
    return units
