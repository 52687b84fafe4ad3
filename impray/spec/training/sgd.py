"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from impray.spec.training.base import StepsSpec


class Sgd(StepsSpec):
    """Stochastic gradient descent; batches are drawn with replacement from a data set, or fresh from a stimulus.

    g = mean gradient + weight_decay * w;  v <- momentum * v + g;  w <- w - lr * v   (the decay acts on weights, not biases or batch norm).
    Losses: softmax cross-entropy, or mean squared error over samples and outputs, without 1/2 (targets: one-hot, or the label 0/1 of a
    single output).
    """

    packable: ClassVar[frozenset[str]] = frozenset({"lr", "momentum", "weight_decay"})

    optimizer: Literal["sgd"] = "sgd"
    lr: Annotated[float, Field(gt=0)] = 0.1
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    weight_decay: Annotated[float, Field(ge=0)] = 0.0

    def words(self) -> str:
        return f"{self.optimizer}, learning rate {self.lr:g}, batch {self.batch:,}, {self.steps:,} updates"
