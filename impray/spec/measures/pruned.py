"""The measure of networks as pruning leaves them, before they are trained again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from impray.spec.measures.base import Column, MeasureSpec
from impray.spec.measures.network import Accuracy, Loss
from impray.spec.measures.recovery import Psnr

if TYPE_CHECKING:
    from impray.spec.trial import Trial

_PARTS = (Loss(), Accuracy(), Psnr())


class Pruned(MeasureSpec):
    """The network just after pruning: the end weights of the round before times the mask of this one, not trained again.

    So Fridovich-Keil & Pilanci (2025) score imp. Batch norm is evaluated with the statistics of the training before. Columns are null
    where they have no meaning for the data (as measures `accuracy` and `psnr` say), in round 0, and of methods that are solved.
    """

    reads = frozenset({"pruned", "held_out", "whole"})
    lineage_columns = (
        Column(
            "loss_pruned",
            "float",
            "nats or squared error",
            "as loss, of the network just after pruning, not trained again",
        ),
        Column(
            "accuracy_pruned", "float", "share", "as accuracy, of the network just after pruning, not trained again"
        ),
        Column("psnr_pruned", "float", "dB", "as psnr, of the network just after pruning, not trained again"),
        Column(
            "psnr_train_pruned", "float", "dB", "as psnr_train, of the network just after pruning, not trained again"
        ),
    )
    limits = "A network that keeps no weight of some layer gives 0 everywhere, and its PSNR is then that of the targets alone."
    name: Literal["pruned"] = "pruned"

    def parts(self, trials: Sequence[Trial]) -> tuple[MeasureSpec, ...]:
        """The measures that it takes of the pruned network: those with a meaning for these trials."""
        return tuple(part for part in _PARTS if not any(part.problems(trials)))

    def unfilled(self, trials: Sequence[Trial]) -> frozenset[str]:
        filled = {f"{column.name}_pruned" for part in self.parts(trials) for column in part.lineage_columns}
        return frozenset(column.name for column in self.lineage_columns) - filled
