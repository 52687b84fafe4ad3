"""What the scripts of this folder share: a sweep's rows as one tidy table, comparisons paired by seed, looks, files.

A tidy table has one row per drawn lineage, measure and round. `value` is the lineage's own number; `mean`, `low`,
`high` (minimum and maximum) and `seeds` are those of its group, so that drawing needs no arithmetic and texts can
pair by seed. `status` is `done`, `diverged`, `undefined` (measured, NaN) or `behind` (a round asked for and not
reached); only `done` rows have a value, the others stay in the table to be counted.

Scripts are run as `python analysis/x.py OUT`, which puts this folder on the import path; tests do the same in a
conftest.
"""

from __future__ import annotations

import argparse
import io
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from impray.results import tables
from impray.results.paths import Paths
from impray.results.schema import TABLES
from impray.results.store import Place
from impray.spec.errors import DataError, ImprayError

NO_SWEEP = "give a sweep's own folder, such as runs/quickstart"
GAUSSIANITY = ("data.gaussian_blend", "data.gain", "data.k")  # the axes that say how non-Gaussian the inputs are
MOST_FACETS = 6  # an axis with more values is pooled: a random search would give a panel per trial
GROUP = ("column", "row", "x", "method", "measure", "round")
DPI = 150


@dataclass(frozen=True)
class Measure:
    """A number per lineage: the mean of `columns` of `rounds`, how it is called, and which way is more local."""

    name: str
    columns: tuple[str, ...]
    label: str
    unit: str = ""
    better: str = "higher"
    comparative: str = "higher"
    reference: float | None = None

    def wins(self, pairs: Pairs) -> int:
        return pairs.lower if self.better == "lower" else pairs.higher

    @property
    def score(self) -> pl.Expr:
        """What is compared: the value, or a kurtosis's distance from a Gaussian's 3 (binary inputs lie below it)."""
        value = pl.col("value")
        return (value - 3).abs() if self.name.startswith("kurtosis") else value


WIDTH = Measure(
    "rf_width_px",
    ("rf_width_px_median",),
    "RF width (px)\nmedian over units of\nthe mean of x and y",
    " px",
    "lower",
    "narrower",
)
CLUSTERING = Measure(
    "clustering",
    # The mean, not the median: with a handful of pairs per unit the count is skewed, and only its mean is 1 at chance.
    ("clustering_mean",),
    "clustering\n(mean over units;\nchance is 1)",
    "",
    "higher",
    "more clustered",
    1.0,
)
KURTOSIS = Measure(
    "kurtosis_per_class",
    ("kurtosis_per_class_mean",),
    "kurtosis per class\nof preactivations\nat θ(rewind) · mask",
    "",
    "higher",
    "further from a Gaussian's 3",
    3.0,
)
KURTOSIS_END = Measure(
    "kurtosis_per_class_end",
    ("kurtosis_per_class_end_mean",),
    "kurtosis per class\nof preactivations\nafter training",
    "",
    "higher",
    "further from a Gaussian's 3",
    3.0,
)
ACCURACY = Measure("accuracy", ("accuracy",), "held-out accuracy", "", "higher", "more accurate")
MEASURES = {measure.name: measure for measure in (WIDTH, CLUSTERING, KURTOSIS, KURTOSIS_END, ACCURACY)}


# --- a sweep's rows as one tidy table --------------------------------------------------------------------------------


def rows(table: str, folder: Place, only: Mapping[str, str] | None = None) -> tuple[pl.LazyFrame, dict[str, str]]:
    """A table's rows and the sweep's axes (path -> type); `only` keeps the rows with these axis values.

    Raises:  DataError: not a sweep's folder, no rows, an axis or value that the sweep does not have, a damaged file.
    """
    try:
        frame = tables.scan(table, folder).collect()
        axes = tables.axes_of(Paths(folder))
    except (pl.exceptions.PolarsError, OSError, ValueError, KeyError) as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{folder}: its tables cannot be read ({why})") from error
    if frame.is_empty():
        is_sweep = any(Paths(folder).row_files(name) for name in TABLES)
        hint = f"this sweep has not asked for the measure {table}" if is_sweep and table == "masks" else NO_SWEEP
        raise DataError(f"{folder}: no rows in the table {table}; {hint}")
    for path, wanted in (only or {}).items():
        if path not in axes:
            raise DataError(f"--only {path}: not an axis of this sweep; its axes: {', '.join(axes) or 'none'}")
        labels = [label(value) for value in frame[path].to_list()]
        if _canonical(wanted) not in labels:
            raise DataError(f"--only {path}={wanted}: no such value; there are {', '.join(sorted(set(labels)))}")
        frame = frame.filter(pl.Series([each == _canonical(wanted) for each in labels], dtype=pl.Boolean))
    return frame.lazy(), axes


def _canonical(text: str) -> str:
    """0.20 as the label of 0.2."""
    try:
        return label(float(text))
    except ValueError:
        return text


def label(value: object) -> str:
    """An axis value in words."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, (int, float)) else str(value)


def tidy(
    rows: pl.LazyFrame,
    axes: Sequence[str],
    measures: Sequence[Sequence[Measure]],
    *,
    round: int | None = None,
    every_round: bool = False,
    facets: int = 2,
) -> pl.DataFrame:
    """The tidy table of this module's head.

    Args:    measures: for each panel the measures that may fill it, the first that was measured does.
             round: this round instead of the last that every lineage of a trial reached.
             every_round: all rounds up to it, not it alone.
             facets: how many further axes become panels; the others are pooled, and named in the column `pooled`.
    Raises:  DataError: nothing of `measures` was measured, or no lineage reached the round.
    """
    frame = rows.collect()
    found = [measure for choice in measures if (measure := _first_measured(frame, choice)) is not None]
    if not found:
        names = ", ".join(column for choice in measures for measure in choice for column in measure.columns)
        raise DataError(f"nothing to draw: this sweep has not measured any of {names} (an old folder: run it again)")
    frame = _placed(_at_rounds(frame, round, every_round), axes, facets)
    return _spread(_long(frame, found))


def _first_measured(frame: pl.DataFrame, choice: Sequence[Measure]) -> Measure | None:
    done = frame.filter(pl.col("status") == "done")
    for measure in choice:
        if all(column in frame.columns and done[column].is_not_null().any() for column in measure.columns):
            return measure
    return None


def _at_rounds(frame: pl.DataFrame, round: int | None, every_round: bool) -> pl.DataFrame:
    """Rows of the round, or up to it; with `furthest`, the last round that any lineage of the trial has reached.

    Diverged lineages hold nobody up. They stay as one row each, and so do those that have not reached the `round`
    asked for.
    """
    done, diverged = pl.col("status") == "done", pl.col("status") == "diverged"
    last, ends = pl.col("round").max().over("lineage"), diverged.any().over("lineage")
    frame = frame.with_columns(last.alias("last"), ends.alias("ends"))
    alive = pl.when(~pl.col("ends")).then(pl.col("last"))
    furthest, slowest = alive.max().over("trial"), alive.min().over("trial")
    # A trial whose lineages all diverged has no slowest one; it is kept, to be counted.
    target = pl.coalesce(slowest, pl.col("last").max().over("trial"))
    if round is not None:
        target = pl.min_horizontal(target, pl.lit(round)) if every_round else pl.lit(round, dtype=pl.Int64)
    frame = frame.with_columns(furthest.alias("furthest"), target.alias("target"))
    behind = ~pl.col("ends") & (pl.col("last") < pl.col("target")) & (pl.col("round") == pl.col("last"))
    reached = pl.col("round") <= pl.col("target") if every_round else pl.col("round") == pl.col("target")
    ended = diverged & (pl.col("round") <= pl.col("target"))
    frame = frame.with_columns(pl.when(behind).then(pl.lit("behind")).otherwise(pl.col("status")).alias("status"))
    frame = frame.filter((done & reached) | ended | (pl.col("status") == "behind"))
    if not (frame["status"] == "done").any():
        raise DataError(f"nothing to draw: no lineage has finished {'a round' if round is None else f'round {round}'}")
    return frame if every_round else frame.with_columns(pl.col("target").alias("round"))


def main_axis(axes: Sequence[str]) -> str | None:
    """The axis of non-Gaussianity, else the sweep's first."""
    return next((axis for axis in GAUSSIANITY if axis in axes), axes[0] if axes else None)


def _placed(frame: pl.DataFrame, axes: Sequence[str], facets: int) -> pl.DataFrame:
    """Adds where a row is drawn: `x` (label), `at` (position), `scale`, its panel (`column`, `row`), what is pooled."""
    axis = main_axis([path for path in axes if path in frame.columns])
    further = [path for path in axes if path in frame.columns and path != axis and frame[path].n_unique() > 1]
    panels = [path for path in further if frame[path].n_unique() <= MOST_FACETS][:facets]
    pooled = [f"{path} ({frame[path].n_unique()} values)" for path in further if path not in panels]
    x, at, scale = positions(frame, axis)
    columns = [("column", panels[0] if panels else None), ("row", panels[1] if len(panels) > 1 else None)]
    named = [pl.Series(name, _facet(frame, path), dtype=pl.String) for name, path in columns]
    orders = [pl.Series(f"{name}_at", positions(frame, path)[1], dtype=pl.Float64) for name, path in columns]
    return (
        frame.with_columns(
            pl.lit(axis or "").alias("axis"),
            pl.lit(scale).alias("scale"),
            pl.lit(", ".join(pooled)).alias("pooled"),
            pl.Series("x", x, dtype=pl.String),
            pl.Series("at", at, dtype=pl.Float64),
            *named,
        )
        .with_columns(*orders)
        .sort("row_at", "column_at", "at", "method", "seed", "lineage", "round")
    )


def _facet(frame: pl.DataFrame, path: str | None) -> list[str]:
    return [""] * len(frame) if path is None else [f"{path} = {label(value)}" for value in frame[path].to_list()]


def positions(frame: pl.DataFrame, axis: str | None) -> tuple[list[str], list[float], str]:
    """Labels, places and scale (`linear`, `log`, or `names`: one after the other) of every row on an axis."""
    values: list[Any] = frame[axis].to_list() if axis else [None] * len(frame)
    labels = [label(value) if axis else "all" for value in values]
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values):
        positive = [float(value) for value in values if value > 0]
        wide = len(positive) == len(values) and max(positive) >= 30 * min(positive)
        return labels, [float(value) for value in values], "log" if axis == "data.gain" or wide else "linear"
    order = {name: float(place) for place, name in enumerate(sorted(set(labels)))}
    return labels, [order[name] for name in labels], "names"


def _long(frame: pl.DataFrame, measures: Sequence[Measure]) -> pl.DataFrame:
    """One row per measure. Not measured (null) is left out; measured with no result (NaN) is `undefined`."""
    parts = []
    for measure in measures:
        value = pl.mean_horizontal(*[pl.col(column).cast(pl.Float64) for column in measure.columns], ignore_nulls=False)
        part = frame.with_columns(pl.lit(measure.name).alias("measure"), value.alias("value"))
        done = pl.col("status") == "done"
        part = part.filter(~done | pl.col("value").is_not_null())
        status = pl.when(done & pl.col("value").is_nan()).then(pl.lit("undefined")).otherwise(pl.col("status"))
        part = part.with_columns(status.alias("status"))
        parts.append(part.with_columns(pl.when(pl.col("status") == "done").then(pl.col("value")).alias("value")))
    return pl.concat(parts)


def _spread(frame: pl.DataFrame) -> pl.DataFrame:
    value = pl.col("value")
    seeds = pl.col("seed").filter(value.is_not_null()).n_unique()
    groups = [value.mean().alias("mean"), value.min().alias("low"), value.max().alias("high"), seeds.alias("seeds")]
    frame = frame.with_columns(group.over(GROUP) for group in groups)
    places = ["axis", "scale", "pooled", "column", "row", "x", "at"]
    names = ["method", "measure", "round", "furthest", "density", "seed", "lineage", "status"]
    return frame.select(*places, *names, "value", "mean", "low", "high", "seeds")


# --- comparisons -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pairs:
    """Differences left - right, one per seed (and round): their number, signs, mean and range."""

    seeds: int
    lower: int
    higher: int
    mean: float
    low: float
    high: float

    @property
    def most(self) -> str:
        return f"of {self.seeds} seed{'s' if self.seeds != 1 else ''}"


def paired(parts: Sequence[pl.DataFrame], measure: Measure) -> Pairs | None:
    """Compares two parts of a tidy table seed by seed, at the same round; None if they share none."""
    sides = [
        side.filter(pl.col("value").is_not_null()).group_by("seed", "round").agg(measure.score.mean()) for side in parts
    ]
    both = sides[0].join(sides[1], on=["seed", "round"], suffix="_right")
    if both.is_empty():
        return None
    gaps = (both["value"] - both["value_right"]).sort().to_list()
    return Pairs(
        both["seed"].n_unique(),
        sum(gap < 0 for gap in gaps),
        sum(gap > 0 for gap in gaps),
        sum(gaps) / len(gaps),
        gaps[0],
        gaps[-1],
    )


def compared(left: str, right: str, measure: Measure, pairs: Pairs | None) -> str:
    """One sentence on a pair of parts."""
    if pairs is None:
        return f"{left} and {right} share no seed at one round: not compared."
    return (
        f"{left} is {measure.comparative} than {right} in {measure.wins(pairs)} {pairs.most} ({gap(pairs, measure)})."
    )


def gap(pairs: Pairs, measure: Measure) -> str:
    """The difference of a pair of parts in numbers: its mean and range over seeds."""
    spread = f", {pairs.low:+.3g} to {pairs.high:+.3g}" if pairs.seeds > 1 else ""
    return f"{'mean ' if pairs.seeds > 1 else ''}difference {pairs.mean:+.3g}{measure.unit}{spread}"


def part(table: pl.DataFrame, **values: object) -> pl.DataFrame:
    """The rows with these values."""
    return table.filter([pl.col(name) == value for name, value in values.items()])


def panels(table: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    """(label, rows) of every combination of the further axes that are panels."""
    for row in in_order(table, "row"):
        for column in in_order(table, "column"):
            found = part(table, row=row, column=column)
            if not found.is_empty():
                yield ", ".join(name for name in (column, row) if name), found


def in_order(table: pl.DataFrame, name: str) -> list:
    """Distinct values in order of appearance; methods in the order of the papers."""
    values = table[name].unique(maintain_order=True).to_list()
    if name == "x":
        values = table.select("x", "at").unique().sort("at")["x"].to_list()
    if name == "method":
        values.sort(key=lambda method: (list(LOOKS).index(method) if method in LOOKS else len(LOOKS), method))
    return values


def ends(table: pl.DataFrame) -> tuple[str, str] | None:
    """The least and the most Gaussian value of the axis; None where the axis has no Gaussian end, or one value."""
    values, axis = in_order(table, "x"), table["axis"][0]
    if len(values) < 2 or axis not in ("data.gaussian_blend", "data.gain"):
        return None
    return (values[0], values[-1]) if axis == "data.gaussian_blend" else (values[-1], values[0])


def named(axis: str, x: str) -> str:
    """An axis value with what it means."""
    meaning = {("data.gaussian_blend", "0"): " (data as they are)", ("data.gaussian_blend", "1"): " (Gaussian clone)"}
    return f"{axis} = {x}{meaning.get((axis, x), '')}" if axis else "all trials"


def orderings(table: pl.DataFrame, measure: Measure, left: str, right: str, x: str) -> Orderings | None:
    """In how many seeds `left` is better than `right`, round by round; None if they share no round.

    Rounds of one mask are left out: all methods share it at round 0, imp and oneshot at round 1 too.
    """
    sides = [part(table, measure=measure.name, method=method, x=x) for method in (left, right)]
    first = 2 if {left, right} == {"imp", "oneshot"} else 1
    rounds = sorted(round for round in set(sides[0]["round"]) & set(sides[1]["round"]) if round >= first)
    found = {round: paired([part(side, round=round) for side in sides], measure) for round in rounds}
    counted = {round: pairs for round, pairs in found.items() if pairs is not None}
    return Orderings(left, right, measure, counted) if counted else None


@dataclass(frozen=True)
class Orderings:
    """How often one method beats another, per round."""

    left: str
    right: str
    measure: Measure
    pairs: Mapping[int, Pairs]

    @property
    def always(self) -> list[int]:
        """Rounds in which it does in every seed."""
        return [round for round, pairs in self.pairs.items() if self.measure.wins(pairs) == pairs.seeds]

    @property
    def mostly(self) -> list[int]:
        """Rounds in which it does in more than half of the seeds."""
        return [round for round, pairs in self.pairs.items() if 2 * self.measure.wins(pairs) > pairs.seeds]

    @property
    def last(self) -> Pairs:
        return self.pairs[max(self.pairs)]

    @property
    def sentence(self) -> str:
        seeds = {round: f"{self.measure.wins(pairs)}/{pairs.seeds}" for round, pairs in self.pairs.items()}
        others = ", ".join(f"{count} at {round}" for round, count in seeds.items() if round not in self.always)
        where = f"in every seed at {spans(self.always)}" + (f"; seeds elsewhere: {others}" if others else "")
        return f"{self.left} is {self.measure.comparative} than {self.right} {where}."


def spans(numbers: Sequence[int]) -> str:
    """[2, 3, 4, 7] as rounds 2-4, 7."""
    found: list[list[int]] = []
    for number in sorted(numbers):
        if found and number == found[-1][-1] + 1:
            found[-1].append(number)
        else:
            found.append([number])
    listed = ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in found)
    return f"round{'s' if len(numbers) > 1 else ''} {listed}" if found else "no round"


# --- captions --------------------------------------------------------------------------------------------------------


def caption(table: pl.DataFrame, marks: str) -> str:
    """What the marks are, how many seeds they stand on, and who is missing from them."""
    counted = table.filter(pl.col("seeds") > 0)["seeds"].unique().sort().to_list()
    seeds = f"{counted[0]}" if len(counted) == 1 else f"{counted[0]} to {counted[-1]}"
    stands = f"{seeds} seed{'s' if counted[-1] != 1 else ''}"
    found = [f"Lines: mean over seeds; {marks}: minimum and maximum over {stands} (no standard error)."]
    if counted[-1] == 1:
        found[0] = f"Lines: one seed; {marks} have no extent, and how much seeds differ is not known."
    found += _missing(table)
    if table["pooled"][0]:
        found.append(f"Pooled over {table['pooled'][0]}: means and ranges mix them; fix one with --only AXIS=VALUE.")
    return " ".join(found)


def _missing(table: pl.DataFrame) -> list[str]:
    """Sentences on lineages that are not in the means, and on a sweep that still runs."""
    lineages, axis = table["lineage"].n_unique(), table["axis"][0]
    diverged = part(table, status="diverged").unique("lineage")
    where = diverged.group_by("method", "x").len().sort("method", "x")
    listed = ", ".join(
        f"{row['len']} of {row['method']} at {named(axis, row['x'])}" for row in where.iter_rows(named=True)
    )
    found = [f"{len(diverged)} of {lineages} lineages diverged{f' ({listed}); not in the means' if listed else ''}."]
    for name in in_order(part(table, status="undefined"), "measure"):
        count = part(table, status="undefined", measure=name)["lineage"].n_unique()
        found.append(f"{name} is undefined for {_lineages(count)} (too few inputs left in every unit).")
    behind = part(table, status="behind")["lineage"].n_unique()
    if behind:
        found.append(f"{_lineages(behind)} short of this round; not in the means.")
    last = part(table, status="done").group_by("furthest").agg(pl.col("round").max())
    running = last.filter(pl.col("round") < pl.col("furthest"))
    if len(running) and not behind:
        found.append(
            f"Some lineages are further, up to round {running['furthest'].max()}: drawn is the last round that every "
            "lineage of a trial has reached."
        )
    return found


def _lineages(count: int) -> str:
    return f"{count} lineage{'s' if count != 1 else ''}"


# --- looks -----------------------------------------------------------------------------------------------------------


# Okabe and Ito's palette, safe for colour-blind readers, nearest to the paper's black, blue and red.
LOOKS = {
    "imp": ("#000000", "o"),
    "oneshot": ("#0072B2", "s"),
    "random": ("#D55E00", "^"),
    "cavity": ("#009E73", "D"),
    "cavity_lowest": ("#CC79A7", "v"),
}
OTHER = ("#009E73", "D")
MEANINGS = {
    "data.gaussian_blend": "data.gaussian_blend  (0: as they are, 1: Gaussian clone)",
    "data.gain": "data.gain  (small: Gaussian, large: binary)",
}


def meaning(axis: str) -> str:
    """An axis as a label."""
    return MEANINGS.get(axis, axis)


def look(method: str) -> dict:
    colour, marker = LOOKS.get(method, OTHER)
    return {"color": colour, "marker": marker, "markersize": 4, "linewidth": 1.5}


def canvas(
    rows: int, columns: int, panel: tuple[float, float], least_width: float = 7.5
) -> tuple[Figure, list[list[Axes]]]:
    """An empty figure and its axes, row by row; rows share x and y scales."""
    figure = blank(max(least_width, columns * panel[0] + 1), rows * panel[1] + 2)
    grid = figure.subplots(rows, columns, sharex=True, sharey="row", squeeze=False)
    return figure, [[plain(axes) for axes in line] for line in grid]


def blank(width: float, height: float) -> Figure:
    """A figure in inches with nothing in it."""
    figure = Figure(figsize=(width, height), layout="constrained", dpi=DPI)
    FigureCanvasAgg(figure)  # draws without a display and without pyplot's global state
    return figure


def plain(axes: Axes) -> Axes:
    """The looks that all panels share."""
    axes.grid(True, color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    return axes


def finish(figure: Figure, title: str, words: Sequence[str], handles: Mapping[str, Artist]) -> Figure:
    """Title above, legend beside the panels, headline and caption below."""
    width = figure.get_figwidth()
    figure.suptitle(textwrap.fill(title, int(width * 10.2), break_on_hyphens=False), fontsize=11, fontweight="bold")
    if handles:
        figure.legend(list(handles.values()), list(handles), loc="outside right center", fontsize=9, frameon=False)
    below = "\n".join(textwrap.fill(sentence, int(width * 15)) for sentence in words)
    figure.supxlabel(below, fontsize=8, x=0.01, ha="left")
    return figure


def over_rounds(table: pl.DataFrame, panel: tuple[float, float]) -> tuple[Figure, dict[str, Artist]]:
    """Lines against round: a row per measure, a column per axis value; above them the density, if one per round."""
    names, columns = in_order(table, "measure"), shown(in_order(table, "x"))
    figure, grid = canvas(len(names), len(columns), panel)
    handles: dict[str, Artist] = {}
    for name, line in zip(names, grid, strict=True):
        line[0].set_ylabel(MEASURES[name].label, fontsize=8)
        for x, axes in zip(columns, line, strict=True):
            handles |= _bands(axes, part(table, measure=name, x=x), MEASURES[name])
    for x, axes in zip(columns, grid[0], strict=True):
        axes.set_title(named(table["axis"][0], x).replace(" (", "\n("), fontsize=8.5)
        _densities(axes, part(table, x=x, status="done"))
    for axes in grid[-1]:
        axes.set_xlabel("round (prunings)", fontsize=9)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure, handles


def _bands(axes: Axes, table: pl.DataFrame, measure: Measure) -> dict[str, Artist]:
    if measure.reference is not None:
        axes.axhline(measure.reference, color="0.55", linewidth=0.8, linestyle=":")
    handles: dict[str, Artist] = {}
    for method in in_order(table, "method"):
        line = part(table, method=method, status="done").unique("round").sort("round")
        axes.fill_between(
            line["round"], line["low"], line["high"], color=look(method)["color"], alpha=0.18, linewidth=0
        )
        handles[method] = axes.plot(line["round"], line["mean"], **look(method))[0]
    return handles


def _densities(axes: Axes, table: pl.DataFrame) -> None:
    """Percent of weights left, at every second round; nothing where pooled trials prune at different paces."""
    places = table.select("round", pl.col("density").round_sig_figs(2)).unique().sort("round")
    if places.is_empty() or places["round"].n_unique() < len(places):
        return
    places = places.gather_every(max(1, (len(places) + 5) // 6))
    above = axes.secondary_xaxis("top")
    above.set_xticks(places["round"].to_list(), [f"{100 * share:.3g}" for share in places["density"]])
    above.tick_params(labelsize=7, length=2)
    above.set_xlabel("weights left (%)", fontsize=7)


def ticks(axes: Axes, table: pl.DataFrame) -> None:
    """The x axis of a tidy table: its own values as ticks where they are few."""
    scale = table["scale"][0]
    if scale == "log":
        axes.set_xscale("log")
    places = table.select("at", "x").unique().sort("at")
    if scale == "names" or len(places) <= 8:
        axes.set_xticks(places["at"].to_list(), places["x"].to_list())
        axes.minorticks_off()


def shown(values: list, most: int = MOST_FACETS) -> list:
    """At most `most` of the values: both ends and evenly between."""
    if len(values) <= most:
        return values
    return [values[place * (len(values) - 1) // (most - 1)] for place in range(most)]


# --- files and the command line --------------------------------------------------------------------------------------


def save(name: str, folder: Place, table: pl.DataFrame, figure: Figure, text: str) -> None:
    """Writes the table, the figure and the text, and prints where they are."""
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=DPI)
    contents = {"csv": table.write_csv().encode(), "png": picture.getvalue(), "txt": text.encode()}
    for ending, content in contents.items():
        file = Paths(folder).figure(f"{name}.{ending}")
        file.write(content)
        print(file)


def run(main: Callable[[Place, int | None, Mapping[str, str] | None], None], about: str | None) -> None:
    """The command line of a script: `python analysis/x.py OUT [--round N] [--only AXIS=VALUE]`; errors exit with 2."""
    first = (about or "").strip().splitlines()[0]
    parser = argparse.ArgumentParser(description=first)
    parser.add_argument("out", help="the sweep's own folder, such as runs/quickstart")
    parser.add_argument(
        "--round", type=int, help="at (or up to) this round, not the last that every lineage of a trial has"
    )
    parser.add_argument(
        "--only", action="append", default=[], metavar="AXIS=VALUE", help="only trials with this axis value"
    )
    asked = parser.parse_args()
    wrong = [pair for pair in asked.only if "=" not in pair]
    if wrong:
        parser.error(f"--only {wrong[0]}: must be AXIS=VALUE, such as prune.fraction=0.2")
    try:
        main(asked.out, asked.round, dict(pair.split("=", 1) for pair in asked.only))
    except ImprayError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
