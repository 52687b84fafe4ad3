"""Stochastic gradient descent.

    g = mean gradient + weight_decay * w        v <- momentum * v + g        w <- mask * (w - lr s_t v)

-lr goes into the slope of the loss, so a gradient is added directly to the weights or, with momentum, to u = -lr v: u <- momentum *
u - lr * g, w <- w + s_t u (equal, as lr is constant and s_t is not in u). With Nesterov's momentum g must stand alone: d = -lr g,
u <- momentum * u + d, w <- w + s_t (momentum * u + d).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from impray.nets import layout
from impray.spec import training as spec
from impray.training.schedules import Pace
from impray.training.updates.base import Optimizer, Parameter, along, per_net


class Sgd(Optimizer):
    """Nets fall into groups, with or without momentum (plain or Nesterov's), with or without decay."""

    @staticmethod
    def arithmetic(asked: spec.Sgd) -> Hashable:
        """As `Optimizer.arithmetic`."""
        return asked.momentum > 0, asked.nesterov, asked.weight_decay > 0

    def __init__(self, specs: Sequence[spec.Sgd], pace: Pace | None, like: Tensor) -> None:
        first = specs[0]
        self._specs, self._pace, self._like = specs, pace, like
        self._nesterov = first.nesterov
        self._momentum = per_net([sgd.momentum for sgd in specs], like) if first.momentum else None
        self._decay = per_net([-sgd.lr * sgd.weight_decay for sgd in specs], like) if first.weight_decay else None
        self._shrink = None if self._decay is None else 1 + self._decay
        self._rate = None if pace is None else torch.ones(1, dtype=like.dtype, device=like.device)
        self._factors: list[tuple[Tensor, Tensor]] = []  # without s_t, and with it
        self._own = self.factor()

    def advance(self) -> None:
        """As `Optimizer.advance`."""
        if self._pace is None or self._rate is None:
            return
        self._rate.copy_(self._pace.factor)
        if self._momentum is None:  # else s_t comes in where u moves the value
            for base, current in self._factors:
                torch.mul(base, self._rate, out=current)
            if self._decay is not None and self._shrink is not None:
                torch.mul(self._decay, self._rate, out=self._shrink).add_(1)

    def factor(self, mean: float = 1.0) -> Float[Tensor, " net"]:
        """As `Optimizer.factor`: -lr, without momentum times s_t."""
        base = per_net([-sgd.lr * mean for sgd in self._specs], self._like)
        self._factors.append((base, base.clone()))
        return self._factors[-1][1]

    def parameter(
        self, value: Shaped[Tensor, "net ..."], mask: Shaped[Tensor, "net ..."] | None, *, decays: bool
    ) -> Parameter:
        """As `Optimizer.parameter`."""
        if self._momentum is None:
            return _Plain(value, mask, self._own, self._shrink if decays else None)
        moving = _Nesterov if self._nesterov else _Moving
        return moving(value, mask, self._own, self._momentum, self._decay if decays else None, self._rate)


class _Plain(Parameter):
    """Gradients are added to the value itself."""

    def __init__(self, value: Tensor, mask: Tensor | None, factor: Tensor, shrink: Tensor | None) -> None:
        super().__init__(value, mask, factor)
        self.sink = self.value
        self._shrink = None if shrink is None else along(shrink, value)
        self.keeps_value = shrink is None

    @property
    def plain(self) -> bool:
        return type(self) is _Plain and self._shrink is None  # one that derives from it may do more

    def ready(self) -> None:
        if self._shrink is not None:
            self.value.mul_(self._shrink)

    def moved(self) -> None:
        self._masked()


class _Moving(Parameter):
    """With a velocity, the sink: u = -lr v."""

    keeps_value = True

    def __init__(
        self,
        value: Tensor,
        mask: Tensor | None,
        factor: Tensor,
        momentum: Tensor,
        decay: Tensor | None,
        rate: Tensor | None,
    ) -> None:
        super().__init__(value, mask, factor)
        self._momentum = along(momentum, value)
        self._decay = None if decay is None else along(decay, value)
        self._rate = rate
        self.sink = layout.zeros(value, *value.shape)
        self._scratch = None if decay is None and rate is None else layout.empty(value, *value.shape)

    def ready(self) -> None:
        self.sink.mul_(self._momentum)
        if self._decay is not None:
            # Two roundings rather than addcmul_, which may fuse them in some elements and not in others.
            self.sink.add_(torch.mul(self.value, self._decay, out=self._scratch))

    def moved(self) -> None:
        self._move_by(self.sink)

    def _move_by(self, step: Tensor) -> None:
        self.value.add_(step if self._rate is None else torch.mul(step, self._rate, out=self._scratch))
        self._masked()


class _Nesterov(_Moving):
    """With a velocity u beside the sink d = -lr g."""

    def __init__(self, value: Tensor, *others: Any) -> None:
        """As `_Moving`."""
        super().__init__(value, *others)
        self._velocity = layout.zeros(value, *value.shape)
        self._ahead = layout.empty(value, *value.shape)

    def ready(self) -> None:
        self._emptied(self._decay)

    def moved(self) -> None:
        self._velocity.mul_(self._momentum).add_(self.sink)
        self._move_by(torch.mul(self._velocity, self._momentum, out=self._ahead).add_(self.sink))
