"""Adam, and what it shares with AdamW."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

from impray.spec.training.base import StepsSpec


class Adaptive(StepsSpec):
    """What Adam and AdamW share: steps in units of the gradient's root mean square, element by element.

    m <- beta1 m + (1 - beta1) g;  v <- beta2 v + (1 - beta2) g^2;  n: updates of this round so far, this one included
    w <- w - lr s_t (m / (1 - beta1^n)) / (sqrt(v / (1 - beta2^n)) + eps)

    Source: Kingma & Ba (2015), algorithm 1.
    """

    model_config = ConfigDict(json_schema_extra={"required": ["optimizer"]})  # without one it is sgd
    packable: ClassVar[frozenset[str]] = frozenset({"lr", "beta1", "beta2", "eps", "weight_decay"})

    lr: Annotated[float, Field(gt=0, description="learning rate, before the schedule")] = 0.001
    beta1: Annotated[float, Field(ge=0, lt=1, description="how much of the mean gradient is kept in an update")] = 0.9
    beta2: Annotated[float, Field(ge=0, lt=1, description="how much of the mean square is kept in an update")] = 0.999
    eps: Annotated[float, Field(gt=0, description="added to the root mean square")] = 1e-8
    weight_decay: Annotated[float, Field(ge=0, description="of weights, not biases or batch norm")] = 0.0


class Adam(Adaptive):
    """Adam: g = mean gradient + weight_decay * w   (the decay acts on weights, not biases or batch norm).

    m <- beta1 m + (1 - beta1) g;  v <- beta2 v + (1 - beta2) g^2;  n: updates of this round so far, this one included
    w <- w - lr s_t (m / (1 - beta1^n)) / (sqrt(v / (1 - beta2^n)) + eps)
    """

    optimizer: Literal["adam"] = "adam"

    def _optimizer_words(self) -> str:
        return f"{self.optimizer}, learning rate {self.lr:g}"
