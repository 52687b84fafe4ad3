"""Cavity scores of imp's weights by fate, at round 0 (B) and at every round (C).  Redman et al. (2025), Fig. 5B, C.

Score of a weight (eq. 5, 6): what its removal does to the distance of its unit's kurtosis from 3 (positive: further
from a Gaussian without it). Fate f: the round whose mask first lacks it; 'left' are those in the last mask. The mask
of round f is made at the end of round f-1, so 'just before removal' is the score at round f-1. C is N_W times the
score, N_W the weights left in the layer.

Controls, not in the paper: the same on the Gaussian clone, whose scores are sampling noise (a Gaussian's are 0); the
same from half of the samples (noise shrinks as samples grow, the data's score does not); medians beside means, since
few weights carry a mean. Ratio full / half: of the root mean squares over fates at round 0.

Expect: B falls with fate, fates 1 and 2 positive, from 4 on negative; C: positive just before removal and negative
in every round before, for every fate; everything removed later negative at that time. What would count against the
paper: no more than half of the groups positive just before removal; a sign that does not change then; scores on the
clone as large as on the data, or scores that change with the sample.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import common
import polars as pl
from matplotlib import colormaps
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from matplotlib.lines import Line2D
from paper.claims import Claim, counted

from redman import panels, scores
from redman.panels import Table, measured
from redman.slice import CLONE, NATURAL, NotMeasured, Slice

TITLE = "Fig. 5  Cavity scores by the round of removal"
PAPER = (
    "At round 0, weights that go in rounds 1 and 2 have a positive mean cavity score and those that go from round 4 "
    "on a negative one; evaluated again after every round, a group's mean stays negative until the round before its "
    "removal and is positive just then."
)
NEEDS = "measure cavity of method imp, whose lineages have finished"
LEFT = 0  # the fate of survivors
EARLY, LATE = (1, 2), 4
CLEARLY = -0.5  # rank correlation of score and fate
NO_SCORE = "no group has a score"
STABLE = (0.8, 1.25)  # ratio full / half of scores that do not depend on the sample
PLAIN = {"mean": "cavity_mean", "median": "cavity_median", "mean, half the samples": "cavity_half_mean"}
SCALED = {
    "mean": "cavity_scaled_mean",
    "median": "cavity_scaled_median",
    "mean, half the samples": "cavity_half_scaled_mean",
}


def table(of: Slice) -> Table:
    """Frames `B` (round 0) and `C`: a row per seed, side, round, fate and statistic; `at` is where a fate is drawn."""
    numbers = [*PLAIN.values(), *SCALED.values()]
    frame = of.rows("fates", ["fate", "weights", "cavity_weights", *numbers], layer=1, method="imp")
    frame = measured(frame, "cavity_mean", NEEDS)
    panels.of_sides(frame)
    end = int(frame["fate"].max() or 0) + 1  # type: ignore[arg-type]
    if end == 1:
        raise NotMeasured("needs a sweep of at least one pruning")
    place = pl.when(pl.col("fate") == LEFT).then(end).otherwise("fate").alias("at")
    frame = frame.with_columns(place, pl.lit(end).alias("end"))
    scaled = _long(frame, SCALED)
    scaled = scaled.with_columns(pl.lit(_linear(scaled)).alias("linear"))
    return Table(of, {"B": _long(frame.filter(pl.col("round") == 0), PLAIN), "C": scaled, "weights": _weights(frame)})


def _long(frame: pl.DataFrame, statistics: Mapping[str, str]) -> pl.DataFrame:
    keys = ["side", "method", "seed", "round", "fate", "at", "end"]
    parts = [
        frame.select(*keys, pl.lit(name).alias("statistic"), pl.col(column).alias("value"))
        for name, column in statistics.items()
        if frame[column].is_not_null().any()
    ]
    return panels.spread(pl.concat(parts), "side", "statistic", "round", "at")


def _linear(frame: pl.DataFrame) -> float:
    """Where the logarithmic scale of C begins: one decade below that of the largest mean."""
    most = frame["mean"].abs().max()
    return 10.0 ** (math.floor(math.log10(most)) - 1) if isinstance(most, float) and most > 0 else 1.0


def _weights(frame: pl.DataFrame) -> pl.DataFrame:
    """Weights and scored weights per lineage and round; value: the share that is scored."""
    sums = frame.group_by("side", "method", "seed", "round").agg(pl.col("weights", "cavity_weights").sum())
    sums = sums.with_columns((pl.col("cavity_weights") / pl.col("weights")).alias("value"))
    return panels.spread(sums, "side", "round")


# --- what the paper says ---------------------------------------------------------------------------------------------


def claims(table: Table) -> list[Claim]:
    """C first: the sign just before removal is the paper's main point."""
    return [_before(table), _flips(table), _later(table), _signs_at_0(table), _falls(table), *_controls(table)]


def _before(table: Table) -> Claim:
    frame = table.frames["C"]
    seeds = sorted(set(common.part(frame, side=NATURAL)["seed"]))
    whole = [all(value > 0 for value in scores.before(common.part(frame, seed=seed), "mean")) for seed in seeds]
    shown = (
        f"every group in {sum(whole)} of {len(whole)} seeds; medians positive in "
        f"{_positive(scores.before(frame, 'median'))}; on the clone means in "
        f"{_positive(scores.before(frame, 'mean', CLONE))}"
    )
    held = [value > 0 for value in scores.before(frame, "mean")]
    return counted("just before its removal a group's mean score is positive", held, shown, NO_SCORE, "group")


def _flips(table: Table) -> Claim:
    frame = table.frames["C"]
    medians, clone = scores.flips(frame, "median"), scores.flips(frame, "mean", CLONE)
    shown = f"medians {sum(medians)} of {len(medians)}, clone {sum(clone)} of {len(clone)}"
    says = "a group's mean is negative in every earlier round and turns positive exactly then (fates 2 and later)"
    return counted(says, scores.flips(frame, "mean"), shown, "needs two prunings or more", "group")


def _later(table: Table) -> Claim:
    frame = table.frames["C"]
    shown = f"medians negative in {_negative(scores.later(frame, 'median'))}"
    says = "whatever is removed later, or never, has a negative mean score at that time"
    return counted(says, [value < 0 for value in scores.later(frame, "mean")], shown, NO_SCORE, "group")


def _signs_at_0(table: Table) -> Claim:
    frame = table.frames["B"]
    found, end = scores.groups(frame, "mean"), frame["end"][0]
    early = {key: value for key, value in found.items() if key[2] in EARLY and key[2] != end}
    late = {key: -value for key, value in found.items() if key[2] >= LATE or key[2] == end}
    seeds = sorted({key[0] for key in found})
    held = [all(value > 0 for key, value in (early | late).items() if key[0] == seed) for seed in seeds]
    shown = f"early groups positive in {_positive(early.values())}, late ones negative in {_positive(late.values())}"
    says = "at round 0 fates 1 and 2 have a positive mean, fates from 4 on and survivors a negative one"
    return counted(says, held, shown, NO_SCORE)


def _falls(table: Table) -> Claim:
    frame = table.frames["B"]
    means, medians, clone = (scores.orders(frame, *of) for of in (("mean",), ("median",), ("mean", CLONE)))
    shown = f"{panels.ranged(means)}; of medians {panels.ranged(medians)}; on the clone {panels.ranged(clone)}"
    says = f"at round 0 the score falls with the round of removal (rank correlation at most {CLEARLY:g})"
    return counted(says, [rho <= CLEARLY for rho in means], shown, NO_SCORE)


def _controls(table: Table) -> list[Claim]:
    """Whether the scores are more than the noise of a finite sample."""
    frame = table.frames["B"]
    data, clone = scores.sizes(frame, "mean"), scores.sizes(frame, "mean", CLONE)
    both = sorted(set(data) & set(clone))
    listed = (panels.ranged(list(side.values())) for side in (data, clone))
    shown = "root mean square over fates {} on the data, {} on the clone".format(*listed) if both else ""
    says = "at round 0 the clone's scores are less than half as large as the data's (control)"
    small = counted(says, [clone[seed] < 0.5 * data[seed] for seed in both], shown, "needs imp on the clone")
    of_data, of_clone = scores.ratios(frame), scores.ratios(frame, CLONE)
    shown = f"full / half {panels.ranged(of_data)} on the data, {panels.ranged(of_clone)} on the clone"
    low, high = STABLE
    says = f"the data's scores do not depend on the sample (full / half within {low:g} to {high:g}; control)"
    held = [low <= ratio <= high for ratio in of_data]
    return [small, counted(says, held, shown if held else "", "needs measure cavity with half: true")]


def _positive(values: Iterable[float]) -> str:
    signs = [value > 0 for value in values]
    return f"{sum(signs)} of {len(signs)}"


def _negative(values: Iterable[float]) -> str:
    return _positive([-value for value in values])


# --- texts -----------------------------------------------------------------------------------------------------------


def told(table: Table) -> list[str]:
    """The ends of the course at round 0, the signs seed by seed, and the range just before removal."""
    frame, end = table.frames["B"], table.frames["B"]["end"][0]
    found = []
    for side in (NATURAL, CLONE):
        line = common.part(frame, side=side, statistic="mean").unique("at").sort("at").drop_nulls("mean")
        if len(line):
            ends = [line.row(place, named=True) for place in (0, len(line) - 1)]
            names = [f"fate {row['at']}" if row["at"] != end else "the survivors" for row in ends]
            first, last = (f"{panels.number(row['mean'])} for {name}" for row, name in zip(ends, names, strict=True))
            found.append(f"Mean score at round 0, {side}: {first}, {last}.")
    found += _seed_by_seed(common.part(table.frames["C"], side=NATURAL))
    last = scores.before(table.frames["C"], "mean")
    span = f"{panels.number(min(last))} and {panels.number(max(last))}" if last else ""
    return [*found, *([f"N_W times the mean score just before removal lies between {span}."] if last else [])]


def _seed_by_seed(frame: pl.DataFrame) -> list[str]:
    """Signs just before removal and of what is removed later, per seed."""
    found = []
    for seed in sorted(set(frame["seed"])):
        part = common.part(frame, seed=seed)
        before = [_positive(scores.before(part, statistic)) for statistic in ("mean", "median")]
        later = [_negative(scores.later(part, statistic)) for statistic in ("mean", "median")]
        found.append(
            f"Seed {seed}: just before removal {before[0]} fates are positive by their mean, {before[1]} by their "
            f"median; of the later groups {later[0]} are negative by their mean, {later[1]} by their median."
        )
    return found


def caption(table: Table) -> str:
    share = common.part(table.frames["weights"], side=NATURAL).sort("round")
    least, linear = table.of.parameter("cavity", "min_fan_in"), table.frames["C"]["linear"][0]
    scored = panels.number(100 * share["mean"][-1]) if share["mean"][-1] is not None else "an unknown number of"
    return (
        f"First layer, method imp, {panels.seeds(common.part(table.frames['B'], side=NATURAL))}; lines are means over "
        f"seeds, shaded minimum to maximum. 'left': in the last mask. Units with fewer than {least} inputs left are "
        f"left out (their scores are enormous): at round {share['round'][-1]}, {scored} % of the weights are scored. "
        f"C: rings mark the score just before removal (round f-1); the scale is linear between -{linear:.2g} and "
        f"{linear:.2g}, logarithmic beyond. {table.of.caption}"
    )


# --- figure ----------------------------------------------------------------------------------------------------------


LOOKS: dict[str, dict[str, Any]] = {
    "mean": {"color": "black", "marker": "o", "linestyle": "-"},
    "median": {"color": "#0072B2", "marker": "s", "linestyle": ":"},
    "mean, half the samples": {"color": "#E69F00", "marker": "^", "linestyle": "--"},
}


def draw(table: Table) -> Figure:
    """B: statistics side by side, natural and clone; C: a row per side, a column per statistic, a line per round."""
    figure = panels.canvas(10.0)
    above, below = figure.subfigures(2, 1, height_ratios=[1, 2.1], squeeze=False)[:, 0]
    sides = [side for side in (NATURAL, CLONE) if side in table.frames["B"]["side"]]
    grid = above.subplots(1, len(sides), squeeze=False, sharey=True)[0]
    handles: dict[str, Artist] = {}
    for side, axes in zip(sides, grid, strict=True):
        handles |= _at_0(common.plain(axes), common.part(table.frames["B"], side=side))
        panels.titled(axes, "B" if side == sides[0] else "", f"round 0, {side}")
    grid[0].set_ylabel("cavity score", fontsize=8)
    above.legend(list(handles.values()), list(handles), loc="outside right center", fontsize=8, frameon=False)
    _all_rounds(below, table.frames["C"], sides)
    return figure


def _at_0(axes: Axes, frame: pl.DataFrame) -> dict[str, Artist]:
    axes.axhline(0, color="0.4", linewidth=0.9)
    handles: dict[str, Artist] = {}
    for name in (name for name in LOOKS if name in frame["statistic"]):
        line = common.part(frame, statistic=name).unique("at").sort("at").drop_nulls("mean")
        handles[name] = panels.banded(axes, line, "at", LOOKS[name] | {"markersize": 4, "linewidth": 1.4})
    _fates(axes, frame)
    return handles


def _all_rounds(figure: FigureBase, frame: pl.DataFrame, sides: list[str]) -> None:
    """The rows and columns of C, on one scale."""
    names = [name for name in SCALED if name in frame["statistic"]]
    grid = figure.subplots(len(sides), len(names), squeeze=False, sharex=True, sharey=True)
    linear, handles = frame["linear"][0], {}
    for side, line in zip(sides, grid, strict=True):
        for name, axes in zip(names, line, strict=True):
            common.plain(axes).set_yscale("symlog", linthresh=linear, linscale=1.0)
            handles = _rounds(axes, common.part(frame, side=side, statistic=name))
            panels.titled(axes, "C" if side == sides[0] and name == names[0] else "", f"{name}; {side}")
            if side == sides[-1]:
                axes.set_xlabel("fate (round of removal)", fontsize=8)
        line[0].set_ylabel("N_W x cavity score", fontsize=8)
    figure.legend(list(handles.values()), list(handles), loc="outside right center", fontsize=7.5, frameon=False)


def _rounds(axes: Axes, frame: pl.DataFrame) -> dict[str, Artist]:
    """A line per round, from dark (round 0) to bright; rings at fate = round + 1."""
    axes.axhline(0, color="0.4", linewidth=0.9)
    rounds = frame["round"].unique().sort().to_list()
    colours = colormaps["viridis"].resampled(max(2, len(rounds) + 1))
    handles: dict[str, Artist] = {}
    for place, round in enumerate(rounds):
        line = common.part(frame, round=round).unique("at").sort("at").drop_nulls("mean")
        looks = {"color": colours(place), "linewidth": 1.2, "marker": ".", "markersize": 4}
        handles[f"after round {round}" if round else "round 0"] = panels.banded(axes, line, "at", looks)
        before = line.filter((pl.col("at") == round + 1) & (pl.col("fate") != LEFT))
        axes.plot(before["at"].to_list(), before["mean"].to_list(), **_ring(colours(place)), zorder=4)
    handles["just before removal"] = Line2D([], [], **_ring("0.3"))
    _fates(axes, frame)
    return handles


def _ring(colour: Any) -> dict[str, Any]:
    edge = {"markerfacecolor": "none", "markeredgecolor": colour}
    return {"linestyle": "", "marker": "o", "markersize": 7, **edge}


def _fates(axes: Axes, frame: pl.DataFrame) -> None:
    """Fates as ticks, survivors at the right end."""
    end = frame["end"][0]
    places = list(range(1, end)) if end <= 13 else list(range(1, end - 1, 2))
    axes.set_xticks([*places, end], [*map(str, places), "left"])
    axes.set_xlim(0.7, end + 0.3)
