"""How long solving takes: a few problems of each trial, solved and measured here, for a limited time.

Cheap trials come first. When the time is up, those that are left are scaled from the last one by p^2 (n + methods rounds), which is what
drawing a problem and its downdates cost.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch

from impray.lineage.solved import NothingDone, SolvedRounds
from impray.spec.pack import Pack
from impray.spec.trial import Lineage

PROBLEMS = 16  # of each trial, where one takes less than `_QUICK_S`
_QUICK_S, _BUDGET_S = 0.05, 8.0


def seconds(packs: Sequence[Pack]) -> float:
    """What all lineages of these packs take on one slot."""
    of_trials: dict[str, tuple[Pack, list[Lineage]]] = {}
    for pack in packs:
        for lineage in pack.lineages:
            of_trials.setdefault(lineage.trial.id, (pack, []))[1].append(lineage)
    todo = sorted(of_trials.values(), key=lambda entry: _work(*entry))
    torch.set_num_threads(1)
    begun, total, rate = time.perf_counter(), 0.0, 0.0
    for place, (pack, lineages) in enumerate(todo):
        if place == 0:
            _probe(pack, lineages, 1)  # imports and caches
        if place == 0 or time.perf_counter() - begun < _BUDGET_S:
            rate = _of_all(pack, lineages) / _work(pack, lineages)
        total += rate * _work(pack, lineages)
    return total


def _work(pack: Pack, lineages: Sequence[Lineage]) -> float:
    """A measure of what a trial's lineages cost."""
    trial, seeds = lineages[0].trial, len({lineage.seed for lineage in lineages})
    samples = getattr(trial.data, "samples", trial.data.inputs)
    return trial.data.inputs**2 * (samples * seeds + pack.rows_of(lineages[0])[-1] * len(lineages))


def _of_all(pack: Pack, lineages: Sequence[Lineage]) -> float:
    one = _probe(pack, lineages, 1)
    seeds = len({lineage.seed for lineage in lineages})
    if one > _QUICK_S or seeds == 1:
        return one * seeds
    some = min(PROBLEMS, seeds)
    return _probe(pack, lineages, some) / some * seeds


def _probe(pack: Pack, lineages: Sequence[Lineage], problems: int) -> float:
    """Seconds that solving and measuring so many problems of a trial takes."""
    seeds = sorted({lineage.seed for lineage in lineages})[:problems]
    part = pack.model_copy(update={"lineages": tuple(lineage for lineage in lineages if lineage.seed in seeds)})
    start = time.perf_counter()
    rounds = SolvedRounds(part, NothingDone(), torch.device("cpu"), lambda *_: None)
    for _, finished in rounds:
        if finished is not None:
            rounds.measured(finished)
    return time.perf_counter() - start
