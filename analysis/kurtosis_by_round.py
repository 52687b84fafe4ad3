"""Kurtosis of first-layer preactivations against round, one line per method.  Redman et al. (2025), Fig. 4B.

Within each class, at theta(rewind) * mask, then the mean over classes and over units; a Gaussian has 3. Methods
are compared by their distance from 3: with binary inputs (a large data.gain) it lies below. One column per value of
the axis of non-Gaussianity (else of the sweep's first axis).

Expect: imp above oneshot above random from round 2 on, imp rising almost monotonically, random flat, and everything
at 3 on the Gaussian clone. What would count against us: oneshot as high as imp, a maximum of imp in the middle, or a
clone away from 3.
"""

from __future__ import annotations

from collections.abc import Mapping

import common
import polars as pl
from common import KURTOSIS, KURTOSIS_END, MEASURES, Measure
from matplotlib.figure import Figure

from impray.results.store import Place

QUESTION = "Does IMP make the preactivations less Gaussian, round by round, than the controls?"


def table(rows: pl.LazyFrame, axes: list[str], round: int | None = None) -> pl.DataFrame:
    """The tidy table (see `common`) of the kurtosis at every round."""
    return common.tidy(rows, axes, [(KURTOSIS, KURTOSIS_END)], round=round, every_round=True, facets=0)


def draw(table: pl.DataFrame) -> Figure:
    """One row; columns: axis values; a dotted line at 3."""
    figure, handles = common.over_rounds(table, (2.6, 3.0))
    return common.finish(figure, QUESTION, [headline(table), _caption(table)], handles)


def text(table: pl.DataFrame) -> str:
    """The verdict, then per axis value the orderings by round, maxima and directions, and the caption."""
    found = [QUESTION, headline(table)]
    measure = MEASURES[table["measure"][0]]
    for x in common.in_order(table, "x"):
        found += ["", f"{common.named(table['axis'][0], x)}:"]
        of = common.part(table, x=x, status="done")
        found += [f"  {_course(common.part(of, method=method), method)}" for method in common.in_order(of, "method")]
        for pair in (("imp", "oneshot"), ("oneshot", "random"), ("imp", "random")):
            held = common.orderings(table, measure, *pair, x)
            found += [f"  {held.sentence}"] if held is not None else []
    return "\n".join([*found, "", _caption(table), ""])


def headline(table: pl.DataFrame) -> str:
    """On the least Gaussian inputs: where imp > oneshot > random in every, or in most, seeds; whether imp only leaves 3 behind."""
    measure, ends = MEASURES[table["measure"][0]], common.ends(table)
    x = (ends or common.in_order(table, "x"))[0]
    found = [_order(table, measure, x)]
    imp = common.part(table, x=x, method="imp", status="done")
    if not imp.is_empty():
        found.append(f"{_course(imp, 'imp')} {_against_the_paper(imp)}")
    if ends is not None and not imp.is_empty():
        found.append(_from_three(table, ends))
    return " ".join(sentence for sentence in found if sentence)


def _order(table: pl.DataFrame, measure: Measure, x: str) -> str:
    pairs = [common.orderings(table, measure, *pair, x) for pair in (("imp", "oneshot"), ("oneshot", "random"))]
    held = [each for each in pairs if each is not None]
    if pairs[0] is None:
        return "Unanswered: imp and oneshot share no seed at a round in which their masks differ."
    rounds = set.intersection(*(set(each.pairs) for each in held))
    always = set.intersection(*(set(each.always) for each in held))
    order = " > ".join(["imp", *(each.right for each in held)])
    mostly = set.intersection(*(set(each.mostly) for each in held))
    answer = "Yes" if always == rounds else "At some rounds" if always or mostly else "No"
    paper = "as" if always == rounds else "partly as" if always or mostly else "unlike"
    return (
        f"{answer}: at {common.named(table['axis'][0], x)}, {order} in distance from 3 in every seed at "
        f"{common.spans(sorted(always))} of {common.spans(sorted(rounds))}, each step in most seeds at "
        f"{common.spans(sorted(mostly))}, {paper} in Redman et al. (2025), Fig. 4B."
    )


def _falls(table: pl.DataFrame) -> list[int]:
    """Rounds at which the mean is nearer to 3 than in the round before."""
    line = table.unique("round").sort("round")
    return line.filter((line["mean"] - 3).abs().diff() < 0)["round"].to_list()


def _against_the_paper(imp: pl.DataFrame) -> str:
    """The paper's kurtosis 'increases almost monotonically for IMP'."""
    line = imp.unique("round").sort("round").select((pl.col("mean") - 3).abs())["mean"]
    if line[-1] <= line[0]:
        return "It does not leave 3 behind, which disagrees with the paper's almost monotone increase."
    return f"{'It is less monotone than' if _falls(imp) else 'This agrees with'} the paper's almost monotone increase."


def _course(table: pl.DataFrame, method: str) -> str:
    """Start, end, maximum and direction of one method's mean."""
    line = table.unique("round").sort("round")
    if len(line) < 2:
        return f"{method} has {line['mean'][0]:.2f} at round {line['round'][0]}, its only one."
    top = line.sort((pl.col("mean") - 3).abs(), descending=True).row(0, named=True)
    falls = _falls(table)
    way = "never nearer to 3 than before" if not falls else f"nearer to 3 than before at {common.spans(falls)}"
    return (
        f"The mean of {method} goes from {line['mean'][0]:.2f} at round {line['round'][0]} to "
        f"{line['mean'][-1]:.2f} at round {line['round'][-1]}, {way}; furthest from 3 is "
        f"{top['mean']:.2f} at round {top['round']}."
    )


def _from_three(table: pl.DataFrame, ends: tuple[str, str]) -> str:
    """How far any lineage gets from a Gaussian's 3, at both ends of the axis."""
    far = [(common.part(table, x=x, status="done")["value"] - 3).abs().max() for x in ends]
    names = [common.named(table["axis"][0], x) for x in ends]
    if not all(isinstance(each, float) for each in far):
        return ""
    return f"No lineage is further from 3 than {far[0]:.2f} at {names[0]} and {far[1]:.2f} at {names[1]}."


def _caption(table: pl.DataFrame) -> str:
    drawn, values = common.shown(common.in_order(table, "x")), common.in_order(table, "x")
    fewer = f" Drawn: {len(drawn)} of {len(values)} axis values." if len(drawn) < len(values) else ""
    return f"{common.caption(table, 'shaded')}{fewer} Dotted line: 3, a Gaussian."


def main(folder: Place, round: int | None = None, only: Mapping[str, str] | None = None) -> None:
    """Draws a sweep's folder."""
    rows, axes = common.rows("rounds", folder, only)
    found = table(rows, list(axes), round)
    common.save("kurtosis_by_round", folder, found, draw(found), text(found))


if __name__ == "__main__":
    common.run(main, __doc__)
