"""Receptive-field width: a Gaussian fitted to how a unit's kept inputs correlate in space, in pixels.

    S_i(d) = sum_z sum_z' delta(d_zz' - d) m_iz m_iz'                 (Redman et al. 2025, eq. 1)
    S_i(d) ~ A exp(-dx^2 / (2 sx^2) - dy^2 / (2 sy^2)) [+ B]          (their section 2.2, appendix A)

m_i is the mask of unit i on the image, d a displacement in pixels; x runs along columns, y along rows. The
Gaussian is centred at d = 0 with axes along rows and columns, and fitted by least squares over all
displacements. The paper reports sx.

Source: Redman, Wang, Ingrosso & Goldt (2025), eq. (1). S(0) is in the fit and there is no offset, as eq. (1)
has it (`include_zero`, `offset`): the paper leaves amplitude and offset open, and the notebook it builds on
leaves S(0) out. Borders are open (no pairs across the image's edge).

Which minimum. With S(0) in, masks with few inputs have two: a spike at d = 0 (a width below a pixel, which
fits S(0) alone) and the bump that is meant. The spike is often the deeper one (it was for every random mask
of 31 inputs on 32 x 32 that was tried). We start from the second moments of S without S(0), which are wide,
and return the minimum below that start: the bump where there is one. `scipy.optimize.curve_fit` from there
does the same. With S(0) left out there is no such spike, but still several minima (with an offset, on masks of 8
to 30 inputs of 16 x 16, the one below the moments was not the deepest in 9 to 32 % of units): we start from widths
of 0.8, 2, 4 and 8 px too, and return the deepest minimum found.
Blind spot: below about 25 inputs per unit S(0) outweighs the rest, and the bump vanishes from some units (of random
masks of 15 inputs on 32 x 32: from 3 %, with an offset from 29 %). The spike is then fitted: 0.2 to 0.5 px that
mean nothing, and a random mask looks narrow. Ask for `min_fan_in`, or leave S(0) out, there.

Later layers (`weighted`). A unit that reads hidden units reaches input z by p_z paths, p = m_2 m_1 (m_3 m_2 m_1 ...),
and p takes the place of m_i: S(d) = sum_z sum_z' delta(d_zz' - d) p_z p_z', pairs of paths. Ours: Redman et al. leave the
localisation of later layers open (Appendix D).
Blind spot: all of p but its mean level is lost among many paths. A level without structure has the triangle of the open
border as its S, and its width is 0.45 sides whatever lies below (14.4 px on 32 x 32; masks of 2 to 3 px under 30 units
picked at random read 13 px, under 8 of them 10 px). `offset: true` takes off a constant, which the triangle is not: 14.7 px,
and 13 and 7 px for those. Compare with random masks of the same density, layer by layer, or read the width only where few
units lie below.

How it is fitted. The Gaussian is even in dx and in dy, so S enters only through its sum over the four signs:
one quadrant is enough. A >= 0 (and B) are linear and eliminated in closed form, so that of the 3 or 4 normal
equations 2 remain: Levenberg-Marquardt moves the logarithms of sx and sy, with exact second derivatives
(Gauss-Newton's where those are not positive definite). The Gaussian is a product of a row and a column
factor: all sums are products of small matrices, one set per unit. A unit stands still once it has converged,
and on the CPU its numbers are bit for bit the same in any batch (units and lags are padded, so that no kernel
meets a remainder).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from impray.kernels import widths as kernel
from impray.kernels.compiled import lacking
from impray.kernels.widths import Bounds
from impray.measures.autocorrelation import Colours, Shape, as_images, half_planes, kept_inputs

# A spike at d = 0: exp(-1 / (2 * 0.2^2)) = 4e-6 of it is left a pixel away, less than a single pair ever is.
# Narrower still, and with d = 0 left out, all that is left of the Gaussian would be rounding.
NARROWEST_PX = 0.2
WIDEST_SIDES = 4.0  # in image sides: with an offset, all that is wider is the same parabola
# Starts beside the second moments where S(0) is left out: the least squares have several minima then.
_STARTS_PX = (0.8, 2.0, 4.0, 8.0)
_LANES = 64  # units are padded to a multiple: no CPU vector is part full (a tail may round differently)
_ALIGNED = 8  # lags are padded to a multiple: every unit's matrices start on a cache line
# Units at a time: many, as the arithmetic is on a few numbers per unit (few where it is on images, see `autocorrelation`).
_MANY = {"cpu": 1024, "cuda": 8192}
_LAST_STEP = 1e-5  # in the logarithm of a width; the error after such a step is about its square
_NO_STEP = 1e-7  # the same, where convergence is slower
_MAX_STEPS = 200  # some 10 are usual; a unit that needs more is returned where it stands


@dataclass(frozen=True)
class _Quadrant:
    """One least-squares problem per unit."""

    total: Float[Tensor, "unit row col"]  # S summed over the signs of dy and dx; 0 at d = 0 if left out; padded
    mean: Float[Tensor, " unit"]  # of S over all displacements fitted
    square: Float[Tensor, " unit"]  # sum of S^2 over these, about the mean with an offset
    shape: tuple[int, int]  # row, col, without the padding
    include_zero: bool
    offset: bool

    @property
    def points(self) -> int:
        return (2 * self.shape[0] - 1) * (2 * self.shape[1] - 1) - (not self.include_zero)

    def take(self, units: Int[Tensor, " some"]) -> _Quadrant:
        return replace(self, total=self.total.index_select(0, units), mean=self.mean[units], square=self.square[units])


def _quadrant(
    halves: Iterable[Float[Tensor, "few row lag_col"]],
    like: Tensor,
    shape: tuple[int, int],
    include_zero: bool,
    offset: bool,
) -> _Quadrant:
    """Fold the half planes of as many units as `like` has, on its device; units and lags are padded with zeros."""
    (row, col), count = shape, len(like)
    units, rows, cols = (
        -(-count // _LANES) * _LANES,
        -(-row // _ALIGNED) * _ALIGNED,
        -(-col // _ALIGNED) * _ALIGNED,
    )
    total = torch.zeros((units, rows, cols), dtype=torch.float64, device=like.device)
    square = torch.zeros(units, dtype=torch.float64, device=like.device)
    done = 0
    for half in halves:
        few = slice(done, done + len(half))
        done += len(half)
        folded = half[..., col - 1 :] + half[..., :col].flip(2)
        folded[:, 1:] *= 2  # S(dy, dx) + S(dy, -dx), and the same again at -dy; on the axes the two are one
        folded[..., 0] *= 0.5
        total[few, :row, :col] = folded
        squares = half.square().sum(2)
        square[few] = 2 * squares.sum(1) - squares[:, 0]  # the row dy = 0 is there whole
    if not include_zero:
        square -= total[:, 0, 0].square()
        total[:, 0, 0] = 0.0
    points = (2 * row - 1) * (2 * col - 1) - (not include_zero)
    mean = total.sum((1, 2)) / points
    if offset:
        square -= mean * mean * points
    return _Quadrant(total, mean, square, shape, include_zero, offset)


class _Axis(NamedTuple):
    """A factor g(d) = exp(-t/2), t = d^2 / s^2, on d = 0 .. n - 1, and its first two derivatives by log s."""

    factors: Float[Tensor, "unit 3 lag"]  # g, g t, g (t^2 - 2 t)
    products: Float[
        Tensor, "3 3 unit"
    ]  # their inner products over d = -(n - 1) .. n - 1 but 0, where they are 1, 0 and 0
    sums: Float[Tensor, "3 unit"]  # their sums, without d = 0 too


def _squares(lags: int, padded: int, device: torch.device | str) -> Float[Tensor, " lag"]:
    """d^2, in the padding so large that g is 0 there."""
    square = torch.arange(padded, dtype=torch.float64, device=device).square()
    square[lags:] = 2000 * (WIDEST_SIDES * lags) ** 2
    return square


def _axis(log_width: Float[Tensor, " unit"], lags: int, padded: int, offset: bool) -> _Axis:
    t = _squares(lags, padded, log_width.device) * torch.exp(-2 * log_width)[:, None]
    factors = t.new_empty((len(t), 3, padded))
    g = torch.exp(-0.5 * t)
    factors[:, 0] = g
    factors[:, 1] = g.mul_(t)
    torch.mul(g, t.sub_(2), out=factors[:, 2])
    positive = factors.clone()
    positive[:, 0, 0] = 0
    products = 2 * torch.bmm(positive, positive.mT).permute(1, 2, 0)
    return _Axis(factors, products, 2 * positive.sum(2).T if offset else products[0])


def _over_plane(
    x: Float[Tensor, "_ unit"], y: Float[Tensor, "_ unit"], include_zero: bool
) -> list[Float[Tensor, " unit"]]:
    """Sums over the plane, in the order of `_DERIVATIVES`, of products of factors whose sums over an axis but its 0 are given.

    Where d = 0 is left out, that of G is never made with it: of a narrow Gaussian rounding errors would be left.
    """
    whole_x, whole_y = 1 + x[0], 1 + y[0]
    of_g = x[0] + y[0] + x[0] * y[0]
    return [
        of_g + 1 if include_zero else of_g,
        whole_y * x[1],
        y[1] * whole_x,
        whole_y * x[2],
        y[1] * x[1],
        y[2] * whole_x,
    ]


class _Sums(NamedTuple):
    """What a step needs at given widths, the best A (and B) put in. G = g_x g_y, derived by the log widths."""

    explained: Float[Tensor, " unit"]  # (S.G)^2 / G.G: what A G takes off the sum of squares
    slope_x: Float[Tensor, " unit"]  # derivatives of explained / (2 A^2) at fixed A
    slope_y: Float[Tensor, " unit"]
    xx: Float[Tensor, " unit"]  # minus its second derivatives, or Gauss-Newton's: positive definite
    xy: Float[Tensor, " unit"]
    yy: Float[Tensor, " unit"]
    exact: Bool[Tensor, " unit"]  # which of the two


# Orders by y and by x of G, G_x, G_y, G_xx, G_xy, G_yy.
_DERIVATIVES = ((0, 0), (0, 1), (1, 0), (0, 2), (1, 1), (2, 0))


def _sums(quadrant: _Quadrant, log_x: Float[Tensor, " unit"], log_y: Float[Tensor, " unit"]) -> _Sums:
    (row, col), (_, rows, cols) = quadrant.shape, quadrant.total.shape
    x, y = _axis(log_x, col, cols, quadrant.offset), _axis(log_y, row, rows, quadrant.offset)
    with_s = torch.bmm(torch.bmm(y.factors, quadrant.total), x.factors.mT).permute(1, 2, 0).contiguous()
    s = [with_s[i, j] for i, j in _DERIVATIVES]  # S.G, S.G_x ...
    g = _over_plane(x.products[0], y.products[0], quadrant.include_zero)  # G.G, G.G_x ...
    xx = x.products[1, 1] * (1 + y.products[0, 0])  # G_x.G_x, G_x.G_y, G_y.G_y
    xy = x.products[0, 1] * y.products[0, 1]
    yy = (1 + x.products[0, 0]) * y.products[1, 1]
    if quadrant.offset:  # the best B centres all functions
        sums = _over_plane(x.sums, y.sums, quadrant.include_zero)
        mean_g, mean_x, mean_y = (total / quadrant.points for total in sums[:3])
        s = [product - quadrant.mean * total for product, total in zip(s, sums, strict=True)]
        g = [product - mean_g * total for product, total in zip(g, sums, strict=True)]
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


def _start(
    quadrant: _Quadrant, bounds: Bounds
) -> tuple[Float[Tensor, " unit"], Float[Tensor, " unit"], Bool[Tensor, " unit"]]:
    """Log widths from the second moments of S without S(0), and whether there is a pair at d != 0."""
    by_row, by_col = quadrant.total.sum(2), quadrant.total.sum(1)
    pairs = by_row.sum(1) - quadrant.total[:, 0, 0]

    def log_width(total: Float[Tensor, "unit lag"], high: float) -> Float[Tensor, " unit"]:
        square = torch.arange(total.shape[1], dtype=total.dtype, device=total.device).square()
        # A width of 0 (all inputs in a line) is -inf here, and then the lower bound.
        return (0.5 * torch.log((total * square).sum(1) / torch.where(pairs > 0, pairs, 1.0))).clamp(bounds.low, high)

    return log_width(by_col, bounds.high_x), log_width(by_row, bounds.high_y), pairs > 0


def _move(
    sums: _Sums, x: Tensor, y: Tensor, damping: Float[Tensor, " unit"], bounds: Bounds
) -> tuple[Float[Tensor, " unit"], Float[Tensor, " unit"]]:
    """Log widths after a damped step of the reduced normal equations, by at most a factor 1.6 and within bounds."""
    # A width at its bound that wants beyond it is held, and the other one moves alone.
    held_x = ((x <= bounds.low) & (sums.slope_x < 0)) | ((x >= bounds.high_x) & (sums.slope_x > 0))
    held_y = ((y <= bounds.low) & (sums.slope_y < 0)) | ((y >= bounds.high_y) & (sums.slope_y > 0))
    slope_x, slope_y = torch.where(held_x, 0.0, sums.slope_x), torch.where(held_y, 0.0, sums.slope_y)
    xy = torch.where(held_x | held_y, 0.0, sums.xy)
    # A side of one pixel has no width, and only zeros here.
    xx, yy = (sums.xx * (1 + damping)).clamp_min(1e-200), (sums.yy * (1 + damping)).clamp_min(1e-200)
    # Solved with a unit diagonal: at narrow widths the curvatures are tiny and their product tinier.
    root_x, root_y = xx.sqrt(), yy.sqrt()
    cross = xy / root_x / root_y
    slope_x, slope_y = slope_x / root_x, slope_y / root_y
    determinant = (1 - cross * cross).clamp_min(1e-12)
    by_x = ((slope_x - cross * slope_y) / determinant / root_x).clamp(-0.5, 0.5)
    by_y = ((slope_y - cross * slope_x) / determinant / root_y).clamp(-0.5, 0.5)
    return (x + by_x).clamp(bounds.low, bounds.high_x), (y + by_y).clamp(bounds.low, bounds.high_y)


def _levenberg_marquardt(
    quadrant: _Quadrant, x: Float[Tensor, " unit"], y: Float[Tensor, " unit"], bounds: Bounds
) -> tuple[Float[Tensor, " unit"], Float[Tensor, " unit"], Float[Tensor, " unit"]]:
    """Log widths of the least squares, from a start, and what they explain. Each unit has its own damping."""
    final = torch.empty((3, len(x)), dtype=x.dtype, device=x.device)
    sums, damping = _sums(quadrant, x, y), torch.full_like(x, 1e-3)
    moving = sums.explained > 0
    units = torch.arange(len(x), device=x.device)
    for _ in range(_MAX_STEPS):
        new_x, new_y = _move(sums, x, y, damping, bounds)
        # The last step is taken without looking back: after a step of Newton's the error is the step's
        # square.
        step = torch.maximum((new_x - x).abs(), (new_y - y).abs())
        last = moving & (step < torch.where(sums.exact & (damping <= 1e-3), _LAST_STEP, _NO_STEP))
        x, y = torch.where(last, new_x, x), torch.where(last, new_y, y)
        moving &= ~last
        busy = int(moving.sum())
        if busy == 0:
            break
        if -(-busy // _LANES) * _LANES <= 0.5 * len(x):  # go on with the moving units only
            final[:, units] = torch.stack([x, y, sums.explained])
            keep = _padded(moving.nonzero()[:, 0])
            units, x, y, new_x, new_y, damping, moving = (v[keep] for v in (units, x, y, new_x, new_y, damping, moving))
            sums, quadrant = _Sums(*(value[keep] for value in sums)), quadrant.take(keep)
        new = _sums(quadrant, new_x, new_y)
        # Near the end two values differ by rounding only: some units in the last place count as no worse.
        accept = moving & (new.explained >= sums.explained * (1 - 1e-15))
        x, y = torch.where(accept, new_x, x), torch.where(accept, new_y, y)
        sums = _Sums(*(torch.where(accept, a, b) for a, b in zip(new, sums, strict=True)))
        damping = torch.where(accept, (damping * 0.1).clamp_min(1e-9), (damping * 10).clamp_min(1e-3))
    final[:, units] = torch.stack([x, y, sums.explained])
    return final[0], final[1], final[2]


def _padded(units: Int[Tensor, " some"]) -> Int[Tensor, " more"]:
    """Fill up to whole vectors by repeating the first unit: its copies do what it does."""
    return torch.cat([units, units[:1].expand(-len(units) % _LANES)])


def _minima(
    quadrant: _Quadrant, x: Float[Tensor, "start unit"], y: Float[Tensor, "start unit"], bounds: Bounds
) -> list[Float[Tensor, "3 unit"]]:
    """Log widths of the least squares below each start, and what they explain: on a CPU fit by fit, elsewhere many at once."""
    if x.device.type != "cpu" or lacking() is not None:
        return [torch.stack(_levenberg_marquardt(quadrant, *start, bounds)) for start in zip(x, y, strict=True)]
    (row, col), (_, rows, cols) = quadrant.shape, quadrant.total.shape
    squares = _squares(col, cols, "cpu").numpy(), _squares(row, rows, "cpu").numpy()
    found = kernel.fits(
        quadrant.total.numpy(),
        quadrant.mean.numpy(),
        squares,
        row,
        quadrant.points,
        quadrant.include_zero,
        quadrant.offset,
        bounds,
        _MAX_STEPS,
        torch.stack([x.flatten(), y.flatten()]).numpy(),
    )
    return list(torch.from_numpy(found).view(3, *x.shape).unbind(1))


def _deepest(
    quadrant: _Quadrant, x: Float[Tensor, " unit"], y: Float[Tensor, " unit"], bounds: Bounds, others: Sequence[float]
) -> Float[Tensor, "3 unit"]:
    """The best of the minima below the start (x, y) and below the widths `others`, in px; of equals, the first."""
    widths = [torch.full_like(x, math.log(width)) for width in others]
    start_x = torch.stack([x, *(width.clamp_max(bounds.high_x) for width in widths)])
    start_y = torch.stack([y, *(width.clamp_max(bounds.high_y) for width in widths)])
    best, *minima = _minima(quadrant, start_x, start_y, bounds)
    for minimum in minima:
        better = minimum[2] > best[2] * (1 + 1e-12)  # the same minimum from another start differs by rounding only
        best = torch.where(better, minimum, best)
    return best


def _fit(quadrant: _Quadrant, others: Sequence[float]) -> Float[Tensor, "3 unit"]:
    """sx, sy (px), mean squared residual; NaN where nothing can be fitted, and the width of a one-pixel side."""
    row, col = quadrant.shape
    high_x, high_y = math.log(WIDEST_SIDES * col), math.log(WIDEST_SIDES * row)
    bounds = Bounds(math.log(NARROWEST_PX), high_x, high_y)
    start_x, start_y, pairs = _start(quadrant, bounds)
    x, y, explained = _deepest(quadrant, start_x, start_y, bounds, others)
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
    mask: Shaped[Tensor, "*unit input"],
    shape: Shape,
    *,
    include_zero: bool = True,
    offset: bool = False,
    min_fan_in: int | None = None,
    colours: Colours = "same",
    weighted: bool = False,
) -> tuple[Float[Tensor, "*unit"], Float[Tensor, "*unit"], Float[Tensor, "*unit"]]:
    """Widths of the Gaussian fitted to S_i(d), Redman et al. (2025), eq. (1), section 2.2 and appendix A.

    Args:    mask: bool or real; an input is kept if it is not 0. With `weighted`, numbers >= 0 of any type.
             shape: (row, col) or (channel, row, col) of the inputs.
             include_zero: whether d = 0, where S counts the inputs themselves, is fitted.
             offset: whether a constant B is fitted too.
             min_fan_in: units with fewer kept inputs (over all channels) are NaN. Never less than what the fit
             needs: as many pairs as parameters, S(0) counted as one, that is 3 inputs, or 4 with an offset and
             without S(0). That determines a fit; about 25 make it worth reading (see the blind spot above).
             colours: which pairs S counts, and weighted: how much a pair counts; see `autocorrelation`. `min_fan_in`
             counts inputs, whatever their weights. Weights c times as large leave the widths as they are.
    Returns: (width_x, width_y, fit_error), float64. Widths are standard deviations in px along columns (x, the
             paper's) and rows (y), in [0.2, 4 sides]. A value at a bound is the bound itself: 0.2 means no
             correlation beyond a single pixel in that direction, 4 sides none that falls off. fit_error is the
             mean squared residual over the displacements fitted, in counts squared, to about 1e-9 (of weights c times
             as large: c^4 times as large).
             NaN: all three with too few inputs, with no pair at d != 0, or where only A < 0 would explain S
             (a dip at 0, with an offset); a width if its side is a single pixel.
    Raises:  ShapeError: `shape` does not multiply to the last axis. ValueError: unknown `colours`, or a weight
             that is negative or not finite.
    """
    needed = max(4 if offset and not include_zero else 3, min_fan_in or 0)
    parts = []
    many = _MANY.get(mask.device.type, 1024)
    images, size = as_images(mask, shape, weighted)
    kept = kept_inputs(mask).reshape(-1, mask.shape[-1])
    for some, inputs in zip(images.split(many), kept.split(many), strict=True):
        quadrant = _quadrant(half_planes(some, colours), some, (some.shape[2], some.shape[3]), include_zero, offset)
        few = inputs.sum(1, dtype=torch.int32) < needed
        parts.append(_fit(quadrant, () if include_zero else _STARTS_PX)[:, : len(some)].masked_fill(few, math.nan))
    fits = torch.cat(parts, 1)
    for _ in range(4 if weighted else 0):  # the fourth power itself may be infinite where the error is 0
        fits[2] *= size
    width_x, width_y, error = fits.reshape(3, *mask.shape[:-1])
    return width_x, width_y, error
