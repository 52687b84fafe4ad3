"""RF width and kurtosis of preactivations against sparsity, per method.  Redman et al. (2025), Fig. 4.

A: mean over units of the RF width sigma_x, as the paper; A': their median, since a few units with hardly any inputs
left can have a width beyond the image. B: kurtosis within a class at theta(rewind) * mask, mean over classes and
first-layer units; a Gaussian has 3. Natural inputs solid, their Gaussian clone dashed (a control, not in the paper).

Expect: width imp < oneshot < random at the end; kurtosis imp > oneshot over the rounds, imp rising almost
monotonically (we read that as a rank correlation with the round of at least 0.9), random not rising like imp;
kurtosis ahead of width (from an earlier round on in every seed). What would count against the paper: oneshot like
imp in either; a maximum of imp's kurtosis in the middle; random rising as imp does; and a clone that leaves 3 as the
data do.
"""

from __future__ import annotations

import common
import polars as pl
from common import KURTOSIS
from matplotlib.figure import Figure
from paper.claims import Claim, counted, ordered

from redman import courses, panels
from redman.panels import Table
from redman.slice import CLONE, NATURAL, Slice

TITLE = "Fig. 4  Localisation and kurtosis against sparsity"
PAPER = (
    "IMP ends with narrower fields than oneshot pruning, both far below random; preactivation kurtosis rises almost "
    "monotonically with IMP, less with oneshot, not with random, and IMP's lead in kurtosis comes before its lead in "
    "width."
)
MEAN = common.Measure(
    "rf_width_x_px_mean", ("rf_width_x_px_mean",), "RF width σx (px)\nmean over units", " px", "lower", "narrower"
)
MEDIAN = common.Measure(
    "rf_width_x_px_median", ("rf_width_x_px_median",), "RF width σx (px)\nmedian over units", " px", "lower", "narrower"
)
PANELS = {"A": MEAN, "A'": MEDIAN, "B": KURTOSIS}
TITLES = {"A": "RF width, mean over units", "A'": "RF width, median", "B": "kurtosis of preactivations"}
MONOTONE = 0.9


def table(of: Slice) -> Table:
    """A frame per panel: one row per lineage and round."""
    needs = {"A": "measure rf_width", "A'": "measure rf_width", "B": "measure kurtosis"}
    makers = {letter: lambda of, letter=letter: panels.values(of, PANELS[letter], needs[letter]) for letter in PANELS}
    frames, lacking = panels.attempts(of, makers)
    return Table(of, frames | {"units": _units(of)} if "A" in frames else frames, lacking=lacking)


def _units(of: Slice) -> pl.DataFrame:
    """Units with a width at the last round, per lineage."""
    return of.rows("rounds", ["units_counted"], round=of.last).drop_nulls("units_counted")


def claims(table: Table) -> list[Claim]:
    """Width at the end, kurtosis on the way."""
    return [*_width(table), *_kurtosis(table), *([_leads(table)] if {"A", "B"} <= set(table.frames) else [])]


def _width(table: Table) -> list[Claim]:
    found = []
    for left, right in (("imp", "oneshot"), ("oneshot", "random")):
        parts = [table.frame("A", side=NATURAL, method=method, round=table.of.last) for method in (left, right)]
        says = f"{left}'s fields are narrower than {right}'s at round {table.of.last} (mean over units)"
        lacking = f"needs measure rf_width of {left} and {right}"
        found.append(ordered(says, parts, MEAN, lacking))
    return found


def _kurtosis(table: Table) -> list[Claim]:
    frame = table.frames.get("B")
    if frame is None:
        return [Claim("imp's kurtosis is further from 3 than oneshot's", lacking="needs measure kurtosis")]
    says = "imp's kurtosis is further from 3 than oneshot's, on average from round 2 on"
    lead = courses.on_average(says, frame, "imp", "oneshot", KURTOSIS)
    return [lead, _monotone(frame), _beyond_random(frame), *_beyond_clone(frame)]


def _beyond_random(frame: pl.DataFrame) -> Claim:
    rises, random = _rises(frame, "imp"), _rises(frame, "random")
    both = sorted(set(rises) & set(random))
    by = [panels.ranged([of[seed] for seed in both]) for of in (rises, random)]
    shown = f"imp moves away from 3 by {by[0]}, random by {by[1]}"
    says = "random's kurtosis rises less than half as much as imp's"
    held = [rises[seed] > 0 and random[seed] < 0.5 * rises[seed] for seed in both]
    return counted(says, held, shown if both else "", "needs random pruning")


def _beyond_clone(frame: pl.DataFrame) -> list[Claim]:
    sides = (courses.of_seeds(frame, "imp", side) for side in (NATURAL, CLONE))
    data, clone = ({seed: values[-1] for seed, values in of.items()} for of in sides)
    held = [abs(clone[seed] - 3) < 0.5 * abs(data[seed] - 3) for seed in sorted(set(clone) & set(data))]
    shown = f"at the last round {panels.ranged(list(clone.values()))}"
    says = "on the clone imp's kurtosis is less than half as far from 3 (control)"
    return [counted(says, held, shown)] if held else []


def _rises(frame: pl.DataFrame, method: str) -> dict[int, float]:
    """How much further from 3 the last round is than the first, per seed, on natural inputs."""
    return {seed: abs(values[-1] - 3) - abs(values[0] - 3) for seed, values in courses.of_seeds(frame, method).items()}


def _monotone(frame: pl.DataFrame) -> Claim:
    away = [[abs(value - 3) for value in each] for each in courses.of_seeds(frame, "imp").values()]
    found = [courses.rank_correlation(each) for each in away]
    says = f"imp's distance from 3 rises almost monotonically (rank correlation with the round at least {MONOTONE:g})"
    shown = panels.ranged(found) if found else ""
    return counted(says, [rho >= MONOTONE for rho in found], shown, "needs imp over two rounds")


def _leads(table: Table) -> Claim:
    says = "imp leads oneshot in kurtosis before it leads in width"
    starts = []
    for letter, measure in (("B", KURTOSIS), ("A", MEAN)):
        rounds = courses.ahead(table.frames[letter], "imp", "oneshot", measure)
        starts.append(courses.from_then_on(rounds, table.of.last))
    names = ["never" if start is None else f"from round {start} on" for start in starts]
    shown = f"ahead in every seed {names[0]} in kurtosis, {names[1]} in width"
    if starts[1] is None or starts[0] is None:
        return Claim(says, lacking=f"no lead in every seed to the end: {shown}")
    return counted(says, [starts[0] < starts[1]], shown, what="judgement on all seeds together")


def told(table: Table) -> list[str]:
    """First and last values per method and side."""
    found = []
    for letter in (letter for letter in PANELS if letter in table.frames):
        frame = table.frames[letter]
        ends = frame.filter(pl.col("round").is_in([0, table.of.last]))
        listed = []
        for method in common.in_order(frame, "method"):
            for side in (side for side in (NATURAL, CLONE) if side in frame["side"]):
                part = common.part(ends, method=method, side=side)
                means = [common.part(part, round=round)["value"].mean() for round in (0, table.of.last)]
                listed.append(f"{method} {panels.number(means[0])} to {panels.number(means[1])}, {side}")
        what = PANELS[letter].label.replace("\n", ", ")
        found.append(f"{letter}: {what}, mean over seeds at round 0 and {table.of.last}: {'; '.join(listed)}.")
    return found


def caption(table: Table) -> str:
    frames = {letter: table.frames[letter] for letter in PANELS if letter in table.frames}
    first, units = next(iter(frames.values())), table.frame("units")
    undefined = {letter: int(frame["value"].null_count()) for letter, frame in frames.items()}
    missing = [f"{count} points of {letter} are undefined and left out" for letter, count in undefined.items() if count]
    if len(units):
        missing.append(
            f"At round {table.of.last} a lineage has {panels.between(units['units_counted'])} units with a width"
        )
    return (
        f"Rounds 0 to {table.of.last}; sparsity is the share of all prunable weights that is gone. Lines: mean over "
        f"{panels.seeds(first)}; shaded: minimum and maximum. Natural inputs solid, Gaussian clone dashed. "
        f"{'. '.join([*missing, ''])}{table.of.caption}"
    )


def draw(table: Table) -> Figure:
    """A panel per measure."""
    figure = panels.canvas(3.6)
    letters = [letter for letter in PANELS if letter in table.frames]
    handles = {}
    for letter, axes in zip(letters, figure.subplots(1, len(letters), squeeze=False)[0], strict=True):
        frame, measure = table.frames[letter], PANELS[letter]
        common.plain(axes)
        if measure.reference is not None:
            axes.axhline(measure.reference, color="0.55", linewidth=0.8, linestyle=":")
        handles |= panels.bands(axes, frame, "sparsity")
        panels.titled(axes, letter, TITLES[letter])
        axes.set_xlabel("sparsity (share of weights gone)", fontsize=8)
        axes.set_ylabel(measure.label, fontsize=8)
    panels.legend(figure, handles)
    return figure
