"""What every kind of training says of itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from impray.spec.base import Spec
from impray.spec.training.schedules import Constant, Schedule

if TYPE_CHECKING:
    from impray.spec.trial import Trial


class TrainingSpec(Spec):
    """What every kind of training says of itself.

    `needs` names what it must have of the data: `batches`, drawn anew; the `whole` data set; the `truth`, the weights that made
    the targets. Data say what they have (`DataSpec.offers`).
    """

    needs: ClassVar[frozenset[str]] = frozenset({"batches"})

    loss: Annotated[
        Literal["cross_entropy", "mse"],
        Field(description="softmax cross-entropy, or the mean squared error over samples and outputs, without 1/2"),
    ] = "cross_entropy"
    dtype: Annotated[
        Literal["float32", "float64"], Field(description="the precision of weights, inputs and gradients")
    ] = "float32"

    @property
    def length(self) -> float:
        """How far a round goes: a number of updates, or whatever else progress is counted in."""
        raise NotImplementedError

    @property
    def batch_size(self) -> int:
        """Samples that an update draws; 1 where nothing is drawn."""
        return 1

    def reach(self) -> str:
        """Its length as it is written: `train.steps = 2000`."""
        name = next((name for name in ("steps", "time") if name in type(self).model_fields), "length")
        return f"train.{name} = {self.length:g}"

    def words(self) -> str:
        """The training as a report says it: `sgd, learning rate 0.1, batch 64, 2,000 updates`."""
        return f"{getattr(self, 'optimizer', type(self).__name__)}, {self.length:,g} in all"

    def impossible(self, trial: Trial) -> Iterator[tuple[str, str]]:
        """(path below `trial`, what would be right) of what cannot be in this trial."""
        yield from ()


GRAPH_STEPS = 16
"""Of a CUDA graph (`impray.training.blocks`); what data draws at once on a GPU is for whole ones."""


class StepsSpec(TrainingSpec):
    """Training by updates on batches, drawn with replacement from a data set, or fresh from a stimulus.

    Update t (from 0) has the learning rate lr * s_t; `schedule` says s_t. An optimizer's state (velocities, moments) starts anew
    in every round. Losses: softmax cross-entropy, or mean squared error over samples and outputs, without 1/2 (targets: one-hot,
    or the label 0/1 of a single output).
    """

    # The update rule, a subclass of `impray.training.updates.Optimizer`; None: that of the built-in training it derives from.
    update_rule: ClassVar[Any | None] = None

    steps: Annotated[
        int, Field(ge=1, description="updates in round 0, and in every later round with `after_rewind: full`")
    ] = 2000
    batch: Annotated[int, Field(ge=1, description="samples that an update draws")] = 64
    schedule: Annotated[Schedule, Field(description="how the learning rate changes within a round")] = Constant()

    @property
    def length(self) -> int:
        return self.steps

    @property
    def batch_size(self) -> int:
        return self.batch

    def words(self) -> str:
        schedule = self.schedule.words()
        return f"{self._optimizer_words()}, batch {self.batch:,}, {self.steps:,} updates{schedule and f', {schedule}'}"

    def _optimizer_words(self) -> str:
        """`sgd, learning rate 0.1`."""
        return str(getattr(self, "optimizer", type(self).__name__))

    def impossible(self, trial: Trial) -> Iterator[tuple[str, str]]:
        for field, right in self.schedule.impossible(self.steps):
            yield f"train.schedule.{field}", right
