"""Figures as data: quantities from the catalogue, claims that one judge judges by one rule, panels; findings go into a table.

A figure of your own is one file (docs/figures.md):

    FIGURE = Figure(name="mine", title="...", question="...", panels=[Panel(of=CLUSTERING, mark=dots, x=AXIS)],
                    claims=[More(quantity=CLUSTERING, left=imp, than=random, says="imp is more clustered than random")])
    command.run(FIGURE, __doc__)
"""

from impray.figures.claims import Bounded, Claim, Gaps, Level, More, Same, Share, Trend
from impray.figures.marks import (
    band,
    bars,
    cells,
    courses,
    curves,
    dots,
    fields,
    heat,
    lines,
    means,
    scatter,
    shares,
    swarm,
)
from impray.figures.page import Paper
from impray.figures.panels import AXIS, Figure, Panel, Table, table
from impray.figures.tiles import images
from impray.results.tidy import (
    CLONE,
    EVERY,
    LAST,
    LEAST,
    MOST,
    NATURAL,
    Density,
    NotMeasured,
    Results,
    Round,
    once,
    results,
)

__all__ = [
    "AXIS",
    "CLONE",
    "EVERY",
    "LAST",
    "LEAST",
    "MOST",
    "NATURAL",
    "Bounded",
    "Claim",
    "Density",
    "Figure",
    "Gaps",
    "Level",
    "More",
    "NotMeasured",
    "Panel",
    "Paper",
    "Results",
    "Round",
    "Same",
    "Share",
    "Table",
    "Trend",
    "band",
    "bars",
    "cells",
    "curves",
    "courses",
    "dots",
    "fields",
    "heat",
    "images",
    "lines",
    "means",
    "once",
    "results",
    "scatter",
    "shares",
    "swarm",
    "table",
]
