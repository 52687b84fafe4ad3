"""Receptive-field widths of a layer against a Python loop of scipy.optimize.curve_fit: one process, one thread."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy.optimize import curve_fit

from impray.bench.threads import one_torch_thread
from impray.measures.autocorrelation import autocorrelation
from impray.measures.rf_width import rf_width

UNITS, COMPARED, SIDE, DENSITY, REPEATS = 1024, 48, 32, 0.03, 7


def structured_masks(units: int, side: int, fan_in: int, seed: int) -> torch.Tensor:
    """[unit, input] bool: half to all inputs from a Gaussian bump of random place and width, others anywhere."""
    draw = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    masks = np.zeros((units, side * side), dtype=bool)
    for mask in masks:
        (cy, cx), width = draw.uniform(0.2 * side, 0.8 * side, 2), draw.uniform(1.5, side / 5)
        chance = np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * width**2)).ravel() + 1e-12
        bump = round(fan_in * draw.uniform(0.5, 1.0))
        mask[draw.choice(side * side, bump, replace=False, p=chance / chance.sum())] = True
        mask[draw.choice(np.flatnonzero(~mask), fan_in - bump, replace=False)] = True
    return torch.tensor(masks)


def curve_fit_widths(counts: np.ndarray) -> tuple[float, float]:
    """Widths of A exp(-x^2/2sx^2 - y^2/2sy^2) fitted to one S [2 side - 1, 2 side - 1], from its moments."""
    lag = np.arange(counts.shape[0]) - counts.shape[0] // 2
    x, y = (axis.ravel().astype(float) for axis in np.meshgrid(lag, lag))
    s = counts.ravel()
    start = [s.max(), np.sqrt((s * x**2).sum() / s.sum()), np.sqrt((s * y**2).sum() / s.sum())]

    def gaussian(at: np.ndarray, amplitude: float, sx: float, sy: float) -> np.ndarray:
        return amplitude * np.exp(-(at[0] ** 2) / (2 * sx**2) - at[1] ** 2 / (2 * sy**2))

    best, _ = curve_fit(gaussian, np.stack([x, y]), s, start)
    return abs(best[1]), abs(best[2])


def _wall_s(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def compare() -> dict[str, Any]:
    """Median seconds per 1,024 units, ours from masks to widths, theirs from S to widths; and how they differ."""
    with one_torch_thread():
        masks = structured_masks(UNITS, SIDE, round(DENSITY * SIDE * SIDE), seed=1)
        chosen = np.random.default_rng(2).choice(UNITS, COMPARED, replace=False)
        counts = autocorrelation(masks[chosen], (SIDE, SIDE)).numpy()
        ours, theirs = [], []
        width_x, width_y, _ = rf_width(masks, (SIDE, SIDE))
        reference = np.array([curve_fit_widths(s) for s in counts])
        for _ in range(REPEATS):  # in turns, so that a slow moment of the machine meets both
            ours.append(_wall_s(lambda: rf_width(masks, (SIDE, SIDE))))
            theirs.append(_wall_s(lambda: [curve_fit_widths(s) for s in counts]) * UNITS / COMPARED)
    widths = torch.stack([width_x, width_y], 1).numpy()[chosen]
    ours_s, theirs_s = statistics.median(ours), statistics.median(theirs)
    return {
        "name": "rf_width",
        "ours": ours_s,
        "reference": theirs_s,
        "ratio": theirs_s / ours_s,
        "unit": f"s per {UNITS} units",
        "note": (
            f"{UNITS} units of {round(DENSITY * SIDE * SIDE)} inputs on {SIDE} x {SIDE} (97 % sparse): half to all "
            "of the inputs in a Gaussian bump of random place and width, the others anywhere. Median of "
            f"{REPEATS}, one thread. Ours: masks to widths. Reference: scipy.optimize.curve_fit of the same model "
            f"to S (ready made, not timed), started from its second moments, on {COMPARED} of these units drawn at "
            f"random, scaled to {UNITS}. Widths are compared on these {COMPARED}, both axes, none left out."
        ),
        "max_relative_width_difference": float(np.abs(widths / reference - 1).max()),
    }


if __name__ == "__main__":
    for key, value in compare().items():
        print(f"{key}: {value}")
