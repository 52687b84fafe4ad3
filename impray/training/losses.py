"""Losses, once: softmax cross-entropy, and mean squared error over samples and outputs, without 1/2.

    cross_entropy   mean over samples of log(sum_k exp(y_k)) - y_label
    mse             mean over samples and outputs of (y_k - target_k)^2; targets real, one-hot, or the label 0/1 of a single output

Targets are labels (whole numbers) [.. sample], or real numbers (floats) [.. sample, output], which take mse.

`Slope` is what training by hand needs; `mean` is for all nets at once, and for autograd; `of_net` for one net's many held-out
samples. The last two differ in their last bits (logsumexp against log_softmax, and the order of sums where outputs do not lie
contiguously), so each stays as rows were written with it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from impray.data.base import Targets
from impray.nets import layout
from impray.spec.errors import ShapeError

_PORTION = 4096  # samples whose outputs are taken in float64 at once


class Slope:
    """The derivative of the loss by the outputs, in the buffers of a batch."""

    def __init__(
        self, loss: str, outputs: int, like: Float[Tensor, "net unit sample"], factor: Float[Tensor, " net"]
    ) -> None:
        """outputs: counted without padding. like: the outputs' shape, dtype and device. factor: of the mean loss's slope, see `mean_of`."""
        nets, units, batch = like.shape
        self._loss, self._outputs, self._factor = loss, outputs, factor.view(-1, 1, 1)
        self._classes = torch.arange(units, dtype=like.dtype, device=like.device).unsqueeze(-1)
        self._labels = like.new_empty(nets, 1, batch)
        self._targets = layout.zeros(like, nets, units, batch)
        self._slope = layout.empty(like, nets, units, batch)

    def __call__(self, outputs: Float[Tensor, "net unit sample"], targets: Targets) -> Float[Tensor, "net unit sample"]:
        """The slope, times the factor; in memory that the next call uses again."""
        if targets.is_floating_point():
            self._targets[:, : self._outputs].copy_(targets.mT)
        elif self._outputs == 1:
            self._targets[:, 0].copy_(targets)
        else:
            self._labels[:, 0].copy_(targets)
            torch.eq(self._labels, self._classes, out=self._targets)
        if self._loss == "cross_entropy":
            outputs = torch.softmax(outputs, 1, out=self._slope)
        return torch.sub(outputs, self._targets, out=self._slope).mul_(self._factor)


def mean_of(loss: str, batch: int, outputs: int) -> float:
    """What softmax - target or output - target is multiplied by in the slope of the mean loss.

    Raises:  ShapeError: a single output, of which there is no softmax.
    """
    if outputs == 1 and loss != "mse":
        raise ShapeError("a single output takes the loss mse")
    return {"cross_entropy": 1 / batch, "mse": 2 / (batch * outputs)}[loss]


def mean(loss: str, outputs: Float[Tensor, "net sample unit"], targets: Targets) -> Float[Tensor, " net"]:
    """The mean loss of each net; reduced over each net's own row, so that neighbours do not matter."""
    return _MEANS[loss](outputs, targets)


def of_net(loss: str, outputs: Float[Tensor, "sample unit"], targets: Targets) -> Float[Tensor, ""]:
    """The mean loss of one net, in float64 whatever its outputs are in."""
    return _OF_NET[loss](outputs, targets)


def _mean_cross_entropy(outputs: Tensor, labels: Tensor) -> Tensor:
    chosen = outputs.gather(2, labels[..., None])[..., 0]
    return (outputs.logsumexp(dim=2) - chosen).mean(dim=1)


def _mean_squares(outputs: Tensor, targets: Tensor) -> Tensor:
    if not targets.is_floating_point():
        classes = torch.arange(outputs.shape[2], device=outputs.device)
        targets = targets[..., None] if outputs.shape[2] == 1 else targets[..., None] == classes
    return (outputs - targets.to(outputs.dtype)).square().flatten(1).mean(dim=1)


def _cross_entropy(outputs: Tensor, labels: Tensor) -> Tensor:
    parts = zip(outputs.split(_PORTION), labels.split(_PORTION), strict=True)
    return torch.cat([F.cross_entropy(some.double(), label, reduction="none") for some, label in parts]).mean()


def _squares(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs.double() - as_outputs(targets, outputs.shape[1])).square().mean()


def as_outputs(targets: Targets, units: int) -> Tensor:
    """Targets of one net as its outputs ought to be, [sample, unit]: labels as one-hot; of a single unit, the label itself."""
    if targets.is_floating_point():
        return targets
    return targets[:, None] if units == 1 else F.one_hot(targets, units)


Function = Callable[[Tensor, Tensor], Tensor]
_MEANS: dict[str, Function] = {"cross_entropy": _mean_cross_entropy, "mse": _mean_squares}
_OF_NET: dict[str, Function] = {"cross_entropy": _cross_entropy, "mse": _squares}
