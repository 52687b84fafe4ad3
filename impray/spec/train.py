"""Kinds of training: one round of optimisation."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from impray.spec.base import Spec


class Sgd(Spec):
    """Stochastic gradient descent; batches are drawn with replacement from a data set, or fresh from a stimulus.

    g = mean gradient + weight_decay * w;  v <- momentum * v + g;  w <- w - lr * v   (the decay acts on weights, not biases or batch norm).
    Losses: softmax cross-entropy, or mean squared error over samples and outputs, without 1/2 (targets: one-hot, or the label 0/1 of a
    single output).
    """

    packable: ClassVar[frozenset[str]] = frozenset({"lr", "momentum", "weight_decay"})

    optimizer: Literal["sgd"] = "sgd"
    lr: Annotated[float, Field(gt=0)] = 0.1
    steps: Annotated[
        int, Field(ge=1, description="updates in round 0, and in every later round with `after_rewind: full`")
    ] = 2000
    batch: Annotated[int, Field(ge=1)] = 64
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    loss: Literal["cross_entropy", "mse"] = "cross_entropy"
    dtype: Literal["float32", "float64"] = "float32"
