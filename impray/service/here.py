"""The pool in this process: one pack after another. For grids and random searches without early stopping."""

from __future__ import annotations

import traceback

from impray.journey import run_pack
from impray.results import failures
from impray.service.device import use_device
from impray.service.pool import Events, Outcome, Proposals, Work
from impray.spec.errors import LineagesEnded, StorageError
from impray.spec.pack import Pack
from impray.spec.sweep import Sweep


class LocalPool:
    """Runs packs in the calling thread."""

    name = ""
    elsewhere = False

    def open(self, sweep: Sweep) -> int:
        return 1

    def close(self) -> None:
        """Nothing was started."""

    def run(self, work: Work, proposals: Proposals, events: Events) -> bool:
        device = use_device(work.sweep.resources.cpu, work.sweep.resources.gpu)
        while isinstance(pack := proposals.next(), Pack):
            events.started(pack)
            outcome: Outcome = "done"
            error, round, lineages = "", -1, None
            try:
                for round in run_pack(pack, work.store, device):
                    events.finished_round(pack, round)
            except KeyboardInterrupt:
                return True
            except StorageError:
                raise  # every other pack would meet the same, and not even a failure could be written down
            except LineagesEnded as caught:  # recorded one by one, and the rest of the pack has finished
                outcome, error, lineages = "failed", str(caught), caught.lineages
            except Exception as caught:  # recorded with its trace, told as failed: other packs go on
                outcome, error = "failed", f"{type(caught).__name__}: {caught}"
                failures.write(work.store, pack, round + 1, caught, traceback.format_exc())
            proposals.ended(pack, outcome)
            events.ended(pack, outcome, error, lineages)
        return False
