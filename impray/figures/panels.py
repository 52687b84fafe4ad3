"""Panels and figures as data, and their arithmetic; `impray.figures.drawing` draws them.

    Panel(of=CLUSTERING, mark=band, at=EVERY, columns="side")        clustering against round, a column per side
    Panel(of=mosaic_rows, mark=masks, columns="method")              rows that the figure makes itself
    Figure(name="fig", title="...", question="...", panels=[...], claims=[...])

A panel's rows have `x` (label), `at` (place), `facet`, and per group (facet, x, colour, dash) `mean`, `low` and `high` (minimum and
maximum over seeds), `left` and `right` (95 % t interval of the mean) and `seeds`. A seed counts once: its rows are averaged first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import polars as pl
from matplotlib.artist import Artist
from matplotlib.axes import Axes

from impray.figures.claims import Claim, Frame
from impray.figures.judge import Finding, judged
from impray.results.axis_values import positions
from impray.results.quantities import Quantity, quantity
from impray.results.tidy import LAST, At, NotMeasured, Results
from impray.spec.wording import near
from impray.theory.statistics import against_zero

Mark = Callable[[Axes, pl.DataFrame, "Panel"], Mapping[str, Artist]]
MOST_FACETS = 6  # a random search would give a panel per trial
AXIS = "axis"  # the sweep's axis of non-Gaussianity, else its first


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One row of axes: what is drawn, against what, how.

    of: a quantity or its name, or a function that makes the rows.  x: a column, or AXIS; rows with a column `at` bring their own places.
    y: the column drawn, of rows made by a function.  instead: the x of facets that have none.
    columns: a column that becomes facets.  colour, dash: columns that tell lines apart.  where: only these rows.
    scale, yscale: of x and y; by default as the values lie.  reference: a dotted line.  height: inches.  optional: left out, not told
    as missing, where it was not measured.
    """

    of: Quantity | str | Frame
    mark: Mark
    x: str = "round"
    instead: str = ""
    y: str = "value"
    at: At = LAST
    columns: str = ""
    colour: str = "method"
    dash: str = ""
    where: pl.Expr | None = None
    title: str = ""
    label: str = ""
    xlabel: str = ""
    scale: str = ""
    yscale: str = ""
    reference: float | None = None
    height: float = 1.8
    shared: bool = True  # y, between facets
    optional: bool = False
    options: Mapping[str, object] = field(default_factory=dict)  # of the mark

    @property
    def quantity(self) -> Quantity | None:
        """What is drawn, if a quantity is.

        Raises:  DataError: none is called so.
        """
        return quantity(self.of) if isinstance(self.of, (Quantity, str)) else None

    @property
    def ylabel(self) -> str:
        return self.label or (self.quantity.label if self.quantity else "")

    @property
    def guide(self) -> float | None:
        """Where the dotted line is."""
        return self.quantity.reference if self.reference is None and self.quantity else self.reference

    def rows(self, results: Results) -> pl.DataFrame:
        """The rows of the module's head.

        Raises:  NotMeasured: nothing to draw.
        """
        frame = self.of(results) if callable(self.of) else results.values(self.of, self.at)
        frame = frame if self.where is None else frame.filter(self.where)
        if frame.is_empty():
            raise NotMeasured("no such rows in this sweep")
        return _spread(self._placed(frame, results), self)

    def _placed(self, frame: pl.DataFrame, results: Results) -> pl.DataFrame:
        x = results.axis if self.x == AXIS else self.x
        facets = frame[self.columns].cast(pl.String) if self.columns else pl.Series([""] * len(frame), dtype=pl.String)
        frame = frame.with_columns(facets.fill_null("").alias("facet"))
        if not self.instead or x is None:
            return self._along(frame, x)
        parts = frame.partition_by("facet", maintain_order=True)
        return pl.concat([self._along(part, self.instead if part[x].is_null().all() else x) for part in parts])

    def _along(self, frame: pl.DataFrame, x: str | None) -> pl.DataFrame:
        frame = frame.with_columns(pl.lit(x or "").alias("axis"))
        if x and x not in frame.columns and self.quantity:
            raise NotMeasured(f"needs the axis or column {x}{near(x, frame.columns)}")
        if x is None or x not in frame.columns:
            return frame.with_columns(pl.lit("").alias("x"), pl.lit(0.0).alias("at"), pl.lit("names").alias("scale"))
        values = frame[x].to_list()
        labels, places, scale = positions(values, log=x == "data.gain")
        own = frame["at"] if "at" in frame.columns else pl.Series("at", _finite(places), dtype=pl.Float64)
        return frame.with_columns(
            pl.Series("x", labels, dtype=pl.String),
            own,
            pl.lit(scale if x == self.instead else self.scale or scale).alias("scale"),
        )


def _finite(places: Sequence[float]) -> list[float]:
    """Infinite values beyond the largest finite one."""
    beyond = 3 * max([4.0, *(abs(place) for place in places if math.isfinite(place))])
    return [place if math.isfinite(place) else math.copysign(beyond, place) for place in places]


def _spread(frame: pl.DataFrame, panel: Panel) -> pl.DataFrame:
    """Adds mean, low, high, left, right and seeds of `y` per group; a frame without `y` or seeds stays as it is."""
    if panel.y not in frame.columns or "seed" not in frame.columns or not frame[panel.y].dtype.is_numeric():
        return frame
    groups = list(dict.fromkeys(["facet", "x", "at", *(n for n in (panel.colour, panel.dash) if n in frame.columns)]))
    of_seeds = frame.group_by([*groups, "seed"], maintain_order=True).agg(
        pl.col(panel.y).cast(pl.Float64).mean().alias("of_seed")
    )
    rows = []
    for key, part in of_seeds.group_by(groups, maintain_order=True):
        known = part["of_seed"].drop_nulls().drop_nans().to_numpy()
        rows.append((*key, *_numbers(known), len(known)))
    names = ["mean", "low", "high", "left", "right"]
    schema = {name: frame.schema[name] for name in groups} | dict.fromkeys(names, pl.Float64) | {"seeds": pl.Int64}
    statistics = pl.DataFrame(rows, schema=schema, orient="row")
    return frame.join(statistics, on=groups, how="left", nulls_equal=True, maintain_order="left")


def _numbers(known: np.ndarray) -> tuple[float | None, ...]:
    if not len(known):
        return (None,) * 5
    mean = against_zero(known)
    ends = (None, None) if np.isnan(mean.low) else (float(mean.low), float(mean.high))
    return float(known.mean()), float(known.min()), float(known.max()), *ends


@dataclass(frozen=True, kw_only=True)
class Figure:
    """Panels and claims on one question.

    paper: what the paper shows, in words.  source: which paper and figure.  base: whether further axes are held at the base trial's
    value.  wanted: only trials of which this is true.  notes: what a reader has to know beside the claims, or a function that says it.
    per_line: panels without facets in one line.
    """

    name: str
    title: str
    question: str
    panels: (
        Sequence[Panel] | Callable[[Results], Sequence[Panel]]
    )  # a function, where they depend on what the sweep asks
    claims: Sequence[Claim] = ()
    paper: str = ""
    source: str = ""
    base: bool = False
    wanted: Callable[[Results], Results] | None = None
    notes: Sequence[str] | Callable[[Results], Sequence[str]] = ()
    per_line: int = 1
    width: float = 7.2

    def part(self, results: Results) -> Results:
        """The part of a sweep that the figure is of.

        Raises:  NotMeasured: there is none.
        """
        results = results.at_base() if self.base else results
        return results if self.wanted is None else self.wanted(results)


@dataclass(frozen=True)
class Table:
    """A figure's numbers: (panel, rows) of what can be drawn, its findings, and what it lacks."""

    figure: Figure
    results: Results
    panels: Sequence[tuple[Panel, pl.DataFrame]]
    findings: Sequence[Finding]
    lacking: Sequence[str] = ()

    @cached_property
    def csv(self) -> pl.DataFrame:
        """All panels under one another, as CSV can hold them: no bytes, lists as text."""
        parts = [frame.with_columns(pl.lit(number).alias("panel")) for number, (_, frame) in enumerate(self.panels)]
        whole = pl.concat(parts, how="diagonal_relaxed") if parts else pl.DataFrame({"panel": []})
        lists = [
            pl.col(n).cast(pl.List(pl.String)).list.join(" ") for n, k in whole.schema.items() if isinstance(k, pl.List)
        ]
        return whole.with_columns(lists).drop([n for n, k in whole.schema.items() if k == pl.Binary])

    @cached_property
    def notes(self) -> list[str]:
        """What a reader has to know beside the claims: of the figure, of the sweep, and what was not measured."""
        made = self.figure.notes(self.results) if callable(self.figure.notes) else self.figure.notes
        caveats = [self.results.sweep.caveat] if self.results.sweep is not None and self.results.sweep.caveat else []
        return [*made, *caveats, *(f"Not measured: {words}." for words in self.lacking)]


def table(figure: Figure, results: Results) -> Table:
    """A figure's numbers of a sweep, without drawing.

    Raises:  NotMeasured: no panel can be drawn; says what each needs.
    """
    results = figure.part(results)
    drawn, lacking, why = [], [], set()
    for panel in figure.panels(results) if callable(figure.panels) else figure.panels:
        try:
            drawn.append((panel, panel.rows(results)))
        except NotMeasured as missing:
            words = (panel.title or panel.ylabel).replace("\n", " ")
            if not panel.optional:
                why.add(str(missing))
                lacking.append(f"{words}: {missing}" if words else str(missing))
    if not drawn:
        raise NotMeasured("; ".join(why if len(why) == 1 else dict.fromkeys(lacking)))
    samples = [sample for claim in figure.claims for sample in claim.samples(results)]
    return Table(figure, results, drawn, judged(samples), tuple(lacking))
