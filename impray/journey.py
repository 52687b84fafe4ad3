"""The journey on one page: a pack in, rows out; no cluster in sight. `--where here` and every Ray actor call this."""

from __future__ import annotations

import traceback
from collections.abc import Iterator

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

    Args:    pack: lineages that stack. folder: the sweep's own. device: where the tensors live, the CPU by default.
    Raises:  DataError: with the file; everything written until then stays. LineagesEnded: after the last round, when all is written
             of the lineages that could go on; each of the others has a row in `failures`.
    """
    sink = FolderSink(folder, pack)
    reasons: dict[str, str] = {}

    def ended(lineage: Lineage, round: int, error: LineageError) -> None:
        reasons[lineage.id] = str(error)
        failures.write(folder, pack, round, error, "".join(traceback.format_exception(error)), [lineage])

    rounds = (SolvedRounds if pack.solved else Rounds)(pack, sink, device or torch.device("cpu"), ended)
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
    if reasons:
        raise LineagesEnded(reasons)
