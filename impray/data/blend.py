"""The Gaussian clone of a class of images, and the dial between the images and it.

    clone = mu + X^T z / sqrt(n - 1)      z ~ N(0, 1_n)          X: the n images of a class less their mean mu
    x     = mu + sqrt(1 - b) (image - mu) + sqrt(b) (clone - mu)     b: the Gaussian blend, 0 to 1

X^T z / sqrt(n - 1) has exactly the covariance X^T X / (n - 1) of the images, of whatever rank; it is
never formed (with fewer images than inputs it is singular and has no Cholesky factor).
With more images than inputs z is shorter in the basis of X: X = Q R, and Q^T z is white noise again, so R^T
z', where R is inputs x inputs, has the same covariance.
x has the mean and covariance of the images at
every b, its cumulants of order k are (1 - b)^(k/2) times theirs.

Source: Redman, Wang, Ingrosso & Goldt (2025), ImageNet32-GP: one Gaussian per class and colour channel
(`clone: channel`); `joint` keeps the covariances between channels too. The blend is ours.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from impray.spec.errors import ShapeError

_NUMBERS = 2**22  # white noise in memory at once: 16 MiB in float32


def gaussian_clone(
    images: Float[Tensor, "class sample channel pixel"],
    count: int,
    generator: torch.Generator,
    clone: Literal["channel", "joint"] = "channel",
) -> Float[Tensor, "class count channel pixel"]:
    """Draws from the Gaussian with each class's mean and covariance.

    Args:    images: the n images of every class, n >= 2, any units; dtype and device are kept.
             count: draws per class.
             clone: `channel` draws the channels independently, `joint` with the covariances between them.
    Returns: images of the same units.
    Raises:  ShapeError: fewer than two images per class, or a wrong number of axes.
    """
    if images.ndim != 4 or images.shape[1] < 2:
        raise ShapeError(
            f"images {tuple(images.shape)}: must be (class, sample, channel, pixel) with 2 samples or more"
        )
    classes, _, channels, pixels = images.shape
    drawn = images.new_empty(classes, count, channels, pixels)
    for of_class, into in zip(images, drawn, strict=True):
        if clone == "channel":
            _clone(of_class.transpose(0, 1), generator, into.transpose(0, 1))
        else:
            _clone(of_class.flatten(1)[None], generator, into.flatten(1)[None])
    return drawn


def _clone(
    images: Float[Tensor, "group sample input"],
    generator: torch.Generator,
    into: Float[Tensor, "group count input"],
) -> None:
    """Draws for independent groups of inputs, in portions that bound the memory of the noise."""
    mean = images.mean(dim=1, keepdim=True)
    factor = (images - mean) / math.sqrt(images.shape[1] - 1)
    if factor.shape[1] > factor.shape[2]:
        factor = torch.linalg.qr(factor, mode="r").R
    groups, length, _ = factor.shape
    portion = max(1, _NUMBERS // (groups * length))
    for first in range(0, into.shape[1], portion):
        part = into[:, first : first + portion]
        noise = factor.new_empty(groups, part.shape[1], length).normal_(generator=generator)
        part.copy_(torch.baddbmm(mean, noise, factor))


def weights(b: float) -> tuple[float, float, float]:
    """Factors of image, clone and mean in x; 1, 0, 0 and 0, 1, 0 at the ends, exactly."""
    return math.sqrt(1 - b), math.sqrt(b), 1 - math.sqrt(1 - b) - math.sqrt(b)


def blend(
    natural: Float[Tensor, "*sample input"],
    clone: Float[Tensor, "*sample input"],
    mean: Float[Tensor, "#*sample input"],
    b: float,
) -> Float[Tensor, "*sample input"]:
    """x = mu + sqrt(1 - b) (natural - mu) + sqrt(b) (clone - mu).

    Args:    natural, clone: independent draws of the same classes.
             mean: mu of each sample's class, or what broadcasts to it.
             b: in [0, 1]; 0 returns `natural` and 1 `clone`, bit for bit.
    """
    if b in (0, 1):
        return clone if b else natural
    of_natural, of_clone, of_mean = weights(b)
    return of_natural * natural + of_clone * clone + of_mean * mean
