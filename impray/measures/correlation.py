"""S(d) as images: its mean over units, and S_i(d) of a few units beside the Gaussian fitted to it.

    S(d) = (1 / n) sum_i S_i(d)          S_i(d) = sum_z sum_z' delta(d_zz' - d) m_iz m_iz'      (Redman et al. 2025, eq. 1)
    fit_i(d) = A exp(-dx^2 / (2 sx^2) - dy^2 / (2 sy^2)) [+ B]

The mean over a lineage's most connected units shows the locality of its masks (Pellegrini & Biroli 2022, who took the 120 most
connected ones): pairs of one colour channel and, as a map of its own, pairs of different channels. S_i(d), its fit and the
mean squared residual are what Fig. S1A of Redman et al. shows. sx and sy are those of `rf_width`, with the same parameters;
A and B the least squares for these widths, over the displacements that were fitted. The surface is shown at d = 0 also where
that was left out of the fit.

Blind spot: those of eq. 1, see `rf_width`. A mean over units hides that they may differ in size and orientation.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from impray.measures.autocorrelation import Colours, Shape, autocorrelation
from impray.measures.on_image import counted
from impray.measures.rf_width import rf_width
from impray.measures.state import Readings, RoundState, image
from impray.spec import measure as spec

_UNITS = 1024  # at a time: S is four times as large as the mask


def mean_correlation(
    masks: Bool[Tensor, "unit input"], shape: Shape, colours: Colours
) -> Float[Tensor, "lag_row lag_col"]:
    """Mean of S_i(d) over units; NaN if there are none. The sum is of integers, and exact."""
    lags = 2 * shape[-2] - 1, 2 * shape[-1] - 1
    total = torch.zeros(lags, dtype=torch.float64, device=masks.device)
    for some in masks.split(_UNITS):
        total += autocorrelation(some, shape, colours).sum(dim=0)
    return total / len(masks)  # 0 / 0 is the NaN of no unit


def fitted(
    correlation: Float[Tensor, "unit lag_row lag_col"],
    width_x: Float[Tensor, " unit"],
    width_y: Float[Tensor, " unit"],
    *,
    include_zero: bool = True,
    offset: bool = False,
) -> tuple[Float[Tensor, "unit lag_row lag_col"], Float[Tensor, " unit"]]:
    """The Gaussian of given widths, with the A (and B) of least squares.

    Args:    correlation: S_i(d), d = 0 in the middle. width_x, width_y: px, along columns and rows. include_zero, offset: as in
             `rf_width`.
    Returns: (surface, mean squared residual over the displacements fitted), both NaN where a width is; the width along a side
             of a single pixel may be NaN.
    """
    rows, cols = correlation.shape[1:]
    fit = torch.ones(rows, cols, dtype=torch.bool, device=correlation.device)
    fit[rows // 2, cols // 2] = include_zero
    surface = _factor(rows, width_y)[:, :, None] * _factor(cols, width_x)[:, None, :]
    g, s = surface[:, fit], correlation[:, fit]
    # The best B takes off the means.
    mean_g, mean_s = (values.mean(dim=1, keepdim=True) if offset else values.new_zeros(()) for values in (g, s))
    amplitude = ((g - mean_g) * (s - mean_s)).sum(dim=1, keepdim=True) / (g - mean_g).square().sum(dim=1, keepdim=True)
    surface = amplitude[:, :, None] * surface + (mean_s - amplitude * mean_g)[:, :, None]
    return surface, (surface[:, fit] - s).square().mean(dim=1)


def _factor(lags: int, width: Float[Tensor, " unit"]) -> Float[Tensor, "unit lag"]:
    """exp(-d^2 / (2 width^2)), and 1 where there is only d = 0."""
    d = torch.arange(lags, dtype=width.dtype, device=width.device) - lags // 2
    factor = torch.exp(-0.5 * (d / width[:, None]).square())
    return factor if lags > 1 else torch.ones_like(factor)


def measure(asked: spec.Correlation, state: RoundState) -> Readings:
    """The images of each net, in every round.

    correlation_same and, with colour channels, correlation_different: the mean over the units that count (value: how many; NaN
    images if none). unit_correlation and unit_fit: `examples` of these units, the most connected first (value: the unit, and
    the mean squared residual; NaN where `rf_width` is).
    """
    masks = state.mask(1)
    chosen = counted(asked, masks)
    coloured = len(state.input_shape) == 3 and state.input_shape[0] > 1
    kinds: tuple[Colours, ...] = ("same", "different") if coloured else ("same",)
    images: list[list[dict]] = []
    for net in range(state.nets):
        few = masks[net][chosen[net]]
        maps = [
            image(mean_correlation(few, state.input_shape, colours), f"correlation_{colours}", 0, float(len(few)))
            for colours in kinds
        ]
        images.append(maps + list(_examples(asked, masks[net], chosen[net], state.input_shape)))
    return Readings(images=images)


def _examples(
    asked: spec.Correlation, masks: Bool[Tensor, "unit input"], chosen: Bool[Tensor, " unit"], shape: Shape
) -> Iterator[dict]:
    """S_i(d) and its fit for the most connected of the chosen units (ties: lower unit first)."""
    fan_in = masks.sum(dim=1).masked_fill(~chosen, -1)
    units = fan_in.argsort(descending=True, stable=True)[: min(asked.examples, int(chosen.sum()))]
    options = {"include_zero": asked.include_zero, "offset": asked.offset}
    correlation = autocorrelation(masks[units], shape, asked.colours)
    width_x, width_y, _ = rf_width(masks[units], shape, min_fan_in=asked.min_fan_in, colours=asked.colours, **options)
    surface, residual = fitted(correlation, width_x, width_y, **options)
    for number, unit in enumerate(units.tolist()):
        yield image(correlation[number], "unit_correlation", number, float(unit))
        yield image(surface[number], "unit_fit", number, float(residual[number]))
