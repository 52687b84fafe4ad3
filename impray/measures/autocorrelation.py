"""S(d): how many pairs of a unit's kept inputs lie at each displacement d.

    S_i(d) = sum_z sum_z' delta(d_zz' - d) m_iz m_iz'                 (Redman et al. 2025, eq. 1)

m_i is the mask of unit i on the image, or its inputs' numbers (of paths), d a displacement in pixels. Borders are open: no pairs
across the image's edge. Counted pair by pair where inputs are few, else by Fourier transforms: both are exact for masks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

import torch
from jaxtyping import Bool, Float, Shaped
from scipy.fft import next_fast_len
from torch import Tensor

from impray.measures.scale import scaled
from impray.spec.errors import ShapeError

Colours = Literal["same", "different", "all"]
Shape = tuple[int, ...]  # (channel, row, col) or (row, col); anything else is a ShapeError

_FEW = {
    "cpu": 128,
    "cuda": 8192,
}  # units at a time: images stay in a CPU's cache, and in memory that the allocator keeps


def as_images(
    mask: Shaped[Tensor, "*unit input"], shape: Shape, weighted: bool
) -> tuple[Shaped[Tensor, "flat channel row col"], Float[Tensor, " flat"]]:
    """Kept inputs (anything but 0) as images of bool, or the weights as images of float64; what follows goes by the type.

    Returns: the images, and the power of two that each unit's weights were divided by (1 unless their squares leave float64).
    Raises:  ShapeError: `shape` does not multiply to the last axis. ValueError: a weight is negative or not finite.
    """
    if len(shape) not in (2, 3) or min(shape) < 1:
        raise ShapeError(f"shape {shape}: must be (row, col) or (channel, row, col), each at least 1")
    if mask.ndim < 1 or mask.shape[-1] != math.prod(shape):
        raise ShapeError(
            f"mask {tuple(mask.shape)} has {mask.shape[-1] if mask.ndim else 0} inputs on its last axis, "
            f"shape {shape} has {math.prod(shape)}"
        )
    channel, row, col = shape if len(shape) == 3 else (1, *shape)
    if weighted:
        weights = mask.to(torch.float64)
        if not bool(((weights >= 0) & (weights < math.inf)).all()):
            raise ValueError("weights must be 0 or more, and finite: they count paths")
        weights, size = scaled(weights.reshape(-1, channel * row * col), 1)
        return weights.reshape(-1, channel, row, col), size[:, 0]
    images = kept_inputs(mask).reshape(-1, channel, row, col)
    return images, images.new_ones(len(images), dtype=torch.float64)


def kept_inputs(mask: Shaped[Tensor, "*any"]) -> Bool[Tensor, "*any"]:
    return mask if mask.dtype == torch.bool else mask != 0


def half_planes(
    images: Shaped[Tensor, "flat channel row col"], colours: Colours
) -> Iterator[Float[Tensor, "few row lag_col"]]:
    """S(dy, dx) for dy = 0 .. row - 1 and all dx, some units at a time; the rest is S(-d) = S(d)."""
    if colours not in ("same", "different", "all"):
        raise ValueError(f"colours = {colours!r}: must be 'same', 'different' or 'all'")
    if len(images) == 0:  # transforms refuse no images
        yield torch.zeros((0, images.shape[2], 2 * images.shape[3] - 1), dtype=torch.float64, device=images.device)
        return
    for few in images.split(_FEW.get(images.device.type, 128)):
        if few.dtype != torch.bool:
            yield _weighted(few, colours)
            continue
        most = int(few.flatten(1).sum(1, dtype=torch.int32).max())
        # Both are exact. At 3 % density counting is about three times as fast; transforms do not see the
        # density.
        count_pairs = colours == "same" and most * (most - 1) // 2 <= few.shape[1:].numel()
        yield _counted(few, most) if count_pairs else _transformed(few, colours)


def _counted(kept: Bool[Tensor, "flat channel row col"], most: int) -> Float[Tensor, "flat row lag_col"]:
    """Same-colour S by counting the pairs of units with at most `most` inputs."""
    count, channel, row, col = kept.shape
    lag_col = 2 * col - 1
    unit, place = kept.reshape(count, channel * row * col).nonzero().unbind(1)
    fan_in = torch.bincount(unit, minlength=count)
    rank = torch.arange(len(unit), device=unit.device) - (fan_in.cumsum(0) - fan_in)[unit]
    # With rows spaced for all lags, one subtraction gives dy and dx; channels and empty places lie so far
    # apart that theirs is out of range.
    line = place.div(col, rounding_mode="floor")  # over all channels
    code = (line + line.div(row, rounding_mode="floor") * row) * lag_col + (place - line * col)
    codes = unit.new_full((most, count), 4 * channel * row * lag_col)
    codes[rank, unit] = code
    first, second = torch.triu_indices(most, most, 1, device=unit.device)
    slot = codes.index_select(0, second).sub_(codes.index_select(0, first)).add_(col - 1)
    slot.clamp_max_(row * lag_col)  # a slot for what is out of range
    slot += torch.arange(count, device=unit.device) * (row * lag_col + 1)
    # The sum of S^2, which is at most inputs^3, is to be exact too.
    dtype = torch.float32 if most**3 <= 2**24 else torch.float64
    counts = torch.zeros(count * (row * lag_col + 1), dtype=dtype, device=unit.device)
    counts.scatter_add_(0, slot.flatten(), counts.new_ones(1).expand(slot.numel()))
    counts = counts.view(count, row * lag_col + 1)
    # At dy = 0 only dx > 0 was counted, as places are in order.
    counts[:, : col - 1] = counts[:, col:lag_col].flip(1)
    counts[:, col - 1] = fan_in
    return counts[:, :-1].unflatten(1, (row, lag_col))


def _transformed(kept: Bool[Tensor, "flat channel row col"], colours: Colours) -> Float[Tensor, "flat row lag_col"]:
    """S by Fourier transforms, rounded to integers."""
    channel, row, col = kept.shape[1:]
    # The error of the transforms is about eps log2(lags) |S|, and |S|^2 <= S(0) sum S <= inputs^3 in each
    # channel. With |S| up to 1e5 that is 0.1 in float32, and rounding mends it.
    worst = channel * (1 if colours == "same" else channel) * (row * col) ** 1.5
    images = kept.to(torch.float32 if worst <= 1e5 else torch.float64)
    return _correlated(images, colours).round_().to(torch.float64)


def _weighted(weights: Float[Tensor, "flat channel row col"], colours: Colours) -> Float[Tensor, "flat row lag_col"]:
    """S of weights by Fourier transforms: exact for integers that are not too large, and never below 0."""
    correlation = _correlated(weights, colours).clamp_min_(0)
    # As for masks, |S|^2 <= S(0) sum S, here (sum p^2)(sum p)^2: up to 2^44 the error of float64 is some hundredths.
    flat = weights.flatten(1)
    worst = weights.shape[1] * flat.square().sum(1).sqrt() * flat.sum(1)
    exact = (flat == flat.round()).all(1) & (worst <= 2.0**44)
    if bool(exact.all()):
        return correlation.round_()
    # Where there is no pair, rounding errors would look like one.
    pairs = _transformed(weights != 0, colours) > 0
    return torch.where(exact[:, None, None], correlation.round(), torch.where(pairs, correlation, 0.0))


def _correlated(images: Float[Tensor, "flat channel row col"], colours: Colours) -> Float[Tensor, "flat row lag_col"]:
    """S up to the rounding of the transforms."""
    row, col = images.shape[2:]
    if colours != "same":
        images = torch.cat([images, images.sum(1, keepdim=True)], 1)
    # Zero padding to 2 n - 1 makes the border open. Padded rows are never transformed along columns, and lags
    # that are not wanted neither: a third of the work less.
    high, wide = (int(next_fast_len(2 * side - 1, real=True) or 0) for side in (row, col))
    spectrum = torch.fft.fft(torch.fft.rfft(images, wide), high, dim=-2)
    power = spectrum.real.square() + spectrum.imag.square()
    if colours == "same":
        power = power.sum(1)
    else:
        power = power[:, -1] if colours == "all" else power[:, -1] - power[:, :-1].sum(1)
    counts = torch.fft.irfft(torch.fft.ifft(power, dim=-2)[:, :row], wide)
    return torch.cat([counts[..., wide - col + 1 :], counts[..., :col]], -1)


def autocorrelation(
    mask: Shaped[Tensor, "*unit input"], shape: Shape, colours: Colours = "same", *, weighted: bool = False
) -> Float[Tensor, "*unit lag_row lag_col"]:
    """Number of ordered pairs of kept inputs at each displacement: S_i(d) of Redman et al. (2025), eq. (1).

    Args:    mask: bool or real; an input is kept if it is not 0. With `weighted`, numbers >= 0 of any type.
             shape: (row, col) or (channel, row, col) of the inputs.
             colours: "same": pairs within a channel, summed over channels (the paper's); "different": pairs
             of different channels; "all": both.
             weighted: whether a pair counts p_z p_z', its inputs' numbers multiplied (pairs of paths, if they
             count paths), instead of 1.
    Returns: counts (float64, exact integers >= 0), [..., 2 row - 1, 2 col - 1], d = 0 in the middle.
             S(d) = S(-d); for "same", S(0) counts each input with itself: the number of inputs left.
             Weighted: exact for integers while channels |p| sum(p) is below 2^44, else within about 1e-15 S(0),
             and exactly 0 where no pair is.
    Raises:  ShapeError: `shape` does not multiply to the last axis. ValueError: unknown `colours`, or a weight
             that is negative or not finite.
    """
    images, size = as_images(mask, shape, weighted)
    half = torch.cat(list(half_planes(images, colours))).to(torch.float64)
    full = torch.cat([half[:, 1:].flip(-1, -2), half], -2)
    if weighted:
        full = full * size[:, None, None] * size[:, None, None]
    return full.reshape(*mask.shape[:-1], *full.shape[-2:])
