"""Receptive-field width: a Gaussian fitted to how a unit's kept inputs correlate in space, in pixels.

    S_i(d) = sum_z sum_z' delta(d_zz' - d) m_iz m_iz'                                  (Redman et al. 2025, eq. 1)
    S_i(d) ~ A exp(-dx^2 / (2 sx^2) - dy^2 / (2 sy^2)) [+ B]                           (their section 2.2, appendix A)

m_i is the mask of unit i on the image, d a displacement in pixels; x runs along columns, y along rows. The Gaussian is centred
at d = 0 with axes along rows and columns, and fitted by least squares over all displacements. The paper reports sx.

Source: Redman, Wang, Ingrosso & Goldt (2025), eq. (1). S(0) is in the fit and there is no offset, as eq. (1) has it
(`include_zero`, `offset`): the paper leaves amplitude and offset open, and the notebook it builds on leaves S(0) out.
Borders are open (no pairs across the image's edge).

Which minimum. Masks with few inputs have two: a spike at d = 0 (S(0) alone, width below a pixel) and the bump that is meant.
With S(0) in, the spike is often the deeper one (for every random mask of 31 inputs on 32 x 32 that was tried). We
start from the moments of S without S(0), which are wide, and return the minimum below that start: the bump where there is one,
as `scipy.optimize.curve_fit` does from there; it is not the deepest minimum.
Blind spot: below about 25 inputs per unit the bump often vanishes from S with S(0) in, and the spike is fitted: widths of 0.1 to 0.5 px
that mean nothing, in random masks first. Ask for `min_fan_in`, or leave S(0) out, there.

How it is fitted. The Gaussian is even in dx and in dy, so S enters only through its sum over the four signs: one quadrant is enough.
A >= 0 (and B) are linear and eliminated in closed form; Levenberg-Marquardt with exact second derivatives (Gauss-Newton's where
those are not positive definite) moves the logarithms of sx and sy. The Gaussian is a product of a row and a
column factor, so that every sum is a product of two short ones, save the six in which S itself stands. Units are the last axis,
padded to full vectors: a unit's arithmetic does not depend on its neighbours, and it stops moving when it has converged.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int, Shaped
from scipy.fft import next_fast_len
from torch import Tensor

from impray.spec.errors import ShapeError

Colours = Literal["same", "different", "all"]
Shape = tuple[int, int] | tuple[int, int, int]

NARROWEST_PX = 0.1  # exp(-1 / (2 * 0.1^2)) = 2e-22: a spike at d = 0; nothing narrower can be told apart
WIDEST_SIDES = 4.0  # in image sides: with an offset, all that is wider is the same parabola
_LANES = 64  # units are padded to a multiple: no vector of the CPU's is ever part full (a tail can round differently)
# Units at a time. Many where the arithmetic is on a few numbers per unit; few where it is on images, so that these stay in a
# CPU's cache and in memory that the allocator keeps (fresh pages cost more than the arithmetic).
_MANY = {"cpu": 1024, "cuda": 8192}
_FEW = {"cpu": 128, "cuda": 8192}
_LAST_STEP = 1e-5  # in the logarithm of a width; the error after such a step is about its square
_NO_STEP = 1e-7  # the same, where convergence is slower
_MAX_STEPS = 200


def _as_images(
    mask: Shaped[Tensor, "*pack unit input"], shape: Shape
) -> Float[Tensor, "flat channel row col"]:
    """Kept inputs (anything but 0) as images of 0 and 1; raises ShapeError if `shape` is not that of the last axis."""
    if len(shape) not in (2, 3) or min(shape) < 1:
        raise ShapeError(f"shape {shape}: must be (row, col) or (channel, row, col), each at least 1")
    if mask.ndim < 1 or mask.shape[-1] != math.prod(shape):
        raise ShapeError(
            f"mask {tuple(mask.shape)} has {mask.shape[-1] if mask.ndim else 0} inputs on its last axis, "
            f"shape {shape} has {math.prod(shape)}"
        )
    channel, row, col = shape if len(shape) == 3 else (1, *shape)
    return (mask != 0).reshape(-1, channel, row, col)


def _half_planes(
    kept: Bool[Tensor, "flat channel row col"], colours: Colours
) -> Iterator[Float[Tensor, "few row lag_col"]]:
    """S(dy, dx) for dy = 0 .. row - 1 and dx = -(col - 1) .. col - 1, exact, some units at a time; the rest is S(-d) = S(d)."""
    if colours not in ("same", "different", "all"):
        raise ValueError(f"colours = {colours!r}: must be 'same', 'different' or 'all'")
    for few in kept.split(_FEW.get(kept.device.type, 128)):
        most = int(few.sum((1, 2, 3)).max()) if len(few) else 0
        # Both are exact; counting pairs is about three times as fast at 3 % density, the transforms do not care about density.
        count_pairs = colours == "same" and most * (most - 1) // 2 <= kept.shape[1:].numel()
        yield _counted(few, most) if count_pairs else _transformed(few, colours)


def _counted(kept: Bool[Tensor, "flat channel row col"], most: int) -> Float[Tensor, "flat row lag_col"]:
    """Same-colour S by counting the pairs of units with at most `most` inputs; in memory, units are the last axis."""
    count, channel, row, col = kept.shape
    lag_col = 2 * col - 1
    unit, place = kept.reshape(count, channel * row * col).nonzero().unbind(1)
    fan_in = torch.bincount(unit, minlength=count)
    rank = torch.arange(len(unit), device=unit.device) - (fan_in.cumsum(0) - fan_in)[unit]
    # With rows spaced for all lags, one subtraction gives dy and dx; channels and empty places lie so far apart
    # that theirs is out of range. The unit goes in too, so that the difference is the slot to count in.
    line = place.div(col, rounding_mode="floor")  # over all channels
    code = (line + line.div(row, rounding_mode="floor") * row) * lag_col + (place - line * col)
    codes = unit.new_full((most, count), 4 * channel * row * lag_col * count)
    codes[rank, unit] = code * count
    later = codes + torch.arange((col - 1) * count, col * count, device=unit.device)
    first, second = torch.triu_indices(most, most, 1, device=unit.device)
    slot = later.index_select(0, second).sub_(codes.index_select(0, first)).clamp_max_(row * lag_col * count)
    counts = torch.zeros(row * lag_col * count + 1, dtype=torch.float32, device=unit.device)
    counts.scatter_add_(0, slot.flatten(), counts.new_ones(1).expand(slot.numel()))
    counts = counts[:-1].view(row * lag_col, count)
    counts[: col - 1] = counts[col:lag_col].flip(0)  # dy = 0: places are in order, only dx > 0 was counted
    counts[col - 1] = fan_in
    return counts.view(row, lag_col, count).permute(2, 0, 1)


def _transformed(
    kept: Bool[Tensor, "flat channel row col"], colours: Colours
) -> Float[Tensor, "flat row lag_col"]:
    """S by Fourier transforms, rounded to integers."""
    channel, row, col = kept.shape[1:]
    # The error of the transforms is below eps log2(lags) |S|, and |S|^2 <= S(0) sum S <= inputs^3 in each channel. Up to 1e5 that
    # is 0.1 in float32, and rounding mends it.
    worst = channel * (1 if colours == "same" else channel) * (row * col) ** 1.5
    images = kept.to(torch.float32 if worst <= 1e5 else torch.float64)
    if colours != "same":
        images = torch.cat([images, images.sum(1, keepdim=True)], 1)
    # Zero padding to 2 n - 1 makes the border open. Columns first and only the rows needed: a third of the work less.
    high, wide = next_fast_len(2 * row - 1, real=True), next_fast_len(2 * col - 1, real=True)
    spectrum = torch.fft.fft(torch.fft.rfft(images, wide), high, dim=-2)
    power = spectrum.real.square() + spectrum.imag.square()
    if colours == "same":
        power = power.sum(1)
    else:
        power = power[:, -1] if colours == "all" else power[:, -1] - power[:, :-1].sum(1)
    counts = torch.fft.irfft(torch.fft.ifft(power, dim=-2)[:, :row], wide).round_()
    return torch.cat([counts[..., wide - col + 1 :], counts[..., :col]], -1)


def autocorrelation(
    mask: Shaped[Tensor, "*pack unit input"], shape: Shape, colours: Colours = "same"
) -> Float[Tensor, "*pack unit lag_row lag_col"]:
    """Number of ordered pairs of kept inputs at each displacement: S_i(d) of Redman et al. (2025), eq. (1).

    Args:    mask: bool or real; an input is kept if it is not 0.
             shape: (row, col) or (channel, row, col) of the inputs.
             colours: "same": pairs within a channel, summed over channels (the paper's); "different": pairs of different
             channels; "all": both.
    Returns: counts (float64, exact integers >= 0), [..., 2 row - 1, 2 col - 1], d = 0 in the middle. S(d) = S(-d).
             S(0) counts each input with itself (the number of inputs left) for "same".
    Raises:  ShapeError: `shape` does not multiply to the last axis.
    """
    half = torch.cat(list(_half_planes(_as_images(mask, shape), colours))).to(torch.float64)
    full = torch.cat([half[:, 1:].flip(-1, -2), half], -2)
    return full.reshape(*mask.shape[:-1], *full.shape[-2:])


@dataclass(frozen=True)
class _Quadrant:
    """One least-squares problem per unit, the units last."""

    total: Float[
        Tensor, "row col unit"
    ]  # S summed over the signs of dy and dx; 0 at d = 0 if that is left out
    square: Float[Tensor, " unit"]  # sum of S^2 over all displacements fitted, about the mean with an offset
    include_zero: bool
    offset: bool
    work: Float[Tensor, "row col few"]  # scratch for products with `total`

    @property
    def points(self) -> int:
        row, col, _ = self.total.shape
        return (2 * row - 1) * (2 * col - 1) - (not self.include_zero)

    def along_col(self, factor: Float[Tensor, "col unit"]) -> Float[Tensor, "row unit"]:
        parts = [
            torch.mul(total, part, out=self.work[..., : total.shape[2]]).sum(1)
            for total, part in zip(
                self.total.split(self.work.shape[2], 2), factor.split(self.work.shape[2], 1), strict=True
            )
        ]
        return torch.cat(parts, 1)

    def take(self, units: Int[Tensor, " some"]) -> _Quadrant:
        return _Quadrant(self.total[..., units], self.square[units], self.include_zero, self.offset, self.work)


def _quadrant(
    halves: Iterable[Float[Tensor, "few row lag_col"]],
    like: Tensor,
    size: tuple[int, int, int],
    include_zero: bool,
    offset: bool,
) -> _Quadrant:
    """Fold the half planes of `size` = (row, col, units); pads the units to whole vectors with empty ones."""
    row, col, count = size
    lanes = -(-count // _LANES) * _LANES
    total = torch.empty((row, col, lanes), dtype=torch.float64, device=like.device)
    square = torch.zeros(lanes, dtype=torch.float64, device=like.device)
    done = 0
    for half in halves:
        units = slice(done, done + len(half))
        done += len(half)
        unfolded = half.permute(1, 2, 0)
        total[..., units] = unfolded[:, col - 1 :] + unfolded[:, :col].flip(1)
        # Twice the half plane, less the row dy = 0 that it has whole.
        squares = unfolded.square().sum((1,), dtype=torch.float64)
        square[units] = 2 * squares.sum(0) - squares[0]
    total[..., count:] = 0.0
    total[1:] *= 2  # S(dy, dx) + S(dy, -dx), and the same again at -dy; on the axes the two are one value
    total[:, 0] *= 0.5
    if not include_zero:
        square -= total[0, 0].square()
        total[0, 0] = 0.0
    if offset:
        square -= total.sum((0, 1)).square() / ((2 * row - 1) * (2 * col - 1) - (not include_zero))
    work = total.new_empty((row, col, min(lanes, _FEW.get(like.device.type, 128))))
    return _Quadrant(total, square, include_zero, offset, work)


class _Axis(NamedTuple):
    """A factor g(d) = exp(-t/2), t = d^2 / s^2, on d = 0 .. n - 1, and its sums over d = -(n - 1) .. n - 1."""

    g: Float[Tensor, "lag unit"]
    g1: Float[Tensor, "lag unit"]  # first derivative by log s: g t
    g2: Float[Tensor, "lag unit"]  # second: g (t^2 - 2 t)
    gg: Float[Tensor, " unit"]  # sum g g, sum g g1 and so on
    gg1: Float[Tensor, " unit"]
    g1g1: Float[Tensor, " unit"]
    gg2: Float[Tensor, " unit"]

    def sums(self) -> tuple[Float[Tensor, " unit"], Float[Tensor, " unit"], Float[Tensor, " unit"]]:
        """Of g, g1 and g2 alone, which only an offset asks for."""
        return 2 * self.g.sum(0) - 1, 2 * self.g1.sum(0), 2 * self.g2.sum(0)


def _axis(log_width: Float[Tensor, " unit"], lags: int) -> _Axis:
    square = torch.arange(lags, dtype=torch.float64, device=log_width.device).square()[:, None]
    t = square * torch.exp(-2 * log_width)
    g = torch.exp(-0.5 * t)
    g1 = g * t
    g2 = g1 * (t - 2)
    gg, gg1, g1g1 = (
        2 * (g * g).sum(0) - 1,
        2 * (g * g1).sum(0),
        2 * (g1 * g1).sum(0),
    )  # d and -d, but d = 0 once
    return _Axis(g, g1, g2, gg, gg1, g1g1, g1g1 - 2 * gg1)


class _Sums(NamedTuple):
    """What a step needs at given widths, after the best A (and B) are put in. G = g_x g_y; its derivatives are by the log widths."""

    explained: Float[Tensor, " unit"]  # (S.G)^2 / G.G: what A G takes off the sum of squares
    slope_x: Float[Tensor, " unit"]  # derivatives of explained / (2 A^2) at fixed A
    slope_y: Float[Tensor, " unit"]
    xx: Float[Tensor, " unit"]  # minus its second derivatives, or Gauss-Newton's: positive definite
    xy: Float[Tensor, " unit"]
    yy: Float[Tensor, " unit"]
    exact: Bool[Tensor, " unit"]  # which of the two


def _sums(quadrant: _Quadrant, log_x: Float[Tensor, " unit"], log_y: Float[Tensor, " unit"]) -> _Sums:
    x, y = _axis(log_x, quadrant.total.shape[1]), _axis(log_y, quadrant.total.shape[0])
    along, along1, along2 = (quadrant.along_col(factor) for factor in (x.g, x.g1, x.g2))
    s = [
        (a * b).sum(0)
        for a, b in ((along, y.g), (along1, y.g), (along, y.g1), (along2, y.g), (along1, y.g1), (along, y.g2))
    ]  # S.G, S.G_x, S.G_y, S.G_xx, S.G_xy, S.G_yy
    zero = float(not quadrant.include_zero)  # at d = 0, G = 1 and its derivatives are 0
    g = [
        x.gg * y.gg - zero,
        x.gg1 * y.gg,
        x.gg * y.gg1,
        x.gg2 * y.gg,
        x.gg1 * y.gg1,
        x.gg * y.gg2,
    ]  # G.G, G.G_x ...
    xx, xy, yy = x.g1g1 * y.gg, x.gg1 * y.gg1, x.gg * y.g1g1  # G_x.G_x, G_x.G_y, G_y.G_y
    if quadrant.offset:  # the best B centres all functions
        (a, a1, a2), (b, b1, b2) = x.sums(), y.sums()
        sums = [a * b - zero, a1 * b, a * b1, a2 * b, a1 * b1, a * b2]
        mean_s, mean_g = quadrant.total.sum((0, 1)) / quadrant.points, sums[0] / quadrant.points
        s = [product - mean_s * total for product, total in zip(s, sums, strict=True)]
        g = [product - mean_g * total for product, total in zip(g, sums, strict=True)]
        mean_x, mean_y = sums[1] / quadrant.points, sums[2] / quadrant.points
        xx, xy, yy = xx - mean_x * sums[1], xy - mean_x * sums[2], yy - mean_y * sums[2]
    return _eliminate(s, g, (xx, xy, yy))


def _eliminate(s: list[Tensor], g: list[Tensor], gauss_newton: tuple[Tensor, Tensor, Tensor]) -> _Sums:
    """The sums with A = S.G / G.G put in. With h = (S.G)^2 / (2 G.G): h_u / A^2 = S.G_u / A - G.G_u,

    h_uv / A^2 = (S.G_u / A - 2 G.G_u)(S.G_v / A - 2 G.G_v) / G.G + S.G_uv / A - G_u.G_v - G.G_uv.
    """
    norm = g[0].clamp_min(1e-200)  # 0 only for a spike at a d = 0 that is left out
    s_g = s[0].clamp_min(0)
    amplitude = s_g / norm
    per = 1 / torch.where(amplitude > 0, amplitude, 1.0)
    slope_x, slope_y = s[1] * per - g[1], s[2] * per - g[2]
    left_x, left_y = slope_x - g[1], slope_y - g[2]
    xx, xy, yy = gauss_newton
    exact_xx = xx + g[3] - s[3] * per - left_x * left_x / norm
    exact_xy = xy + g[4] - s[4] * per - left_x * left_y / norm
    exact_yy = yy + g[5] - s[5] * per - left_y * left_y / norm
    definite = (exact_xx >= 0) & (exact_yy >= 0) & (exact_xy * exact_xy <= 0.98 * exact_xx * exact_yy)
    return _Sums(
        amplitude * s_g,
        slope_x,
        slope_y,
        torch.where(definite, exact_xx, xx - g[1] * g[1] / norm),
        torch.where(definite, exact_xy, xy - g[1] * g[2] / norm),
        torch.where(definite, exact_yy, yy - g[2] * g[2] / norm),
        definite,
    )


class _Bounds(NamedTuple):
    low: float
    high_x: float
    high_y: float


def _start(
    quadrant: _Quadrant, bounds: _Bounds
) -> tuple[Float[Tensor, " unit"], Float[Tensor, " unit"], Bool[Tensor, " unit"]]:
    """Log widths from the second moments of S without S(0), and whether there is anything at d != 0 to fit."""
    row, col, _ = quadrant.total.shape
    by_row, by_col = quadrant.total.sum(1), quadrant.total.sum(0)
    pairs = by_row.sum(0) - quadrant.total[0, 0]
    lags = torch.arange(max(row, col), dtype=torch.float64, device=pairs.device).square()[:, None]
    square_x = (by_col * lags[:col]).sum(0) / pairs.clamp_min(1e-200)
    square_y = (by_row * lags[:row]).sum(0) / pairs.clamp_min(1e-200)
    # By log, not by power: a width of 0 (all on a line) becomes -inf and then the lower bound.
    x, y = (
        (0.5 * torch.log(square_x)).clamp(bounds.low, bounds.high_x),
        (0.5 * torch.log(square_y)).clamp(bounds.low, bounds.high_y),
    )
    return x, y, pairs > 0


def _move(
    sums: _Sums, x: Tensor, y: Tensor, damping: Float[Tensor, " unit"], bounds: _Bounds
) -> tuple[Float[Tensor, " unit"], Float[Tensor, " unit"]]:
    """The widths after one damped step of the reduced normal equations; at most a factor 1.6, and within the bounds."""
    # A width at its bound that wants beyond it is held, and the other one moves alone.
    held_x = ((x <= bounds.low) & (sums.slope_x < 0)) | ((x >= bounds.high_x) & (sums.slope_x > 0))
    held_y = ((y <= bounds.low) & (sums.slope_y < 0)) | ((y >= bounds.high_y) & (sums.slope_y > 0))
    slope_x, slope_y = torch.where(held_x, 0.0, sums.slope_x), torch.where(held_y, 0.0, sums.slope_y)
    xy = torch.where(held_x | held_y, 0.0, sums.xy)
    # A side of one pixel has no width and all zeros here; so has nothing else within the bounds.
    xx, yy = (sums.xx * (1 + damping)).clamp_min(1e-200), (sums.yy * (1 + damping)).clamp_min(1e-200)
    # Solved with unit diagonal: at narrow widths the curvatures are as small as 1e-40 and their product smaller still.
    root_x, root_y = xx.sqrt(), yy.sqrt()
    cross = xy / root_x / root_y
    slope_x, slope_y = slope_x / root_x, slope_y / root_y
    determinant = (1 - cross * cross).clamp_min(1e-12)
    by_x = ((slope_x - cross * slope_y) / determinant / root_x).clamp(-0.5, 0.5)
    by_y = ((slope_y - cross * slope_x) / determinant / root_y).clamp(-0.5, 0.5)
    return (x + by_x).clamp(bounds.low, bounds.high_x), (y + by_y).clamp(bounds.low, bounds.high_y)


def _levenberg_marquardt(
    quadrant: _Quadrant, x: Float[Tensor, " unit"], y: Float[Tensor, " unit"], bounds: _Bounds
) -> tuple[Float[Tensor, " unit"], Float[Tensor, " unit"], Float[Tensor, " unit"]]:
    """Log widths of the least squares and what they explain, from a start. Each unit has its own damping and stands still once converged."""
    final = torch.empty((3, len(x)), dtype=x.dtype, device=x.device)
    sums, damping = _sums(quadrant, x, y), torch.full_like(x, 1e-3)
    moving = sums.explained > 0
    units = torch.arange(len(x), device=x.device)
    for _ in range(_MAX_STEPS):
        new_x, new_y = _move(sums, x, y, damping, bounds)
        # The last step is taken without looking back: after a step of Newton's the error is the step's square.
        step = torch.maximum((new_x - x).abs(), (new_y - y).abs())
        last = moving & (step < torch.where(sums.exact & (damping <= 1e-3), _LAST_STEP, _NO_STEP))
        x, y = torch.where(last, new_x, x), torch.where(last, new_y, y)
        moving &= ~last
        busy = int(moving.sum())
        if busy == 0:
            break
        if -(-busy // _LANES) * _LANES <= 0.7 * len(x):  # go on with the moving units only
            final[:, units] = torch.stack([x, y, sums.explained])
            keep = _padded(moving.nonzero()[:, 0])
            units, x, y, new_x, new_y, damping, moving = (v[keep] for v in (units, x, y, new_x, new_y, damping, moving))
            sums, quadrant = _Sums(*(value[keep] for value in sums)), quadrant.take(keep)
        new = _sums(quadrant, new_x, new_y)
        # Near the end two values differ by rounding only: equal to a few units in the last place counts as no worse.
        accept = moving & (new.explained >= sums.explained * (1 - 1e-15))
        x, y = torch.where(accept, new_x, x), torch.where(accept, new_y, y)
        sums = _Sums(*(torch.where(accept, a, b) for a, b in zip(new, sums, strict=True)))
        damping = torch.where(accept, (damping * 0.1).clamp_min(1e-9), (damping * 10).clamp_min(1e-3))
    final[:, units] = torch.stack([x, y, sums.explained])
    return final[0], final[1], final[2]


def _padded(units: Int[Tensor, " some"]) -> Int[Tensor, " more"]:
    """Fill up to whole vectors by repeating the first unit: its copies do what it does."""
    return torch.cat([units, units[:1].expand(-len(units) % _LANES)])


def _fit(quadrant: _Quadrant) -> Float[Tensor, "3 unit"]:
    """sx, sy (px), mean squared residual; NaN where nothing can be fitted, and the width along a side of one pixel."""
    row, col, _ = quadrant.total.shape
    high_x, high_y = math.log(WIDEST_SIDES * col), math.log(WIDEST_SIDES * row)
    bounds = _Bounds(math.log(NARROWEST_PX), high_x, high_y)
    start_x, start_y, pairs = _start(quadrant, bounds)
    x, y, explained = _levenberg_marquardt(quadrant, start_x, start_y, bounds)
    # Rounding can leave less than 0 where the fit is perfect.
    error = (quadrant.square - explained).clamp_min(0) / quadrant.points
    nothing = (explained <= 0) | ~pairs
    result = torch.stack([x.exp(), y.exp(), error]).masked_fill_(nothing, math.nan)
    if col == 1:
        result[0] = math.nan
    if row == 1:
        result[1] = math.nan
    return result


def rf_width(
    mask: Shaped[Tensor, "*pack unit input"],
    shape: Shape,
    *,
    include_zero: bool = True,
    offset: bool = False,
    min_fan_in: int | None = None,
    colours: Colours = "same",
) -> tuple[Float[Tensor, "*pack unit"], Float[Tensor, "*pack unit"], Float[Tensor, "*pack unit"]]:
    """Widths of the Gaussian fitted to S_i(d), Redman et al. (2025), eq. (1), section 2.2 and appendix A.

    Args:    mask: bool or real; an input is kept if it is not 0.
             shape: (row, col) or (channel, row, col) of the inputs.
             include_zero: whether d = 0, where S counts the inputs themselves, is fitted.
             offset: whether a constant B is fitted too.
             min_fan_in: units with fewer kept inputs (over all channels) are NaN. Never less than what the fit needs: as many pairs (one
             more value with S(0)) as parameters, that is 3 inputs, or 4 with an offset and without S(0).
             colours: which pairs S counts, see `autocorrelation`.
    Returns: (width_x, width_y, fit_error), float64. Widths in px in [0.1, 4 sides]: standard deviations along columns (x, the
             paper's) and rows (y). A value at a bound is the bound itself: 0.1 means no correlation beyond a single pixel in
             that direction, 4 sides none that falls off. fit_error: mean squared residual over the displacements fitted, in
             counts squared. NaN, all three: too few inputs, or no pair at a displacement that is fitted (or, with an offset,
             none but a dip at 0); a width: its side has a single pixel.
    Raises:  ShapeError: `shape` does not multiply to the last axis.
    """
    needed = 4 if offset and not include_zero else 3
    parts = []
    for kept in _as_images(mask, shape).split(_MANY.get(mask.device.type, 1024)):
        size = (kept.shape[2], kept.shape[3], len(kept))
        fit = _fit(_quadrant(_half_planes(kept, colours), kept, size, include_zero, offset))[:, : len(kept)]
        parts.append(fit.masked_fill(kept.sum((1, 2, 3)) < max(needed, min_fan_in or 0), math.nan))
    width_x, width_y, error = torch.cat(parts, 1).reshape(3, *mask.shape[:-1])
    return width_x, width_y, error
