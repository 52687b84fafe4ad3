"""How long solving takes: a few problems of each trial, solved, measured and written here, for a limited time.

One is run before, for what the first of all takes besides. Cheap trials come first. When the time is up, those that are left are scaled
from the last one by p^2 (n + methods rounds), which is what drawing a problem and its downdates cost.
"""

from __future__ import annotations

from collections.abc import Sequence

from impray.service import probe
from impray.spec.pack import Pack
from impray.spec.trial import Lineage

PROBLEMS = 16  # of each trial, where one takes less than `_QUICK_S`; else as many as its time allows, at least 2
_QUICK_S, _LONG_S = 0.05, 1.0  # where one takes longer than this, it stands for all


def seconds(packs: Sequence[Pack], budget_s: float) -> list[float]:
    """What all lineages of each pack take on one slot."""
    of_trials: dict[str, list[tuple[int, Pack, list[Lineage]]]] = {}
    for place, pack in enumerate(packs):
        by_trial: dict[str, list[Lineage]] = {}
        for lineage in pack.lineages:
            by_trial.setdefault(lineage.trial.id, []).append(lineage)
        for id, lineages in by_trial.items():
            of_trials.setdefault(id, []).append((place, pack, lineages))
    todo = sorted(of_trials.values(), key=lambda parts: sum(_work(pack, lineages) for _, pack, lineages in parts))
    if todo:
        # Imports, caches and what is compiled: they may take longer than the whole budget, and are no part of it.
        _, pack, lineages = todo[0][0]
        _probe(pack, lineages, 1)
    begun, total, rate = probe.clock(), [0.0] * len(packs), 0.0
    for place, parts in enumerate(todo):
        _, pack, lineages = parts[0]
        if place == 0 or probe.clock() - begun < budget_s:
            share_s = (budget_s - (probe.clock() - begun)) / (len(todo) - place)
            rate = _of_all(pack, lineages, share_s) / _work(pack, lineages)
        for of_pack, pack, lineages in parts:
            total[of_pack] += rate * _work(pack, lineages)
    return total


def _work(pack: Pack, lineages: Sequence[Lineage]) -> float:
    """A measure of what a trial's lineages cost."""
    trial, seeds = lineages[0].trial, len({lineage.seed for lineage in lineages})
    samples = getattr(trial.data, "samples", trial.data.inputs)
    return trial.data.inputs**2 * (samples * seeds + pack.rows_of(lineages[0])[-1] * len(lineages))


def _of_all(pack: Pack, lineages: Sequence[Lineage], share_s: float) -> float:
    one = _probe(pack, lineages, 1)
    seeds = len({lineage.seed for lineage in lineages})
    if one > _LONG_S or seeds == 1:
        return one * seeds
    some = min(PROBLEMS if one <= _QUICK_S else max(2, min(PROBLEMS, int(share_s / one))), seeds)
    many = _probe(pack, lineages, some)
    # One problem is timed on both sides of the many, so that neither a first call nor a busy moment passes for what a pack takes besides
    # its problems (files, opening data): that is there once, however many there are.
    one = min(one, _probe(pack, lineages, 1))
    each = min(one, max(0.0, (many - one) / (some - 1)))
    return one + each * (seeds - 1)


def _probe(pack: Pack, lineages: Sequence[Lineage], problems: int) -> float:
    """Seconds that so many problems of a trial take."""
    seeds = sorted({lineage.seed for lineage in lineages})[:problems]
    part = pack.model_copy(update={"lineages": tuple(lineage for lineage in lineages if lineage.seed in seeds)})
    return probe.run_part(part).seconds
