"""Masks of the most connected units, imp against oneshot.  Redman et al. (2025), Fig. 1A and B.

Each panel: up to 120 units of the lowest seed, at the last round, those with the most inputs left first; pruned is
black, kept has the colour of its channel (grey inputs: white). Beside the paper: random masks, and a number that needs
no fit, kept neighbours within a channel relative to chance at the same fan-in (`touching`, see analysis/masks.py).

Expect: imp above oneshot above random (about 1). What would count against the paper: oneshot as compact as imp.
Blind spot: neighbours see the finest scale only; a large smooth field and many small spots can have the same number.
"""

from __future__ import annotations

import common
import polars as pl
from matplotlib.figure import Figure
from paper.claims import Claim, ordered

from redman import masks_of, panels
from redman.masks_of import TOUCHING
from redman.panels import Table
from redman.slice import METHODS, NATURAL, Slice

TITLE = "Fig. 1  Masks that IMP and oneshot pruning find"
PAPER = (
    "After ten rounds (97.2 % of the weights gone) the masks of IMP on ImageNet32 are local; those of oneshot "
    "pruning at the same sparsity are noisier and less local."
)


def table(of: Slice) -> Table:
    """Frame `touching`: a row per lineage; a mosaic per method, of natural inputs."""
    frame = panels.of_sides(masks_of.stored(of))
    methods = [method for method in METHODS if method in frame["method"]]
    found = {method: masks_of.mosaic(frame, method) for method in methods}
    kept = {method: picture for method, picture in found.items() if picture is not None}
    lacking = tuple(f"{method}: no masks of this method" for method in METHODS if method not in methods)
    return Table(of, {"touching": masks_of.compactness(frame)}, kept, lacking)


def claims(table: Table) -> list[Claim]:
    """imp before oneshot, and both before chance as random pruning has it."""
    parts = {method: table.frame("touching", method=method) for method in METHODS}
    found = []
    for left, right, note in (("imp", "oneshot", ""), ("oneshot", "random", " (control)")):
        says = f"{left}'s masks are more compact than {right}'s{note}"
        found.append(ordered(says, [parts[left], parts[right]], TOUCHING, f"needs masks of {left} and {right}"))
    return found


def told(table: Table) -> list[str]:
    """The numbers per method."""
    frame = table.frames["touching"]
    rows = [(method, common.part(frame, method=method)) for method in common.in_order(frame, "method")]
    listed = "; ".join(f"{method} {panels.ranged(part['value'])}" for method, part in rows)
    return [f"Kept neighbours relative to chance, mean and range over seeds: {listed}."]


def caption(table: Table) -> str:
    frame = table.frames["touching"]
    shown = frame.filter(pl.col("seed") == frame["seed"].min())
    inputs = f"{shown['most_inputs'].max()} to {shown['least_inputs'].min()}"
    return (
        f"Up to {shown['units'].max()} most connected units that are stored, of seed {frame['seed'].min()}, at round "
        f"{frame['round'][0]} ({inputs} inputs left); black is pruned, colours are channels. Above each panel: mean "
        f"and minimum to maximum over {panels.seeds(frame)}. {table.of.caption}"
    )


def draw(table: Table) -> Figure:
    """A mosaic per method."""
    figure = panels.canvas(4.4)
    grid = figure.subplots(1, len(METHODS), squeeze=False)[0]
    for letter, method, axes in zip(("A", "B", "+"), METHODS, grid, strict=True):
        part = table.frame("touching", method=method, side=NATURAL)
        near = f"\ntouching: {panels.ranged(part['value'])} times chance" if len(part) else ""
        words = f"{method}{' (control)' if method == 'random' else ''}{near}"
        panels.titled(panels.shown(axes, table.pictures.get(method), "no masks stored"), letter, words)
    return figure
