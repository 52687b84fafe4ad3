"""What a sweep would cost: trials, lineages, packs, rounds, and a time from training a few steps of a real pack here."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from impray.data import PackData, Raw, open_pack
from impray.nets import network_of
from impray.results import ledger
from impray.results.ledger import Ledger
from impray.results.paths import Paths
from impray.results.store import Place
from impray.results.tables import axes_of
from impray.service import solving_time
from impray.service.plan import axis_types, listed, pack_of, packs, planned
from impray.service.progress import duration
from impray.spec.counts import fits
from impray.spec.data import FileData
from impray.spec.pack import Pack
from impray.spec.sweep import Sweep
from impray.spec.training import StepsSpec, TrainingSpec
from impray.spec.trial import Trial
from impray.training import Task, train_round

PROBE_STEPS, PROBE_LINEAGES = 48, 128  # of the first pack; more lineages take as much longer
MOST_ROUNDS_TOLD = 20  # one by one


def lines(sweep: Sweep, name: str, folder: Place) -> list[str]:
    """The plan as lines of text; nothing is run but `PROBE_STEPS` training steps."""
    processors = len(os.sched_getaffinity(0))
    slots = max(1, fits(sweep.resources.cpu, processors if sweep.resources.gpu == 0 else 1))
    columns = {**axes_of(Paths(folder)), **axis_types(sweep)}
    per_trial = len(sweep.methods) * len(sweep.seeds)
    if sweep.search.algorithm == "optuna":
        count = sweep.search.trials or 0
        of_trial = planned(sweep, 0, {}, sweep.trial)
        probe = pack_of(sweep, of_trial.lineages, Ledger(), columns)
        left, split, kept = count, count, []
        seconds = count * _seconds([probe])
        more = "; early stopping may end some sooner" if sweep.search.stop_early else ""
    else:
        trials = listed(sweep)
        count, kept = len(trials), _kept(sweep, [trial.trial for trial in trials])
        todo = packs(sweep, trials, ledger.read(folder), columns, slots)
        left, split, more = len({i.trial.id for pack in todo for i in pack.lineages}), len(todo), ""
        seconds = _seconds(todo)
    return [
        f"{name}: {sweep.question}",
        f"trials: {count} ({left} with something left to do); lineages: {count * per_trial}; packs: {split}; slots: {slots}",
        f"rounds 0 to {sweep.rounds}, {_length(sweep.trial.train)} each{_rows(sweep)}; methods {', '.join(sweep.methods)}",
        *kept,
        f"training takes about {duration(seconds / min(slots, max(split, 1)))} here ({_probed(sweep)}){more}",
        *_absent(sweep),
    ]


def _probed(sweep: Sweep) -> str:
    """What the time was taken from."""
    solved = all(lineage.solved for lineage in sweep.trial.lineages(sweep.methods, sweep.seeds[:1]))
    part = (
        f"{solving_time.PROBLEMS} problems a trial, solved and measured"
        if solved
        else f"{PROBE_STEPS} steps of the first pack"
    )
    return f"from {part}; {'' if solved else 'measures and '}start-up not counted"


def _rows(sweep: Sweep) -> str:
    """Which rounds have rows, where not all do."""
    words = {"all": "", "last": "; rows of the last", "truth": "; rows where as many weights are left as the truth has"}
    if isinstance(sweep.rows_at, str):
        return words[sweep.rows_at]
    return f"; rows of {', '.join(map(str, sweep.rows_at))}"


def _length(train: TrainingSpec) -> str:
    """`2000 steps`, or the training in words where it has none."""
    return f"{train.steps} steps" if isinstance(train, StepsSpec) else train.words()


def _kept(sweep: Sweep, trials: Sequence[Trial]) -> list[str]:
    """What each round keeps of the prunable weights, or, where trials differ, what the last one does."""
    alike = {(trial.prune, trial.scope_sizes): trial for trial in trials}.values()
    if sweep.rounds == 0 or not alike:
        return []
    if len(alike) > 1 or sweep.rounds > MOST_ROUNDS_TOLD:
        ends = sorted({100 * float(trial.density(sweep.rounds)) for trial in alike})
        share = f"{ends[0]:.3g}" if len(ends) == 1 else f"{ends[0]:.3g} to {ends[-1]:.3g}"
        return [f"kept of the prunable weights in round {sweep.rounds}: {share} %"]
    (trial,) = alike
    shares = [f"{100 * float(trial.density(round)):.3g}" for round in range(1, sweep.rounds + 1)]
    return [f"kept of the prunable weights in rounds 1 to {sweep.rounds}: {', '.join(shares)} %"]


def _absent(sweep: Sweep) -> list[str]:
    data = sweep.trial.data
    if not isinstance(data, FileData) or _here(data):
        return []
    return [f"{data.path}: no data there yet; the time was taken on noise of the same shape, without reading files"]


def _here(data: FileData) -> bool:
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


def _probe_data(pack: Pack, dtype: torch.dtype) -> PackData:
    """The pack's data; noise of the same shape where a data set's files are not here."""
    specs, seeds = [i.trial.data for i in pack.lineages], [i.seed for i in pack.lineages]
    if any(isinstance(spec, FileData) and not _here(spec) for spec in specs):
        return _Noise(pack, dtype)
    return open_pack(
        specs, seeds, batch=pack.lineages[0].trial.train.batch_size, dtype=dtype, device=torch.device("cpu")
    )


def _seconds(todo: Sequence[Pack]) -> float:
    """Seconds that all packs take on one slot, from a part of them."""
    trained = [pack for pack in todo if not pack.solved]
    seconds = solving_time.seconds([pack for pack in todo if pack.solved])
    if trained:
        some = trained[0].model_copy(update={"lineages": trained[0].lineages[:PROBE_LINEAGES]})
        seconds += _pack_seconds(some) / len(some.lineages) * sum(len(pack.lineages) for pack in trained)
    return seconds


def _pack_seconds(pack: Pack) -> float:
    """Seconds that training this pack from the start takes on one slot."""
    torch.set_num_threads(1)
    trial, nets = pack.lineages[0].trial, len(pack.lineages)
    network = network_of(trial.net, trial.data.input_shape, trial.outputs)
    dtype = getattr(torch, trial.train.dtype)
    data, seeds = _probe_data(pack, dtype), [i.seed for i in pack.lineages]
    params = network.initial([i.trial.net for i in pack.lineages], seeds, dtype, torch.device("cpu"))
    specs = [i.trial.train for i in pack.lineages]
    length, seconds = trial.train.length, 0.0
    # The first call warms up. What is no loop of steps has no part that stands for the whole.
    for probe in (data.block, PROBE_STEPS) if isinstance(trial.train, StepsSpec) else (length, length):
        data.start(0)
        start = time.perf_counter()
        train_round(Task(network, specs, params, None, data, min(probe, length)))
        seconds = (time.perf_counter() - start) * length / min(probe, length)
    trained = sum(pack.trains(lineage, round) for lineage in pack.lineages for round in range(1, pack.rounds + 1))
    trunks = len({lineage.trunk for lineage in pack.lineages})
    return seconds / nets * (trained + trunks)
