"""What a sweep measured: every quantity against the axes, by method, seeds shown; and round by round.

Of any sweep: it is drawn where a sweep names no figures of its own, and makes no claims. Trials that keep different shares of the
weights in their last round are read at the first round with no more than all of them reach.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import polars as pl

from impray.figures import command
from impray.figures.marks import band, dots
from impray.figures.panels import Figure, Panel
from impray.results.axis_values import label
from impray.results.quantities import Quantity
from impray.results.reported import reported, where_alike
from impray.results.tidy import EVERY, At, Density, NotMeasured, Results

MOST = 6  # quantities
MOST_ABREAST = 3  # axes of a search


def figures(results: Results) -> list[Figure]:
    """At the end against the axes, and round by round.

    Raises:  NotMeasured: the sweep has no number yet.
    """
    quantities = reported(results)[:MOST]
    if not quantities:
        raise NotMeasured("no quantity has a number yet")
    question = "What was measured" if results.sweep is None else results.sweep.question
    varied = [path for path in results.axes if results.lineages[path].n_unique() > 1]
    # Of a random or an Optuna search every trial is its own setting: a facet each would show nothing.
    searched = results.sweep is not None and results.sweep.search.algorithm != "grid"
    at = where_alike(results)
    if searched and varied:
        panels = [_point(q, path, at, False, joined=False) for q in quantities for path in varied[:MOST_ABREAST]]
        abreast = min(len(varied), MOST_ABREAST)
    else:
        main = _main(results, varied) or "method"
        panels, abreast = [_point(q, main, at, len(varied) > 1) for q in quantities], min(2, len(quantities))
    drawn = [Figure(name="overview", title=question, question=_read(at), panels=panels, per_line=abreast)]
    if results.rounds["round"].n_unique() > 1 and not searched:
        main = _main(results, varied)
        courses = [_course(q, main) for q in quantities]
        title = f"Round by round: {question}"
        words = "How do the quantities change from round to round?"
        drawn.append(
            Figure(name="overview_rounds", title=title, question=words, panels=courses, per_line=min(2, len(courses)))
        )
    return drawn


def _main(results: Results, varied: Sequence[str]) -> str:
    """The axis that the overview goes along; whole data sets by their names; "" where all trials are alike."""
    main = results.axis if results.axis in varied else next(iter(varied), "")
    return "name" if main in ("", "data") and results.lineages["name"].n_unique() > 1 else main or ""


def _read(at: At) -> str:
    """What the first figure asks, with where trials are read."""
    round = "at the last round"
    where = (
        f"at the first round with at most {100 * at.at_most:.3g} % of the weights" if isinstance(at, Density) else round
    )
    return f"What do the quantities come to {where}?"


def _point(quantity: Quantity, path: str, at: At, facets: bool, joined: bool = True) -> Panel:
    columns, options = "setting" if facets else "", {} if joined else {"join": False}
    return Panel(of=quantity, mark=dots, x=path, at=at, columns=columns, optional=True, options=options)


def _course(quantity: Quantity, path: str) -> Panel:
    """A facet per value of the axis."""
    scale, rows = "log" if quantity.log else "", _along(quantity, path)
    shared = {"label": quantity.label, "yscale": scale, "reference": quantity.reference, "optional": True}
    return Panel(of=rows, mark=band, columns="value of" if path else "", **shared)  # type: ignore[arg-type]


def _along(quantity: Quantity, path: str) -> Callable[[Results], pl.DataFrame]:
    def rows(results: Results) -> pl.DataFrame:
        frame = results.values(quantity, EVERY)
        if not path:
            return frame
        words = [label(value) if path == "name" else f"{path} = {label(value)}" for value in frame[path]]
        return frame.with_columns(pl.Series("value of", words, dtype=pl.String))

    return rows


if __name__ == "__main__":
    command.run(figures, __doc__)
