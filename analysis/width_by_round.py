"""Receptive-field width, clustering and accuracy against round, one line per method.  Redman et al. (2025), Fig. 4A.

One column per value of the axis of non-Gaussianity (else of the sweep's first axis); above the panels the density.
The paper draws the mean RF width over units, we the median: a few units with hardly any inputs left have widths
beyond the image.

Expect: on non-Gaussian inputs imp falls below oneshot, and both far below random, which stays flat; accuracy falls
last. What would count against us: oneshot as narrow as imp at the last rounds, or random falling with them.
"""

from __future__ import annotations

from collections.abc import Mapping

import common
import polars as pl
from common import ACCURACY, CLUSTERING, MEASURES, WIDTH, Measure
from matplotlib.figure import Figure

from impray.results.store import Place

QUESTION = "Does pruning round by round localise the receptive fields more than pruning at once?"


def table(rows: pl.LazyFrame, axes: list[str], round: int | None = None) -> pl.DataFrame:
    """The tidy table (see `common`) of width, clustering and accuracy at every round, as far as they were measured."""
    return common.tidy(rows, axes, [(WIDTH,), (CLUSTERING,), (ACCURACY,)], round=round, every_round=True, facets=0)


def draw(table: pl.DataFrame) -> Figure:
    """Rows: measures; columns: axis values."""
    figure, handles = common.over_rounds(table, (2.4, 1.9))
    return common.finish(figure, QUESTION, [headline(table), _caption(table)], handles)


def text(table: pl.DataFrame) -> str:
    """The verdict, then the orderings of the methods per axis value, round by round, and the caption."""
    found = [QUESTION, headline(table)]
    for x in common.in_order(table, "x"):
        found += ["", f"{common.named(table['axis'][0], x)}:"]
        for name in common.in_order(common.part(table, x=x), "measure"):
            found += [f"  {name}: {sentence}" for sentence in _sentences(table, MEASURES[name], x)]
    return "\n".join([*found, "", _caption(table), ""])


def headline(table: pl.DataFrame) -> str:
    """imp against oneshot and random at the last round, on the least Gaussian inputs, by width else by clustering."""
    measured = common.in_order(table, "measure")
    measure = next((each for each in (WIDTH, CLUSTERING) if each.name in measured), None)
    if measure is None:
        return "Unanswered: neither RF width nor clustering was measured."
    x = (common.ends(table) or common.in_order(table, "x"))[0]
    chain = [common.orderings(table, measure, *pair, x) for pair in (("imp", "oneshot"), ("oneshot", "random"))]
    if chain[0] is None:
        return "Unanswered: imp and oneshot share no seed at a round in which their masks differ."
    wins = [None if each is None else measure.wins(each.last) for each in chain]
    at = f"at {common.named(table['axis'][0], x)} and round {max(chain[0].pairs)}"
    found = f"imp is {measure.comparative} than oneshot in {wins[0]} {chain[0].last.most}"
    if chain[1] is not None:
        found += f", oneshot than random in {wins[1]} of {chain[1].last.seeds}"
    return _judged(f"{at}, {found}", [win == each.last.seeds for win, each in zip(wins, chain, strict=True) if each])


def _judged(found: str, held: list[bool]) -> str:
    if all(held):
        return f"Yes: {found}; the order of Redman et al. (2025), Fig. 4A."
    return f"Not in every seed: {found}; Redman et al. (2025), Fig. 4A, have imp < oneshot < random in width."


def _sentences(table: pl.DataFrame, measure: Measure, x: str) -> list[str]:
    of = common.part(table, measure=measure.name, x=x, status="done")
    found = []
    for method in common.in_order(of, "method"):
        line = common.part(of, method=method).unique("round").sort("round")
        found.append(
            f"mean of {method} from {line['mean'][0]:.3g}{measure.unit} at round {line['round'][0]} to "
            f"{line['mean'][-1]:.3g}{measure.unit} at round {line['round'][-1]}."
        )
    for pair in (("imp", "oneshot"), ("oneshot", "random"), ("imp", "random")):
        held = common.orderings(table, measure, *pair, x)
        found += [held.sentence] if held is not None else []
    return found


def _caption(table: pl.DataFrame) -> str:
    drawn, values = common.shown(common.in_order(table, "x")), common.in_order(table, "x")
    fewer = f" Drawn: {len(drawn)} of {len(values)} axis values." if len(drawn) < len(values) else ""
    return f"{common.caption(table, 'shaded')}{fewer}"


def main(folder: Place, round: int | None = None, only: Mapping[str, str] | None = None) -> None:
    """Draws a sweep's folder."""
    rows, axes = common.rows("rounds", folder, only)
    found = table(rows, list(axes), round)
    common.save("width_by_round", folder, found, draw(found), text(found))


if __name__ == "__main__":
    common.run(main, __doc__)
