"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from impray.spec.training.base import StepsSpec


class Sgd(StepsSpec):
    """Stochastic gradient descent, with momentum (Nesterov's, if asked for) and weight decay.

    g = mean gradient + weight_decay * w;  v <- momentum * v + g;  w <- w - lr s_t v
    (the decay acts on weights, not biases or batch norm).
    With `nesterov` the last is w <- w - lr s_t (g + momentum * v), as torch.optim.SGD has it.
    """

    packable: ClassVar[frozenset[str]] = frozenset({"lr", "momentum", "nesterov", "weight_decay"})
    implied = True  # descriptions of versions before Adam name no optimizer

    optimizer: Literal["sgd"] = "sgd"
    lr: Annotated[float, Field(gt=0, description="learning rate, before the schedule")] = 0.1
    momentum: Annotated[float, Field(ge=0, lt=1, description="how much of the velocity is kept in an update")] = 0.0
    nesterov: Annotated[bool, Field(description="look ahead along the velocity; takes momentum")] = False
    weight_decay: Annotated[float, Field(ge=0, description="of weights, not biases or batch norm")] = 0.0

    @model_validator(mode="after")
    def _nesterov_has_momentum(self) -> Sgd:
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov: takes momentum above 0, such as momentum: 0.9")
        return self

    def _optimizer_words(self) -> str:
        return f"{self.optimizer}, learning rate {self.lr:g}"
