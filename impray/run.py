"""The journey on one page: a pack in, rows out; no cluster in sight. `--where here` and every Ray actor call this."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from impray.lineage.checkpoint import Record
from impray.lineage.fates import fates
from impray.lineage.rounds import Chain, Finished, rounds
from impray.measures import MEASURES, Readings
from impray.results.rows import keys, rows
from impray.results.sink import FolderSink
from impray.spec.errors import Problem, SweepError
from impray.spec.pack import Pack
from impray.spec.trial import Lineage


def run_pack(pack: Pack, folder: str | Path, device: torch.device | None = None) -> Iterator[int]:
    """Run what is left of a pack; yields each round's number when its rows are on disk.

    Args:    pack: lineages that stack. folder: the sweep's own. device: where the tensors live, the CPU by default.
    Raises:  LineageError, DataError: with the lineage or file; everything written until then stays.
    """
    sink = FolderSink(folder, pack)
    device = device or torch.device("cpu")
    for round, finished in enumerate(rounds(pack, sink, device)):
        if finished is not None:
            start = time.perf_counter()
            readings = measure(pack, finished)
            finished.wall_s += time.perf_counter() - start
            sink.write(round, rows(pack, finished, readings))
        yield round
    write_fates(pack, sink, device)


def measure(pack: Pack, finished: Finished) -> list[Readings]:
    """Every asked measure of a round's healthy lineages."""
    if finished.state is None:
        return []
    return [MEASURES[type(asked)](asked, finished.state) for asked in pack.measures]


def write_fates(pack: Pack, sink: FolderSink, device: torch.device) -> None:
    """The table `fates`, once the last mask of each lineage is known."""
    chain = Chain(pack, sink, device)
    for lineage in pack.lineages:
        last = sink.last_round(lineage)
        if last >= 0 and sink.fates_until(lineage) < last:
            found = fates(_records(chain, lineage, last), chain.rewound(lineage, {}))
            sink.write_fates(lineage, [keys(pack, lineage) | row for row in found])


def _records(chain: Chain, lineage: Lineage, last: int) -> list[Record]:
    return [chain.records([lineage], round)[0] for round in range(last + 1)]


def use_device(cpus: float, gpus: float) -> torch.device:
    """Pin torch to the CPUs that were given and choose the device; called once per process that trains.

    Oversubscribed threads cost 30 to 50 times (one thread per CPU given, at least one).

    Raises:  SweepError: a GPU was asked for and torch sees none.
    """
    torch.set_num_threads(max(1, int(cpus)))
    if gpus > 0 and not torch.cuda.is_available():
        raise SweepError(
            "impray sweep", [Problem("resources.gpu", f"{gpus:g}", "torch sees no GPU here; 0 runs on the CPU")]
        )
    if gpus > 0:
        os.environ["IMPRAY_DEVICE"] = torch.cuda.get_device_name(0)
        return torch.device("cuda", 0)
    os.environ["IMPRAY_DEVICE"] = "cpu"
    return torch.device("cpu")
