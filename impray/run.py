"""The journey on one page: a pack in, rows out; no cluster in sight. `--where here` and every Ray actor call this."""

from __future__ import annotations

import ctypes
import os
import time
import traceback
from collections.abc import Iterator, Sequence

import torch

from impray.lineage.checkpoint import Params, Record, scores_from_bytes, scores_to_bytes
from impray.lineage.fates import fates
from impray.lineage.rounds import Chain, Ended, Finished, rounds
from impray.measures import MEASURES, Readings
from impray.results import failures
from impray.results.ledger import Measured
from impray.results.rows import keys, rows
from impray.results.sink import FolderSink
from impray.results.store import Place
from impray.spec.errors import LineageError, LineagesEnded, Problem, SweepError
from impray.spec.measure import MeasureSpec
from impray.spec.pack import Pack, measure_hash, measure_name
from impray.spec.trial import Lineage


def run_pack(pack: Pack, folder: Place, device: torch.device | None = None) -> Iterator[int]:
    """Run what is left of a pack; yields each round's number when its rows are on disk.

    Args:    pack: lineages that stack. folder: the sweep's own. device: where the tensors live, the CPU by default.
    Raises:  DataError: with the file; everything written until then stays. LineagesEnded: after the last round, when all is written
             of the lineages that could go on; each of the others has a row in `failures`.
    """
    sink = FolderSink(folder, pack)
    device = device or torch.device("cpu")
    reasons: dict[str, str] = {}

    def ended(lineage: Lineage, round: int, error: LineageError) -> None:
        reasons[lineage.id] = str(error)
        failures.write(folder, pack, round, error, "".join(traceback.format_exception(error)), [lineage])

    for round, finished in enumerate(rounds(pack, sink, device, ended)):
        if finished is not None:
            start = time.perf_counter()
            readings = measure(pack, finished)
            finished.wall_s += time.perf_counter() - start
            for asked, reading in zip(pack.measures, readings, strict=False):
                save_scores(sink, asked, finished, reading)
            sink.write(round, rows(pack, finished, readings))
        yield round
    left = [lineage for lineage in pack.lineages if lineage.id not in reasons]
    write_fates(pack, left, sink, device, ended)
    if reasons:
        raise LineagesEnded(reasons)


def measure(pack: Pack, finished: Finished) -> list[Readings]:
    """Every asked measure of a round's healthy lineages."""
    if finished.state is None:
        return []
    return [MEASURES[type(asked)](asked, finished.state) for asked in pack.measures]


def save_scores(sink: FolderSink, asked: MeasureSpec, finished: Finished, reading: Readings) -> None:
    """Keep the numbers of single weights until the lineages' fates are known."""
    if not reading.weights:
        return
    well = [lineage for lineage, how in zip(finished.lineages, finished.status, strict=True) if how == "done"]
    for net, lineage in enumerate(well):
        assert finished.state is not None
        masks = {name: mask[net] for name, mask in finished.state.masks.items()}
        scores = {layer: {c: values[net] for c, values in cs.items()} for layer, cs in reading.weights.items()}
        name = (measure_name(asked), measure_hash(asked))
        sink.save_scores(lineage.id, *name, finished.round, scores_to_bytes(scores, masks))


def write_fates(pack: Pack, lineages: Sequence[Lineage], sink: FolderSink, device: torch.device, ended: Ended) -> None:
    """The table `fates`, once the last mask of each lineage is known; `ended` hears of one whose checkpoints cannot be read."""
    chain = Chain(pack, sink, device)
    for lineage in lineages:
        last = sink.last_round(lineage)
        if last >= 0 and not sink.fates_done(lineage):
            try:
                _write_fates(chain, sink, lineage, last)
            except LineageError as error:
                ended(lineage, last, error)


def _write_fates(chain: Chain, sink: FolderSink, lineage: Lineage, last: int) -> None:
    records = _records(chain, lineage, last)
    scores = _Scores(chain, sink, lineage, records)
    found = fates(records, chain.rewound(lineage, {}), scores)
    written_with = {round: {"measured": str(Measured(asked))} for round, asked in scores.read.items()}
    sink.write_fates(lineage, [keys(chain.pack, lineage) | row | written_with[row["round"]] for row in found])


def _records(chain: Chain, lineage: Lineage, last: int) -> list[Record]:
    return [chain.records([lineage], round)[0] for round in range(last + 1)]


class _Scores:
    """Round -> numbers of single weights: from their files, measured again where a file is gone.

    Measures that only an earlier run asked for are read too, where their files are: their columns stay. `read` says what each
    round's numbers are of.
    """

    def __init__(self, chain: Chain, sink: FolderSink, lineage: Lineage, records: Sequence[Record]) -> None:
        self._chain, self._sink, self._lineage, self._records = chain, sink, lineage, records
        self.read: dict[int, dict[str, str]] = {}

    def __call__(self, round: int) -> dict[str, Params]:
        record, lineage = self._records[round], self._lineage
        # A diverged round has no numbers, and never will have: they count as read.
        self.read[round] = dict(self._chain.pack.asked_of_fates)
        found: dict[str, Params] = {}
        for name, digest in self._sink.earlier_scores(lineage):
            content = self._sink.load_scores(lineage.id, name, digest, round)
            if content is not None:
                self.read[round][name] = digest
                found |= scores_from_bytes(content, record.masks, f"scores of {lineage.id}, round {round}")
        for asked in self._chain.pack.measures if record.finite else ():
            if asked.fate_columns:
                content = _measured_again(self._chain, self._sink, lineage, record, asked, round)
                if content is not None:
                    found |= scores_from_bytes(content, record.masks, f"scores of {lineage.id}, round {round}")
        return found


def _measured_again(
    chain: Chain, sink: FolderSink, lineage: Lineage, record: Record, asked: MeasureSpec, round: int
) -> bytes | None:
    name = (measure_name(asked), measure_hash(asked))
    content = sink.load_scores(lineage.id, *name, round)
    if content is not None:
        return content
    finished = chain.finished([lineage], [record], round, 0.0)
    if finished.state is None:  # diverged: finite weights, but the loss is not
        return None
    save_scores(sink, asked, finished, MEASURES[type(asked)](asked, finished.state))
    return sink.load_scores(lineage.id, *name, round)


def _keep_memory() -> None:
    """Ask glibc to keep freed memory: a step's temporaries of some MB would be handed back, and their pages cleared, every time
    (32 neurons at batch 1,000 with samples of their own: 24 % of the time). Elsewhere than on glibc nothing happens."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return
    mallopt(-3, 32 << 20)  # M_MMAP_THRESHOLD, its maximum
    mallopt(-1, 256 << 20)  # M_TRIM_THRESHOLD


def use_device(cpus: float, gpus: float) -> torch.device:
    """Pin torch to the CPUs that were given and choose the device; called once per process that trains.

    Oversubscribed threads cost 30 to 50 times (one thread per CPU given, at least one).

    Raises:  SweepError: a GPU was asked for and torch sees none.
    """
    torch.set_num_threads(max(1, int(cpus)))
    _keep_memory()
    if gpus > 0 and not torch.cuda.is_available():
        raise SweepError(
            "impray sweep", [Problem("resources.gpu", f"{gpus:g}", "torch sees no GPU here; 0 runs on the CPU")]
        )
    if gpus > 0:
        os.environ["IMPRAY_DEVICE"] = torch.cuda.get_device_name(0)
        return torch.device("cuda", 0)
    os.environ["IMPRAY_DEVICE"] = "cpu"
    return torch.device("cpu")
