"""Pictures of measures that read masks."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from impray.measures.autocorrelation import autocorrelation
from impray.measures.clustering import ceiling, clustering
from impray.measures.ipr import ipr
from impray.measures.pieces import pieces
from impray.measures.rf_width import rf_width
from impray.measures.spread import spread
from impray.theory.localization import sinusoid as best_wave

SIDE, SHAPE = 20, (20, 20)


def zoo() -> dict[str, np.ndarray]:
    """Masks [row, col] of 45 inputs, but for the large disc."""
    row, col = np.mgrid[:SIDE, :SIDE]

    def disc(y: float, x: float, radius: float) -> np.ndarray:
        return (row - y) ** 2 + (col - x) ** 2 <= radius**2

    random = np.zeros(SIDE * SIDE, bool)
    random[np.random.default_rng(0).permutation(SIDE * SIDE)[:45]] = True
    fine = disc(9, 9, 7.5) & ((row + 2 * col) % 4 == 0)
    return {
        "disc": disc(9, 9, 3.7),
        "two discs": disc(5, 5, 2.6) | disc(14, 14, 2.6),
        "stripe": (abs(row - 9.5) < 1.5) & (col > 1) & (col < 18),
        "fine grain": fine,
        "random": random.reshape(SHAPE),
    }


def _row(figure: Any, values: Any) -> None:
    """The masks side by side, each with what is said of it beneath."""
    masks = zoo()
    every = torch.tensor(np.stack([mask.ravel() for mask in masks.values()]))
    for axes, (name, mask), words in zip(figure.subplots(1, len(masks)), masks.items(), values(every), strict=True):
        axes.imshow(mask, vmin=0, vmax=1.3)
        axes.set(xticks=[], yticks=[], title=name, xlabel=words)
        axes.spines[:].set_visible(True)


def clustered(figure: Any) -> None:
    def values(every: torch.Tensor) -> list[str]:
        most = ceiling(every.sum(-1), SHAPE)
        return [f"{c:.2f} times chance\n(at most {m:.2f})" for c, m in zip(clustering(every, SHAPE), most, strict=True)]

    _row(figure, values)


def spread_out(figure: Any) -> None:
    _row(figure, lambda every: [f"{value:.2f} px" for value in spread(every, SHAPE)])


def in_pieces(figure: Any) -> None:
    def values(every: torch.Tensor) -> list[str]:
        return [
            f"{int(n)} piece{'s' * (n > 1)}\nlargest: {share:.2f}"
            for n, share in zip(*pieces(every, SHAPE), strict=True)
        ]

    _row(figure, values)


def widths(figure: Any) -> None:
    def values(every: torch.Tensor) -> list[str]:
        x, y, _ = rf_width(every, SHAPE)
        return [f"x {one:.2f} px\ny {other:.2f} px" for one, other in zip(x, y, strict=True)]

    _row(figure, values)


def fan_ins(figure: Any) -> None:
    _row(figure, lambda every: [f"{int(n)} inputs" for n in every.sum(-1)])


def densities(figure: Any) -> None:
    draw = np.random.default_rng(0).permutation(SIDE * SIDE).reshape(SHAPE)
    for axes, density in zip(figure.subplots(1, 5), (1.0, 0.5, 0.2, 0.1, 0.03), strict=True):
        kept = draw < round(density * SIDE * SIDE)
        axes.imshow(kept, vmin=0, vmax=1.3)
        axes.set(xticks=[], yticks=[], xlabel=f"{kept.mean():.2f}")
        axes.spines[:].set_visible(True)


def correlated(figure: Any) -> None:
    masks = zoo()
    upper, lower = figure.subplots(2, len(masks))
    for above, below, (name, mask) in zip(upper, lower, masks.items(), strict=True):
        above.imshow(mask, vmin=0, vmax=1.3)
        s = autocorrelation(torch.tensor(mask.ravel())[None], SHAPE)[0].numpy()
        below.imshow(s, vmin=0, vmax=np.sort(s.ravel())[-2])
        above.set(xticks=[], yticks=[], title=name)
        below.set(xticks=[], yticks=[], xlabel="S(d)")
        for axes in (above, below):
            axes.spines[:].set_visible(True)


FIELDS = 40


def fields() -> dict[str, np.ndarray]:
    """Weights on a ring of 40 inputs."""
    place = np.arange(FIELDS)
    return {
        "one weight": (place == 20).astype(float),
        "local": np.exp(-((place - 20.0) ** 2) / 8),
        "wave": np.cos(2 * np.pi * (place - 20) / FIELDS),
        "noise": np.random.default_rng(1).standard_normal(FIELDS),
        "equal": np.ones(FIELDS),
    }


def _lines(figure: Any, values: Any) -> None:
    known = fields()
    for axes, (name, field) in zip(figure.subplots(1, len(known), sharey=True), known.items(), strict=True):
        axes.plot(field, color="#0072B2")
        axes.axhline(0, color="#999", linewidth=0.6)
        axes.set(xticks=[], yticks=[], title=name, xlabel=values(field))


def concentrated(figure: Any) -> None:
    _lines(figure, lambda field: f"ipr {float(ipr(torch.tensor(field)[None])[0]):.3f}")


def waves(figure: Any) -> None:
    _lines(figure, lambda field: f"distance {float(best_wave(field, (FIELDS,)).relative_distance):.2f}")


def alive(figure: Any) -> None:
    kept = np.random.default_rng(3).random((6, 24)) < 0.15
    kept[1] = kept[4] = False
    axes = figure.subplots()
    axes.imshow(kept, vmin=0, vmax=1.3, aspect="auto")
    axes.set(
        xlabel="input",
        ylabel="unit",
        xticks=[],
        yticks=range(6),
        title=f"{int(kept.any(1).sum())} of 6 units are alive",
    )


def packed(figure: Any) -> None:
    row, col = np.mgrid[:8, :8]
    mask = (row - 3) ** 2 + (col - 4) ** 2 <= 6
    image, text = figure.subplots(1, 2)
    image.imshow(mask, vmin=0, vmax=1.3)
    image.set(xticks=[], yticks=[], title=f"fan_in {int(mask.sum())}")
    text.axis("off")
    text.set(title="bits, a byte for eight inputs")
    for place, byte in enumerate(np.packbits(mask)):
        text.text(
            0.5,
            1 - (place + 0.7) / 8,
            f"{byte:08b} = {byte}",
            ha="center",
            family="monospace",
            transform=text.transAxes,
        )


PICTURES = [
    ("masks", "a mask of 8 x 8 inputs and the eight bytes that hold it", packed, 2.4),
    ("clustering", "five masks and their clustering", clustered),
    ("spread", "five masks and their spread", spread_out),
    ("pieces", "five masks and their connected pieces", in_pieces),
    ("rf_width", "five masks and the widths fitted to their autocorrelation", widths),
    ("fan_in", "five masks and their fan-ins", fan_ins),
    ("density", "random masks of falling density", densities),
    ("correlation", "five masks above their autocorrelation", correlated, 3.2),
    ("ipr", "five fields on a ring and their inverse participation ratio", concentrated),
    ("sinusoid", "five fields on a ring and their distance from the best wave", waves),
    ("units_alive", "a mask of six units, two of which have no weight left", alive),
]
