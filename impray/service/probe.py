"""Parts of a sweep, run here in a folder that is thrown away, to see how long they take.

    a training step          a few steps of a whole pack, with its masks; of networks that hold sparse layers otherwise, at the densities of
                             some rounds
    a round besides          a few of its lineages with hardly any steps, all rounds: pruning, checkpoints; measures and rows of three

Measures do not ask how long a network has trained, but their cost changes with what is left of it: so they are timed on the first, a
middle and the last round. What neither has is scaled by the number of lineages, as a fixed part for a pack and one for each lineage.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from impray.data import PackData, Raw, open_pack
from impray.lineage.rounds import Rounds
from impray.lineage.solved import SolvedRounds
from impray.masks import scopes
from impray.nets import Params, network_of
from impray.nets.base import Network
from impray.results.rows import fate_rows, rows
from impray.results.sink import FolderSink
from impray.scratch import scratch
from impray.service.sizes import tensors
from impray.spec.data import FileData
from impray.spec.pack import Pack
from impray.spec.training import StepsSpec
from impray.spec.trial import Lineage, Trial
from impray.training import Task, form_of, train_round

clock: Callable[[], float] = time.perf_counter
PROBE_STEPS = 48  # at most
_LONG_S, _LARGE_BYTES = 1.0, 128 << 20
_FEW_STEPS = 4  # of rounds whose training is not what is timed


@dataclass
class Part:
    """What a part of a pack took."""

    seconds: float = 0.0  # all of it
    rows: dict[int, float] = field(default_factory=dict)  # round -> seconds for its measures and rows


def run_part(pack: Pack) -> Part:
    """Run a pack as `impray.journey.run_pack` does, in a folder of its own that is removed."""
    torch.set_num_threads(1)
    part, begun = Part(), clock()
    with scratch("probe") as folder:
        sink = FolderSink(folder, pack)
        rounds = (SolvedRounds if pack.solved else Rounds)(pack, sink, torch.device("cpu"), lambda *_: None)
        for round, finished in rounds:
            start = clock()
            if finished is not None:
                sink.write(round, rows(pack, finished, rounds.measured(finished)))
                part.rows[round] = clock() - start
        for lineage in () if pack.solved else pack.lineages:
            if (last := sink.last_round(lineage)) >= 0 and (fates := rounds.fates(lineage, last)) is not None:
                sink.write_fates(lineage, fate_rows(pack, lineage, *fates))
    part.seconds = clock() - begun
    return part


# -- a training step --------------------------------------------------------------------------------------------------


def within(pack: Pack, most_bytes: int) -> Pack:
    """As many of a pack's lineages as have tensors of `most_bytes`, at least one: in larger packs a network's step takes as long."""
    count = max(1, min(len(pack.lineages), len(pack.lineages) * most_bytes // max(1, tensors(pack))))
    return pack.model_copy(update={"lineages": pack.lineages[:count]})


def step_seconds(pack: Pack, budget_s: float) -> tuple[float, float]:
    """Seconds of opening a pack's data, and of one unit of its training's length (a step), of all its networks together, on average over
    the rounds."""
    torch.set_num_threads(1)
    trial = pack.lineages[0].trial
    network = network_of(trial.net, trial.data.input_shape, trial.outputs)
    dtype = getattr(torch, trial.train.dtype)
    start = clock()
    data = _data(pack, dtype)
    params = network.initial(
        [i.trial.net for i in pack.lineages], [i.seed for i in pack.lineages], dtype, torch.device("cpu")
    )
    data.start(0)
    opened = clock() - start
    masks = _masks(trial, network, params, 0)
    length = trial.train.length
    if not isinstance(trial.train, StepsSpec):  # what is no loop of steps has no part that stands for the whole
        return opened, _trained(pack, network, params, masks, data, length) / length
    _trained(pack, network, params, masks, data, min(2, length))  # imports, and kernels that are compiled
    first = _trained(pack, network, params, masks, data, min(2, length))
    rounds = _unlike(pack, network, params)
    steps = int(min(length, max(2, min(PROBE_STEPS, budget_s / len(rounds) / max(first / 2, 1e-6)))))
    times = []
    for round in rounds:
        masks = _masks(trial, network, params, round)
        if round:
            _trained(pack, network, params, masks, data, 1)
        times.append(_trained(pack, network, params, masks, data, steps) / steps)
    return opened, float(np.interp(np.arange(pack.rounds + 1), rounds, times).mean())


def _unlike(pack: Pack, network: Network, params: Params) -> list[int]:
    """Rounds whose steps stand for all: where sparse layers are held as dense ones are, the first. Else those about where the form changes,
    the one in the middle of the rest, and the last."""
    trial = pack.lineages[0].trial
    steps = trial.train
    assert isinstance(steps, StepsSpec)

    def form(round: int) -> Hashable:
        own, masked = (
            {name: value[0] for name, value in some.items()} for some in (params, _masks(trial, network, params, round))
        )
        return form_of(network, steps, own, masked)

    last = pack.rounds
    if form(last) == form(0):
        return [0]
    first, changed = 0, last  # of the rounds, the last of the dense form and the first of another
    while changed - first > 1:
        middle = (first + changed) // 2
        first, changed = (middle, changed) if form(middle) == form(0) else (first, middle)
    return sorted({0, first, changed, (changed + last) // 2, last})


def _trained(pack: Pack, network: Network, params: Params, masks: Params, data: PackData, until: float) -> float:
    data.start(0)
    start = clock()
    train_round(Task(network, [i.trial.train for i in pack.lineages], params, masks, data, until))
    return clock() - start


def _masks(trial: Trial, network: Network, params: Params, round: int) -> Params:
    """That keep what a round keeps, anywhere; in round 0 all: a masked step costs a little more than one without."""
    names = [name for scope in scopes(trial.prune, network.layers) for name in scope.names]
    if not round:
        return {name: torch.ones_like(params[name], dtype=torch.bool) for name in names}
    density, draw = float(trial.density(round)), torch.Generator().manual_seed(0)
    return {name: torch.rand(params[name].shape, generator=draw) < density for name in names}


# -- what a round takes besides ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RoundCosts:
    """Seconds of one round besides its training: a fixed part for a pack, and one for each lineage."""

    rows: tuple[float, float]  # measuring and writing a round that has rows
    other: tuple[float, float]  # pruning, checkpoints; fates, spread over all rounds


def round_costs(pack: Pack, budget_s: float) -> RoundCosts:
    """What rounds of lineages like those of `pack` take, from one seed of one trial, and from a few more where time allows.

    Not known (0) where the data are not here; nor of networks so large that looking would take longer than a short budget.
    """
    small = _some(pack, 1)
    if absent(small.lineages) or (budget_s < _LONG_S and tensors(small) > _LARGE_BYTES):
        return RoundCosts((0.0, 0.0), (0.0, 0.0))
    run_part(_short(small, 1))  # imports and caches
    begun = clock()
    one = _costs(small)
    more = _some(pack, 4)
    if clock() - begun > budget_s / 5 or len(more.lineages) == len(small.lineages):
        count = len(small.lineages)
        return RoundCosts((0.0, one[0] / count), (0.0, one[1] / count))
    several = _costs(more)
    counts = len(small.lineages), len(more.lineages)
    rows, other = (_line(counts, (a, b)) for a, b in zip(one, several, strict=True))
    return RoundCosts(rows, other)


def _line(counts: tuple[int, int], seconds: tuple[float, float]) -> tuple[float, float]:
    """Fixed part and slope through two points; neither is below 0, and the larger part counts more."""
    slope = min(max(0.0, (seconds[1] - seconds[0]) / (counts[1] - counts[0])), seconds[1] / counts[1])
    return seconds[1] - slope * counts[1], slope


def _some(pack: Pack, units: int) -> Pack:
    """The lineages of a few seeds of the first trial."""
    trial = pack.lineages[0].trial.id
    of_trial = [lineage for lineage in pack.lineages if lineage.trial.id == trial]
    seeds = sorted({lineage.seed for lineage in of_trial})[:units]
    return pack.model_copy(update={"lineages": tuple(i for i in of_trial if i.seed in seeds), "known": False})


def _short(pack: Pack, rounds: int | None = None) -> Pack:
    """The same with hardly any training, and with rows of three rounds at most."""
    rounds = pack.rounds if rounds is None else min(rounds, pack.rounds)
    lineages = tuple(
        Lineage.model_construct(trial=_hasty(i.trial), method=i.method, seed=i.seed) for i in pack.lineages
    )
    asked = [round for round in pack.rows_of(pack.lineages[0]) if round <= rounds] or [rounds]
    rows_at = tuple(sorted({asked[0], asked[len(asked) // 2], asked[-1]}))
    return pack.model_copy(update={"lineages": lineages, "rounds": rounds, "rows_at": rows_at, "snapshots": ()})


def _hasty(trial: Trial) -> Trial:
    if not isinstance(trial.train, StepsSpec):
        return trial
    steps = min(_FEW_STEPS, trial.train.steps)
    train = trial.train.model_copy(update={"steps": steps})
    prune = trial.prune.model_copy(update={"rewind_step": min(trial.prune.rewind_step, steps - 1)})
    return trial.model_copy(update={"train": train, "prune": prune})


def _costs(pack: Pack) -> tuple[float, float]:
    """Seconds of a round of rows, and of what else a round takes."""
    short = _short(pack)
    part = run_part(short)
    times = [part.rows[round] for round in sorted(part.rows)] or [0.0]
    weights = [1.0] if len(times) == 1 else [0.5, *[1.0] * (len(times) - 2), 0.5]
    of_rows = sum(w * t for w, t in zip(weights, times, strict=True)) / sum(weights)
    return of_rows, max(0.0, part.seconds - sum(times)) / (short.rounds + 1)


# -- data -------------------------------------------------------------------------------------------------------------


def is_here(data: FileData) -> bool:
    """Whether the files of a data set are where it says."""
    return "://" in data.path or Path(data.path).expanduser().exists()


class _Noise:
    """Stands in for data that are not at hand, so that a sweep can be planned elsewhere than where its files lie."""

    block = 1

    def __init__(self, pack: Pack, dtype: torch.dtype) -> None:
        trial = pack.lineages[0].trial
        self.nets, self.inputs, self.classes = len(pack.lineages), trial.data.inputs, trial.data.classes
        draw = torch.Generator().manual_seed(0)
        self._x = torch.randn(self.nets, trial.train.batch_size, self.inputs, generator=draw, dtype=dtype)
        self._labels = torch.randint(self.classes, (self.nets, trial.train.batch_size), generator=draw)

    def start(self, round: int) -> None:
        pass

    def draw(self, steps: int) -> Raw:
        return {}

    def batch(self, raw: Raw, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        return self._x.clone(), self._labels

    def held_out(self, net: int) -> tuple[torch.Tensor, torch.Tensor]:
        raise NotImplementedError

    def whole(self, net: int) -> tuple[torch.Tensor, torch.Tensor]:
        return self._x[net].clone(), self._labels[net]

    def truth(self, net: int) -> dict[str, torch.Tensor]:
        raise NotImplementedError


def absent(lineages: Sequence[Lineage]) -> bool:
    """Whether some data set of these lineages is not here."""
    return any(isinstance(i.trial.data, FileData) and not is_here(i.trial.data) for i in lineages)


def _data(pack: Pack, dtype: torch.dtype) -> PackData:
    """The pack's data; noise of the same shape where a data set's files are not here."""
    if absent(pack.lineages):
        return _Noise(pack, dtype)
    specs, seeds = [i.trial.data for i in pack.lineages], [i.seed for i in pack.lineages]
    return open_pack(
        specs, seeds, batch=pack.lineages[0].trial.train.batch_size, dtype=dtype, device=torch.device("cpu")
    )
