"""Width, clustering, kurtosis and accuracy against the dial of non-Gaussianity, at one density, and where rewind step
and prune fraction change the answer.  After Redman et al. (2025), Fig. 3.

Left: one line per method at the base trial's setting. Middle: imp at every setting, a column per value of the first
further axis, a line per value of the second. Right: imp on the least Gaussian inputs minus imp on the most Gaussian,
per setting, and in how many seeds the least Gaussian are the more local (for accuracy: the more accurate). Settings
are compared at equal density, not at equal round: a row is the first round with at most `DENSITY` of the weights
(`--round` asks for a round instead). Reads any sweep with an axis of non-Gaussianity; non_gaussianity_dial is meant.

Expect: as the inputs get more Gaussian, imp's width rises and its clustering and kurtosis fall, at every step of the
dial and in every seed; at every setting imp is more local on the data than on their clone, and more local the smaller
the fraction, since one large step is oneshot pruning. What would count against us: a dial that only its first step
moves (then it is a switch), ends that differ in half of the seeds or fewer, and settings with the reverse order: then
the answer is the recipe's, not the data's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import common
import matplotlib
import polars as pl
import width_by_gain
from common import ACCURACY, CLUSTERING, KURTOSIS, KURTOSIS_END, MEASURES, WIDTH, Measure, Pairs
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from impray.results.paths import Paths
from impray.results.provenance import read_sweep
from impray.results.store import Place
from impray.spec import axes as spec_axes
from impray.spec.errors import DataError
from impray.spec.trial import Trial

QUESTION = "Is IMP's locality dialled by the inputs' non-Gaussianity, and do rewind step and prune fraction matter?"
DENSITY = 0.06  # 0.7^8 = 5.8 %: later rounds leave too few units with the inputs that a width is fitted to
UNEQUAL = 1.05  # a ratio of densities beyond which settings are said not to be at one density
UNITS = Measure("units_counted", ("units_counted",), "units with a width")
DRAWN = (WIDTH, CLUSTERING, KURTOSIS, KURTOSIS_END, ACCURACY)
LOCAL = (WIDTH, CLUSTERING)
ONLY = "the only setting"


# --- table -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Base:
    """The trial that a sweep's axes start from: its value on each axis, and its inputs in words."""

    values: Mapping[str, str] = field(default_factory=dict)
    inputs: str = "inputs not known: no sweep.yaml here"


def base(trial: Trial, axes: Mapping[str, str]) -> Base:
    data = trial.data
    inputs = f"{data.kind}, {' x '.join(map(str, data.input_shape))} inputs, {data.classes} classes"
    return Base({path: common.label(spec_axes.value(trial, path)) for path in axes}, inputs)


def table(rows: pl.LazyFrame, axes: list[str], round: int | None = None, base: Base | None = None) -> pl.DataFrame:
    """The tidy table (see `common`) at `DENSITY` or at the round, with `base` (the base trial's setting) and `inputs`.

    Where the base trial's value is none of an axis's, the axis's first value stands in for it.

    Raises:  DataError: nothing measured, or no lineage got that far.
    """
    base, measures = base or Base(), [(WIDTH,), (CLUSTERING,), (KURTOSIS, KURTOSIS_END), (ACCURACY,), (UNITS,)]
    rows = at_density(rows) if round is None else rows
    found = common.tidy(rows, axes, measures, round=round)
    if set(found["measure"]) == {UNITS.name}:
        raise DataError("nothing to draw: this sweep has measured neither width, clustering, kurtosis nor accuracy")
    here = [pl.col(facet) == _of_base(found, facet, base) for facet in ("column", "row")]
    return found.with_columns(pl.all_horizontal(here).alias("base"), pl.lit(base.inputs).alias("inputs"))


def _of_base(table: pl.DataFrame, facet: str, base: Base) -> str:
    """The panel that has the base trial's value."""
    labels = common.in_order(table, facet)
    wanted = f"{(path := labels[0].partition(' = ')[0])} = {base.values.get(path)}"
    return wanted if wanted in labels else labels[0]


def at_density(rows: pl.LazyFrame, density: float = DENSITY) -> pl.LazyFrame:
    """One row per lineage: its first round at or below the density, else where it diverged, else its last (`behind`).

    Raises:  DataError: no lineage got there.
    """
    done, low = pl.col("status") == "done", pl.col("density") <= density
    frame = rows.with_columns(pl.col("round").filter(done & low).min().over("lineage").alias("first")).collect()
    if frame["first"].is_null().all():
        least = frame["density"].min()
        raise DataError(f"nothing to draw: no lineage has a density of {density:g} or less (least: {least:.3g})")
    behind = pl.col("first").is_null() & ~(pl.col("status") == "diverged").any().over("lineage")
    behind &= pl.col("round") == pl.col("round").max().over("lineage")
    # A lineage that is behind stands at the round where its trial's others are, so that it holds nobody up.
    there = pl.coalesce(pl.col("first").max().over("trial"), pl.col("round"))
    frame = frame.with_columns(
        pl.when(behind).then(pl.lit("behind")).otherwise(pl.col("status")).alias("status"),
        pl.when(behind).then(there).otherwise(pl.col("round")).alias("round"),
    )
    wanted = (pl.col("round") == pl.col("first")) | (pl.col("first").is_null() & (pl.col("status") != "done"))
    return frame.filter(wanted).drop("first").lazy()


# --- what the settings answer ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Setting:
    """A value of every further axis, its rows, and imp on the least Gaussian inputs against the most Gaussian."""

    column: str
    row: str
    rows: pl.DataFrame

    @property
    def name(self) -> str:
        return ", ".join(facet for facet in (self.column, self.row) if facet) or ONLY

    @property
    def is_base(self) -> bool:
        return bool(self.rows["base"][0])

    def ends(self, measure: Measure, method: str = "imp") -> Pairs | None:
        """The method on the least Gaussian inputs minus itself on the most Gaussian, seed by seed."""
        ends, of = common.ends(self.rows), common.part(self.rows, measure=measure.name, method=method)
        return None if ends is None else common.paired([common.part(of, x=x) for x in ends], measure)

    def against(self, other: str, measure: Measure) -> Pairs | None:
        """imp minus the other method, on the least Gaussian inputs."""
        x = (common.ends(self.rows) or common.in_order(self.rows, "x"))[0]
        of = common.part(self.rows, measure=measure.name, x=x)
        return common.paired([common.part(of, method=method) for method in ("imp", other)], measure)

    def answer(self, measure: Measure) -> str:
        """One of `width_by_gain.MEANT`, by this measure alone."""
        return width_by_gain.verdict(common.part(self.rows, measure=measure.name)).word


def settings(table: pl.DataFrame) -> list[Setting]:
    """Every setting that has rows, in order."""
    pairs = [(c, r) for c in common.in_order(table, "column") for r in common.in_order(table, "row")]
    found = [Setting(c, r, common.part(table, column=c, row=r)) for c, r in pairs]
    return [setting for setting in found if not setting.rows.is_empty()]


@dataclass(frozen=True)
class Course:
    """In how many seeds a number goes one way at every step from the least Gaussian inputs to the most Gaussian."""

    rises: int
    falls: int
    seeds: int

    def expected(self, measure: Measure) -> int:
        """Seeds in which it gets less local (or less accurate) at every step."""
        return self.rises if measure.better == "lower" else self.falls


def course(rows: pl.DataFrame, measure: Measure, method: str = "imp") -> Course | None:
    """Of a setting's rows; a kurtosis counts by its distance from 3.

    None where no seed has all of three or more values of the axis, or the axis has no Gaussian end.
    """
    ends, values = common.ends(rows), common.in_order(rows, "x")
    if ends is None or len(values) < 3:
        return None
    of = common.part(rows, measure=measure.name, method=method).filter(pl.col("value").is_not_null())
    points = of.group_by("seed", "at").agg(measure.score.mean()).sort("at", descending=ends[0] != values[0])
    lines = points.group_by("seed", maintain_order=True).agg("value")["value"].to_list()
    steps = [[b - a for a, b in zip(line, line[1:], strict=False)] for line in lines if len(line) == len(values)]
    if not steps:
        return None
    rises, falls = (sum(all(sign * gap > 0 for gap in step) for step in steps) for sign in (1, -1))
    return Course(rises, falls, len(steps))


def answers(table: pl.DataFrame, measure: Measure) -> pl.DataFrame:
    """Per setting, imp's difference between the ends of the dial (mean over seeds), and in how many seeds it `wins`."""
    found = [(setting, setting.ends(measure)) for setting in settings(table)]
    rows = [
        {"column": s.column, "row": s.row, "gap": p.mean, "wins": measure.wins(p), "seeds": p.seeds}
        for s, p in found
        if p is not None
    ]
    types = {"column": pl.String, "row": pl.String, "gap": pl.Float64, "wins": pl.Int64, "seeds": pl.Int64}
    return pl.DataFrame(rows, schema=types)


# --- figure ----------------------------------------------------------------------------------------------------------


def draw(table: pl.DataFrame) -> Figure:
    """Rows: measures; columns: methods at the base setting, imp at every setting, differences between the ends."""
    names = [measure.name for measure in DRAWN if measure.name in table["measure"]]
    columns = common.in_order(table, "column")
    several = len(settings(table)) > 1
    widths = [1.25, *([1.0] * len(columns) + [0.55 + 0.45 * len(columns)] if several else [])]
    figure = common.blank(max(7.5, 2.3 * sum(widths) + 1.6), 1.9 * len(names) + 2.6)
    grid = [list(line) for line in figure.subplots(len(names), len(widths), squeeze=False, width_ratios=widths)]
    handles: dict[str, Artist] = {}
    for name, line in zip(names, grid, strict=True):
        measure, of = MEASURES[name], common.part(table, measure=name)
        handles |= _methods(common.plain(line[0]), common.part(of, base=True), measure)
        line[0].set_ylabel(measure.label, fontsize=8)
        for column, axes in zip(columns, line[1:-1], strict=False):
            if axes is not line[1]:
                axes.sharey(line[1])
            handles |= _imp(common.plain(axes), common.part(of, column=column, method="imp"), measure)
            axes.tick_params(labelleft=column == columns[0])
            axes.tick_params(axis="x", labelsize=6.5)
        if several:
            _heat(line[-1], answers(table, measure), measure, name == names[-1])
    _titles(table, grid, several)
    return common.finish(figure, QUESTION, [headline(table), _caption(table)], handles)


def _titles(table: pl.DataFrame, grid: list[list[Axes]], several: bool) -> None:
    base = common.part(table, base=True)
    named = [name for name in (base["column"][0], base["row"][0]) if name]
    grid[0][0].set_title("\n".join(["all methods" + (" at" if named else ""), *named]), fontsize=8.5)
    axis = table["axis"][0]
    if several:
        for column, axes in zip(common.in_order(table, "column"), grid[0][1:-1], strict=True):
            axes.set_title(f"imp\n{column}" if column else "imp", fontsize=8.5)
        grid[0][-1].set_title(
            "imp: least minus most Gaussian\n(seeds in which the former\nis the better)", fontsize=8.5
        )
    for line in grid:
        for axes in line[: -1 if several else None]:
            axes.tick_params(labelbottom=line is grid[-1])
    for axes in grid[-1][: -1 if several else None]:
        axes.set_xlabel(axis if axes is not grid[-1][0] else common.meaning(axis).replace("  (", "\n("), fontsize=8)


def _band(axes: Axes, line: pl.DataFrame, look: dict) -> Artist:
    """Mean over seeds, and their minimum and maximum."""
    line = line.filter(pl.col("mean").is_not_null()).unique("x", maintain_order=True).sort("at")
    axes.fill_between(line["at"], line["low"], line["high"], color=look["color"], alpha=0.18, linewidth=0)
    return axes.plot(line["at"], line["mean"], **look)[0]


def _methods(axes: Axes, table: pl.DataFrame, measure: Measure) -> dict[str, Artist]:
    _reference(axes, measure)
    lines = {method: common.part(table, method=method) for method in common.in_order(table, "method")}
    handles = {method: _band(axes, line, common.look(method)) for method, line in lines.items()}
    common.ticks(axes, table)
    return handles


def _imp(axes: Axes, table: pl.DataFrame, measure: Measure) -> dict[str, Artist]:
    """imp, one line per value of the second further axis."""
    _reference(axes, measure)
    rows = common.in_order(table, "row")
    handles: dict[str, Artist] = {}
    for row, look in zip(rows, _looks(len(rows)), strict=True):
        handles[f"imp, {row}" if row else "imp"] = _band(axes, common.part(table, row=row), look)
    if not table.is_empty():
        common.ticks(axes, table)
    return {name: handle for name, handle in handles.items() if name != "imp"}


def _looks(count: int) -> list[dict]:
    """Shades for the values of one axis, dark to light; a single one is imp's own look."""
    if count < 2:
        return [common.look("imp")] * count
    shades = matplotlib.colormaps["viridis"]
    return [common.look("imp") | {"color": shades(0.1 + 0.75 * i / (count - 1)), "markersize": 3} for i in range(count)]


def _reference(axes: Axes, measure: Measure) -> None:
    if measure.reference is not None:
        axes.axhline(measure.reference, color="0.55", linewidth=0.8, linestyle=":")


def _heat(axes: Axes, answers: pl.DataFrame, measure: Measure, last: bool) -> None:
    """Differences as numbers on a diverging map: blue where the least Gaussian inputs are the more local, red where less."""
    columns, rows = (answers[name].unique(maintain_order=True).to_list() for name in ("column", "row"))
    axes.tick_params(labelsize=7, length=0)
    if answers.is_empty():
        axes.set_axis_off()
        axes.text(0.5, 0.5, "no Gaussian end", ha="center", transform=axes.transAxes, fontsize=8)
        return
    most = max(abs(gap) for gap in answers["gap"]) or 1.0
    colours = "RdBu_r" if measure.better == "lower" else "RdBu"
    values = [[_cell(answers, column, row) for column in columns] for row in rows]
    axes.imshow(values, cmap=colours, vmin=-1.6 * most, vmax=1.6 * most, aspect="auto")
    for each in answers.iter_rows(named=True):
        text = f"{each['gap']:+.2g}\n{each['wins']}/{each['seeds']}"
        place = (columns.index(each["column"]), rows.index(each["row"]))
        axes.text(*place, text, ha="center", va="center", fontsize=7.5)
    axes.set_yticks(range(len(rows)), [row.partition(" = ")[2] for row in rows])
    axes.set_xticks(range(len(columns)), [column.partition(" = ")[2] for column in columns])
    axes.set_ylabel(rows[0].partition(" = ")[0], fontsize=7.5)
    axes.set_xlabel(columns[0].partition(" = ")[0] if last else "", fontsize=8)
    axes.tick_params(labelbottom=last)


def _cell(answers: pl.DataFrame, column: str, row: str) -> float:
    found = common.part(answers, column=column, row=row)["gap"]
    return float(found[0]) if len(found) else float("nan")


# --- text ------------------------------------------------------------------------------------------------------------


def text(table: pl.DataFrame) -> str:
    """The verdict, the base setting in numbers, every setting's answer, what each further axis does, the caption."""
    found = [QUESTION, headline(table), "", "Along the dial, imp:"]
    for measure in _measures(table, DRAWN):
        found += [f"  {_along(setting, measure)}" for setting in settings(table)]
    found += ["", "Methods on the least Gaussian inputs:"]
    found += [f"  {sentence}" for sentence in _methods_compared(table)]
    found += ["", "What a further axis does to imp on the least Gaussian inputs:"]
    found += [f"  {sentence}" for sentence in _effects(table, _measures(table, DRAWN))] or [
        "  This sweep has no further axis."
    ]
    return "\n".join([*found, "", _caption(table), ""])


def _measures(table: pl.DataFrame, choice: Sequence[Measure]) -> list[Measure]:
    measured = set(common.part(table, status="done")["measure"])
    return [measure for measure in choice if measure.name in measured]


def headline(table: pl.DataFrame) -> str:
    """The base setting's dial, its ends, and at which settings the answer is another."""
    base = next((setting for setting in settings(table) if setting.is_base), settings(table)[0])
    local = _measures(table, LOCAL)
    if not local:
        return "Unanswered: neither RF width nor clustering was measured."
    said = [_dial(base, _measures(table, (WIDTH, CLUSTERING, KURTOSIS, KURTOSIS_END))), *_ends(base, local)]
    if len(settings(table)) > 1:
        said += [*(_elsewhere(table, measure) for measure in local), *_effects(table, local[-1:])]
    return " ".join([*said, *(["One seed only: an anecdote."] if table["seeds"].max() == 1 else [])])


def _dial(base: Setting, measures: list[Measure]) -> str:
    """In how many seeds every step of the dial goes the same way, and where on it half of the change is done."""
    found = [(measure, course(base.rows, measure)) for measure in measures]
    counted = [(measure, counts) for measure, counts in found if counts is not None]
    if not counted:
        return "Not a dial: fewer than three values of the axis in every seed, or no Gaussian end."
    held = [counts.expected(measure) == counts.seeds for measure, counts in counted]
    word = "A dial" if all(held) else "A dial in part" if any(held) else "Not a smooth dial"
    ways = {"lower": "rises", "higher": "falls"}
    listed = [
        f"{measure.name} {ways[measure.better]} in {counts.expected(measure)} of {counts.seeds} seeds"
        f"{_half(base.rows, measure)}"
        for measure, counts in counted
    ]
    at = f" (at {base.name})" if base.name != ONLY else ""
    steps = len(common.in_order(base.rows, "x")) - 1
    return f"{word}{at}: at every one of {steps} steps towards the Gaussian end, imp's {'; '.join(listed)}."


def _half(rows: pl.DataFrame, measure: Measure) -> str:
    """By which value of the axis half of the change of imp's mean is done; nothing where the ends do not differ."""
    values = common.in_order(rows, "x")
    if (ends := common.ends(rows)) is not None and ends[0] != values[0]:
        values = values[::-1]
    of = common.part(rows, measure=measure.name, method="imp").filter(pl.col("mean").is_not_null()).unique("x")
    means = dict(of.select("x", "mean").rows())
    line = [(x, means[x]) for x in values if x in means]
    change = line[-1][1] - line[0][1] if line else 0.0
    done = [x for x, mean in line if change and (mean - line[0][1]) / change >= 0.5]
    return f" (half of the change is done by {done[0]})" if done else ""


def _ends(base: Setting, measures: list[Measure]) -> list[str]:
    """What the ends answer, by each measure of locality; measures with one answer share a sentence."""
    found: dict[str, list[str]] = {}
    for measure in measures:
        pairs = base.ends(measure)
        if pairs is not None:
            order = f"{measure.comparative} in {measure.wins(pairs)} {pairs.most} ({common.gap(pairs, measure)})"
            found.setdefault(base.answer(measure), []).append(order)
    if not found:
        return ["imp at the ends of the axis shares no seed."]
    return [
        f"Between its ends, {word} ({width_by_gain.MEANT[word]}): imp at the least Gaussian is {' and '.join(orders)}."
        for word, orders in found.items()
    ]


def _elsewhere(table: pl.DataFrame, measure: Measure) -> str:
    """How many settings have which answer, and which of them differ from the base's."""
    found = [(setting, setting.answer(measure)) for setting in settings(table)]
    answered = [(setting, word) for setting, word in found if word != "unanswered"]
    of_base = next((word for setting, word in answered if setting.is_base), answered[0][1] if answered else None)
    counts = ", ".join(f"{word} at {n}" for word, n in Counter(word for _, word in found).most_common())
    others = [f"{word} at {setting.name}" for setting, word in answered if word != of_base]
    pairs = [pair for setting, _ in found if (pair := setting.ends(measure)) is not None]
    order = (
        f"{sum(measure.wins(pair) for pair in pairs)} of {sum(pair.seeds for pair in pairs)} pairs of setting and seed"
    )
    changed = f"the setting changes the answer: {'; '.join(others)}" if others else "no setting changes the answer"
    return f"By {measure.name}, of {len(found)} settings: {counts} ({measure.comparative} in {order}); {changed}."


def _along(setting: Setting, measure: Measure) -> str:
    of = common.part(setting.rows, measure=measure.name, method="imp").filter(pl.col("mean").is_not_null())
    line = of.unique("x").sort("at")
    listed = ", ".join(f"{row['x']}: {row['mean']:.3g}" for row in line.iter_rows(named=True)) or "no lineage"
    counts = course(setting.rows, measure)
    steady = f"; at every step up in {counts.rises}, down in {counts.falls} of {counts.seeds} seeds" if counts else ""
    return f"{measure.name} at {setting.name}: {listed}{steady}."


def _methods_compared(table: pl.DataFrame) -> list[str]:
    """imp against each other method, over all settings."""
    found = []
    for measure in _measures(table, DRAWN):
        for other in (method for method in common.in_order(table, "method") if method != "imp"):
            pairs = [pair for setting in settings(table) if (pair := setting.against(other, measure)) is not None]
            if pairs:
                always = sum(measure.wins(pair) == pair.seeds for pair in pairs)
                mean = sum(pair.mean for pair in pairs) / len(pairs)
                found.append(
                    f"imp is {measure.comparative} than {other} in every seed at {always} of {len(pairs)} "
                    f"setting{'s' if len(pairs) != 1 else ''} (mean difference {mean:+.3g}{measure.unit})."
                )
    return found


def _effects(table: pl.DataFrame, measures: Sequence[Measure]) -> list[str]:
    """imp at the last value of a further axis minus the first, the other axis and the seed held."""
    found, x = [], (common.ends(table) or common.in_order(table, "x"))[0]
    for facet, other in (("column", "row"), ("row", "column")):
        values = common.in_order(table, facet)
        if len(values) < 2:
            continue
        path = values[0].partition(" = ")[0]
        for measure in measures:
            of = common.part(table, measure=measure.name, method="imp", x=x)
            # Settings get to one density at different rounds: the pairing is by seed and the other axis alone.
            seeds = pl.struct("seed", other).alias("seed")
            sides = [common.part(of, **{facet: v}).with_columns(seeds, round=0) for v in (values[-1], values[0])]
            pairs = common.paired(sides, measure)
            if pairs is not None:
                first, last = (value.partition(" = ")[2] for value in (values[0], values[-1]))
                of_all = f"{measure.wins(pairs)} of {pairs.seeds} pairs of one seed and {other_name(table, other)}"
                found.append(
                    f"{path} {last} instead of {first}: imp is {measure.comparative} in {of_all} "
                    f"({common.gap(pairs, measure)})."
                )
    return found


def other_name(table: pl.DataFrame, facet: str) -> str:
    return common.in_order(table, facet)[0].partition(" = ")[0] or ONLY


def _caption(table: pl.DataFrame) -> str:
    units = common.part(table, measure=UNITS.name, status="done")
    found = [f"Inputs: {table['inputs'][0]}.", _at(table), common.caption(table, "bands")]
    if not units.is_empty():
        low, high = (int(value) for value in (units["value"].min(), units["value"].max()) if isinstance(value, float))
        found.append(f"Per lineage: median width and mean clustering over the {low} to {high} units that have a width.")
    found.append(
        "Maps: blue where the least Gaussian inputs are the better in the mean; dotted: 3 (a Gaussian), 1 (chance)."
    )
    return " ".join(found)


def _at(table: pl.DataFrame) -> str:
    """Which rounds, and whether they are at one density."""
    done = common.part(table, status="done").select("row", "column", "round", "density").unique()
    low, high = done["density"].min(), done["density"].max()
    if not isinstance(low, float) or not isinstance(high, float):
        return f"At {common.spans(done['round'].unique().to_list())}."
    share = f"{100 * low:.3g}" if high - low < 1e-3 * high else f"{100 * low:.3g} to {100 * high:.3g}"
    at = f"Drawn at {common.spans(done['round'].unique().to_list())}, with {share} % of the weights left"
    if high > UNEQUAL * low:
        return f"{at}: not one density, and part of what differs between settings is that."
    return f"{at}."


def main(folder: Place, round: int | None = None, only: Mapping[str, str] | None = None) -> None:
    """Draws a sweep's folder."""
    rows, axes = common.rows("rounds", folder, only)
    known = Paths(folder).sweep.is_file()
    found = table(rows, list(axes), round, base(read_sweep(Paths(folder)).trial, axes) if known else None)
    common.save("dial", folder, found, draw(found), text(found))


if __name__ == "__main__":
    common.run(main, __doc__)
