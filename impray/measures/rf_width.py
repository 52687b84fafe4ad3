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
factor: all sums are products of small matrices, one set per unit. Where S(0) is left out so is G(0), which is
never added and taken off again: of a narrow Gaussian rounding alone would be left. On the CPU fits are made one
by one (`impray.kernels.widths`); elsewhere many at once, and a unit stands still once it has converged. On the
CPU a unit's numbers are bit for bit the same in any batch (without the kernel, too: units and lags are padded,
so that no matrix product meets a remainder).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from impray.kernels import widths as kernel
from impray.kernels.compiled import lacking
from impray.kernels.widths import Bounds
from impray.measures.autocorrelation import Colours, Shape, as_images, half_planes, kept_inputs
from impray.measures.widths_at_once import LANES, MAX_STEPS, WIDEST_SIDES, Quadrant, levenberg_marquardt, squares

# A spike at d = 0: exp(-1 / (2 * 0.2^2)) = 4e-6 of it is left a pixel away, less than a single pair ever is.
# With d = 0 left out nothing but the nearest lags counts, and narrower still changes nothing.
NARROWEST_PX = 0.2
# Starts beside the second moments where S(0) is left out: the least squares have several minima then.
_STARTS_PX = (0.8, 2.0, 4.0, 8.0)
_ALIGNED = 8  # lags are padded to a multiple: every unit's matrices start on a cache line
# Units at a time: many, as the arithmetic is on a few numbers per unit (few where it is on images, see `autocorrelation`).
_MANY = {"cpu": 1024, "cuda": 8192}


def _quadrant(
    halves: Iterable[Float[Tensor, "few row lag_col"]],
    like: Tensor,
    shape: tuple[int, int],
    include_zero: bool,
    offset: bool,
) -> Quadrant:
    """Fold the half planes of as many units as `like` has, on its device; units and lags are padded with zeros."""
    (row, col), count = shape, len(like)
    units, rows, cols = (
        -(-count // LANES) * LANES,
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
    return Quadrant(total, mean, square, shape, include_zero, offset)


def _start(
    quadrant: Quadrant, bounds: Bounds
) -> tuple[Float[Tensor, " unit"], Float[Tensor, " unit"], Bool[Tensor, " unit"]]:
    """Log widths from the second moments of S without S(0), and whether there is a pair at d != 0."""
    by_row, by_col = quadrant.total.sum(2), quadrant.total.sum(1)
    pairs = by_row.sum(1) - quadrant.total[:, 0, 0]

    def log_width(total: Float[Tensor, "unit lag"], high: float) -> Float[Tensor, " unit"]:
        square = torch.arange(total.shape[1], dtype=total.dtype, device=total.device).square()
        # A width of 0 (all inputs in a line) is -inf here, and then the lower bound.
        return (0.5 * torch.log((total * square).sum(1) / torch.where(pairs > 0, pairs, 1.0))).clamp(bounds.low, high)

    return log_width(by_col, bounds.high_x), log_width(by_row, bounds.high_y), pairs > 0


def _minima(
    quadrant: Quadrant, x: Float[Tensor, "start unit"], y: Float[Tensor, "start unit"], bounds: Bounds
) -> list[Float[Tensor, "3 unit"]]:
    """Log widths of the least squares below each start, and what they explain: on a CPU fit by fit, elsewhere many at once."""
    if x.device.type != "cpu" or lacking() is not None:
        return [torch.stack(levenberg_marquardt(quadrant, *start, bounds)) for start in zip(x, y, strict=True)]
    (row, col), (_, rows, cols) = quadrant.shape, quadrant.total.shape
    found = kernel.fits(
        quadrant.total.numpy(),
        quadrant.mean.numpy(),
        (squares(col, cols, "cpu").numpy(), squares(row, rows, "cpu").numpy()),
        row,
        quadrant.points,
        quadrant.include_zero,
        quadrant.offset,
        bounds,
        MAX_STEPS,
        torch.stack([x.flatten(), y.flatten()]).numpy(),
    )
    return list(torch.from_numpy(found).view(3, *x.shape).unbind(1))


def _deepest(
    quadrant: Quadrant, x: Float[Tensor, " unit"], y: Float[Tensor, " unit"], bounds: Bounds, others: Sequence[float]
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


def _fit(quadrant: Quadrant, others: Sequence[float]) -> Float[Tensor, "3 unit"]:
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
