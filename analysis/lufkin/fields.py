"""Receptive fields on a ring: how local they are, in numbers, and drawn over time as the paper draws them.

    ipr = sum w^4 / (sum w^2)^2         1 is one input, 1/N all alike, 1.5/N a wave, 3/(N + 2) white noise on average
    arc = the shortest stretch of the ring with half of sum w^2, as a share of the ring

The IPR does not know which inputs are neighbours, and its size is set by the stimuli: a field one length scale wide has
an IPR near 1 at xi = 0.3/0.7 and of 0.1 to 0.2 at 1/3, where white noise of 40 inputs has 0.071 and exceeds 0.126 in one
case of a hundred. So "localised" is judged by the IPR where a single neuron's fields are sharp (above 5 times white
noise; below 2 times it is "not localised"), and by the arc where the weights themselves are at hand and fields are
wide: a wave has an arc of 1/2, white noise of 40 inputs 0.33, and below 1/8 in one case of a thousand.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure

LOCAL, NOT_LOCAL = 5.0, 2.0  # times the IPR of white noise
LOCAL_ARC = 1 / 8
TIME = LinearSegmentedColormap.from_list("time", ["#0072B2", "#7A7FB0", "#B08A8A", "#E08A3C", "#B03A00"])
SIMULATED, THEORY = "#222222", "#D55E00"
NUMBERS = {"NLGP": "#0072B2", "Kur": "#D55E00"}


def noise_ipr(inputs: int) -> float:
    """Mean IPR of a Gaussian random vector, nearly."""
    return 3 / (inputs + 2)


def local_ipr(inputs: int) -> float:
    """Above it a field is localised; of a small ring half of the largest IPR, as 5 times white noise is hardly possible."""
    return min(LOCAL * noise_ipr(inputs), 0.5)


def ipr(w: Float[np.ndarray, "*any input"]) -> Float[np.ndarray, "*any"]:
    """NaN for weights that are all 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return (w**4).sum(axis=-1) / (w**2).sum(axis=-1) ** 2


def arc(w: Float[np.ndarray, "*any input"]) -> Float[np.ndarray, "*any"]:
    """Share of the ring in the shortest stretch with half of the squared weight; NaN for weights that are all 0."""
    inputs = w.shape[-1]
    power = np.concatenate([w, w], axis=-1) ** 2
    before = np.concatenate([np.zeros((*w.shape[:-1], 1)), np.cumsum(power, axis=-1)], axis=-1)
    half = (w**2).sum(axis=-1) / 2 * (1 - 1e-12)
    found = np.full(w.shape[:-1], np.nan)
    for length in range(inputs, 0, -1):
        most = (before[..., length : length + inputs] - before[..., :inputs]).max(axis=-1)
        found = np.where(most >= half, length / inputs, found)
    return np.where(half > 0, found, np.nan)


def apart(one: Any, other: Any, inputs: int) -> np.ndarray:
    """Distance of two inputs around the ring."""
    gap = np.abs(np.asarray(one) - np.asarray(other)) % inputs
    return np.minimum(gap, inputs - gap)


def stacked(weights: pl.Series) -> Float[np.ndarray, "row input"]:
    """A column of lists as an array."""
    return np.array(weights.to_list(), dtype=np.float64)


def thinned(steps: list[int], most: int) -> list[int]:
    """At most `most` of the steps, the first and the last among them."""
    if len(steps) <= most:
        return steps
    return [steps[round(place)] for place in np.linspace(0, len(steps) - 1, most)]


# --- drawn -----------------------------------------------------------------------------------------------------------


def over_time(axes: Axes, frame: pl.DataFrame) -> None:
    """Fields (columns share, of the time, and weights) as lines from blue to red, the last one strongest."""
    for share, weights in frame.select("share", "weights").iter_rows():
        last = share == 1
        axes.plot(weights, color=TIME(share), linewidth=1.6 if last else 0.5, alpha=1.0 if last else 0.55)
    axes.axhline(0, color="0.6", linewidth=0.5, zorder=0)


def time_bar(figure: Figure, axes: list[Axes]) -> None:
    """What the colours of `over_time` mean."""
    bar = figure.colorbar(ScalarMappable(Normalize(0, 1), TIME), ax=axes, ticks=[0, 1], aspect=45, pad=0.01)
    bar.ax.set_yticklabels(["start", "end"], fontsize=7)


def small(axes: Axes) -> Axes:
    """A panel of a field among many: few ticks."""
    axes.tick_params(labelsize=6.5, length=2, pad=1.5)
    axes.locator_params(axis="y", nbins=4)
    axes.locator_params(axis="x", nbins=4, integer=True)
    axes.margins(x=0.02)
    return axes
