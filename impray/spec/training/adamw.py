"""Adam with decoupled weight decay."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from impray.spec.training.adam import Adaptive


class AdamW(Adaptive):
    """Adam of the mean gradient alone, after w <- (1 - lr s_t weight_decay) w   (weights only, not biases or batch norm).

    Source: Loshchilov & Hutter (2019), algorithm 2, with the decay scaled by the learning rate as in torch.optim.AdamW.
    """

    optimizer: Literal["adamw"] = "adamw"
    weight_decay: Annotated[float, Field(ge=0, description="of weights, not biases or batch norm")] = 0.01

    def _optimizer_words(self) -> str:
        return f"{self.optimizer}, learning rate {self.lr:g}"
