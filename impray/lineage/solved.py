"""Solved rounds: lineages whose method has a solver, all rounds in one call.

A solver (`impray.training.linear`, `impray.training.relu`) makes masks and weights of many problems at once: of linear models in closed
form, of ReLU networks each count from scratch. Nothing is kept but the rows: a path costs milliseconds, a network seconds, so what is
asked for later is solved again rather than read from a checkpoint per lineage and round. Everything is float64, whatever networks beside
them train in.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from impray.lineage.rounds import FinishedRound, OnEnded
from impray.lineage.training import PackTraining
from impray.masks import scopes
from impray.measures import Readings, RoundState, readings_of
from impray.measures.state import RemovalOrder
from impray.nets import Params
from impray.spec.pack import Pack
from impray.spec.trial import Lineage, Trial
from impray.training.losses import as_outputs
from impray.training.solver import SOLVERS, Block, Solved

_AT_ONCE = 64  # problems of a block: their matrices stay in the processor's cache
_NUMBERS = 2**25  # of a block's training sets, at most: 256 MB
_ENTRIES = 2**23  # of a block's matrices [problem, feature, feature], at most: 64 MB


@dataclass(frozen=True)
class _Path:
    """What a solver made of one lineage: its place in the arrays of a block, and how many weights each round keeps."""

    solved: Solved
    place: int
    counts: Sequence[int]
    opening_s: float  # its part of what drawing the block's problems took
    solving_s: float  # its part of the solver's call
    rounds: int  # of the lineage, that have rows

    def _solving_s(self, round: int) -> float | None:
        """Of this round alone, where each count is solved from scratch."""
        of_round = self.solved.seconds.get(round)
        return None if of_round is None else of_round[self.place].item()

    def lineage_s(self, round: int) -> float:
        """Seconds that it took to get to this round's weights."""
        own = self._solving_s(round)
        return self.opening_s + (self.solving_s if own is None else own)

    def wall_s(self, round: int) -> float:
        """This round's part of them: what all of the lineage's rounds have in common is spread over these."""
        own = self._solving_s(round)
        return self.opening_s / self.rounds + (self.solving_s / self.rounds if own is None else own)

    def mask(self, round: int) -> np.ndarray:
        return self.solved.masks[round][self.place]

    def weights(self, round: int) -> np.ndarray:
        return self.solved.weights[round][self.place]

    def facts(self, round: int) -> dict[str, int | float | bool]:
        """What the solver says of itself."""
        return {name: values[self.place].item() for name, values in self.solved.facts.get(round, {}).items()}

    def order(self, round: int) -> RemovalOrder | None:
        """What has gone before a round; None where masks do not nest."""
        if self.solved.order is None or self.solved.gone is None:
            return None
        gone = self.counts[0] - self.counts[round]
        # Removal i (from 0) leaves counts[0] - 1 - i weights: the first round that keeps no more is the one it goes in.
        left = self.counts[0] - 1 - np.arange(gone)
        rounds = np.searchsorted(-np.asarray(self.counts), -left, side="left")
        features, weights = self.solved.order[self.place, :gone], self.solved.gone[self.place, :gone]
        return RemovalOrder(
            features.astype(np.int64), weights.astype(np.float64), rounds.astype(np.int64), self.weights(0)
        )


def _at_once(trial: Trial) -> int:
    """Problems of a block: as many linear models as fit, with their training sets; one network."""
    if not trial.solvable:
        return 1
    features, samples = trial.data.inputs, getattr(trial.data, "samples", 1)
    return max(1, min(_AT_ONCE, _ENTRIES // features**2, _NUMBERS // (samples * features)))


def _numbers(targets: Tensor, outputs: int) -> np.ndarray:
    """Targets as a solver takes them: [sample] of one output, also of labels 0 and 1; [sample, output] of several, one-hot of labels."""
    wanted = as_outputs(targets, outputs).double()
    return (wanted[:, 0] if outputs == 1 else wanted).numpy()


class Done(Protocol):
    """What solved rounds need of `Memory`: what has rows already."""

    def done(self, lineage: Lineage, round: int) -> bool: ...

    def removals_done(self, lineage: Lineage) -> bool: ...


class NothingDone:
    """A `Done` of a folder without rows."""

    def done(self, lineage: Lineage, round: int) -> bool:
        return False

    def removals_done(self, lineage: Lineage) -> bool:
        return False


class SolvedRounds:
    """The lineages of a pack whose rounds are all known once their problems are solved; as `Rounds` to the rest of the package."""

    def __init__(self, pack: Pack, memory: Done, device: torch.device, ended: OnEnded) -> None:
        """device, ended: as of `Rounds`. Problems are solved on the CPU, and a problem that diverges is no error."""
        self._pack, self._memory = pack, memory
        self._training = PackTraining(pack, torch.device("cpu"), torch.float64)
        (self._scope,) = scopes(pack.lineages[0].trial.prune, self._training.network.layers)
        self._paths: dict[str, _Path] = {}
        self._of_data: dict = {}  # what measures made of problems' data alone

    def __iter__(self) -> Iterator[tuple[int, FinishedRound | None]]:
        """The rounds that are to have rows and have none yet, each with its number; the pack's last in any case."""
        todo = {lineage.id: rounds for lineage in self._pack.lineages if (rounds := self._left(lineage))}
        self._solve([lineage for lineage in self._pack.lineages if lineage.id in todo])
        rounds = sorted({round for of_lineage in todo.values() for round in of_lineage})
        for round in rounds:
            start = time.perf_counter()
            lineages = [lineage for lineage in self._pack.lineages if round in todo.get(lineage.id, ())]
            finished = self._finished(lineages, round)
            for lineage, status in zip(lineages, finished.status, strict=True):
                if status == "diverged":
                    todo[lineage.id] = ()
            if lineages:
                finished.share(time.perf_counter() - start)
            yield round, finished if lineages else None
        if not rounds or rounds[-1] != self._pack.rounds:
            yield self._pack.rounds, None

    def measured(self, finished: FinishedRound) -> list[Readings]:
        """Every measure of the pack, of a round's healthy lineages."""
        if finished.state is None:
            return []
        start = time.perf_counter()
        last = any(self._pack.rows_of(lineage)[-1] == finished.round for lineage in finished.well)
        measures = [measure for measure in self._pack.measures if last or not measure.removal_columns]
        readings = [readings_of(measure, finished.state) for measure in measures]
        finished.state.passes.clear()
        finished.share(time.perf_counter() - start)
        return readings

    def fates(self, lineage: Lineage, last: int) -> None:
        """None: what becomes of each weight is in the table `removals`."""

    def _left(self, lineage: Lineage) -> tuple[int, ...]:
        """Rounds of a lineage that are to have rows and lack something; with removals that are lost, its last one."""
        rounds = self._pack.rows_of(lineage)
        lacking = tuple(round for round in rounds if not self._memory.done(lineage, round))
        if lacking or self._memory.removals_done(lineage):
            return lacking
        return tuple(rounds[-1:])

    # -- solving ------------------------------------------------------------------------------------------------------

    def _solve(self, lineages: Sequence[Lineage]) -> None:
        """Solve the problems of `lineages`, so many at once, each method in turn."""
        of_trials: dict[str, list[Lineage]] = {}
        for lineage in lineages:
            of_trials.setdefault(lineage.trial.id, []).append(lineage)
        for of_trial in of_trials.values():
            seeds = list(dict.fromkeys(lineage.seed for lineage in of_trial))
            at_once = _at_once(of_trial[0].trial)
            for first in range(0, len(seeds), at_once):
                some = seeds[first : first + at_once]
                self._solve_block(of_trial[0].trial, some, [lineage for lineage in of_trial if lineage.seed in some])

    def _solve_block(self, trial: Trial, seeds: Sequence[int], lineages: Sequence[Lineage]) -> None:
        solvers = {lineage.method: SOLVERS[lineage.method] for lineage in lineages}  # importing them is not solving
        start = time.perf_counter()
        block = self._block(trial, seeds)
        opening_s = (time.perf_counter() - start) / len(lineages)
        places = {seed: place for place, seed in enumerate(seeds)}
        for method in solvers:
            own = [lineage for lineage in lineages if lineage.method == method]
            start = time.perf_counter()
            solved = SOLVERS.call(method, block)
            solving_s = (time.perf_counter() - start) / len(own)
            for lineage in own:
                place, rounds = places[lineage.seed], len(self._pack.rows_of(lineage))
                self._paths[lineage.id] = _Path(solved, place, block.counts, opening_s, solving_s, rounds)

    def _block(self, trial: Trial, seeds: Sequence[int]) -> Block:
        lineages = [Lineage(trial=trial, method="imp", seed=seed) for seed in seeds]
        rows = self._pack.rows_of(lineages[0])
        (size,) = trial.scope_sizes
        if trial.solvable:
            rows = tuple(sorted({0, *rows}))  # the dense weights are what an order is held against
        data = self._training.opened(lineages)
        whole = [data.whole(net) for net in range(len(seeds))]
        return Block(
            trial=trial,
            seeds=seeds,
            designs=[inputs.numpy() for inputs, _ in whole],
            targets=[_numbers(targets, trial.outputs) for _, targets in whole],
            start=self._flat(self._initial(lineages)),
            counts=list(trial.prune.counts(size, rows[-1])),
            rows=rows,
        )

    def _flat(self, params: Params) -> np.ndarray:
        """What is pruned, laid end to end: [net, prunable]."""
        return torch.cat([params[name].flatten(1) for name in self._scope.names], dim=1).numpy()

    def _parts(self, flat: Sequence[np.ndarray], like: Params) -> Params:
        """The inverse of `_flat`."""
        parts = torch.from_numpy(np.stack(flat)).split([like[name][0].numel() for name in self._scope.names], dim=1)
        return {name: part.reshape(like[name].shape) for name, part in zip(self._scope.names, parts, strict=True)}

    def _initial(self, lineages: Sequence[Lineage]) -> Params:
        return self._training.initial(lineages, [lineage.seed for lineage in lineages])

    # -- one round ----------------------------------------------------------------------------------------------------

    def _finished(self, lineages: list[Lineage], round: int) -> FinishedRound:
        paths = [self._paths[lineage.id] for lineage in lineages]
        well = [bool(np.isfinite(path.weights(round)).all()) for path in paths]
        healthy = [index for index, fine in enumerate(well) if fine]
        return FinishedRound(
            round=round,
            lineages=lineages,
            status=["done" if fine else "diverged" for fine in well],
            trained=[True] * len(lineages),
            density=[float(lineage.trial.density(round)) for lineage in lineages],
            state=self._state([lineages[i] for i in healthy], [paths[i] for i in healthy], round) if healthy else None,
            wall_s=[path.wall_s(round) for path in paths],
            lineage_s=[path.lineage_s(round) for path in paths],
        )

    def _state(self, lineages: Sequence[Lineage], paths: Sequence[_Path], round: int) -> RoundState:
        start = self._rewound(lineages)
        masks = self._parts([path.mask(round) for path in paths], start)
        end = start | self._parts([path.weights(round) for path in paths], start)
        return RoundState(
            round=round,
            network=self._training.network,
            masks=masks,
            start={name: value * masks[name] if name in masks else value for name, value in start.items()},
            end=end,
            end_stats={},
            held_out=lambda net: self._training.held_out(lineages[net]),
            loss=lineages[0].trial.train.loss,
            trials=[lineage.trial for lineage in lineages],
            whole=lambda net: self._training.whole(lineages[net]),
            truth=lambda net: self._training.truth(lineages[net]),
            orders=[path.order(round) for path in paths],
            facts=[path.facts(round) for path in paths],
            of_data=self._of_data,
            measures=self._pack.measures,
            problems=[(lineage.trial.id, lineage.seed) for lineage in lineages],
        )

    def _rewound(self, lineages: Sequence[Lineage]) -> Params:
        """theta(rewind) of each lineage, not masked."""
        weights = self._initial(lineages)
        for step in {lineage.trial.prune.rewind_step for lineage in lineages} - {0}:
            nets = [net for net, lineage in enumerate(lineages) if lineage.trial.prune.rewind_step == step]
            some, start = [lineages[net] for net in nets], {name: value[nets] for name, value in weights.items()}
            later = self._training.run(some, start, None, step, 0, observe=False).params
            for name, value in later.items():
                weights[name][nets] = value
        return weights
