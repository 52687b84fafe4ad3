"""The journey on one page: a pack in, rows out; no cluster in sight. `--where here` and every Ray actor call this."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from heapq import merge
from itertools import groupby

import torch

from impray.lineage.rounds import Rounds
from impray.lineage.solved import SolvedRounds
from impray.results import failures
from impray.results.rows import fate_rows, rows
from impray.results.sink import FolderSink
from impray.results.store import Place
from impray.spec.errors import LineageError, LineagesEnded
from impray.spec.pack import Pack
from impray.spec.trial import Lineage


def run_pack(pack: Pack, folder: Place, device: torch.device | None = None) -> Iterator[int]:
    """Run what is left of a pack; yields each round's number when its rows are on disk, the last round's in any case.

    Args:    pack: lineages that stack, some of them perhaps solved. folder: the sweep's own. device: where the tensors live, the CPU by
             default.
    Raises:  DataError: with the file; everything written until then stays. LineagesEnded: after the last round, when all is written
             of the lineages that could go on; each of the others has a row in `failures`.
    """
    reasons: dict[str, str] = {}
    parts = [_run_part(part, folder, device or torch.device("cpu"), reasons) for part in pack.parts]
    # Each part's next round is on disk before any of them is told of: when the first says n, so have all others.
    for round, _ in groupby(merge(*parts)):
        yield round
    if reasons:
        raise LineagesEnded(reasons)


def _run_part(pack: Pack, folder: Place, device: torch.device, reasons: dict[str, str]) -> Iterator[int]:
    """As `run_pack`, of lineages that are all trained or all solved; why some could not go on is entered in `reasons`."""
    sink = FolderSink(folder, pack)

    def ended(lineage: Lineage, round: int, error: LineageError) -> None:
        reasons[lineage.id] = str(error)
        failures.write(folder, pack, round, error, "".join(traceback.format_exception(error)), [lineage])

    rounds = (SolvedRounds if pack.solved else Rounds)(pack, sink, device, ended)
    for round, finished in rounds:
        if finished is not None:
            readings = rounds.measured(finished)
            sink.write(round, rows(pack, finished, readings))
        yield round
    for lineage in pack.lineages:
        last = sink.last_round(lineage)
        if lineage.solved or lineage.id in reasons or last < 0 or sink.fates_done(lineage):
            continue
        fates = rounds.fates(lineage, last)
        if fates is not None:
            sink.write_fates(lineage, fate_rows(pack, lineage, *fates))
