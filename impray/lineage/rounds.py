"""The rounds of a pack: train, prune, rewind, train again.

    round 0:  train theta(0) -> theta(T); keep theta(rewind)                      (the trunk)
    round n:  m(n) from theta(T) * m(n-1) of round n-1 (imp), of round 0 (oneshot), at random, or from cavity scores;
              train theta(rewind) * m(n)

Frankle et al. (2020), Redman et al. (2025), section 2.1. All methods keep the same numbers of weights. What is finished is not run
again: `memory` knows the rows and holds the checkpoints; a finished round whose rows lack a measure is measured again from them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Protocol

import torch
from torch import Tensor

from impray.data import PackData, open_pack
from impray.lineage.cavity import rule_scores, training_sample
from impray.lineage.checkpoint import (
    Params,
    Record,
    Trunk,
    record_from_bytes,
    record_to_bytes,
    weights_from_bytes,
    weights_to_bytes,
)
from impray.masks import Past, density, full, next_mask, scopes
from impray.measures import RoundState
from impray.measures.course import Recorder
from impray.measures.forward import frequent_classes
from impray.nets import network_of
from impray.spec.data import Stimulus
from impray.spec.errors import LineageError
from impray.spec.measure import Course
from impray.spec.pack import Pack
from impray.spec.trial import Lineage, stream_seed
from impray.training import Task, train_round


class Memory(Protocol):
    """What rounds need of the world: which rows exist, and a place for checkpoints."""

    def done(self, lineage: Lineage, round: int) -> bool: ...

    def diverged(self, lineage: Lineage) -> int | None:
        """The round in which an earlier run saw it diverge."""
        ...

    def load_trunk(self, trunk: str, part: str) -> bytes | None:
        """A part is `end`, or `at200` for the snapshot after 200 updates."""
        ...

    def save_trunk(self, trunk: str, part: str, content: bytes) -> None: ...

    def locked_trunks(self, trunks: Sequence[str]) -> AbstractContextManager[None]: ...

    def load_record(self, lineage: str, round: int) -> bytes | None: ...

    def save_record(self, lineage: str, round: int, content: bytes) -> None: ...


@dataclass
class Finished:
    """A round that is trained and saved, to be measured. `state` holds the lineages with status `done`, in order."""

    round: int
    lineages: list[Lineage]
    status: list[str]
    trained: list[bool]
    density: list[float]
    state: RoundState | None
    wall_s: float


# Told when a lineage cannot go on: the lineage, the round, and why.
Ended = Callable[[Lineage, int, LineageError], None]


def rounds(pack: Pack, memory: Memory, device: torch.device, ended: Ended) -> Iterator[Finished | None]:
    """Run every round of the pack that is not done; yields once per round, None where nothing was left to do.

    A lineage that cannot go on ends alone, and `ended` is told; the others do not notice.
    """
    chain = Chain(pack, memory, device)
    for round in range(pack.rounds + 1):
        start = time.perf_counter()
        todo = [lineage for lineage in pack.lineages if chain.wants(lineage, round)]
        todo, records = chain.able(todo, round, ended)
        if not todo:
            yield None
            continue
        yield chain.finished(todo, records, round, time.perf_counter() - start)


class Chain:
    """The lineages of a pack on their way through the rounds, with what the next round needs of the last."""

    def __init__(self, pack: Pack, memory: Memory, device: torch.device) -> None:
        self.pack, self.memory, self.device = pack, memory, device
        trial = pack.lineages[0].trial
        self.arch = network_of(trial.net, trial.data.input_shape, trial.outputs)
        self.dtype = getattr(torch, trial.train.dtype)
        self.trunks: dict[str, Trunk] = {}
        self.recent: dict[str, tuple[int, Record]] = {}  # lineage -> (round, record) of the last round seen
        self.ended: dict[str, int] = {}  # lineage -> round in which it diverged
        self.courses: dict[tuple[str, int], list[dict]] = {}  # (trunk, 0) or (lineage, round) -> its time course
        for lineage in pack.lineages:
            round = memory.diverged(lineage)
            if round is not None:
                self.ended[lineage.id] = round

    def wants(self, lineage: Lineage, round: int) -> bool:
        return self.ended.get(lineage.id, round) >= round and not self.memory.done(lineage, round)

    # -- records ------------------------------------------------------------------------------------------------------

    def able(self, lineages: list[Lineage], round: int, ended: Ended) -> tuple[list[Lineage], list[Record]]:
        """The lineages that can go on, and their records of a round, with all that is measured of it at hand."""
        try:
            self.grow_trunks(lineages)
            return lineages, self.records(lineages, round)
        except LineageError as error:
            if len(lineages) == 1:
                self.ended[lineages[0].id] = round - 1
                ended(lineages[0], round, error)
                return [], []
        # Each alone: the same numbers, and only those that cannot go on meet the error again.
        alone = [self.able([lineage], round, ended) for lineage in lineages]
        return [lineage for of_one, _ in alone for lineage in of_one], [
            record for _, of_one in alone for record in of_one
        ]

    def records(self, lineages: Sequence[Lineage], round: int) -> list[Record]:
        """The records of a round: from the checkpoints where they are, else masked, trained and saved now."""
        if round == 0:
            self.grow_trunks(lineages)
            found = {lineage.id: self._dense(lineage) for lineage in lineages}
        else:
            found = {}
            for lineage in lineages:
                record = self._stored(lineage, round)
                if record is not None and (record.end is not None or not self.pack.trains(lineage, round)):
                    found[lineage.id] = record
            found |= self._run([lineage for lineage in lineages if lineage.id not in found], round)
        for lineage in lineages:
            self.recent[lineage.id] = (round, found[lineage.id])
        return [found[lineage.id] for lineage in lineages]

    def _run(self, lineages: Sequence[Lineage], round: int) -> dict[str, Record]:
        """Mask, rewind and train `lineages`; save their records."""
        if not lineages:
            return {}
        self.grow_trunks(lineages)
        masks = {lineage.id: self._mask(lineage, round) for lineage in lineages}
        records = {lineage.id: Record(masks[lineage.id]) for lineage in lineages}
        training = [lineage for lineage in lineages if self.pack.trains(lineage, round)]
        records |= self._trained(training, masks, round)
        for lineage in lineages:
            self.memory.save_record(lineage.id, round, record_to_bytes(records[lineage.id]))
        return records

    def _trained(self, lineages: Sequence[Lineage], masks: Mapping[str, Params], round: int) -> dict[str, Record]:
        if not lineages:
            return {}
        starts = [self.rewound(lineage, masks[lineage.id]) for lineage in lineages]
        prune, train = lineages[0].trial.prune, lineages[0].trial.train
        steps = train.steps - (prune.rewind_step if prune.after_rewind == "remaining" else 0)
        stacked = self._stack([masks[lineage.id] for lineage in lineages])
        trained = self._train(lineages, self._stack(starts), stacked, steps, round, (), record=True)
        return {
            lineage.id: Record(masks[lineage.id], *_of_net(trained.params, trained.stats, index))
            for index, lineage in enumerate(lineages)
        }

    def _train(self, lineages, params, masks, steps: int, round: int, snapshots, *, record: bool):  # noqa: ANN001, ANN202
        data = self._opened(lineages)
        data.start(round)
        specs = [lineage.trial.train for lineage in lineages]
        task = Task(self.arch, specs, params, masks, data, steps, tuple(snapshots))
        asked = self._course_asked if record else None
        if asked is None:
            return train_round(task)
        held_out = [self._data.held_out(self._places[lineage.id]) for lineage in lineages]
        recorder = Recorder(asked, self.arch, held_out, lineages[0].trial.train.loss)
        found = train_round(replace(task, record=(asked.record_every, recorder)))
        for lineage, of_net in zip(lineages, recorder.rows(), strict=True):
            self.courses[_course_key(lineage, round)] = of_net
        return found

    @cached_property
    def _course_asked(self) -> Course | None:
        return next((measure for measure in self.pack.measures if isinstance(measure, Course)), None)

    def course(self, lineages: Sequence[Lineage], records: Sequence[Record], round: int) -> list[list[dict]]:
        """Rows of the time course of each lineage's round. A round that is trained already is trained once more, to the same
        numbers: only then is there something to record."""
        pairs = zip(lineages, records, strict=True)
        absent = {
            _course_key(lin, round): (lin, rec) for lin, rec in pairs if _course_key(lin, round) not in self.courses
        }
        if absent:
            again = [lineage for lineage, _ in absent.values()]
            if round == 0:
                self._dense_run(again, again[0].trial.train.steps, (), record=True)
            else:
                self._trained(again, {lineage.id: record.masks for lineage, record in absent.values()}, round)
        found = [self.courses[_course_key(lineage, round)] for lineage in lineages]
        # Trunks are shared by lineages that are measured at the same time: of no use afterwards.
        for key in {_course_key(lineage, round) for lineage in lineages}:
            del self.courses[key]
        return found

    # -- masks --------------------------------------------------------------------------------------------------------

    def _mask(self, lineage: Lineage, round: int) -> Params:
        """m(n) of one lineage, exact counts in every scope."""
        prune, past = lineage.trial.prune, self._past(lineage, round)
        masks: Params = {}
        for scope in scopes(prune, len(self.arch.layers)):
            keep = prune.kept(scope.flat(past.everything).numel(), round)
            masks |= scope.unflat(next_mask(lineage.method, past, scope, keep), past.everything)
        return masks

    def _past(self, lineage: Lineage, round: int) -> Past:
        dense = self.trunks[lineage.trunk].end

        def end() -> Params:
            trained = self.previous(lineage, round).end
            assert trained is not None, "a rule that ranks trained weights makes its network train"
            return trained

        return Past(
            everything=full(scopes(lineage.trial.prune, len(self.arch.layers)), dense),
            dense=dense,
            masks=lambda: self.previous(lineage, round).masks,
            end=end,
            scores=self.cavity_scores(lineage, round),
            rescore=lineage.trial.prune.cavity.rescore,
            generator=torch.Generator().manual_seed(stream_seed(lineage.seed, "prune")),
            rule=lineage.rule,
        )

    def cavity_scores(self, lineage: Lineage, round: int) -> Callable[[Params, Sequence[str]], Params]:
        """(masks, names) -> scores that the mask of `round` follows from, on training inputs; see `rule_scores`.

        Classes with few different samples in the draw are left out: a kurtosis of theirs means nothing.
        """
        rule = lineage.trial.prune.cavity
        # Data sets are drawn from with replacement. Repeated draws count in the scores, as they do in training.
        fresh = isinstance(lineage.trial.data, Stimulus)
        sample = cache(lambda: frequent_classes(*self.training_sample(lineage, round, rule.samples), fresh=fresh))

        def scores(masks: Params, names: Sequence[str]) -> Params:
            whole = self.previous(lineage, round).end if rule.at == "end" else self.rewound(lineage, {})
            assert whole is not None, "a rule that ranks trained weights makes its network train"
            return rule_scores(rule, self.arch, whole, masks, names, sample())

        return scores

    def training_sample(self, lineage: Lineage, round: int, samples: int) -> tuple[Tensor, Tensor]:
        return training_sample(self._opened([lineage]), lineage.trial.train.batch, round, samples)

    # -- what is remembered -------------------------------------------------------------------------------------------

    def previous(self, lineage: Lineage, round: int) -> Record:
        at, record = self.recent.get(lineage.id, (-1, None))
        if record is not None and at == round - 1:
            return record
        found = self._dense(lineage) if round == 1 else self._stored(lineage, round - 1)
        if found is None:  # rows without their checkpoint: someone deleted it; the round before can be run again
            found = self._run([lineage], round - 1)[lineage.id]
        self.recent[lineage.id] = (round - 1, found)
        return found

    def _stored(self, lineage: Lineage, round: int) -> Record | None:
        content = self.memory.load_record(lineage.id, round)
        return None if content is None else record_from_bytes(content, f"checkpoint of {lineage.id}, round {round}")

    def _dense(self, lineage: Lineage) -> Record:
        """Round 0 of a lineage: its trunk under a mask of ones."""
        self.grow_trunks([lineage])
        trunk = self.trunks[lineage.trunk]
        return Record(full(scopes(lineage.trial.prune, len(self.arch.layers)), trunk.end), trunk.end, trunk.stats)

    def rewound(self, lineage: Lineage, masks: Params) -> Params:
        """theta(rewind) * mask."""
        self.grow_trunks([lineage])
        snapshot = self.trunks[lineage.trunk].snapshots[lineage.trial.prune.rewind_step]
        return {name: value * masks[name] if name in masks else value for name, value in snapshot.items()}

    # -- trunks -------------------------------------------------------------------------------------------------------

    def grow_trunks(self, lineages: Sequence[Lineage]) -> None:
        """Load or train the trunks of `lineages` with every snapshot asked for. Each part is trained by one process only."""
        needy = list({lineage.trunk: lineage for lineage in lineages if self._lacks(lineage) != []}.values())
        for lineage in needy:
            self._load_trunk(lineage)
        needy = [lineage for lineage in needy if self._lacks(lineage) != []]
        if not needy:
            return
        with self.memory.locked_trunks(sorted(lineage.trunk for lineage in needy)):
            for lineage in needy:
                self._load_trunk(lineage)
            absent = [lineage for lineage in needy if lineage.trunk not in self.trunks]
            self._grow(absent, lineages[0].trial.train.steps, record=True)
            # A trunk of an earlier sweep that was never asked for this snapshot: only the way there is trained again.
            short = [lineage for lineage in needy if self._lacks(lineage)]
            steps = max([1, *(step for lineage in short for step in self._lacks(lineage) or [])])
            self._grow(short, steps, record=False)

    def _lacks(self, lineage: Lineage) -> list[int] | None:
        """Snapshots that the trunk should have and has not; None if there is no trunk at all."""
        trunk = self.trunks.get(lineage.trunk)
        return None if trunk is None else [s for s in self._asked_snapshots[lineage.trunk] if s not in trunk.snapshots]

    def _load_trunk(self, lineage: Lineage) -> None:
        content = self.memory.load_trunk(lineage.trunk, "end")
        if content is None:
            return
        trunk = Trunk(*weights_from_bytes(content, f"trunk {lineage.trunk}"), {})
        for step in self._asked_snapshots[lineage.trunk]:
            part = self.memory.load_trunk(lineage.trunk, f"at{step}")
            if part is not None:
                trunk.snapshots[step], _ = weights_from_bytes(part, f"trunk {lineage.trunk}, step {step}")
        self.trunks[lineage.trunk] = trunk

    @cached_property
    def _asked_snapshots(self) -> dict[str, tuple[int, ...]]:
        """Trunk -> rewind steps that this pack's lineages, or others of the sweep, ask of it."""
        steps: dict[str, set[int]] = {}
        for lineage in self.pack.lineages:
            limit = lineage.trial.train.steps
            asked = steps.setdefault(lineage.trunk, {step for step in self.pack.snapshots if step <= limit})
            asked.add(lineage.trial.prune.rewind_step)
        return {trunk: tuple(sorted(asked)) for trunk, asked in steps.items()}

    def _dense_run(self, lineages: Sequence[Lineage], steps: int, snapshots: Sequence[int], *, record: bool):  # noqa: ANN202
        nets, seeds = [lineage.trial.net for lineage in lineages], [lineage.seed for lineage in lineages]
        params = self.arch.initial(nets, seeds, self.dtype, self.device)
        return self._train(lineages, params, None, steps, 0, snapshots, record=record)

    def _grow(self, lineages: Sequence[Lineage], steps: int, *, record: bool) -> None:
        """Train the dense networks of `lineages` for `steps` updates and keep what their trunks lack."""
        if not lineages:
            return
        asked = sorted({step for lineage in lineages for step in self._asked_snapshots[lineage.trunk] if step <= steps})
        trained = self._dense_run(lineages, steps, asked, record=record)
        snapshots = trained.snapshots
        for index, lineage in enumerate(lineages):
            trunk = self.trunks.get(lineage.trunk)
            at = {step: _of_net(snapshots[step], {}, index)[0] for step in asked}
            for step, snapshot in at.items():
                if trunk is None or step not in trunk.snapshots:
                    self.memory.save_trunk(lineage.trunk, f"at{step}", weights_to_bytes(snapshot))
            if trunk is None:  # its end comes last: a trunk whose end is there is whole
                trunk = Trunk(*_of_net(trained.params, trained.stats, index), {})
                self.memory.save_trunk(lineage.trunk, "end", weights_to_bytes(trunk.end, trunk.stats))
                self.trunks[lineage.trunk] = trunk
            trunk.snapshots |= {step: snapshot for step, snapshot in at.items() if step not in trunk.snapshots}

    # -- what is measured ---------------------------------------------------------------------------------------------

    def finished(self, lineages: list[Lineage], records: list[Record], round: int, wall_s: float) -> Finished:
        well = [self._converged(lineage, record) for lineage, record in zip(lineages, records, strict=True)]
        for lineage, fine in zip(lineages, well, strict=True):
            if not fine:
                self.ended[lineage.id] = round
        healthy = [index for index, fine in enumerate(well) if fine]
        state = self._state([lineages[i] for i in healthy], [records[i] for i in healthy], round) if healthy else None
        return Finished(
            round=round,
            lineages=lineages,
            status=["done" if fine else "diverged" for fine in well],
            trained=[record.end is not None for record in records],
            density=[density(record.masks) for record in records],
            state=state,
            wall_s=wall_s,
        )

    def _converged(self, lineage: Lineage, record: Record) -> bool:
        """Whether weights and loss are finite; the loss on a few held-out inputs, since weights may be huge but finite."""
        if record.end is None:
            return True
        if not record.finite:
            return False
        inputs, _ = self._data.held_out(self._places[lineage.id])
        some = inputs[:: max(1, inputs.shape[0] // 64)]
        end, stats = (self._stack([part]) if part else None for part in (record.end, record.stats))
        outputs = self.arch.preactivations(end, some[None], stats)[-1]
        worst = outputs.square() if lineage.trial.train.loss == "mse" else outputs
        return bool(torch.isfinite(worst).all())

    @cached_property
    def _places(self) -> dict[str, int]:
        return {lineage.id: place for place, lineage in enumerate(self.pack.lineages)}

    def _state(self, lineages: list[Lineage], records: list[Record], round: int) -> RoundState:
        ends = [record.end for record in records if record.end is not None]
        trained = len(ends) == len(records)
        trial = lineages[0].trial
        places = [self._places[lineage.id] for lineage in lineages]
        return RoundState(
            round=round,
            arch=self.arch,
            masks=self._stack([record.masks for record in records]),
            start=self._stack([self.rewound(lineage, r.masks) for lineage, r in zip(lineages, records, strict=True)]),
            end=self._stack(ends) if trained else None,
            end_stats=self._stack([record.stats for record in records]) if trained else None,
            held_out=lambda net: self._data.held_out(places[net]),
            input_shape=trial.data.input_shape,
            loss=trial.train.loss,
            trials=[lineage.trial for lineage in lineages],
            course=lambda _: self.course(lineages, records, round),
        )

    @cached_property
    def _data(self) -> PackData:
        """Held-out samples of every lineage of the pack."""
        return self._opened(self.pack.lineages)

    def _opened(self, lineages: Sequence[Lineage]) -> PackData:
        return open_pack(
            [lineage.trial.data for lineage in lineages],
            [lineage.seed for lineage in lineages],
            batch=lineages[0].trial.train.batch,
            dtype=self.dtype,
            device=self.device,
        )

    def _stack(self, of_nets: Sequence[Params]) -> Params:
        return {name: torch.stack([params[name].to(self.device) for params in of_nets]) for name in of_nets[0]}


def _course_key(lineage: Lineage, round: int) -> tuple[str, int]:
    """Round 0 is the trunk's, whoever trained it."""
    return (lineage.trunk if round == 0 else lineage.id), round


def _of_net(params: Params, stats: Params, index: int) -> tuple[Params, Params]:
    """One net's parameters and statistics, on the CPU: they wait there for the next round."""
    return (
        {name: value[index].detach().cpu().clone() for name, value in params.items()},
        {name: value[index].detach().cpu().clone() for name, value in stats.items()},
    )
