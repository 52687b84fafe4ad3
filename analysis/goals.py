"""What a search found: its trials by their goals, the front between them, and which axis goes with the first goal.

Left: one dot per trial that finished, the first goal against the second (with one goal: against the trial's number,
with the best so far), coloured by the axis that is rank-correlated most strongly with the first goal. Right: both
goals against each axis. Trials that stopped, diverged or failed have no goals to draw: they are marks at the lower edge, and
counted. Reads any sweep that has goals; search_small_fields is meant.

Expect there: width falls as data.gain rises, and accuracy with it, so that the front has several trials. What would
count against us: one trial best in both goals (no conflict), or a correlation of width with data.gain that is
positive or no larger than unrelated axes reach by chance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import common
import numpy as np
import polars as pl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from impray.results import goals, tables
from impray.results.paths import Paths
from impray.results.provenance import read_sweep
from impray.results.store import Place
from impray.spec import axes as spec_axes
from impray.spec.errors import DataError
from impray.spec.search import AtDensity, Goal, Range
from impray.spec.sweep import Sweep

QUESTION = "What did the search find, and which axis goes with its first goal?"
MOST_AXES = 4  # panels beside the first; a search of more axes shows those most strongly correlated
COLOURS = "viridis"
FRACTION = "prune.fraction"
MARKS = {  # trials that lack a goal, at the lower edge
    "stopped": ("|", "0.35", "stopped early"),
    "failed": ("x", "#D55E00", "failed"),
    "diverged": ("1", "#CC79A7", "diverged"),
    "undefined": ("+", "#0072B2", "a goal undefined"),
}
FALLS_WITH_PRUNING = ("accuracy",)  # columns that pruning makes smaller; where they are to be large, less is better


# --- what was asked --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Aim:
    """A goal: its column in the table, and its words."""

    place: int
    goal: Goal

    @property
    def column(self) -> str:
        return f"goal {self.place}: {self.name}"

    @property
    def name(self) -> str:
        return goals.label(self.goal) + (" at the last round" if self.goal.at == "last" else "")

    @property
    def sign(self) -> int:
        return 1 if self.goal.direction == "min" else -1

    @property
    def label(self) -> str:
        """Two lines for an axis of the figure."""
        first, at, rest = self.column.rpartition(" at ")
        return f"{first}\n{at.strip()} {rest} ({self.better})"

    @property
    def better(self) -> str:
        return f"{'smaller' if self.goal.direction == 'min' else 'larger'} is better"


@dataclass(frozen=True)
class Asked:
    """The sweep, its axes (path -> type) and what --only kept of it."""

    sweep: Sweep
    axes: Mapping[str, str]
    only: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def aims(self) -> list[Aim]:
        return [Aim(place, goal) for place, goal in enumerate(self.sweep.search.goals, start=1)]

    @cached_property
    def wanted(self) -> int:
        """Trials that the search is to have in the end."""
        search = self.sweep.search
        return search.trials or 0 if search.algorithm == "optuna" else len(spec_axes.trials(self.sweep))

    def ordered(self, path: str) -> bool:
        """Whether the axis has an order, so that a rank correlation means something."""
        return self.axes[path] in ("int", "float")

    def scale(self, frame: pl.DataFrame, path: str) -> str:
        """`linear`, `log` or `names`: as the sweep asks for a range, else as its values lie."""
        axis, scale = self.sweep.search.space.get(path), common.positions(frame, path)[2]
        if isinstance(axis, Range) and scale != "names":
            return "log" if axis.log else "linear"
        return scale


# --- table -----------------------------------------------------------------------------------------------------------


def table(rows: pl.LazyFrame, asked: Asked) -> pl.DataFrame:
    """One row per trial: number, status, rounds, axes, a column per goal, `best` so far in the first goal, `front`.

    `status` is the trials' own, or `undefined`: done, and some goal has no number. Only done trials have goals here;
    what a trial that was stopped early had reached is not compared with the others.

    Raises:  DataError: no trial has the goals that are drawn.
    """
    frame = rows.sort("number").collect()
    aims = asked.aims
    points = [_values(row, len(aims)) for row in frame.iter_rows(named=True)]
    whole = [all(value is not None for value in point) for point in points]
    front = _front([[a.sign * v if v is not None else None for a, v in zip(aims, p, strict=True)] for p in points])
    pairs = zip(frame["status"], whole, strict=True)
    status = ["undefined" if status == "done" and not ok else status for status, ok in pairs]
    columns = [pl.Series(aim.column, [point[i] for point in points], dtype=pl.Float64) for i, aim in enumerate(aims)]
    found = frame.select("trial", "number", pl.Series("status", status, dtype=pl.String), "rounds", *asked.axes)
    first = pl.col(aims[0].column)
    best = (first.cum_min() if aims[0].sign == 1 else first.cum_max()).forward_fill()
    found = found.with_columns(columns).with_columns(best.alias("best"), pl.Series("front", front, dtype=pl.Boolean))
    if found.drop_nulls([aim.column for aim in aims[:2]]).is_empty():
        raise DataError(f"nothing to draw: no trial has finished with its goals ({_counts(found)})")
    return found


def _values(row: Mapping, count: int) -> list[float | None]:
    """A trial's goals, None where it has no such number."""
    values = row["goals"] or []
    if row["status"] != "done" or len(values) != count:
        return [None] * count
    return [float(value) if value is not None and np.isfinite(value) else None for value in values]


def _front(points: Sequence[Sequence[float | None]]) -> list[bool]:
    """Which points no other beats (no worse in every goal, better in one); smaller is better, None is no point."""

    def beats(p: Sequence, q: Sequence) -> bool:
        return all(a <= b for a, b in zip(p, q, strict=True)) and list(p) != list(q)

    whole = [point for point in points if None not in point]
    return [None not in point and not any(beats(other, point) for other in whole) for point in points]


def with_density(table: pl.DataFrame, folder: Place, aim: Aim) -> pl.DataFrame:
    """Adds the `density` at which a goal of a density was read: rounds step over it by more or less."""
    if not isinstance(aim.goal.at, AtDensity):
        return table
    trials = tables.scan("trials", folder).filter(pl.col("trial").is_in(table["trial"].to_list())).collect()
    read = [each.density for each in goals.of_trials(aim.goal, folder, trials)]
    return table.join(trials.select("trial", pl.Series("density", read, dtype=pl.Float64)), on="trial", how="left")


# --- which axis goes with which goal ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Link:
    """The rank correlation of a goal with an axis; None where either has one value only."""

    aim: Aim
    axis: str
    rho: float | None
    trials: int


def links(table: pl.DataFrame, asked: Asked, aim: Aim) -> list[Link]:
    """Of every ordered axis, the strongest first."""
    found = []
    for path in filter(asked.ordered, asked.axes):
        known = table.drop_nulls([aim.column, path])
        found.append(Link(aim, path, spearman(known[aim.column], known[path]), len(known)))
    return sorted(found, key=lambda link: -abs(link.rho or 0.0))


def spearman(left: pl.Series, right: pl.Series) -> float | None:
    """The correlation of ranks, ties at their mean rank; None below three pairs or where a side never changes."""
    if len(left) < 3 or left.n_unique() == 1 or right.n_unique() == 1:
        return None
    return float(np.corrcoef(left.rank("average"), right.rank("average"))[0, 1])


def by_chance(trials: int, axes: int, draws: int = 2000) -> float:
    """|rho| that the strongest of so many unrelated axes reaches in one of 20 searches, by shuffling."""
    rng, ranks = np.random.default_rng(0), np.arange(trials) - (trials - 1) / 2
    of_axes = [np.abs(rng.permuted(np.tile(ranks, (draws, 1)), axis=1) @ ranks) for _ in range(axes)]
    return float(np.quantile(np.max(of_axes, axis=0) / (ranks @ ranks), 0.95))


def strongest(table: pl.DataFrame, asked: Asked) -> Link | None:
    """The axis that colours the figure."""
    return next((link for link in links(table, asked, asked.aims[0]) if link.rho is not None), None)


# --- figure ----------------------------------------------------------------------------------------------------------


def draw(table: pl.DataFrame, asked: Asked) -> Figure:
    """Left the goals, right a column per axis and a row per drawn goal."""
    aims, paths, link = asked.aims[:2], _shown_axes(table, asked), strongest(table, asked)
    figure = common.blank(5.2 + 1.9 * len(paths), 2.5 * len(aims) + 2.6 + 0.6 * (len(aims) == 1))
    grid = figure.add_gridspec(len(aims), 1 + len(paths), width_ratios=[2.1] + [1.0] * len(paths))
    left, dots = common.plain(figure.add_subplot(grid[:, 0])), _dots(table, asked, link)
    (_plane if len(aims) > 1 else _course)(left, table, asked, dots)
    top: list[Axes] = []
    for row, aim in enumerate(aims):
        first: Axes | None = None
        for column, path in enumerate(paths):
            above = top[column] if row else None
            axes = common.plain(figure.add_subplot(grid[row, column + 1], sharex=above, sharey=first))
            _against(axes, table, asked, aim, path, dots)
            axes.tick_params(labelleft=first is None, labelbottom=row + 1 == len(aims))
            axes.set_xlabel(path if row + 1 == len(aims) else "", fontsize=8)
            if first is None:
                axes.set_ylabel(f"goal {aim.place} ({aim.better})", fontsize=8)
            first = first or axes
            top = top if row else [*top, axes]
    if link is not None:
        bar = figure.colorbar(left.collections[0], ax=left, location="top", aspect=40, pad=0.02)
        bar.set_label(f"colour: {link.axis} ({_rho(link)}, with goal 1)", fontsize=8)
        bar.ax.tick_params(labelsize=7)
    words = [headline(table, asked), _caption(table, asked), *fractions(table, asked)]
    return common.finish(figure, QUESTION, words, _handles(table, len(aims) > 1))


def _shown_axes(table: pl.DataFrame, asked: Asked) -> list[str]:
    """The axes that changed, in the sweep's order; the strongest where there are too many."""
    changed = [path for path in asked.axes if table[path].n_unique() > 1]
    order = [link.axis for link in links(table, asked, asked.aims[0])]
    ranked = sorted(changed, key=lambda path: order.index(path) if path in order else len(order))
    return [path for path in changed if path in ranked[:MOST_AXES]]


def _dots(table: pl.DataFrame, asked: Asked, link: Link | None) -> dict:
    """Looks of the dots, with the whole table's colours; black where no axis colours them."""
    if link is None:
        return {"color": "black"}
    values = table[link.axis].drop_nulls().cast(pl.Float64).to_numpy()
    norm = LogNorm if asked.scale(table, link.axis) == "log" else Normalize
    return {"axis": link.axis, "cmap": COLOURS, "norm": norm(float(values.min()), float(values.max()))}


def _scatter(axes: Axes, part: pl.DataFrame, x: pl.Series, y: str, dots: Mapping, size: float) -> None:
    """Dots, and rings around those of the front."""
    looks = {name: value for name, value in dots.items() if name != "axis"}
    if "axis" in dots:
        looks["c"] = part[dots["axis"]].to_numpy()
    axes.scatter(x, part[y], s=size, zorder=3, linewidths=0, **looks)
    ring = {"facecolors": "none", "edgecolors": "black", "linewidths": 1.3, "zorder": 4}
    axes.scatter(x.filter(part["front"]), part[y].filter(part["front"]), s=1.9 * size, **ring)


def _plane(axes: Axes, table: pl.DataFrame, asked: Asked, dots: Mapping) -> None:
    """The first goal against the second."""
    x, y = (aim.column for aim in asked.aims[:2])
    part = table.drop_nulls([x, y])
    _scatter(axes, part, part[x], y, dots, 55)
    front = part.filter("front").sort(x, y)
    if len(asked.aims) == 2:
        axes.plot(front[x], front[y], color="0.4", linewidth=1.0, zorder=2)
    for row in front.iter_rows(named=True):
        axes.annotate(str(row["number"]), (row[x], row[y]), (7, -9), textcoords="offset points", fontsize=9)
    axes.set_xlabel(asked.aims[0].label, fontsize=9)
    axes.set_ylabel(asked.aims[1].label, fontsize=9)
    axes.margins(0.09)


def _course(axes: Axes, table: pl.DataFrame, asked: Asked, dots: Mapping) -> None:
    """The only goal against the trials' numbers."""
    aim = asked.aims[0]
    part = table.drop_nulls(aim.column)
    _scatter(axes, part, part["number"], aim.column, dots, 45)
    axes.step(table["number"], table["best"], where="post", color="0.4", linewidth=1.2, zorder=2)
    for row in part.filter("front").iter_rows(named=True):
        point = (row["number"], row[aim.column])
        axes.annotate(str(row["number"]), point, (7, -10), textcoords="offset points", fontsize=9)
    _marks(axes, table, [float(number) for number in table["number"]])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("number of the trial", fontsize=9)
    axes.set_ylabel(aim.label, fontsize=9)
    axes.margins(0.07)


def _against(axes: Axes, table: pl.DataFrame, asked: Asked, aim: Aim, path: str, dots: Mapping) -> None:
    """A goal against an axis."""
    labels, at, _ = common.positions(table, path)
    place, name = pl.Series("at", at, dtype=pl.Float64), pl.Series("x", labels, dtype=pl.String)
    scale = asked.scale(table, path)
    known = table[aim.column].is_not_null()
    _scatter(axes, table.filter(known), place.filter(known), aim.column, dots, 26)
    _marks(axes, table, at)
    common.ticks(axes, pl.DataFrame([place, name]).with_columns(pl.lit(scale).alias("scale")))
    axes.margins(0.1, 0.14)
    found = next((link for link in links(table, asked, aim) if link.axis == path and link.rho is not None), None)
    axes.set_title(_rho(found) if found else "no rank correlation", fontsize=8)


def _marks(axes: Axes, table: pl.DataFrame, at: Sequence[float]) -> None:
    """Trials without goals, at the lower edge."""
    for status, (marker, colour, _) in MARKS.items():
        x = [place for place, each in zip(at, table["status"], strict=True) if each == status]
        edge = axes.get_xaxis_transform()
        axes.plot(x, [0.03] * len(x), linestyle="", marker=marker, color=colour, markersize=6, transform=edge)


def _handles(table: pl.DataFrame, plane: bool) -> dict[str, Artist]:
    ring = {"markerfacecolor": "none", "markeredgecolor": "black", "markeredgewidth": 1.3}
    found: dict[str, Artist] = {"finished": Line2D([], [], linestyle="", marker="o", color="0.5", markersize=6)}
    found["front" if plane else "best"] = Line2D([], [], linestyle="", marker="o", markersize=8, **ring)
    if not plane:
        found["best so far"] = Line2D([], [], color="0.4", linewidth=1.2)
    for status, (marker, colour, name) in MARKS.items():
        if (table["status"] == status).any():
            found[name] = Line2D([], [], linestyle="", marker=marker, color=colour, markersize=6)
    return found


def _rho(link: Link) -> str:
    return f"rank corr. {link.rho:+.2f}, n = {link.trials}"


# --- text ------------------------------------------------------------------------------------------------------------


def text(table: pl.DataFrame, asked: Asked) -> str:
    """The best of each goal, the front, the rank correlations, and what they stand on."""
    found = [QUESTION, f"The sweep asks: {asked.sweep.question}", headline(table, asked), "", "Best of each goal:"]
    for aim in asked.aims:
        order = table.drop_nulls(aim.column).sort(aim.sign * pl.col(aim.column), "number")
        best = _trial(order.row(0, named=True), asked) if len(order) else "no trial has a number"
        found.append(f"  {aim.column} ({aim.goal.direction}): {best}")
    if len(asked.aims) > 1:
        front = table.filter("front").sort(asked.aims[0].sign * pl.col(asked.aims[0].column))
        found += ["", f"Front (no other trial beats these in all {len(asked.aims)} goals):"]
        found += [f"  {_trial(row, asked)}" for row in front.iter_rows(named=True)]
    found += ["", "Rank correlations (Spearman) of the trials that finished:"]
    for aim in asked.aims:
        found += [f"  {aim.column} with {link.axis}: {_told(link)}" for link in links(table, asked, aim)]
    found += [f"  with {path}: none, its values have no order" for path in asked.axes if not asked.ordered(path)]
    return "\n".join([*found, "", *_caveats(table, asked), _caption(table, asked), ""])


def headline(table: pl.DataFrame, asked: Asked) -> str:
    """Whether the goals conflict, and which axis goes with the first."""
    first, front = asked.aims[0], table.filter("front")
    ends = front.sort(first.sign * pl.col(first.column), "number")
    if len(asked.aims) == 1:
        said = f"Best: {_point(ends.row(0, named=True), asked)}, of {_finished(table)} finished trials."
    elif front.n_unique([aim.column for aim in asked.aims]) == 1:
        said = f"No conflict: {_point(ends.row(0, named=True), asked)}, is best in every goal."
    else:
        low, high = (_point(ends.row(place, named=True), asked) for place in (0, -1))
        said = f"The goals conflict: {len(front)} of {_finished(table)} finished trials are on the front, "
        said += f"from {low} to {high}."
    link = strongest(table, asked)
    if link is None or link.rho is None:
        return f"{said} No axis has a rank correlation with goal 1."
    chance = by_chance(link.trials, sum(each.rho is not None for each in links(table, asked, first)))
    beyond = "beyond" if abs(link.rho) > chance + 1e-9 else "within"
    said += f" Goal 1 goes most with {link.axis}: rank correlation {link.rho:+.2f} over {link.trials} trials, {beyond} "
    return said + f"what chance gives (the strongest of unrelated axes reaches {chance:.2f} in one of 20 searches)."


def _finished(table: pl.DataFrame) -> int:
    return int((table["status"] == "done").sum())


def _point(row: Mapping, asked: Asked) -> str:
    return f"trial {row['number']} ({', '.join(_number(row[aim.column]) for aim in asked.aims)})"


def _trial(row: Mapping, asked: Asked) -> str:
    axes = ", ".join(f"{path} = {_number(row[path])}" for path in asked.axes)
    return f"{_point(row, asked)}{f' at {axes}' if axes else ''}"


def _number(value: object) -> str:
    if value is None:
        return "none"
    return f"{value:.4g}" if isinstance(value, float) else common.label(value)


def _told(link: Link) -> str:
    if link.rho is None:
        return f"none ({link.trials} trials, or one value only)"
    return f"{link.rho:+.2f} ({link.trials} trials)"


def _caveats(table: pl.DataFrame, asked: Asked) -> list[str]:
    """Why the correlations are to be read with care."""
    count, seeds = _finished(table), len(asked.sweep.seeds)
    found = [
        f"The correlations stand on {count} trials, each a mean over {seeds} seed{'s' if seeds != 1 else ''} whose "
        "spread is not shown; neighbours on the front may differ by less than that."
    ]
    if asked.sweep.search.algorithm == "optuna":
        found.append("Optuna chose later trials by the earlier ones: they are no random sample of the space.")
    if (table["status"] == "stopped").any():
        found.append("Trials that were stopped early are not in the correlations: those left had been selected.")
    return [*found, *_densities_told(table), *fractions(table, asked)]


def _densities_told(table: pl.DataFrame) -> list[str]:
    read = table.filter(pl.col("status") == "done")["density"].drop_nulls() if "density" in table.columns else []
    if not len(read):
        return []
    low, high = (100 * share for share in (min(read), max(read)))
    return [f"Goal 1 was read with {low:.3g} to {high:.3g} % of the weights left: rounds step over its density."]


def fractions(table: pl.DataFrame, asked: Asked) -> list[str]:
    """Early stopping at equal rounds against a prune fraction that is searched: who was favoured, and by how much."""
    stop, axis = asked.sweep.search.stop_early, asked.sweep.search.space.get(FRACTION)
    if stop is None or axis is None:
        return []
    ends = (axis.low, axis.high) if isinstance(axis, Range) else axis
    low, high = (float(end(value for value in ends if isinstance(value, (int, float)))) for end in (min, max))
    if low == high:
        return []
    left = [f"{100 * (1 - fraction) ** stop.grace:.3g} %" for fraction in (low, high)]
    less = goals.column_of(stop.measure)[0] in FALLS_WITH_PRUNING and stop.direction == "max"
    said = (
        f"Early stopping compared trials by {goals.label(stop)} at equal rounds, first at round {stop.grace}, where "
        f"{FRACTION} {low:g} leaves {left[0]} of the pruned layers' weights and {high:g} leaves {left[1]}: "
        f"{'small' if less else 'large'} fractions were favoured."
    )
    middle = [
        f"{found.median():.3g} of the {len(found)} {name}"
        for status, name in (("done", "finished"), ("stopped", "stopped"))
        if len(found := table.filter(pl.col("status") == status)[FRACTION].drop_nulls())
    ]
    return [said + (f" Median {FRACTION}: {', '.join(middle)}." if len(middle) == 2 else "")]


def _caption(table: pl.DataFrame, asked: Asked) -> str:
    found = [f"{asked.wanted} trials asked for: {_counts(table)}."]
    if asked.only:
        found.append(f"Only {', '.join(f'{path} = {value}' for path, value in asked.only.items())}.")
    elif len(table.filter(pl.col("status") != "running")) < asked.wanted:
        found.append("The search is not finished.")
    if (table["status"] == "stopped").any():
        stopped = table.filter(pl.col("status") == "stopped")["rounds"].drop_nulls().unique().to_list()
        found.append(f"Stopped at {common.spans(stopped)}: their goals are not compared.")
    found.append("Dots are means over seeds; numbers are those of trials; trials at the lower edge lack a goal.")
    if len(asked.aims) > 2:
        found.append(f"Drawn are the first two of {len(asked.aims)} goals; the front (not connected) is that of all.")
    changed = [path for path in asked.axes if table[path].n_unique() > 1]
    if len(changed) > MOST_AXES:
        found.append(f"Drawn are {MOST_AXES} of {len(changed)} axes, the most strongly correlated with goal 1.")
    return " ".join(found)


def _counts(table: pl.DataFrame) -> str:
    """How many trials ended how."""
    words = {
        "done": "finished",
        "undefined": "finished without a number for every goal",
        "stopped": "stopped early",
        "failed": "failed",
        "diverged": "diverged in every seed",
        "running": "running or interrupted",
    }
    counts = {status: int((table["status"] == status).sum()) for status in words}
    always = ("done", "stopped", "failed")
    return ", ".join(f"{n} {words[status]}" for status, n in counts.items() if n or status in always)


def main(folder: Place, round: int | None = None, only: Mapping[str, str] | None = None) -> None:
    """Draws a sweep's folder."""
    if round is not None:
        raise DataError("--round: goals are read at the round or density that the sweep names")
    if not Paths(folder).sweep.is_file():
        raise DataError(f"{folder}: no sweep.yaml here; {common.NO_SWEEP}")
    sweep = read_sweep(Paths(folder))
    if not sweep.search.goals:
        raise DataError(f"{folder}: nothing to draw: this sweep has no goals (search.goals)")
    rows, axes = common.rows("trials", folder, only)
    asked = Asked(sweep, axes, only or {})
    found = with_density(table(rows, asked), folder, asked.aims[0])
    common.save("goals", folder, found, draw(found, asked), text(found, asked))


if __name__ == "__main__":
    common.run(main, __doc__)
