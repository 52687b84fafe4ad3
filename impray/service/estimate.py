"""What a sweep would cost: trials, lineages, packs, rounds, and a time from training a few steps of a real pack here."""

from __future__ import annotations

import os
import time
from pathlib import Path

import torch

from impray.data import open_pack
from impray.nets import NETS
from impray.results.known import known
from impray.results.paths import Paths
from impray.results.tables import axes_of
from impray.service.plan import axis_types, listed, packs, planned
from impray.service.progress import duration
from impray.spec.pack import Pack
from impray.spec.sweep import Sweep
from impray.training import OPTIMIZERS

PROBE_STEPS = 48


def lines(sweep: Sweep, name: str, folder: Path) -> list[str]:
    """The plan as lines of text; nothing is run but `PROBE_STEPS` training steps."""
    processors = len(os.sched_getaffinity(0))
    slots = max(1, int((processors if sweep.resources.gpu == 0 else 1) / sweep.resources.cpu))
    columns = {**axes_of(Paths(folder)), **axis_types(sweep)}
    per_trial = len(sweep.methods) * len(sweep.seeds)
    if sweep.search.algorithm == "optuna":
        count = sweep.search.trials or 0
        of_trial = planned(sweep, 0, {}, sweep.trial)
        probe = Pack(lineages=of_trial.lineages, rounds=sweep.rounds, measures=sweep.measures, axes=columns)
        left, split = count, count
        seconds = count * _pack_seconds(probe)
        more = "; early stopping may end some sooner" if sweep.search.stop_early else ""
    else:
        trials = listed(sweep)
        count = len(trials)
        todo = packs(sweep, trials, known(folder), columns, slots)
        left, split, more = len({i.trial.id for pack in todo for i in pack.lineages}), len(todo), ""
        seconds = _pack_seconds(todo[0]) / len(todo[0].lineages) * sum(len(p.lineages) for p in todo) if todo else 0.0
    return [
        f"{name}: {sweep.question}",
        f"trials: {count} ({left} with something left to do); lineages: {count * per_trial}; packs: {split}; slots: {slots}",
        f"rounds 0 to {sweep.rounds}, {sweep.trial.train.steps} steps each; methods {', '.join(sweep.methods)}",
        f"training takes about {duration(seconds / min(slots, max(split, 1)))} here"
        f" (from {PROBE_STEPS} steps of the first pack; measures and start-up not counted){more}",
    ]


def _pack_seconds(pack: Pack) -> float:
    """Seconds that training this pack from the start takes on one slot."""
    torch.set_num_threads(1)
    trial, nets = pack.lineages[0].trial, len(pack.lineages)
    family = NETS[type(trial.net)]
    arch = family.architecture(trial.net, trial.data.inputs, trial.outputs)
    specs, seeds = [i.trial.data for i in pack.lineages], [i.seed for i in pack.lineages]
    dtype = getattr(torch, trial.train.dtype)
    data = open_pack(specs, seeds, batch=trial.train.batch, dtype=dtype, device=torch.device("cpu"))
    params = family.initial([i.trial.net for i in pack.lineages], arch, seeds, dtype, torch.device("cpu"))
    optimise = OPTIMIZERS[type(trial.train)]
    per_step = []
    for steps in (data.block, PROBE_STEPS):  # the first call warms up
        data.start(0)
        start = time.perf_counter()
        optimise(arch, [i.trial.train for i in pack.lineages], params, None, data, min(steps, trial.train.steps), ())
        per_step.append((time.perf_counter() - start) / min(steps, trial.train.steps))
    trained = sum(pack.trains(lineage, round) for lineage in pack.lineages for round in range(1, pack.rounds + 1))
    trunks = len({lineage.trunk for lineage in pack.lineages})
    return per_step[-1] / nets * trial.train.steps * (trained + trunks)
