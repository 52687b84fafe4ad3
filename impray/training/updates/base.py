"""What an optimizer does with gradients: the update rule of nets that are updated by the same arithmetic.

An engine makes the gradients, by hand or by autograd; an optimizer moves parameters by them. It is made anew in every round, or begins
anew in its memory as it was made (`impray.training.refill`), so its state begins at zero. One update of all parameters of a network:

    optimizer.advance()               before anything else
    parameter.ready()                 of each, once its old value is no longer read
    parameter.sink.baddbmm_(...)      `optimizer.factor(...)` times the gradient is added there, in as many parts as there are
    parameter.moved()                 its value is the new one, masked

or, from finished gradients: `optimizer.advance()`, then `parameter.apply(gradient)` of each. What is added to a sink is linear in the
slope of the loss: so the factor may go into that (small) tensor once, and products add to their sinks directly.

A net's arithmetic follows from its own spec: what could show its neighbours (whether there is momentum at all) is told apart by
`arithmetic`, elementwise operations are never fused (addcmul_ and lerp_ round differently from place to place), and what differs
between nets is a number per net. A step reads nothing on the host and keeps its memory: it can be captured in a CUDA graph.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from impray.training.schedules import Pace


class Parameter(ABC):
    """A tensor of all nets that is moved, with its state.

    Attributes: value: [net, ...]; changed in place. mask: of the same shape, or None. sink: of the same shape; what the gradient, times
    the optimizer's factor, is added to between `ready` and `moved`. keeps_value: whether `ready` leaves the value as it is, so that it
    may still be read.
    """

    sink: Tensor
    keeps_value = False

    def __init__(
        self,
        value: Shaped[Tensor, "net ..."],
        mask: Shaped[Tensor, "net ..."] | None,
        factor: Float[Tensor, " net"] | None,
    ) -> None:
        """`value` is taken over, and masked; mask: 0 and 1 in its dtype; factor: of a finished gradient, None: 1."""
        self.value = value if mask is None else value.mul_(mask)
        self.mask = mask
        self._factor = None if factor is None else along(factor, value)

    @property
    def plain(self) -> bool:
        """Whether `add` does no more than to add, and to mask: then a kernel may do it while the step is at hand."""
        return False

    @abstractmethod
    def ready(self) -> None:
        """To be called once the old value is no longer read."""

    @abstractmethod
    def moved(self) -> None:
        """To be called once the gradient is in the sink: moves the value."""

    def add(self, step: Shaped[Tensor, "net ..."]) -> None:
        """A whole update by `step`, the factor times the gradient."""
        self.ready()
        self.sink.add_(step)
        self.moved()

    def apply(self, gradient: Shaped[Tensor, "net ..."]) -> None:
        """A whole update by the gradient of the mean loss."""
        self.add(gradient if self._factor is None else gradient * self._factor)

    def _emptied(self, decay: Float[Tensor, "net ..."] | None) -> None:
        """The sink at zero or, where the decay is a part of the gradient, at the decay times the value."""
        if decay is None:
            self.sink.zero_()
        else:
            torch.mul(self.value, decay, out=self.sink)

    def _masked(self) -> None:
        # After the update rather than before: for elementwise rules that equals masking the gradient.
        if self.mask is not None:
            self.value.mul_(self.mask)


class Optimizer(ABC):
    """The update rule of nets with the same `arithmetic`."""

    @staticmethod
    @abstractmethod
    def arithmetic(asked: Any) -> Hashable:
        """Equal for specs whose nets one optimizer may serve."""

    @abstractmethod
    def __init__(self, specs: Sequence[Any], pace: Pace | None, like: Tensor) -> None:
        """specs: one per net. pace: s_t, moved on by whoever calls; None: 1. like: of the parameters' dtype and device."""

    @abstractmethod
    def advance(self) -> None:
        """To the next update; called once before each, when the pace is at it."""

    @abstractmethod
    def factor(self, mean: float = 1.0) -> Float[Tensor, " net"]:
        """What the slope of the summed loss is multiplied by, `mean` making it that of the mean loss; may change with updates,
        in the same memory."""

    @abstractmethod
    def parameter(
        self, value: Shaped[Tensor, "net ..."], mask: Shaped[Tensor, "net ..."] | None, *, decays: bool
    ) -> Parameter:
        """`value` as a parameter of this optimizer, taken over; decays: whether weight decay acts on it (weights alone)."""


def along(of_net: Float[Tensor, " net"], value: Shaped[Tensor, "net ..."]) -> Float[Tensor, "net ..."]:
    """A number per net as a view that `value` can be multiplied by."""
    return of_net.view(-1, *[1] * (value.dim() - 1))


def per_net(values: Sequence[float], like: Tensor) -> Float[Tensor, " net"]:
    """Numbers, rounded once to the dtype of `like`."""
    return torch.tensor(values, dtype=torch.float64).to(like.device, like.dtype)
