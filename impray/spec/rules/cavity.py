"""Methods that remove weights by their cavity scores; `prune.cavity` has their parameters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from impray.spec.errors import Problem
from impray.spec.rules.base import RuleSpec

if TYPE_CHECKING:
    from impray.spec.trial import Trial

SAMPLES_PER_CLASS = 16  # on average: a kurtosis within a class needs 8, and the draw varies


class HighestCavity(RuleSpec):
    """The weights with the highest cavity scores go: those whose removal makes preactivations less Gaussian."""

    source = "Redman et al. (2025), eq. 5"
    name: Literal["cavity"] = "cavity"

    def ranks_trained(self, trial: Trial) -> bool:
        return trial.prune.cavity.at == "end"

    def problems(self, trials: Sequence[Trial]) -> Iterator[Problem]:
        real = next((trial.data for trial in trials if trial.data.targets == "real"), None)
        if real is not None:
            right = "must be data with classes for the method cavity, whose scores are taken within each"
            yield Problem("data.kind", repr(getattr(real, "kind", type(real).__name__)), right)
        short = [trial for trial in trials if trial.prune.cavity.samples < SAMPLES_PER_CLASS * trial.data.classes]
        if short:
            least = SAMPLES_PER_CLASS * max(trial.data.classes for trial in short)
            right = f"must be at least {least} for the method cavity: {SAMPLES_PER_CLASS} for each class"
            yield Problem("prune.cavity.samples", str(short[0].prune.cavity.samples), right)
        moved = {number for trial in trials for number in trial.pruned_layers if not trial.kernels[number - 1].dense}
        if moved:
            right = f"must leave out layer {min(moved)} for the method cavity: a kernel that is moved over its inputs has no score"
            yield Problem("prune.layers", str(trials[0].prune.layers), right)


class LowestCavity(HighestCavity):
    """The weights with the lowest cavity scores go: the opposite of `cavity`."""

    name: Literal["cavity_lowest"] = "cavity_lowest"  # type: ignore[assignment]
