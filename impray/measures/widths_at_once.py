"""Gaussians fitted to correlations by torch, many at once: on GPUs, and CPUs that run no kernel. `rf_width` says what is fitted and how."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from impray.kernels.widths import LAST_STEP, NO_STEP, Bounds

WIDEST_SIDES = 4.0  # in image sides: with an offset, all that is wider is the same parabola
LANES = 64  # units are padded to a multiple: no CPU vector is part full (a tail may round differently)
MAX_STEPS = 200  # some 10 are usual; a unit that needs more is returned where it stands


@dataclass(frozen=True)
class Quadrant:
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

    def take(self, units: Int[Tensor, " some"]) -> Quadrant:
        return replace(self, total=self.total.index_select(0, units), mean=self.mean[units], square=self.square[units])


class _Axis(NamedTuple):
    """A factor g(d) = exp(-t/2), t = d^2 / s^2, on d = 0 .. n - 1, and its first two derivatives by log s."""

    factors: Float[Tensor, "unit 3 lag"]  # g, g t, g (t^2 - 2 t)
    products: Float[
        Tensor, "3 3 unit"
    ]  # their inner products over d = -(n - 1) .. n - 1 but 0, where they are 1, 0 and 0
    sums: Float[Tensor, "3 unit"]  # their sums, without d = 0 too


def squares(lags: int, padded: int, device: torch.device | str) -> Float[Tensor, " lag"]:
    """d^2, in the padding so large that g is 0 there."""
    square = torch.arange(padded, dtype=torch.float64, device=device).square()
    square[lags:] = 2000 * (WIDEST_SIDES * lags) ** 2
    return square


def _axis(log_width: Float[Tensor, " unit"], lags: int, padded: int, offset: bool) -> _Axis:
    t = squares(lags, padded, log_width.device) * torch.exp(-2 * log_width)[:, None]
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


def _sums(quadrant: Quadrant, log_x: Float[Tensor, " unit"], log_y: Float[Tensor, " unit"]) -> _Sums:
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


def levenberg_marquardt(
    quadrant: Quadrant, x: Float[Tensor, " unit"], y: Float[Tensor, " unit"], bounds: Bounds
) -> tuple[Float[Tensor, " unit"], Float[Tensor, " unit"], Float[Tensor, " unit"]]:
    """Log widths of the least squares, from a start, and what they explain. Each unit has its own damping."""
    final = torch.empty((3, len(x)), dtype=x.dtype, device=x.device)
    sums, damping = _sums(quadrant, x, y), torch.full_like(x, 1e-3)
    moving = sums.explained > 0
    units = torch.arange(len(x), device=x.device)
    for _ in range(MAX_STEPS):
        new_x, new_y = _move(sums, x, y, damping, bounds)
        # The last step is taken without looking back: after a step of Newton's the error is the step's
        # square.
        step = torch.maximum((new_x - x).abs(), (new_y - y).abs())
        last = moving & (step < torch.where(sums.exact & (damping <= 1e-3), LAST_STEP, NO_STEP))
        x, y = torch.where(last, new_x, x), torch.where(last, new_y, y)
        moving &= ~last
        busy = int(moving.sum())
        if busy == 0:
            break
        if -(-busy // LANES) * LANES <= 0.5 * len(x):  # go on with the moving units only
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
    return torch.cat([units, units[:1].expand(-len(units) % LANES)])
