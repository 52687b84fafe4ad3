"""The rounds of a pack: train, prune, rewind, train again.

    round 0:  train theta(0) -> theta(T); keep theta(rewind)                      (the trunk)
    round n:  m(n) from theta(T) * m(n-1) of round n-1 (imp), of round 0 (oneshot), at random, or as another rule has it;
              train theta(rewind) * m(n)

Frankle et al. (2020), Redman et al. (2025), section 2.1. All methods keep the same numbers of weights. What is finished is not run
again: `memory` knows the rows and holds the checkpoints; a finished round whose rows lack a measure is measured again from them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from impray.lineage import scores, states
from impray.lineage.checkpoint import Record
from impray.lineage.fates import fates
from impray.lineage.memory import Memory
from impray.lineage.records import Records
from impray.lineage.training import PackTraining
from impray.lineage.trunks import Trunks
from impray.masks import density
from impray.measures import Readings, RoundState, readings_of
from impray.spec.errors import LineageError
from impray.spec.measure import MeasureSpec
from impray.spec.pack import Pack, ranks_trained
from impray.spec.trial import Lineage


@dataclass
class FinishedRound:
    """A round that is trained and saved, to be measured. `state` holds the lineages with status `done`, in order."""

    round: int
    lineages: list[Lineage]
    status: list[str]
    trained: list[bool]
    density: list[float]
    state: RoundState | None
    wall_s: list[float]  # of each lineage, its own: see the schema
    lineage_s: list[float | None]
    exact: bool = True  # whether numbers do not depend, in the last bit, on the pack (`Network.exact`)

    @property
    def well(self) -> list[Lineage]:
        """The lineages that have not diverged."""
        return [lineage for lineage, status in zip(self.lineages, self.status, strict=True) if status == "done"]

    def share(self, seconds: float) -> None:
        """Count seconds that were spent on all lineages together: an equal part for each."""
        self.wall_s = [own + seconds / len(self.lineages) for own in self.wall_s]


# Told when a lineage cannot go on: the lineage, the round, and why.
OnEnded = Callable[[Lineage, int, LineageError], None]


class Rounds:
    """The lineages of a pack on their way. A lineage that cannot go on ends alone, and `ended` is told; the others do not notice."""

    def __init__(self, pack: Pack, memory: Memory, device: torch.device, ended: OnEnded) -> None:
        self._pack, self._memory, self._tell = pack, memory, ended
        self._training = PackTraining(pack, device)
        self._trunks = Trunks(memory, self._training)
        self._records = Records(memory, self._training, self._trunks, self._has_converged)
        self._of_data: dict = {}  # what measures made of problems' data alone
        self._over = {lineage.id: memory.diverged(lineage) for lineage in pack.lineages}  # -> round in which it ended

    def __iter__(self) -> Iterator[tuple[int, FinishedRound | None]]:
        """Run every round of the pack that is not done; each with its number, None where nothing was left to do."""
        try:
            for round in range(self._pack.rounds + 1):
                yield round, self._round(round)
        finally:
            self._training.close()

    def _round(self, round: int) -> FinishedRound | None:
        start = time.perf_counter()
        todo = [lineage for lineage in self._pack.lineages if self._wants(lineage, round)]
        todo, records = self._able(todo, round, measured=True)
        passed, of_passed = self._passed(round)
        todo, records = [*todo, *passed], [*records, *of_passed]
        finished = self._finished(todo, records, round) if todo else None
        if finished is not None:
            finished.share(time.perf_counter() - start)
        return finished

    def measured(self, finished: FinishedRound) -> list[Readings]:
        """Every measure of the pack, of a round's healthy lineages; numbers of single weights are kept for `fates`."""
        if finished.state is None:
            return []
        start = time.perf_counter()
        readings = [readings_of(measure, finished.state) for measure in self._pack.measures]
        finished.state.passes.clear()
        finished.share(time.perf_counter() - start)
        for measure, reading in zip(self._pack.measures, readings, strict=True):
            self._save_scores(measure, finished, reading)
        return readings

    def fates(self, lineage: Lineage, last: int) -> tuple[list[dict], dict[int, dict[str, str]]] | None:
        """Rows of the table `fates` of a lineage whose last round is `last`, and what each round's rows were made with.

        Returns: None where the lineage cannot go on; `ended` has been told.
        """
        try:
            records = [self._records.of([lineage], round)[0] for round in range(last + 1)]
            layers = self._training.network.layers

            def measure_again(measure: MeasureSpec, round: int) -> None:
                finished = self._finished([lineage], [records[round]], round)
                if finished.state is not None:  # diverged: finite weights, but the loss is not
                    self._save_scores(measure, finished, readings_of(measure, finished.state))

            of_weights = scores.Scores(self._pack, self._memory, lineage, layers, records, measure_again)
            return fates(layers, records, self._records.start(lineage, {}), of_weights), of_weights.read
        except LineageError as error:
            self._tell(lineage, last, error)
            return None

    # -- one round ----------------------------------------------------------------------------------------------------

    def _wants(self, lineage: Lineage, round: int) -> bool:
        return (
            self._goes_on(lineage, round) and self._has_rows(lineage, round) and not self._memory.done(lineage, round)
        )

    def _goes_on(self, lineage: Lineage, round: int) -> bool:
        over = self._over[lineage.id]
        return over is None or over >= round

    def _has_rows(self, lineage: Lineage, round: int) -> bool:
        return round in self._pack.rows_of(lineage)

    def _passed(self, round: int) -> tuple[list[Lineage], list[Record]]:
        """Train what later rounds need of this one, which is to have no rows: together, rather than one by one when it is missed.

        Returns: the lineages that have diverged here, with their records: these have a row all the same.
        """
        needed = [
            lineage
            for lineage in self._pack.lineages
            if self._goes_on(lineage, round) and not self._has_rows(lineage, round) and self._is_needed(lineage, round)
        ]
        needed, records = self._able(needed, round)
        lost = [
            (lineage, record)
            for lineage, record in zip(needed, records, strict=True)
            if not self._has_converged(lineage, record)
        ]
        return [lineage for lineage, _ in lost], [record for _, record in lost]

    def _is_needed(self, lineage: Lineage, round: int) -> bool:
        """Whether a later round that is to have rows needs the training of this one: for its mask, or to read what pruning made of it."""
        if self._pack.reads_pruned and self._wants(lineage, round + 1):
            return True
        later = (row for row in self._pack.rows_of(lineage) if row > round)
        return ranks_trained(lineage) and any(self._wants(lineage, row) for row in later)

    def _able(
        self, lineages: list[Lineage], round: int, *, measured: bool = False
    ) -> tuple[list[Lineage], list[Record]]:
        """The lineages that can go on, and their records of a round; if it is `measured`, with all that is read of it at hand."""
        try:
            self._trunks.grow(lineages)
            records = self._records.of(lineages, round)
            if measured and round > 0 and self._pack.reads_pruned:
                self._records.before(lineages, round)
            return lineages, records
        except LineageError as error:
            if len(lineages) == 1:
                self._over[lineages[0].id] = round - 1
                self._tell(lineages[0], round, error)
                return [], []
        # Each alone: the same numbers, and only those that cannot go on meet the error again.
        alone = [self._able([lineage], round, measured=measured) for lineage in lineages]
        able = [lineage for lineages, _ in alone for lineage in lineages]
        return able, [record for _, records in alone for record in records]

    def _finished(self, lineages: list[Lineage], records: Sequence[Record], round: int) -> FinishedRound:
        well = [self._has_converged(lineage, record) for lineage, record in zip(lineages, records, strict=True)]
        for lineage, fine in zip(lineages, well, strict=True):
            if not fine:
                self._over[lineage.id] = round
        healthy = [index for index, fine in enumerate(well) if fine]
        state = None
        if healthy:
            of_round = [lineages[i] for i in healthy], [records[i] for i in healthy]
            state = states.state_of(self._training, self._records, *of_round, round, self._of_data, self._pack.measures)
        return FinishedRound(
            round=round,
            lineages=lineages,
            status=["done" if fine else "diverged" for fine in well],
            trained=[record.end is not None for record in records],
            density=[density(record.masks) for record in records],
            state=state,
            wall_s=[0.0] * len(lineages),
            lineage_s=[record.seconds for record in records],
            exact=self._training.network.exact,
        )

    def _has_converged(self, lineage: Lineage, record: Record) -> bool:
        return states.converged(self._training, lineage, record)

    def _save_scores(self, measure: MeasureSpec, finished: FinishedRound, readings: Readings) -> None:
        assert finished.state is not None, "only what was measured has scores"
        masks = scores.matrices(self._training.network.layers, finished.state.masks)
        of_nets = [{layer: mask[net] for layer, mask in masks.items()} for net in range(finished.state.nets)]
        scores.save(self._memory, measure, finished.round, finished.well, of_nets, readings)
