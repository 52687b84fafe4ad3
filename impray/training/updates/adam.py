"""Adam and AdamW.

    m <- beta1 m + (1 - beta1) g        v <- beta2 v + (1 - beta2) g^2        n: updates so far, this one included
    w <- mask * (w - lr s_t / (1 - beta1^n) * m / (sqrt(v) / sqrt(1 - beta2^n) + eps))

g is the mean gradient, in Adam plus weight_decay * w; in AdamW w is first multiplied by 1 - lr s_t weight_decay. As torch.optim
groups the operations. The powers of beta are made on the device, update by update in float64 (beta^n to 1e-16 n).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from impray.kernels import adam
from impray.kernels.compiled import lacking
from impray.nets import layout
from impray.spec import training as spec
from impray.training.schedules import Pace
from impray.training.updates.base import Optimizer, Parameter, along, per_net


class Adam(Optimizer):
    """Nets fall into two groups, with or without decay."""

    @staticmethod
    def arithmetic(asked: spec.Adaptive) -> Hashable:
        """As `Optimizer.arithmetic`."""
        return asked.weight_decay > 0

    def __init__(self, specs: Sequence[spec.Adaptive], pace: Pace | None, like: Tensor) -> None:
        self._nets, self._pace, self._like = len(specs), pace, like
        self._lr = self._exactly([adam.lr for adam in specs])
        self._betas = [self._exactly([adam.beta1 for adam in specs]), self._exactly([adam.beta2 for adam in specs])]
        self._powers = [torch.ones_like(beta) for beta in self._betas]
        self.step, self.root = (torch.ones(len(specs), dtype=like.dtype, device=like.device) for _ in range(2))
        """-lr s_t / (1 - beta1^n) and sqrt(1 - beta2^n) of this update, [net]."""
        self.kept = [per_net([adam.beta1 for adam in specs], like), per_net([adam.beta2 for adam in specs], like)]
        self.new = [
            per_net([1 - adam.beta1 for adam in specs], like),
            per_net([1 - adam.beta2 for adam in specs], like),
        ]
        self.eps = per_net([adam.eps for adam in specs], like)
        self._decay = self._decay_of(specs) if specs[0].weight_decay else None

    def _exactly(self, values: Sequence[float]) -> Float[Tensor, " net"]:
        return torch.tensor(values, dtype=torch.float64, device=self._like.device)

    def _decay_of(self, specs: Sequence[spec.Adaptive]) -> Float[Tensor, " net"]:
        return per_net([adam.weight_decay for adam in specs], self._like)

    def advance(self) -> None:
        """As `Optimizer.advance`."""
        for power, beta in zip(self._powers, self._betas, strict=True):
            power.mul_(beta)
        rate = -self._lr if self._pace is None else -self._lr * self._pace.factor
        self.step.copy_(rate / (1 - self._powers[0]))
        self.root.copy_((1 - self._powers[1]).sqrt())

    def factor(self, mean: float = 1.0) -> Float[Tensor, " net"]:
        """As `Optimizer.factor`: the gradient itself."""
        return per_net([mean] * self._nets, self._like)

    def parameter(
        self, value: Shaped[Tensor, "net ..."], mask: Shaped[Tensor, "net ..."] | None, *, decays: bool
    ) -> Parameter:
        """As `Optimizer.parameter`."""
        return _Moments(value, mask, self, self._decay if decays else None)


class AdamW(Adam):
    """The decay beside the gradient: it shrinks weights."""

    def __init__(self, specs: Sequence[spec.AdamW], pace: Pace | None, like: Tensor) -> None:
        super().__init__(specs, pace, like)
        self._of_decay = self._exactly([-adam.lr * adam.weight_decay for adam in specs])
        self._shrink = (1 + self._of_decay).to(like.dtype)

    def advance(self) -> None:
        """As `Optimizer.advance`."""
        super().advance()
        if self._pace is not None:
            self._shrink.copy_(1 + self._of_decay * self._pace.factor)

    def parameter(
        self, value: Shaped[Tensor, "net ..."], mask: Shaped[Tensor, "net ..."] | None, *, decays: bool
    ) -> Parameter:
        """As `Optimizer.parameter`."""
        return (
            _Shrinking(value, mask, self, self._shrink)
            if decays and self._decay is not None
            else _Moments(value, mask, self, None)
        )


class _Moments(Parameter):
    """A parameter with m and v; the sink is g."""

    keeps_value = True

    def __init__(self, value: Tensor, mask: Tensor | None, optimizer: Adam, decay: Tensor | None) -> None:
        """decay: added to the gradient, times the value."""
        super().__init__(value, mask, None)
        numbers = (optimizer.step, optimizer.root, optimizer.eps, *optimizer.kept, *optimizer.new)
        self._step, self._root, self._eps, *betas = (along(number, value) for number in numbers)
        self._kept, self._new = betas[:2], betas[2:]
        self._decay = None if decay is None else along(decay, value)
        self._m, self._v, self.sink = (layout.zeros(value, *value.shape) for _ in range(3))
        self._in_one_pass = self._kernel(numbers)
        self._scratch = None if self._in_one_pass else layout.empty(value, *value.shape)

    def ready(self) -> None:
        self._emptied(self._decay)

    def _kernel(self, numbers: Sequence[Tensor]) -> Callable[[], None] | None:
        """`impray.kernels.adam` where it can be used."""
        held = [self.value, self._m, self._v, self.sink] + ([] if self.mask is None else [self.mask])
        known = self.value.device.type == "cpu" and self.value.dtype in (torch.float32, torch.float64)
        if not known or lacking() is not None or not all(x[:1].is_contiguous() for x in held):
            return None
        arrays = [layout.flat(tensor) for tensor in held]
        mask = None if self.mask is None else arrays[4]
        of_nets = tuple(number.numpy() for number in numbers)  # views: Adam writes to some in every step
        apart = self.value.stride(0), self._m.stride(0), held[-1].stride(0)
        size = math.prod(self.value.shape[1:])
        return lambda: adam.moved(arrays[:4], mask, apart, size, of_nets)

    def moved(self) -> None:
        if self._in_one_pass:
            self._in_one_pass()
            return
        gradient, scratch = self.sink, self._scratch
        assert scratch is not None
        self._m.mul_(self._kept[0]).add_(torch.mul(gradient, self._new[0], out=scratch))
        self._v.mul_(self._kept[1]).add_(gradient.mul_(gradient).mul_(self._new[1]))
        torch.sqrt(self._v, out=scratch).div_(self._root).add_(self._eps)
        self.value.add_(torch.div(self._m, scratch, out=scratch).mul_(self._step))
        self._masked()


class _Shrinking(_Moments):
    """A weight under decoupled decay."""

    keeps_value = False

    def __init__(self, value: Tensor, mask: Tensor | None, optimizer: Adam, shrink: Tensor) -> None:
        super().__init__(value, mask, optimizer, None)
        self._shrink = along(shrink, value)

    def ready(self) -> None:
        self.value.mul_(self._shrink)
        super().ready()
