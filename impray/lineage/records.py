"""Records: the rounds of lineages after the dense one, masked, rewound and trained; or read where they are kept already."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import cache

import torch

from impray.lineage.checkpoint import Record, record_from_bytes, record_to_bytes
from impray.lineage.memory import Memory
from impray.lineage.training import PackTraining, begin_of, of_net
from impray.lineage.trunks import Trunks
from impray.masks import Masks, Past, full, next_mask, scopes
from impray.nets import Params
from impray.spec.data import Stimulus
from impray.spec.pack import leader_of, ranks_trained, starts_anew
from impray.spec.trial import Lineage, stream_seed


class Records:
    """What each lineage was after each round, with what the next round needs of the last at hand."""

    def __init__(
        self,
        memory: Memory,
        training: PackTraining,
        trunks: Trunks,
        converged: Callable[[Lineage, Record], bool],
    ) -> None:
        self._memory, self._training, self._trunks, self._converged = memory, training, trunks, converged
        self._pack, self._layers = training.pack, training.network.layers
        self._recent: dict[str, dict[int, Record]] = {}  # lineage -> round -> record, of the last rounds seen
        self._led: dict[str, tuple[int, Masks]] = {}  # leader -> (round, mask) that its followers were last given

    def of(self, lineages: Sequence[Lineage], round: int) -> list[Record]:
        """The records of a round: from the checkpoints where they are, else masked, trained and saved now."""
        return self._records(lineages, round, observe=True)

    def _records(self, lineages: Sequence[Lineage], round: int, *, observe: bool) -> list[Record]:
        """observe: whether time courses are taken: of rounds that are to be measured."""
        known = self._kept(lineages, round)
        known |= self._made([lineage for lineage in lineages if lineage.id not in known], round, observe=observe)
        for lineage in lineages:
            # The next mask is made from the last round; where `before` is asked for, its neighbours are too.
            seen = self._recent.get(lineage.id, {}).items() if self._pack.reads_pruned else ()
            near = {other: record for other, record in seen if abs(other - round) == 1}
            self._recent[lineage.id] = near | {round: known[lineage.id]}
        return [known[lineage.id] for lineage in lineages]

    def before(self, lineages: Sequence[Lineage], round: int) -> list[Record]:
        """The records of the round before, trained: where measures read what pruning made of it."""
        self._at_hand(lineages, round - 1)
        return [self._recent[lineage.id][round - 1] for lineage in lineages]

    def start(self, lineage: Lineage, masks: Masks, round: int = 1) -> Params:
        """theta(rewind) * mask; of a method that starts anew, after the dense round, initial weights that no trunk has seen."""
        anew = starts_anew(lineage) and round > 0
        weights = self._anew(lineage) if anew else self._trunks.rewound(lineage)
        return {name: value * masks[name] if name in masks else value for name, value in weights.items()}

    def observe_again(self, lineages: Sequence[Lineage], records: Sequence[Record], round: int) -> None:
        """Train rounds once more, to the same numbers, for the time course alone."""
        if round == 0:
            self._trunks.observe_again(lineages)
        else:
            self._trained(lineages, [record.masks for record in records], round, observe=True)

    # -- rounds -------------------------------------------------------------------------------------------------------

    def _kept(self, lineages: Sequence[Lineage], round: int) -> dict[str, Record]:
        if round == 0:
            self._trunks.grow(lineages)
            return {lineage.id: self._dense(lineage) for lineage in lineages}
        stored = {lineage.id: self._stored(lineage, round) for lineage in lineages}
        return {
            lineage.id: record
            for lineage in lineages
            if (record := stored[lineage.id]) is not None
            and (record.end is not None or not self._pack.trains(lineage, round))
        }

    def _made(self, lineages: Sequence[Lineage], round: int, *, observe: bool) -> dict[str, Record]:
        """Mask, rewind and train `lineages`; save their records."""
        if not lineages:
            return {}
        self._trunks.grow(lineages)
        leaders = [leader for lineage in lineages if (leader := leader_of(lineage)) is not None]
        self._at_hand(leaders, round - 1)
        lost = {lineage.id: lineage for lineage in lineages if self._lost_its_leader(lineage, round)}
        records: dict[str, Record] = {}
        for lineage in lineages:
            if lineage.id in lost:
                records[lineage.id] = Record(self._previous(lineage, round).masks, lost=True)
                continue
            before, start = self._seconds_before(lineage, round), time.perf_counter()
            mask = self._mask(lineage, round)
            records[lineage.id] = Record(mask, seconds=_sum(before, time.perf_counter() - start))
        training = [lineage for lineage in lineages if lineage.id not in lost and self._pack.trains(lineage, round)]
        trained = self._trained(training, [records[lineage.id].masks for lineage in training], round, observe=observe)
        for lineage, record in zip(training, trained, strict=True):
            record.seconds = _sum(records[lineage.id].seconds, record.seconds)
            records[lineage.id] = record
        for lineage in lineages:
            if lineage.id not in lost:
                self._memory.save_record(lineage.id, round, record_to_bytes(records[lineage.id]))
        return records

    def _trained(
        self, lineages: Sequence[Lineage], masks: Sequence[Masks], round: int, *, observe: bool
    ) -> list[Record]:
        """Together, but where they train for different times: after a rewind for the remaining steps, from new weights for all."""
        begins = [begin_of(lineage, round) for lineage in lineages]
        records: dict[int, Record] = {}
        for begin in sorted(set(begins)):
            places = [place for place, own in enumerate(begins) if own == begin]
            some = [lineages[place] for place in places], [masks[place] for place in places]
            records |= dict(zip(places, self._trained_from(*some, begin, round, observe=observe), strict=True))
        return [records[place] for place in range(len(lineages))]

    def _trained_from(
        self, lineages: Sequence[Lineage], masks: Sequence[Masks], begin: int, round: int, *, observe: bool
    ) -> list[Record]:
        """Their `seconds` are those of this training alone, an equal part for each."""
        begun = time.perf_counter()
        starts = [self.start(lineage, mask, round) for lineage, mask in zip(lineages, masks, strict=True)]
        start, stacked = self._training.stack(starts), self._training.stack(masks)
        until = lineages[0].trial.train.length - begin
        trained = self._training.run(lineages, start, stacked, until, round, begin=begin, observe=observe)
        records = [
            Record(mask, of_net(trained.params, index), of_net(trained.stats, index))
            for index, mask in enumerate(masks)
        ]
        for record in records:
            record.seconds = (time.perf_counter() - begun) / len(records)
        return records

    def _seconds_before(self, lineage: Lineage, round: int) -> float | None:
        """What it took to get to where the mask of a round is made: the dense round, and each round whose weights were ranked since."""
        leader = leader_of(lineage)
        ranked = next((one for one in (lineage, leader) if one is not None and ranks_trained(one)), None)
        return self._trunks.of(lineage).seconds if ranked is None else self._previous(ranked, round).seconds

    def _anew(self, lineage: Lineage) -> Params:
        """Initial weights of a stream of their own, the same in every round."""
        return of_net(self._training.initial([lineage], [stream_seed(lineage.seed, lineage.method)]), 0)

    # -- masks --------------------------------------------------------------------------------------------------------

    def _mask(self, lineage: Lineage, round: int) -> Masks:
        """m(n) of one lineage, exact counts in every scope."""
        prune, past = lineage.trial.prune, self._past(lineage, round)
        masks: Masks = {}
        for scope in scopes(prune, self._layers):
            keep = prune.kept(scope.flat(past.everything).numel(), round)
            masks |= scope.unflat(next_mask(lineage.method, past, scope, keep), past.everything)
        return masks

    def _past(self, lineage: Lineage, round: int) -> Past:
        dense, leader = self._trunks.of(lineage).end, leader_of(lineage)

        def end() -> Params:
            trained = self._previous(lineage, round).end
            assert trained is not None, "a rule that ranks trained weights makes its network train"
            return trained

        def of_leader() -> Masks:
            assert leader is not None, "a rule that follows another says so"
            if self._led.get(leader.id, (-1, None))[0] != round:
                self._led[leader.id] = (round, self._mask(leader, round))
            return self._led[leader.id][1]

        return Past(
            prune=lineage.trial.prune,
            network=self._training.network,
            everything=full(scopes(lineage.trial.prune, self._layers), dense),
            dense=dense,
            masks=lambda: self._previous(lineage, round).masks,
            start=lambda: self._trunks.rewound(lineage),
            end=end,
            leader=of_leader,
            sample=cache(lambda count: self._training.sample(lineage, round, count)),
            fresh=isinstance(lineage.trial.data, Stimulus),
            generator=torch.Generator().manual_seed(stream_seed(lineage.seed, "prune")),
            rule=lineage.rule,
        )

    def _lost_its_leader(self, lineage: Lineage, round: int) -> bool:
        """Whether the lineage whose masks it follows has diverged: there is no mask to follow then."""
        leader = leader_of(lineage)
        return leader is not None and not self._converged(leader, self._previous(leader, round))

    # -- what is remembered -------------------------------------------------------------------------------------------

    def _previous(self, lineage: Lineage, round: int) -> Record:
        self._at_hand([lineage], round - 1)
        return self._recent[lineage.id][round - 1]

    def _at_hand(self, lineages: Sequence[Lineage], round: int) -> None:
        """See to it that the records of a round are the recent ones, whatever it takes: someone may have deleted a checkpoint, or
        a leader may be no method of the sweep. What has to be trained for it is trained together.
        """
        unique = {lineage.id: lineage for lineage in lineages}
        absent = [lineage for lineage in unique.values() if round not in self._recent.get(lineage.id, {})]
        if absent:
            self._records(absent, round, observe=False)

    def _stored(self, lineage: Lineage, round: int) -> Record | None:
        content = self._memory.load_record(lineage.id, round)
        return None if content is None else record_from_bytes(content, f"checkpoint of {lineage.id}, round {round}")

    def _dense(self, lineage: Lineage) -> Record:
        """Round 0 of a lineage: its trunk under a mask of ones."""
        trunk = self._trunks.of(lineage)
        masks = full(scopes(lineage.trial.prune, self._layers), trunk.end)
        return Record(masks, trunk.end, trunk.stats, seconds=trunk.seconds)


def _sum(before: float | None, seconds: float | None) -> float | None:
    return None if before is None or seconds is None else before + seconds
