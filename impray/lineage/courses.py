"""Time courses that were recorded while rounds trained, until they are measured."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from impray.measures.course import Observer
from impray.nets import Network
from impray.spec.measure import Course
from impray.spec.pack import Pack
from impray.spec.trial import Lineage


class Courses:
    """Rows of the table `steps` by lineage and round; round 0 is the trunk's, whoever trained it."""

    def __init__(self, pack: Pack, network: Network) -> None:
        self._asked = next((measure for measure in pack.measures if isinstance(measure, Course)), None)
        self._network, self._loss = network, pack.lineages[0].trial.train.loss
        self._rows: dict[tuple[str, int], list[dict]] = {}

    @property
    def every(self) -> int | None:
        """Updates between two records; None where no measure asks for a time course."""
        return None if self._asked is None else self._asked.record_every

    def observer(self, held_out: Sequence[tuple[Tensor, Tensor]]) -> Observer:
        assert self._asked is not None, "nobody asked for a time course"
        return Observer(self._asked, self._network, held_out, self._loss)

    def keep(self, lineages: Sequence[Lineage], round: int, observer: Observer) -> None:
        for lineage, of_net in zip(lineages, observer.rows(), strict=True):
            self._rows[_key(lineage, round)] = of_net

    def absent(self, lineages: Sequence[Lineage], round: int) -> list[int]:
        """Places of the lineages whose round has no course yet; of those with one trunk, the last."""
        places = {_key(lineage, round): place for place, lineage in enumerate(lineages)}
        return [place for key, place in places.items() if key not in self._rows]

    def take(self, lineages: Sequence[Lineage], round: int) -> list[list[dict]]:
        """The rows of each lineage's round; they are not kept."""
        rows = [self._rows[_key(lineage, round)] for lineage in lineages]
        # Trunks are shared by lineages that are measured at the same time: of no use afterwards.
        for key in {_key(lineage, round) for lineage in lineages}:
            del self._rows[key]
        return rows


def _key(lineage: Lineage, round: int) -> tuple[str, int]:
    return (lineage.trunk if round == 0 else lineage.id), round
