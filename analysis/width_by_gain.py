"""Receptive-field width, clustering and kurtosis against the inputs' non-Gaussianity.  Redman et al. (2025), Fig. 3C.

One line per method, at the last round; the axis is the first of data.gaussian_blend, data.gain and data.k that the
sweep has (else its first axis), further axes are small multiples. Width is the median over units of the mean of x and
y, clustering the mean over units, kurtosis that over units and classes. Reads any sweep that measures one of them; the
quickstart is meant.

Expect: imp is narrower (and more clustered) on the data than on their Gaussian clone, and narrower than oneshot and
random on the data, in every seed. What would count against us: an ordering that holds in half the seeds or fewer;
and, against the paper's stronger claim that the clone's masks have no structure, imp on the clone narrower than
random.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import common
import polars as pl
from common import CLUSTERING, KURTOSIS, KURTOSIS_END, MEASURES, WIDTH, Measure, Pairs
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from impray.results.store import Place

QUESTION = "Does IMP find local receptive fields only when the inputs are non-Gaussian?"
MOST_ROWS = 9  # rows of panels in one figure


def table(rows: pl.LazyFrame, axes: list[str], round: int | None = None) -> pl.DataFrame:
    """The tidy table (see `common`) of width, clustering and kurtosis, as far as they were measured."""
    return common.tidy(rows, axes, [(WIDTH,), (CLUSTERING,), (KURTOSIS, KURTOSIS_END)], round=round)


# --- figure ----------------------------------------------------------------------------------------------------------


def draw(table: pl.DataFrame) -> Figure:
    """Rows: measures (times a further axis); columns: another further axis."""
    lines = [(name, row) for name in common.in_order(table, "measure") for row in common.in_order(table, "row")]
    all_fit = len(lines) <= MOST_ROWS
    lines = lines if all_fit else [line for line in lines if line[0] == lines[0][0]]
    columns = common.in_order(table, "column")
    figure, grid = common.canvas(len(lines), len(columns), (2.6, 1.7))
    handles: dict[str, Artist] = {}
    for (name, row), line in zip(lines, grid, strict=True):
        for column, axes in zip(columns, line, strict=True):
            handles |= _panel(axes, common.part(table, measure=name, row=row, column=column), MEASURES[name])
        line[0].set_ylabel(MEASURES[name].label, fontsize=8)
        if row:
            line[-1].annotate(row, (1.02, 0.5), xycoords="axes fraction", rotation=270, va="center", fontsize=8)
    for column, axes in zip(columns, grid[0], strict=True):
        axes.set_title(column, fontsize=9)
    axis = table["axis"][0]
    grid[-1][len(columns) // 2].set_xlabel(common.meaning(axis), fontsize=9)
    rest = [] if all_fit else ["The other measures are in the CSV."]
    return common.finish(figure, QUESTION, [headline(table), _caption(table), *rest], handles)


def _panel(axes: Axes, table: pl.DataFrame, measure: Measure) -> dict[str, Artist]:
    if table.is_empty():
        axes.set_axis_off()
        return {}
    if measure.reference is not None:
        axes.axhline(measure.reference, color="0.55", linewidth=0.8, linestyle=":")
    handles: dict[str, Artist] = {}
    for method in common.in_order(table, "method"):
        drawn = common.part(table, method=method, status="done")
        look = common.look(method)
        line = drawn.unique("x", maintain_order=True).sort("at")
        axes.scatter(drawn["at"], drawn["value"], s=9, color=look["color"], alpha=0.25, linewidths=0)
        axes.vlines(line["at"], line["low"], line["high"], color=look["color"], linewidth=1.2)
        for end in ("low", "high"):
            axes.scatter(line["at"], line[end], s=36, marker="_", color=look["color"], linewidths=1.2)
        handles[method] = axes.plot(line["at"], line["mean"], **look)[0]
    common.ticks(axes, table)
    return handles


# --- text ------------------------------------------------------------------------------------------------------------


MEANT = {
    "yes": "more local on non-Gaussian inputs in every seed, and not local on Gaussian ones",
    "in part": "more local on non-Gaussian inputs in every seed, but on Gaussian ones more than random too",
    "at least in part": "more local on non-Gaussian inputs in every seed; not held against random on Gaussian ones",
    "undecided": "seeds disagree",
    "no": "more local on Gaussian inputs in every seed",
    "no local fields": "not more local than random in most seeds, even on non-Gaussian inputs",
    "unanswered": "no Gaussian end, or not measured",
}


@dataclass(frozen=True)
class Verdict:
    """One of `MEANT`, and the sentence."""

    word: str
    sentence: str


def text(table: pl.DataFrame) -> str:
    """The verdict, the comparisons behind it, and the caption."""
    found = [QUESTION, headline(table)]
    for label, panel in common.panels(table):
        found += ["", f"{label}:" if label else "In numbers:"]
        if label:
            found.append(f"  {verdict(panel).sentence}")
        for name in common.in_order(panel, "measure"):
            found += [f"  {sentence}" for sentence in _comparisons(panel, MEASURES[name])]
    return "\n".join([*found, "", _caption(table), ""])


def _caption(table: pl.DataFrame) -> str:
    rounds = common.part(table, status="done")["round"].unique().to_list()
    dots = "Faint dots: single lineages. Per lineage: median width, mean clustering and mean kurtosis over units."
    differ = "; trials at different rounds are not compared, give --round" if len(rounds) > 1 else ""
    at = f"At {common.spans(rounds)}{differ}."
    return " ".join([at, common.caption(table, "bars"), dots])


def headline(table: pl.DataFrame) -> str:
    """The verdict of the only panel, or how many panels have which."""
    verdicts = [verdict(panel) for _, panel in common.panels(table)]
    if len(verdicts) == 1:
        return verdicts[0].sentence
    counts = Counter(verdict.word for verdict in verdicts).most_common()
    return f"Of {len(verdicts)} settings: {'; '.join(f'{count} {word} ({MEANT[word]})' for word, count in counts)}."


def verdict(panel: pl.DataFrame) -> Verdict:
    """By width, else by clustering; where both are there and differ, it says so."""
    measures = [m for m in (WIDTH, CLUSTERING) if not common.part(panel, measure=m.name, status="done").is_empty()]
    if not measures:
        return Verdict("unanswered", "Unanswered: neither RF width nor clustering was measured.")
    found = [_verdict(panel, measure) for measure in measures]
    sentence = found[0].sentence
    if len(found) == 2 and found[0].word != found[1].word:
        sentence += f" By clustering the answer is another: {found[1].word} ({MEANT[found[1].word]})."
    if panel["pooled"][0]:
        sentence += (
            f" The trials compared differ in {panel['pooled'][0]} too: fair only if both ends have the same ones."
        )
    return Verdict(found[0].word, sentence + (" One seed only: an anecdote." if panel["seeds"].max() == 1 else ""))


def _verdict(panel: pl.DataFrame, measure: Measure) -> Verdict:
    ends = common.ends(panel)
    if ends is None:
        axis = panel["axis"][0] or "this sweep"
        return Verdict("unanswered", f"Unanswered: {axis} has no Gaussian end here; see how the methods compare.")
    of = common.part(panel, measure=measure.name)
    (data, control), (clone, clone_control) = (
        [common.part(of, x=x, method=method) for method in ("imp", "random")] for x in ends
    )
    between = common.paired((data, clone), measure)
    below_random = common.paired((data, control), measure)
    if between is None:
        return Verdict("unanswered", "Unanswered: no seed of imp at both ends of the axis at one round.")
    if below_random is not None and 2 * measure.wins(below_random) <= below_random.seeds:
        return Verdict("no local fields", _no_local_fields(measure, below_random))
    order = f"imp is {measure.comparative} on the least Gaussian inputs than on the most Gaussian in "
    order += f"{measure.wins(between)} {between.most} ({common.gap(between, measure)})"
    if measure.wins(between) == between.seeds:
        return _only_when(measure, order, common.paired((clone, clone_control), measure))
    if measure.wins(between) == 0:
        return Verdict("no", f"No: {order}. This disagrees with Redman et al. (2025), Fig. 3C.")
    return Verdict("undecided", f"Undecided: {order}. In Redman et al. (2025), Fig. 3C, the order is clear.")


def _no_local_fields(measure: Measure, pairs: Pairs) -> str:
    found = (
        f"No local fields to explain: even on the least Gaussian inputs imp is {measure.comparative} than random "
        f"in only {measure.wins(pairs)} {pairs.most}, which disagrees with Redman et al. (2025), Fig. 4A."
    )
    # A known failure of the paper's fit, not a finding; the reader should know before believing the figure.
    doubt = " With few inputs per unit the fit with S(0) in it reads random masks as narrow: see clustering."
    return found + (doubt if measure is WIDTH else "")


def _only_when(measure: Measure, order: str, clone: Pairs | None) -> Verdict:
    """The data beat the clone in every seed; what remains is whether the clone localises too."""
    if clone is None:
        return Verdict("at least in part", f"At least in part: {order}; {MEANT['at least in part'].split('; ')[1]}.")
    beside = (
        f"on the most Gaussian inputs imp is {measure.comparative} than random in {measure.wins(clone)} {clone.most}"
    )
    if measure.wins(clone) == 0:
        return Verdict("yes", f"Yes: {order}, and {beside}. This agrees with Redman et al. (2025), Fig. 3.")
    return Verdict(
        "in part",
        f"In part: {order}, as in Redman et al. (2025), Fig. 3C; but {beside} ({common.gap(clone, measure)}). "
        f"So {measure.comparative}, not 'the clone has no structure' (Fig. 3B).",
    )


def _comparisons(panel: pl.DataFrame, measure: Measure) -> list[str]:
    """Means along the axis, imp between its ends, the methods against each other at both ends."""
    axis, values = panel["axis"][0], common.in_order(panel, "x")
    of = common.part(panel, measure=measure.name)
    found = [f"{measure.name}, mean of {method} at {_along(of, method)}." for method in common.in_order(of, "method")]
    ends = common.ends(panel) or (values[0], values[-1])
    imp = [common.part(of, method="imp", x=x) for x in ends]
    if ends[0] != ends[1] and not any(side.is_empty() for side in imp):
        left, right = (f"imp at {common.named(axis, x)}" for x in ends)
        found.append(f"{measure.name}: {common.compared(left, right, measure, common.paired(imp, measure))}")
    for x in dict.fromkeys(ends):
        for left, right in (("imp", "oneshot"), ("imp", "random"), ("oneshot", "random")):
            sides = [common.part(of, method=method, x=x) for method in (left, right)]
            if not any(side.is_empty() for side in sides):
                sentence = common.compared(left, right, measure, common.paired(sides, measure))
                found.append(f"{measure.name} at {common.named(axis, x)}: {sentence}")
    return found


def _along(table: pl.DataFrame, method: str) -> str:
    """Means along the axis and whether they change in one direction."""
    line = common.part(table, method=method, status="done").unique("x").sort("at")
    listed = ", ".join(f"{row['x']}: {row['mean']:.3g}" for row in line.iter_rows(named=True))
    steps = line["mean"].diff().drop_nulls()
    if len(steps) < 2:
        return listed or "none"
    if (steps > 0).all():
        return f"{listed}; rising at every step"
    return f"{listed}; {'falling at every step' if (steps < 0).all() else 'not monotone'}"


def main(folder: Place, round: int | None = None, only: Mapping[str, str] | None = None) -> None:
    """Draws a sweep's folder."""
    rows, axes = common.rows("rounds", folder, only)
    found = table(rows, list(axes), round)
    common.save("width_by_gain", folder, found, draw(found), text(found))


if __name__ == "__main__":
    common.run(main, __doc__)
