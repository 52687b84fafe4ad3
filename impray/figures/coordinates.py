"""The mark `coordinates`: every row of a search as a line over its axes, each from its lowest value to its highest."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl
from matplotlib import colormaps
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from impray.figures.panels import Panel

WITHOUT = "0.8"  # the grey of lines without a rank


def coordinates(axes: Axes, frame: pl.DataFrame, panel: Panel) -> Mapping[str, Artist]:
    """A line per value of the panel's `colour`, through y in [0, 1] at each x; `rank` in [0, 1] from dark to bright, null: grey, behind.

    Option `ends`: what the ranks 0 and 1, and null, are called.
    """
    parts = sorted(frame.partition_by(panel.colour, maintain_order=True), key=lambda part: part["rank"][0] is not None)
    for part in parts:
        rank = part["rank"][0]
        line = part.sort("at").drop_nulls(panel.y)
        look = (
            {"color": WITHOUT, "linewidth": 0.6}
            if rank is None
            else {"color": colormaps["viridis"](0.9 * rank), "linewidth": 1.3}
        )
        axes.plot(line["at"].to_list(), line[panel.y].to_list(), **look)
    axes.set_yticks([0, 1], ["low", "high"])
    best, worst, without = panel.options["ends"]  # type: ignore[misc]
    handles = {
        best: Line2D([], [], color=colormaps["viridis"](0.0)),
        worst: Line2D([], [], color=colormaps["viridis"](0.9)),
    }
    return handles | ({without: Line2D([], [], color=WITHOUT)} if frame["rank"].null_count() else {})
