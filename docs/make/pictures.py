"""Pictures of measures: small figures of masks, fields and samples that are known, numbered by the measure's own functions."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import matplotlib

matplotlib.use("agg")
from matplotlib import pyplot as plt

from docs.make import of_masks, of_numbers, of_truths

WIDTH, HEIGHT = 7.0, 1.9  # inches
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: a test compares the numbers in it
    "svg.hashsalt": "impray",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "image.cmap": "Greys",
    "image.interpolation": "nearest",
}


class Picture(NamedTuple):
    """What it shows, in words; what draws it; how high it is, in inches."""

    shows: str
    drawn: Callable[..., None]
    height: float = HEIGHT


PICTURES: dict[str, Picture] = {
    name: Picture(*rest) for part in (of_masks, of_numbers, of_truths) for name, *rest in part.PICTURES
}


def draw(name: str) -> str:
    """A picture as SVG: the same bytes whenever it is drawn with the same libraries."""
    picture = PICTURES[name]
    with plt.rc_context(STYLE):
        figure = plt.figure(figsize=(WIDTH, picture.height), layout="constrained")
        picture.drawn(figure)
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None}, facecolor="white")
        plt.close(figure)
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()) + "\n"


def words(svg: str) -> list[str]:
    """All text of a picture, its numbers among it."""
    return [text.strip() for text in re.findall(r"<text[^>]*>([^<]*)</text>", svg)]
