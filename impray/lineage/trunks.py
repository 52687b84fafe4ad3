"""Trunks: dense round 0, with a snapshot per rewind step; each part is trained by one process only and kept for all."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cached_property

from impray.lineage.checkpoint import Trunk, weights_from_bytes, weights_to_bytes
from impray.lineage.memory import Memory
from impray.lineage.training import PackTraining, of_net
from impray.nets import Params
from impray.spec.trial import Lineage


class Trunks:
    """The trunks of a pack's lineages, as far as they have been asked for."""

    def __init__(self, memory: Memory, training: PackTraining) -> None:
        self._memory, self._training = memory, training
        self._trunks: dict[str, Trunk] = {}

    def of(self, lineage: Lineage) -> Trunk:
        """A lineage's trunk, trained if need be."""
        self.grow([lineage])
        return self._trunks[lineage.trunk]

    def rewound(self, lineage: Lineage) -> Params:
        """theta(rewind), not masked."""
        return self.of(lineage).snapshots[lineage.trial.prune.rewind_step]

    def observe_again(self, lineages: Sequence[Lineage]) -> None:
        """Train once more, for the time course alone."""
        self._dense(lineages, lineages[0].trial.train.length, (), observe=True)

    def grow(self, lineages: Sequence[Lineage]) -> None:
        """Load or train the trunks of `lineages` with every snapshot asked for."""
        needy = list({lineage.trunk: lineage for lineage in lineages if self._lacks(lineage) != []}.values())
        for lineage in needy:
            self._load(lineage)
        needy = [lineage for lineage in needy if self._lacks(lineage) != []]
        if not needy:
            return
        with self._memory.locked_trunks(sorted(lineage.trunk for lineage in needy)):
            for lineage in needy:
                self._load(lineage)
            absent = [lineage for lineage in needy if lineage.trunk not in self._trunks]
            self._train(absent, lineages[0].trial.train.length, observe=True)
            # A trunk of an earlier sweep that was never asked for this snapshot: only the way there is trained again.
            short = [lineage for lineage in needy if self._lacks(lineage)]
            self._train(
                short, max((step for lineage in short for step in self._lacks(lineage) or []), default=0), observe=False
            )

    def _lacks(self, lineage: Lineage) -> list[int] | None:
        """Snapshots that the trunk should have and has not; None if there is no trunk at all."""
        trunk = self._trunks.get(lineage.trunk)
        return None if trunk is None else [s for s in self._snapshots(lineage) if s not in trunk.snapshots]

    def _load(self, lineage: Lineage) -> None:
        content = self._memory.load_trunk(lineage.trunk, "end")
        if content is None:
            return
        end, stats, seconds = weights_from_bytes(content, f"trunk {lineage.trunk}")
        trunk = Trunk(end, stats, {}, seconds)
        for step in self._snapshots(lineage):
            part = self._memory.load_trunk(lineage.trunk, f"at{step}")
            if part is not None:
                trunk.snapshots[step], *_ = weights_from_bytes(part, f"trunk {lineage.trunk}, step {step}")
        self._trunks[lineage.trunk] = trunk

    def _snapshots(self, lineage: Lineage) -> tuple[int, ...]:
        """Rewind steps that this pack's lineages, or others of the sweep, ask of a trunk."""
        return self._asked.get(lineage.trunk) or (lineage.trial.prune.rewind_step,)

    @cached_property
    def _asked(self) -> dict[str, tuple[int, ...]]:
        pack = self._training.pack
        steps: dict[str, set[int]] = {}
        for lineage in pack.lineages:
            limit = lineage.trial.train.length
            asked = steps.setdefault(lineage.trunk, {step for step in pack.snapshots if step <= limit})
            asked.add(lineage.trial.prune.rewind_step)
        return {trunk: tuple(sorted(asked)) for trunk, asked in steps.items()}

    def _dense(self, lineages: Sequence[Lineage], until: float, snapshots: Sequence[float], *, observe: bool):  # noqa: ANN202
        start = self._training.initial(lineages, [lineage.seed for lineage in lineages])
        return self._training.run(lineages, start, None, until, 0, snapshots, observe=observe)

    def _train(self, lineages: Sequence[Lineage], until: float, *, observe: bool) -> None:
        """Train the dense networks of `lineages` as far as `until` and keep what their trunks lack."""
        if not lineages:
            return
        asked = sorted({step for lineage in lineages for step in self._snapshots(lineage) if step <= until})
        start = time.perf_counter()
        trained = self._dense(lineages, until, asked, observe=observe)
        seconds = (time.perf_counter() - start) / len(lineages)
        for index, lineage in enumerate(lineages):
            trunk = self._trunks.get(lineage.trunk)
            at = {step: of_net(trained.snapshots[step], index) for step in asked}
            for step, snapshot in at.items():
                if trunk is None or step not in trunk.snapshots:
                    self._memory.save_trunk(lineage.trunk, f"at{step}", weights_to_bytes(snapshot))
            if trunk is None:  # its end comes last: a trunk whose end is there is whole
                trunk = Trunk(of_net(trained.params, index), of_net(trained.stats, index), {}, seconds)
                self._memory.save_trunk(lineage.trunk, "end", weights_to_bytes(trunk.end, trunk.stats, seconds))
                self._trunks[lineage.trunk] = trunk
            trunk.snapshots |= {step: snapshot for step, snapshot in at.items() if step not in trunk.snapshots}
