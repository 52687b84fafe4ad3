"""The networks of a pack in training: their shared form, their data, and one call of the trainer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property

import torch
from torch import Tensor

from impray.data import PackData, open_pack, reads_the_same_memory
from impray.lineage.courses import Courses
from impray.nets import Params, network_of
from impray.spec.pack import Pack, starts_anew
from impray.spec.trial import Lineage, stream_seed
from impray.training import Task, TrainingEnd, blocks, held, train_round
from impray.training.blocks import Graphs


class PackTraining:
    """Trains lineages of a pack together. Tensors of a run have a net axis and lie on the device; those of one lineage wait on the CPU."""

    def __init__(self, pack: Pack, device: torch.device, dtype: torch.dtype | None = None) -> None:
        """dtype: by default that of the training."""
        self.pack, self.device = pack, device
        trial = pack.lineages[0].trial
        self.network = network_of(trial.net, trial.data.input_shape, trial.outputs)
        self.dtype = dtype or getattr(torch, trial.train.dtype)
        self.courses = Courses(pack, self.network)
        self._graphs: Graphs | None = Graphs()
        self._last: tuple[list, PackData] | None = None  # whose data a graph reads, and these
        self._held: dict[tuple, int | None] = {}

    def run(
        self,
        lineages: Sequence[Lineage],
        start: Params,
        masks: Params | None,
        until: float,
        round: int,
        snapshots: Sequence[float] = (),
        *,
        begin: float = 0,
        observe: bool = True,
    ) -> TrainingEnd:
        """Train the networks of `lineages` in a round, `until` so far from its start, which lies at `begin`; see `Task`.

        Args:    observe: whether the time course is taken, where it is asked for.
        """
        data = self._data_of(lineages)
        data.start(round)
        specs = [lineage.trial.train for lineage in lineages]
        noise = [stream_seed(lineage.seed, "noise", round) for lineage in lineages]
        task = Task(
            self.network,
            specs,
            start,
            masks,
            data,
            until,
            tuple(snapshots),
            begin=begin,
            noise=noise,
            graphs=self._graphs,
        )
        if not observe or self.courses.every is None:
            return train_round(task)
        observer = self.courses.observer([self.held_out(lineage) for lineage in lineages])
        trained = train_round(replace(task, observe=(self.courses.every, observer)))
        self.courses.keep(lineages, round, observer)
        return trained

    def held(self, lineage: Lineage, masks: Params, round: int) -> int | None:
        """Bytes that training this lineage in a round holds beside inputs and targets; None: nobody knows.

        Args:    masks: of the lineage. Only which parameters have one matters, and whether the round has.
        """
        begin = begin_of(lineage, round)
        key = lineage.trial.id, begin, round == 0
        if key not in self._held:
            own = {name: mask[None].to(self.device) for name, mask in masks.items()} if round else None
            train, start = lineage.trial.train, self.initial([lineage], [lineage.seed])
            self._held[key] = held(self.network, train, start, own, begin, train.length - begin)
        return self._held[key]

    def initial(self, lineages: Sequence[Lineage], seeds: Sequence[int]) -> Params:
        """Weights before the first update; each network's from the stream `init` of its own seed."""
        return self.network.initial([lineage.trial.net for lineage in lineages], seeds, self.dtype, self.device)

    def stack(self, of_nets: Sequence[Params]) -> Params:
        """Tensors of single lineages, together on the device."""
        return {name: torch.stack([params[name].to(self.device) for params in of_nets]) for name in of_nets[0]}

    def close(self) -> None:
        """Lets go of what rounds leave for the next ones; what is trained after keeps nothing."""
        self._graphs = self._last = None

    # -- data ---------------------------------------------------------------------------------------------------------

    def opened(self, lineages: Sequence[Lineage]) -> PackData:
        return open_pack(
            [lineage.trial.data for lineage in lineages],
            [lineage.seed for lineage in lineages],
            batch=lineages[0].trial.train.batch_size,
            dtype=self.dtype,
            device=self.device,
        )

    def _data_of(self, lineages: Sequence[Lineage]) -> PackData:
        """Where steps are captured those of the last round, if they are the same: a graph reads them where they lie."""
        if self._graphs is None or not blocks.captures(self.device):
            return self.opened(lineages)
        asked = [(lineage.trial.data, lineage.seed, lineage.trial.train.batch_size) for lineage in lineages]
        if self._last is None or self._last[0] != asked:
            self._last = None
            self._graphs.let_go()  # the last round's nets and data make room for these
            self._last = asked, self.opened(lineages)
        data = self._last[1]
        if not reads_the_same_memory(data):
            self._last = None
        return data

    def held_out(self, lineage: Lineage) -> tuple[Tensor, Tensor]:
        """Held-out inputs [sample, input] and labels, of a lineage of the pack or one with the same trial and seed."""
        return self._data.held_out(self._places[lineage.trial.id, lineage.seed])

    def whole(self, lineage: Lineage) -> tuple[Tensor, Tensor]:
        """The training set, as `PackData.whole`, of a lineage as `held_out` takes it."""
        return self._data.whole(self._places[lineage.trial.id, lineage.seed])

    def truth(self, lineage: Lineage) -> Mapping[str, Tensor]:
        """The weights that made the targets, as `PackData.truth`."""
        return self._data.truth(self._places[lineage.trial.id, lineage.seed])

    @cached_property
    def _data(self) -> PackData:
        return self.opened(self.pack.lineages)

    @cached_property
    def _places(self) -> dict[tuple[str, int], int]:
        return {(lineage.trial.id, lineage.seed): place for place, lineage in enumerate(self.pack.lineages)}

    def sample(self, lineage: Lineage, round: int, samples: int) -> tuple[Tensor, Tensor]:
        """The first inputs, and their labels, that training draws in a round."""
        data, batches = self.opened([lineage]), -(-samples // lineage.trial.train.batch_size)
        data.start(round)
        drawn: list[tuple[Tensor, ...]] = []
        while batches > 0:
            steps = min(batches, data.block)
            raw = data.draw(steps)
            drawn += [tuple(part[0].clone() for part in data.batch(raw, step)) for step in range(steps)]
            batches -= steps
        inputs, labels = (torch.cat(parts)[:samples] for parts in zip(*drawn, strict=True))
        return inputs, labels


def begin_of(lineage: Lineage, round: int) -> int:
    """The progress that a round of a lineage begins at: with `after_rewind: remaining` the rewind step, unless it starts anew."""
    prune = lineage.trial.prune
    return prune.rewind_step if round > 0 and prune.after_rewind == "remaining" and not starts_anew(lineage) else 0


def of_net(tensors: Params, index: int) -> Params:
    """One net's, on the CPU: they wait there for the next round."""
    return {name: value[index].detach().cpu().clone() for name, value in tensors.items()}
