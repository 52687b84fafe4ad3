"""Masks by cavity score beside IMP's: width, clustering, kurtosis, accuracy and overlap against sparsity, one line per
method.  Redman et al. (2025), section 3.3 and its hypothesis H*; the paper does not prune by the score.

A column per value of the axis of non-Gaussianity: the data and their Gaussian clone. `overlap` is the share of imp's kept
weights that the method keeps too (same trial, seed and round); chance is the share of all weights that it keeps, and
`overlap_by_fan_in` what two masks with these inputs per unit would share at random. `next_cavity` is the mean score, on
held-out data and times N_W, of the weights that a method removes next (Fig. 5C, just before removal); dotted, their
median, which a few enormous scores do not move; dashed, the mean from half of the inputs: scores of Gaussian data are
noise that shrinks with the sample, so a score is worth as much as it stands above the clone's and as its lines agree.
Reads the tables `rounds`, `masks` (all units: `masks.most_connected`) and `fates` (measure `cavity`) of any sweep with the
method `cavity`; cavity_rule is meant.

Expect, if H* holds: on the data `cavity` is about as local as imp, keeps more of imp's weights than oneshot does, and is
further from a Gaussian's 3 than imp, which it must be if the score of single weights says what removing many does;
`cavity_lowest`, its mirror image, does the reverse; on the clone `cavity` is like random. What would count against
H*: masks at chance although the kurtosis rises above imp's (then a high kurtosis is not what makes the fields), or a
mirror image that is as local. Where the kurtosis does not rise, the rule is no test of H*: the score fails, not IMP.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import common
import numpy as np
import polars as pl
from common import ACCURACY, CLUSTERING, KURTOSIS, KURTOSIS_END, WIDTH, Measure
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from impray.results import tables
from impray.results.paths import Paths
from impray.results.provenance import read_sweep
from impray.results.store import Place
from impray.spec.errors import DataError

QUESTION = "H*: does pruning the highest cavity scores give the masks that IMP gives?"
RULE, MIRROR = "cavity", "cavity_lowest"
OVERLAP = Measure(
    "overlap",
    ("overlap",),
    "overlap: share of imp's\nkept weights that the\nmethod keeps too",
    "",
    "higher",
    "nearer to imp",
)
BY_FAN_IN = Measure("overlap_by_fan_in", ("overlap_by_fan_in",), "overlap by chance at the same inputs per unit")
CHANCE = Measure("overlap_by_chance", ("overlap_by_chance",), "share of all weights that are kept")
NEXT = Measure(
    "next_cavity",
    ("next_cavity",),
    "N_W x cavity score\nof the weights removed\nnext (held-out data):\nmean, median",
    "",
    "higher",
    "higher in score",
    0.0,
)
NEXT_MEDIAN = Measure("next_cavity_median", ("next_cavity_median",), "median, not mean, of these weights")
NEXT_HALF = Measure("next_cavity_half", ("next_cavity_half",), "the mean from half of the inputs")
UNITS = Measure("units_counted", ("units_counted",), "units with a width")
DRAWN = (WIDTH, CLUSTERING, KURTOSIS, KURTOSIS_END, ACCURACY, OVERLAP, NEXT)
THIN: dict[Measure, tuple[str, Literal[":", "--"]]] = {
    NEXT_MEDIAN: ("scores: median", ":"),
    NEXT_HALF: ("scores: mean, half\nof the inputs", "--"),
}
LINEAR = 10.0  # next_cavity is drawn linearly up to here, then as its logarithm


# --- table -----------------------------------------------------------------------------------------------------------


def table(rows: pl.LazyFrame, axes: list[str], round: int | None = None, inputs: str = "not known") -> pl.DataFrame:
    """The tidy table (see `common`) at every round; `rows` are those of `rounds` after `with_overlap` and `with_next`.

    Raises:  DataError: nothing measured, or the sweep has no lineage of the method `cavity`.
    """
    if RULE not in rows.select("method").collect()["method"]:
        raise DataError(f"nothing to draw: this sweep has no lineage of the method {RULE}")
    measures = [(WIDTH,), (CLUSTERING,), (KURTOSIS, KURTOSIS_END), (ACCURACY,)]
    measures += [(OVERLAP,), (BY_FAN_IN,), (CHANCE,), (NEXT,), (NEXT_MEDIAN,), (NEXT_HALF,), (UNITS,)]
    known = [choice for choice in measures if all(column in rows.collect_schema() for column in choice[0].columns)]
    found = common.tidy(rows, axes, known, round=round, every_round=True, facets=0)
    return found.with_columns(pl.lit(inputs).alias("inputs"))


def with_overlap(rows: pl.LazyFrame, masks: pl.LazyFrame) -> pl.LazyFrame:
    """Adds `overlap`, `overlap_by_fan_in` and `overlap_by_chance` to the rows of `rounds`.

    All three are null for imp itself, where imp of the same trial, seed and round has no masks, and where not every unit's
    mask was stored.
    """
    frame = rows.collect()
    stored = _stored(frame, masks.filter(pl.col("layer") == 1).collect())
    who = frame.select("lineage", "trial", "seed", "method", "round")
    imp = who.filter(pl.col("method") == "imp").select("trial", "seed", "round", pl.col("lineage").alias("imp"))
    pairs = who.filter(pl.col("method") != "imp").join(imp, on=["trial", "seed", "round"])
    found = []
    for row in pairs.iter_rows(named=True):
        mine, theirs = stored.get((row["lineage"], row["round"])), stored.get((row["imp"], row["round"]))
        if mine is not None and theirs is not None and mine[1] == theirs[1] and theirs[0].any():
            found.append((row["lineage"], row["round"], *overlap(theirs[0], mine[0], theirs[1])))
    names = ("overlap", "overlap_by_fan_in", "overlap_by_chance")
    types = {"lineage": pl.String, "round": pl.Int64, **{name: pl.Float64 for name in names}}
    return frame.join(pl.DataFrame(found, schema=types, orient="row"), on=["lineage", "round"], how="left").lazy()


def _stored(frame: pl.DataFrame, masks: pl.DataFrame) -> dict[tuple[str, int], tuple[np.ndarray, int]]:
    """(lineage, round) -> packed masks of all units in order, and the number of inputs; only where all units are stored.

    The most connected units have more inputs than the mean over all units, unless they are all units.
    """
    if "fan_in_mean" not in frame.columns or masks.is_empty():
        return {}
    found = {}
    for key, units in masks.sort("unit").group_by("lineage", "round"):
        bits = np.stack([np.frombuffer(each, dtype=np.uint8) for each in units["bits"]])
        found[key] = (bits, int(np.prod(units["shape"][0].to_list())), units["fan_in"].mean())
    means = {(row[0], row[1]): row[2] for row in frame.select("lineage", "round", "fan_in_mean").iter_rows()}
    return {key: (bits, inputs) for key, (bits, inputs, mean) in found.items() if _same(mean, means.get(key))}


def _same(one: float | None, other: float | None) -> bool:
    return one is not None and other is not None and abs(one - other) <= 1e-9 * max(1.0, abs(other))


def overlap(imp: np.ndarray, other: np.ndarray, inputs: int) -> tuple[float, float, float]:
    """Share of imp's kept weights that the other mask keeps; the same by chance given each unit's inputs; by chance at all.

    Args:    imp, other: [unit, byte] masks packed eight inputs to a byte. inputs: number of inputs of a unit.
    """
    both = np.bitwise_count(imp & other).sum()
    fan_in, other_fan_in = (np.bitwise_count(bits).sum(axis=1, dtype=np.int64) for bits in (imp, other))
    by_fan_in = (fan_in * other_fan_in).sum() / (inputs * fan_in.sum())
    return float(both / fan_in.sum()), float(by_fan_in), float(other_fan_in.sum() / (inputs * len(other)))


def with_next(rows: pl.LazyFrame, fates: pl.LazyFrame) -> pl.LazyFrame:
    """Adds `next_cavity`, its median and its half: scores of the first layer's weights whose fate is the next round."""
    names = {
        "cavity_scaled_mean": "next_cavity",
        "cavity_scaled_median": "next_cavity_median",
        "cavity_half_scaled_mean": "next_cavity_half",
    }
    following = fates.filter((pl.col("layer") == 1) & (pl.col("fate") == pl.col("round") + 1))
    columns = [pl.col(name).alias(new) for name, new in names.items()]
    return rows.join(following.select("lineage", "round", *columns), on=["lineage", "round"], how="left")


# --- figure ----------------------------------------------------------------------------------------------------------


def draw(table: pl.DataFrame) -> Figure:
    """Rows: measures; columns: axis values; along x the rounds, with the share of weights left."""
    measures = [measure for measure in DRAWN if measure.name in table["measure"]]
    columns = common.shown(common.in_order(table, "x"))
    figure, grid = common.canvas(len(measures), len(columns), (4.0, 1.65))
    handles: dict[str, Artist] = {}
    for measure, line in zip(measures, grid, strict=True):
        for x, axes in zip(columns, line, strict=True):
            handles |= _panel(axes, common.part(table, measure=measure.name, x=x), measure)
            handles |= _beside(axes, common.part(table, x=x), measure)
        line[0].set_ylabel(measure.label, fontsize=8)
    for x, axes in zip(columns, grid[0], strict=True):
        axes.set_title(common.named(table["axis"][0], x), fontsize=9)
    for axes in grid[-1]:
        _sparsity(axes, table)
    return common.finish(figure, QUESTION, [headline(table), _caption(table)], handles)


def _panel(axes: Axes, table: pl.DataFrame, measure: Measure) -> dict[str, Artist]:
    if measure.reference is not None:
        axes.axhline(measure.reference, color="0.55", linewidth=0.8, linestyle=":")
    if measure is NEXT:
        axes.set_yscale("symlog", linthresh=LINEAR)
    if measure is OVERLAP:
        axes.set_yscale("log")
    handles: dict[str, Artist] = {}
    for method in common.in_order(table, "method"):
        line = common.part(table, method=method, status="done").unique("round").sort("round")
        look = common.look(method)
        axes.fill_between(line["round"], line["low"], line["high"], color=look["color"], alpha=0.18, linewidth=0)
        handles[method] = axes.plot(line["round"], line["mean"], **look)[0]
    return handles


def _beside(axes: Axes, table: pl.DataFrame, measure: Measure) -> dict[str, Artist]:
    """Chance below the overlap; medians, and means from half of the inputs, beside the mean scores."""
    if measure is OVERLAP:
        line = common.part(table, measure=CHANCE.name, status="done").unique("round").sort("round")
        axes.plot(line["round"], line["mean"], color="0.4", linewidth=1.0, linestyle=":")
        return {"overlap: chance": Line2D([], [], color="0.4", linewidth=1.0, linestyle=":")} if len(line) else {}
    if measure is not NEXT:
        return {}
    handles: dict[str, Artist] = {}
    for other, (name, style) in THIN.items():
        scores = common.part(table, measure=other.name, status="done")
        for method in common.in_order(scores, "method"):
            line = common.part(scores, method=method).unique("round").sort("round")
            axes.plot(line["round"], line["mean"], color=common.look(method)["color"], linewidth=1.0, linestyle=style)
            handles[name] = Line2D([], [], color="0.4", linewidth=1.0, linestyle=style)
    return handles


def _sparsity(axes: Axes, table: pl.DataFrame) -> None:
    """Rounds, and below them the weights left in percent, if all trials have the same."""
    of_rounds = common.part(table, status="done").select("round", "density").drop_nulls().unique().sort("round")
    axes.set_xlabel("round (prunings)", fontsize=9)
    if len(of_rounds) and of_rounds["round"].n_unique() == len(of_rounds):
        shown = of_rounds.gather_every(1 + len(of_rounds) // 8)
        labels = [f"{row['round']}\n{100 * row['density']:.3g}" for row in shown.iter_rows(named=True)]
        axes.set_xticks(shown["round"].to_list(), labels)
        axes.set_xlabel("round (prunings), and weights left (%)", fontsize=9)


# --- text ------------------------------------------------------------------------------------------------------------


MEANT = {
    "supported": "masks like imp's, and less Gaussian than imp's, as H* wants",
    "alike": "masks like imp's, but without the kurtosis that H* gives as the reason",
    "in part": "some of what H* says of the masks holds",
    "not supported": "less Gaussian than imp, and yet masks unlike imp's",
    "untested": "masks unlike imp's, but no less Gaussian than imp's: single scores do not say what removing many does",
    "unanswered": "imp and cavity share no seed at a round, or locality and kurtosis were not measured",
}
LOCALITY = {
    "more": "more local than imp",
    "less": "less local than imp",
    "like": "as local as imp",
    "none": "no more local than random",
}


@dataclass(frozen=True)
class Findings:
    """What the rule does on the least Gaussian inputs, in words that the verdict follows from; None: not measured.

    locality: measure -> how local `cavity` is at the last round: `more`, `less` or `like` imp (see `_beyond`); `none`
    where it is not `more` local than random.
    shares: whether `cavity` keeps more of imp's weights than chance in every seed, and in most seeds as many as oneshot.
    raises: whether its kurtosis is further from 3 than imp's in every seed: at `most` rounds, at `some`, or at `none`.
    """

    locality: Mapping[str, str]
    shares: str | None
    raises: str | None


def findings(table: pl.DataFrame) -> Findings:
    x = least_gaussian(table)
    locality = {measure.name: word for measure in (WIDTH, CLUSTERING) if (word := _locality(table, measure, x))}
    return Findings(locality, _shares(table, x), _raises(table, x))


def least_gaussian(table: pl.DataFrame) -> str:
    return (common.ends(table) or common.in_order(table, "x"))[0]


def _locality(table: pl.DataFrame, measure: Measure, x: str) -> str | None:
    random, imp = (common.orderings(table, measure, RULE, other, x) for other in ("random", "imp"))
    if imp is None:
        return None
    if random is not None and _beyond(random.last, measure) != "more":
        return "none"
    return _beyond(imp.last, measure)


def _beyond(pairs: common.Pairs, measure: Measure) -> str:
    """`more` or `less` local where most seeds say so and their mean difference exceeds its standard error, else `like`.

    The error is the range of the differences over their number, the usual shortcut up to a dozen seeds. Seeds that agree
    always exceed it; five equal ones against one do if it is less than twice as large; two runs of the same rule do in
    3 of 10 cases (with two seeds in 5), where a mere majority would hardly ever say `like`.
    """
    agree = pairs.lower if pairs.mean < 0 else pairs.higher
    error = (pairs.high - pairs.low) / pairs.seeds
    if 2 * agree <= pairs.seeds or abs(pairs.mean) <= error:
        return "like"
    return "more" if (pairs.mean < 0) == (measure.better == "lower") else "less"


def _shares(table: pl.DataFrame, x: str) -> str | None:
    """`as oneshot`, `above chance`, or `at chance`, at the last round; chance knows how many inputs each unit has."""
    above = excess(table, RULE, x)
    if above is None:
        return None
    if not (above["value"] > above["chance"]).all():
        return "at chance"
    oneshot = common.orderings(table, OVERLAP, RULE, "oneshot", x)
    return "as oneshot" if oneshot and 2 * OVERLAP.wins(oneshot.last) >= oneshot.last.seeds else "above chance"


def excess(table: pl.DataFrame, method: str, x: str) -> pl.DataFrame | None:
    """Per seed of a method at the last round: `value`, its overlap with imp, and `chance`, with these inputs per unit."""
    of = common.part(table, method=method, x=x, status="done")
    both = common.part(of, measure=OVERLAP.name).join(
        common.part(of, measure=BY_FAN_IN.name).select("lineage", "round", pl.col("value").alias("chance")),
        on=["lineage", "round"],
    )
    both = both.filter(pl.col("round") == pl.col("round").max())
    return None if both.is_empty() else both.select("seed", "round", "value", "chance").sort("seed")


def _kurtosis(table: pl.DataFrame) -> Measure:
    return KURTOSIS if KURTOSIS.name in table["measure"] else KURTOSIS_END


def _raises(table: pl.DataFrame, x: str) -> str | None:
    held = common.orderings(table, _kurtosis(table), RULE, "imp", x)
    if held is None:
        return None
    return "most" if 2 * len(held.always) > len(held.pairs) else "some" if held.always else "none"


def verdict(found: Findings) -> str:
    """One of `MEANT`."""
    if not found.locality or found.raises is None:
        return "unanswered"
    local = [word in ("like", "more") for word in found.locality.values()]
    alike = all(local) and found.shares in ("as oneshot", None)
    unlike = not any(local) and found.shares in ("at chance", None)
    if alike:
        return "supported" if found.raises == "most" else "alike"
    if unlike:
        return "not supported" if found.raises == "most" else "untested"
    return "in part"


def headline(table: pl.DataFrame) -> str:
    """The verdict on the least Gaussian inputs and what it follows from."""
    found, x = findings(table), least_gaussian(table)
    word = verdict(found)
    said = [f"{word.capitalize()}: {MEANT[word]}. At {common.named(table['axis'][0], x)}, after the last round:"]
    said += [_of_locality(table, found, x), _of_overlap(table, RULE, x), _of_kurtosis(table, x)]
    if table["seeds"].max() == 1:
        said.append("One seed only: an anecdote.")
    return " ".join(sentence for sentence in said if sentence)


def _of_kurtosis(table: pl.DataFrame, x: str) -> str:
    """Whether removing many weights does what their scores say one by one."""
    measure = _kurtosis(table)
    held = common.orderings(table, measure, RULE, "imp", x)
    if held is None:
        return ""
    first = {method: _means(table, measure, method, x, [0, 1]) for method in (RULE, "imp")}
    steps = [f"to {means[1]:.3g} by {method}" for method, means in first.items() if len(means) == 2]
    begins = f" (the first pruning takes it from {first[RULE][0]:.3g} {', '.join(steps)})" if len(steps) == 2 else ""
    return (
        f"{RULE} is further from a Gaussian's 3 than imp in every seed at {len(held.always)} of {len(held.pairs)} "
        f"rounds{begins}."
    )


def _means(table: pl.DataFrame, measure: Measure, method: str, x: str, rounds: list[int]) -> list[float]:
    of = common.part(table, measure=measure.name, method=method, x=x, status="done").filter(
        pl.col("round").is_in(rounds)
    )
    return of.unique("round").sort("round")["mean"].to_list()


def _of_locality(table: pl.DataFrame, found: Findings, x: str) -> str:
    parts = []
    for measure in (WIDTH, CLUSTERING):
        held = {other: common.orderings(table, measure, RULE, other, x) for other in ("imp", "random")}
        beside = [
            f"{other} in {measure.wins(each.last)} {each.last.most} ({common.gap(each.last, measure)})"
            for other, each in held.items()
            if each is not None
        ]
        if measure.name in found.locality and beside:
            parts.append(f"{measure.comparative} than {' and than '.join(beside)}")
    words = {
        LOCALITY[word]: " and ".join(name for name, other in found.locality.items() if other == word)
        for word in found.locality.values()
    }
    judged = ", ".join(f"{said} by {names}" for said, names in words.items())
    return f"{RULE} is {'; it is '.join(parts)}: {judged}." if parts else ""


def _of_overlap(table: pl.DataFrame, method: str, x: str) -> str:
    above = excess(table, method, x)
    if above is None:
        return "Overlap with imp: not known." if method == RULE else ""
    share, chance = (100 * float(np.mean(above[name].to_numpy())) for name in ("value", "chance"))
    high = int((above["value"] > above["chance"]).sum())
    return (
        f"Of imp's kept weights {method} keeps {share:.3g} % (chance, with its inputs per unit, {chance:.3g} %; above it "
        f"in {high} of {len(above)} seeds)."
    )


def text(table: pl.DataFrame) -> str:
    """The verdict, then per axis value overlaps, orderings round by round, and scores; the caption."""
    found = [QUESTION, headline(table)]
    for x in common.in_order(table, "x"):
        found += ["", f"{common.named(table['axis'][0], x)}:"]
        others = [method for method in common.in_order(table, "method") if method != "imp"]
        sentences = [_of_overlap(table, method, x) for method in others]
        sentences += _orderings(table, x) + _scores(table, x)
        found += [f"  {sentence}" for sentence in sentences if sentence]
    return "\n".join([*found, "", _caption(table), ""])


def _orderings(table: pl.DataFrame, x: str) -> list[str]:
    """In how many seeds one method is ahead of another, round by round."""
    found = []
    for measure in (WIDTH, CLUSTERING, _kurtosis(table), ACCURACY):
        for left, right in ((RULE, "imp"), (RULE, "random"), (RULE, MIRROR), (MIRROR, "random"), ("imp", "random")):
            held = common.orderings(table, measure, left, right, x)
            if held is not None:
                counts = ", ".join(str(measure.wins(pairs)) for pairs in held.pairs.values())
                rounds = common.spans(list(held.pairs))
                found.append(
                    f"{measure.name}: {left} is {measure.comparative} than {right} in so many {held.last.most} at "
                    f"{rounds}: {counts}."
                )
    return found


def _scores(table: pl.DataFrame, x: str) -> list[str]:
    """The controls, and when what is removed next has a positive score in every seed: H* says always."""
    found = []
    of = common.part(table, measure=NEXT.name, x=x, status="done")
    for method in common.in_order(of, "method"):
        rounds = common.spans(sorted(set(common.part(of, method=method)["round"])))
        mean, median = (common.spans(_positive(table, measure, method, x)) for measure in (NEXT, NEXT_MEDIAN))
        medians = f", a positive median after {median}" if NEXT_MEDIAN.name in table["measure"] else ""
        named = {"mean": NEXT, "median": NEXT_MEDIAN, "mean from half of the inputs": NEXT_HALF}
        first = {name: _means(table, measure, method, x, [0]) for name, measure in named.items()}
        listed = ", ".join(f"{name} {value[0]:+.3g}" for name, value in first.items() if value)
        control = f"; N_W x score of what goes first: {listed}" if listed else ""
        found.append(
            f"next_cavity: what {method} removes next has a positive mean in every seed after {mean} of "
            f"{rounds}{medians}{control}."
        )
    return found


def _positive(table: pl.DataFrame, measure: Measure, method: str, x: str) -> list[int]:
    """The rounds at which the value is positive in every seed."""
    of = common.part(table, measure=measure.name, method=method, x=x, status="done")
    least = of.group_by("round").agg(pl.col("value").min())
    return least.filter(pl.col("value") > 0)["round"].to_list()


def _caption(table: pl.DataFrame) -> str:
    found = [f"Inputs: {table['inputs'][0]}.", common.caption(table, "shaded")]
    found.append("More or less local: in most seeds, by a mean difference above its standard error; else as local.")
    units = common.part(table, measure=UNITS.name, status="done")
    last = units.filter(pl.col("round") == pl.col("round").max())
    if not last.is_empty():
        ranges = last.group_by("method").agg(low=pl.col("value").min(), high=pl.col("value").max()).sort("method")
        listed = ", ".join(
            f"{row['method']} {row['low']:.0f}-{row['high']:.0f}" for row in ranges.iter_rows(named=True)
        )
        found.append(f"Widths at round {last['round'][0]} are medians over so many units of a lineage: {listed}.")
    if OVERLAP.name not in table["measure"]:
        found.append("No overlap: it needs the measure fan_in, and masks of all units (masks.most_connected).")
    if NEXT.name in table["measure"]:
        thin = {NEXT_MEDIAN: "dotted their median", NEXT_HALF: "dashed their mean from half of the inputs"}
        lines = [words for measure, words in thin.items() if measure.name in table["measure"]]
        found.append(
            f"Scores: {', '.join(['solid the mean over the weights removed next', *lines])}, all averaged over seeds; "
            f"linear within +-{LINEAR:g}, logarithmic beyond; only units with enough inputs count."
        )
    return " ".join(found)


def inputs(folder: Place) -> str:
    """The sweep's inputs in words."""
    if not Paths(folder).sweep.is_file():
        return "not known"
    data = read_sweep(Paths(folder)).trial.data
    return f"{data.kind}, {' x '.join(map(str, data.input_shape))} inputs, {data.classes} classes"


def main(folder: Place, round: int | None = None, only: Mapping[str, str] | None = None) -> None:
    """Draws a sweep's folder."""
    rows, axes = common.rows("rounds", folder, only)
    rows = with_next(with_overlap(rows, tables.scan("masks", folder)), tables.scan("fates", folder))
    found = table(rows, list(axes), round, inputs(folder))
    common.save("cavity_rule", folder, found, draw(found), text(found))


if __name__ == "__main__":
    common.run(main, __doc__)
