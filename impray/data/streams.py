"""Random numbers of named streams, by counters: any step of any seed can be drawn by itself, and every device draws the same.

Words of 32 bits are `impray.kernels.philox`'s, on the CPU as numba compiles it, elsewhere in torch's whole numbers of 64 bits; what
is made of them here is equal bit for bit on all devices where it is a whole number or uniform, and to rounding where it is normal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from impray.data.fused import mixed
from impray.kernels import philox
from impray.kernels.compiled import lacking

_WORD = 2**32 - 1
_ROOT_HALF = int(math.sqrt(0.5) * 2**32)


class Steps(NamedTuple):
    """The steps `first` to first + length - 1 of streams, `samples` in each."""

    first: int
    length: int
    samples: int


def words(keys: Sequence[int], steps: Steps, places: int, device: torch.device) -> Int[Tensor, "key step place sample"]:
    """Uniform words of 32 bits, 0 to 2^32 - 1, int64."""
    shape = len(keys), steps.length, places, steps.samples
    if device.type != "cpu":
        return _words(keys, steps, places, device)
    drawn = np.empty(shape, np.uint32)
    philox.words(drawn, np.array(keys, np.uint64), steps.first)
    return torch.from_numpy(drawn.astype(np.int64))


def _words(
    keys: Sequence[int], steps: Steps, places: int, device: torch.device
) -> Int[Tensor, "key step place sample"]:
    """As `words`, in torch alone."""
    quads = -(-places // 4)
    shape = len(keys), steps.length, quads, steps.samples

    def spread(values: Tensor, axis: int) -> Tensor:
        view = [1, 1, 1, 1]
        view[axis] = len(values)
        return values.to(device).view(view)

    step = torch.arange(steps.first, steps.first + steps.length)
    sample, place = spread(torch.arange(steps.samples), 3), spread(torch.arange(quads), 2)
    mix = mixed(_mixed, device)
    four = mix(sample, place, spread(step, 1), spread(torch.tensor(keys), 0))
    return torch.stack([word.expand(shape) for word in four], dim=3).flatten(2, 3)[:, :, :places]


def _mixed(sample: Tensor, place: Tensor, step: Tensor, key: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The four words: products of 64 bits wrap around, shifts keep the sign, which the mask takes off. (`impray.data.fused.Mix`)"""
    a, b, c, d = sample, place, step & _WORD, step >> 32
    k, m = key & _WORD, key >> 32
    for _ in range(philox.ROUNDS):
        p, q = a * philox.FACTORS[0], c * philox.FACTORS[1]
        a, b, c, d = (q >> 32 & _WORD) ^ b ^ k, q & _WORD, (p >> 32 & _WORD) ^ d ^ m, p & _WORD
        k, m = (k + philox.WEYL[0]) & _WORD, (m + philox.WEYL[1]) & _WORD
    return a, b, c, d


def normals(
    keys: Sequence[int], steps: Steps, places: int, dtype: torch.dtype, device: torch.device
) -> Float[Tensor, "key step place sample"]:
    """Standard normals; see `impray.kernels.philox`."""
    if device.type == "cpu" and (dtype == torch.float64 or lacking() is None):
        drawn = torch.empty(len(keys), steps.length, places, steps.samples, dtype=dtype)
        fill = philox.normals if dtype == torch.float32 else philox.normals_of_64_bits
        fill(drawn.numpy(), np.array(keys, np.uint64), steps.first)
        return drawn
    return _normals(keys, steps, places, dtype, device)


def _normals(
    keys: Sequence[int], steps: Steps, places: int, dtype: torch.dtype, device: torch.device
) -> Float[Tensor, "key step place sample"]:
    """As `normals`, in torch alone but for the words."""
    even = places + places % 2
    both = words(keys, steps, even, device)
    r, angle, swap = _polar(both[:, :, ::2], both[:, :, 1::2], dtype)
    sine, cosine = angle.sin(), angle.cos()
    pair = torch.stack([r * torch.where(swap, sine, cosine), r * torch.where(swap, cosine, sine)], dim=3)
    return pair.flatten(2, 3)[:, :, :places]


def _polar(w: Tensor, v: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """r with its sign, the angle f, and whether the two are exchanged."""
    odd = w | 1
    if dtype == torch.float64:
        log = (odd.to(dtype) * 2.0**-32).log()
    else:  # near 1 what is left to it has the bits that it has lost itself
        log = torch.where(
            odd > _ROOT_HALF, ((odd - 2**32).to(dtype) * 2.0**-32).log1p(), (odd.to(dtype) * 2.0**-32).log()
        )
    r = (log * -2).sqrt() * (1 - 2 * (v >> 31)).to(dtype)
    lower = v << 2 & _WORD
    signed = lower - (lower >> 31 << 32)
    angle = (signed + 2).to(dtype) * (math.pi / 4 * 2.0**-31)
    return r, angle, (v & 2**30) > 0


def whole_numbers(
    keys: Sequence[int], steps: Steps, below: Sequence[int], device: torch.device
) -> Int[Tensor, "key step sample"]:
    """Whole numbers from 0 to below[key] - 1, uniform to 2^-32 of themselves; below is 2^31 at most."""
    if device.type == "cpu":
        drawn = torch.empty(len(keys), steps.length, steps.samples, dtype=torch.int64)
        philox.whole_numbers(
            drawn.numpy().view(np.uint64), np.array(keys, np.uint64), steps.first, np.array(below, np.int64)
        )
        return drawn
    return _whole_numbers(keys, steps, below, device)


def _whole_numbers(
    keys: Sequence[int], steps: Steps, below: Sequence[int], device: torch.device
) -> Int[Tensor, "key step sample"]:
    w = words(keys, steps, 2, device)
    n = torch.tensor(below, device=device).view(-1, 1, 1)
    return w[:, :, 0] * n + (w[:, :, 1] * n >> 32) >> 32


def uniforms(keys: Sequence[int], steps: Steps, device: torch.device) -> Float[Tensor, "key step sample"]:
    """Uniform numbers in [0, 1), of 53 bits, float64."""
    w = words(keys, steps, 2, device)
    return ((w[:, :, 0] << 21) | (w[:, :, 1] >> 11)).double() * 2.0**-53


def gammas(
    keys: Sequence[int], steps: Steps, shapes: Sequence[float], device: torch.device
) -> Float[Tensor, "key step sample"]:
    """Gamma numbers of shape shapes[key] and scale 1, float64; see `impray.kernels.philox.gammas`."""
    if device.type == "cpu":
        drawn = torch.empty(len(keys), steps.length, steps.samples, dtype=torch.float64)
        philox.gammas(drawn.numpy(), np.array(keys, np.uint64), steps.first, np.array(shapes, np.float64))
        return drawn
    return _gammas(keys, steps, shapes, device)


def _gammas(keys: Sequence[int], steps: Steps, shapes: Sequence[float], device: torch.device) -> Tensor:
    w = words(keys, steps, 4 * philox.ATTEMPTS, device).double().unflatten(2, (philox.ATTEMPTS, 4))
    shape = torch.tensor(shapes, dtype=torch.float64, device=device).view(-1, 1, 1)
    d = torch.where(shape < 1, shape + 1, shape) - 1 / 3
    scale = (9 * d).rsqrt()
    found = torch.zeros_like(w[:, :, 0, 0])
    waiting = torch.ones_like(found, dtype=torch.bool)
    for attempt in range(philox.ATTEMPTS):
        w0, w1, w2, w3 = w[:, :, attempt].unbind(2)
        r = (-2 * ((w0 / 2).floor() * 2 + 1).mul(2.0**-32).log()).sqrt()
        x = r * (w1 * (2 * math.pi * 2.0**-32)).cos()
        v = (1 + scale * x) ** 3
        bound = x * x / 2 + d - d * v
        fits = (v > 0) & (((w2 + 0.5) * 2.0**-32).log() < bound + d * v.clamp(min=1e-300).log())
        boost = torch.where(shape < 1, ((w3 + 0.5) * 2.0**-32) ** (1 / shape), 1.0)
        found = torch.where(waiting, d * v * boost, found)
        waiting &= ~fits
    return found
