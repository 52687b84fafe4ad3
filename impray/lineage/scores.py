"""Numbers of single weights (the cavity score), one file per round and measure, until the fates of a lineage are known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor

from impray.lineage.checkpoint import Record, scores_from_bytes, scores_to_bytes
from impray.lineage.memory import Memory
from impray.measures import Readings
from impray.nets import Layer
from impray.spec.measure import MeasureSpec
from impray.spec.pack import Pack, measure_hash, measure_name
from impray.spec.trial import Lineage


def save(
    memory: Memory,
    measure: MeasureSpec,
    round: int,
    lineages: Sequence[Lineage],
    masks: Sequence[Mapping[int, Tensor]],
    readings: Readings,
) -> None:
    """Keep what a measure says of single weights.

    Args:    lineages: those that were measured. masks: of each, layer -> [unit, input] of the pruned layers.
    """
    for net, lineage in enumerate(lineages) if readings.weights else ():
        scores = {layer: {c: values[net] for c, values in cs.items()} for layer, cs in readings.weights.items()}
        content = scores_to_bytes(scores, masks[net])
        memory.save_scores(lineage.id, measure_name(measure), measure_hash(measure), round, content)


def matrices(layers: Sequence[Layer], masks: Mapping[str, Tensor]) -> dict[int, Tensor]:
    """Layer -> mask [unit, input] (or [net, unit, input]) of the pruned layers."""
    return {layer.number: layer.matrix(masks[layer.weight]) for layer in layers if layer.weight in masks}


class Scores:
    """Round -> column -> layer -> numbers of one lineage: from their files, measured again where a file is gone.

    Measures that only an earlier run asked for are read too, where their files are: their columns stay. `read` says what each
    round's numbers are of: measure -> hash of its parameters.
    """

    def __init__(
        self,
        pack: Pack,
        memory: Memory,
        lineage: Lineage,
        layers: Sequence[Layer],
        records: Sequence[Record],
        measure_again: Callable[[MeasureSpec, int], None],
    ) -> None:
        """measure_again(measure, round): measure and `save` the lineage's scores, unless the round has diverged."""
        self._pack, self._memory, self._lineage, self._layers = pack, memory, lineage, layers
        self._records, self._measure_again = records, measure_again
        self.read: dict[int, dict[str, str]] = {}

    def __call__(self, round: int) -> dict[str, dict[int, Tensor]]:
        # A diverged round has no numbers, and never will have: they count as read.
        self.read[round] = dict(self._pack.asked_of_fates)
        scores: dict[str, dict[int, Tensor]] = {}
        for name, digest in self._memory.earlier_scores(self._lineage):
            content = self._memory.load_scores(self._lineage.id, name, digest, round)
            if content is not None:
                self.read[round][name] = digest
                scores |= self._parsed(content, round)
        for measure in self._pack.measures if self._records[round].finite else ():
            if measure.fate_columns:
                content = self._asked(measure, round)
                scores |= {} if content is None else self._parsed(content, round)
        return scores

    def _asked(self, measure: MeasureSpec, round: int) -> bytes | None:
        name = (self._lineage.id, measure_name(measure), measure_hash(measure), round)
        content = self._memory.load_scores(*name)
        if content is None:
            self._measure_again(measure, round)
            content = self._memory.load_scores(*name)
        return content

    def _parsed(self, content: bytes, round: int) -> dict[str, dict[int, Tensor]]:
        masks = matrices(self._layers, self._records[round].masks)
        return scores_from_bytes(content, masks, f"scores of {self._lineage.id}, round {round}")
