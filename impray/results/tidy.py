"""A sweep's folder as figures read it: rows of every table with what their trials are, at one round, a density or every round.

    of = results("runs/quickstart")
    of.values(CLUSTERING)                  # one number per lineage, at the last round that all lineages of a trial have reached
    of.values(CLUSTERING, EVERY)           # at every round up to it
    of.values(CLUSTERING, Density(0.06))   # at the first round with at most 6 % of the weights left
    of.rows("units", ["fan_in"])           # any other table

Every frame has the lineage's keys (lineage, trial, seed, method, round), its axes and what its trial is: `number`, `name`, `kind`,
`family`, `excess` (the inputs' exact excess kurtosis; null for images, which are measured class by class), `side` (natural, clone, or
a blend between them), `end` (which end of the axis of non-Gaussianity), `setting` (the further axes in words). Lineages that diverged
have no values; `missing` counts them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, wraps
from typing import Any

import polars as pl

from impray.results import tables
from impray.results.axis_values import canonical, flat, label, positions
from impray.results.described import NO_SWEEP, described_trials, first_line
from impray.results.paths import Paths
from impray.results.provenance import read_sweep
from impray.results.quantities import Quantity
from impray.results.quantities import quantity as known_quantity
from impray.results.store import Place
from impray.spec import axes as spec_axes
from impray.spec import families
from impray.spec.errors import DataError
from impray.spec.measure import measure_name
from impray.spec.sweep import Sweep
from impray.spec.trial import Trial
from impray.spec.wording import near
from impray.theory.naming import StimulusName

BLEND, GAIN = "data.gaussian_blend", "data.gain"
GAUSSIANITY = (BLEND, GAIN, "data.k")  # the axes that say how non-Gaussian the inputs are
NATURAL, CLONE = "natural", "clone"
LEAST, MOST = "least Gaussian", "most Gaussian"


class NotMeasured(Exception):
    """The sweep lacks what a figure, a panel or a claim needs; says what."""


@dataclass(frozen=True)
class Round:
    """Of every trial this round; None: the last one that all its lineages have reached."""

    number: int | None = None


@dataclass(frozen=True)
class Density:
    """Of every lineage the first round with at most this share of the weights."""

    at_most: float


@dataclass(frozen=True)
class Every:
    """All rounds up to the last one that all lineages of a trial have reached."""


LAST, EVERY = Round(), Every()
At = Round | Density | Every


@dataclass(frozen=True)
class Results:
    """A sweep's folder, or some of its trials. `round`: the round asked for; `held` says in words at which values axes were fixed."""

    place: Place
    sweep: Sweep | None
    axes: Mapping[str, str]
    trials: Mapping[str, Trial]
    lineages: pl.DataFrame  # one row each: keys, axes, what the trial is, status, `last` round
    round: int | None = None
    held: tuple[str, ...] = ()
    _frames: dict[Any, pl.DataFrame] = field(default_factory=dict, compare=False, repr=False)

    # -- rows ---------------------------------------------------------------------------------------------------------

    def rows(self, table: str, columns: Sequence[str] = (), **values: object) -> pl.DataFrame:
        """Rows of lineages that did not diverge, with their keys and what their trial is.

        Where both have a column of one name, the table's is called `image_name`, `image_number`, `histogram_name`.

        Args:    columns: further ones of the table; all by default.  values: only rows with this value of a column, or one of these.
        Raises:  DataError: the files cannot be read.  NotMeasured: there is no such row.
        """
        wanted = [pl.col(name).is_in(list(v) if isinstance(v, (tuple, list)) else [v]) for name, v in values.items()]
        sound = self.lineages.filter(pl.col("status") != "diverged")
        beside = [name for name in sound.columns if name in ("lineage", *self.axes, *_OF_TRIAL, "trial")]
        stored = self._scanned(table)
        names = stored.collect_schema().names()
        if absent := [name for name in (*columns, *values) if name not in names]:
            raise DataError(f"{self.place}: its table {table} has no column {absent[0]}{near(absent[0], names)}")
        scanned = stored.filter(pl.col("lineage").is_in(sound["lineage"].to_list()), *wanted)
        chosen = list(dict.fromkeys([*(n for n in _KEYS if n in names), *values, *columns])) if columns else names
        own = {name: f"{table.removesuffix('s')}_{name}" for name in chosen if name in _OF_TRIAL}
        kept = [name for name in chosen if name == "lineage" or name not in beside or name in own]
        frame = _collected(scanned.select(kept).rename(own), self.place, table)
        if frame.is_empty():
            raise NotMeasured(f"no rows in the table {table}{_listed(values)}{_filled_by(table)}")
        return frame.join(sound.select(beside), on="lineage", how="left", maintain_order="left")

    def _scanned(self, table: str) -> pl.LazyFrame:
        return tables.scan(table, self.place)

    @cached_property
    def rounds(self) -> pl.DataFrame:
        """The table `rounds`, diverged lineages among its rows, with what each trial is and `sparsity`."""
        frame = _collected(self._scanned("rounds"), self.place, "rounds")
        frame = frame.drop("trial", *self.axes, strict=False)
        beside = self.lineages.select("lineage", "trial", *self.axes, *_OF_TRIAL)
        joined = frame.join(beside, on="lineage", how="inner", maintain_order="left")
        return joined.with_columns((1 - pl.col("density")).alias("sparsity"))

    def values(self, quantity: Quantity | str, at: At = LAST, **values: object) -> pl.DataFrame:
        """One row per lineage (and round): its keys, `density`, `sparsity`, what its trial is, and `value`.

        Not measured (null) rows are left out; measured without a result (NaN) is null in `value`.

        Args:    quantity: or its name.  values: only rows with this value of a column.
        Raises:  NotMeasured: no lineage has the quantity, none has reached the round, or there is no such row.  DataError: no such
                 quantity or column.
        """
        quantity = known_quantity(quantity)
        key = (quantity, at)
        if key not in self._frames:
            self._frames[key] = self._values(quantity, at)
        frame = self._frames[key]
        for name in values:
            if name not in frame.columns:
                raise DataError(f"{name}: not one of {', '.join(frame.columns)}{near(name, frame.columns)}")
        kept = frame.filter([pl.col(name) == value for name, value in values.items()]) if values else frame
        if kept.is_empty():
            raise NotMeasured(f"no rows of {quantity.name}{_listed(values)}")
        return kept

    def _values(self, quantity: Quantity, at: At) -> pl.DataFrame:
        keys = [*_KEYS, "trial", "density", "sparsity", *self.axes, *_OF_TRIAL]
        base = self.at(at)
        if quantity.make is not None:
            made = quantity.make(self).select("lineage", "round", pl.col("value").cast(pl.Float64))
            frame = base.select(keys).join(made, on=["lineage", "round"], how="inner", maintain_order="left")
        elif quantity.reduce:
            frame = base.select(keys).join(
                self._over_units(quantity), on=["lineage", "round"], how="inner", maintain_order="left"
            )
        else:
            if quantity.read not in base.columns:
                raise NotMeasured(f"needs the column {quantity.read}{near(quantity.read, base.columns)}")
            frame = base.select(*keys, pl.col(quantity.read).cast(pl.Float64).alias("value"))
        frame = frame.filter(pl.col("value").is_not_null()).with_columns(pl.col("value").fill_nan(None))
        if frame.is_empty():
            raise NotMeasured(f"this sweep has not measured {quantity.name}")
        return frame

    def _over_units(self, quantity: Quantity) -> pl.DataFrame:
        value = pl.col(quantity.read).cast(pl.Float64)
        known = value.fill_nan(None)
        reductions = {"mean": known.mean(), "median": known.median(), "count": known.count().cast(pl.Float64)}
        rows = self.rows("units", [quantity.read], layer=quantity.layer).filter(value.is_not_null())
        reduced = reductions[quantity.reduce or "mean"].fill_null(float("nan")).alias("value")
        return rows.group_by("lineage", "round").agg(reduced)

    def at(self, at: At) -> pl.DataFrame:
        """The done rows of `rounds` at a round, a density, or every round.

        Raises:  NotMeasured: no lineage has got there.
        """
        sound = self.lineages.filter(pl.col("status") != "diverged")["lineage"].to_list()
        done = self.rounds.filter((pl.col("status") == "done") & pl.col("lineage").is_in(sound))
        if isinstance(at, Density) and self.round is None:
            low = done.filter(pl.col("density") <= at.at_most * (1 + 1e-9))
            rows = low.filter(pl.col("round") == pl.col("round").min().over("lineage"))
            why = f"needs a round with at most {100 * at.at_most:g} % of the weights"
        else:
            target = self._targets(at.number if isinstance(at, Round) else None)
            reached = done.join(target, on="trial")
            is_there = (
                pl.col("round") <= pl.col("target") if isinstance(at, Every) else pl.col("round") == pl.col("target")
            )
            rows, why = reached.filter(is_there).drop("target"), "no lineage has finished the round"
        if rows.is_empty():
            raise NotMeasured(why)
        return rows.sort("number", "method", "seed", "lineage", "round")

    def _targets(self, asked: int | None) -> pl.DataFrame:
        """trial -> the round drawn of it. Diverged lineages hold nobody up."""
        asked = self.round if asked is None else asked
        alive = self.lineages.filter(pl.col("status") != "diverged")
        slowest = alive.group_by("trial").agg(pl.col("last").min().alias("target"))
        return slowest if asked is None else slowest.with_columns(pl.lit(asked, dtype=pl.Int64).alias("target"))

    @property
    def last(self) -> int:
        """The last round that every lineage that did not diverge has reached.

        Raises:  NotMeasured: every lineage diverged.
        """
        alive = self.lineages.filter(pl.col("status") != "diverged")
        if alive.is_empty():
            raise NotMeasured("every lineage diverged")
        slowest = int(alive["last"].min())  # type: ignore[arg-type]
        return slowest if self.round is None else min(self.round, slowest)

    # -- parts of it --------------------------------------------------------------------------------------------------

    def where(self, wanted: pl.Expr) -> Results:
        """The lineages that are wanted, by their keys, axes and what their trial is.

        Raises:  NotMeasured: there are none.
        """
        kept = self.lineages.filter(wanted)
        if kept.is_empty():
            raise NotMeasured("no such trials in this sweep")
        trials = {id: trial for id, trial in self.trials.items() if id in set(kept["trial"])}
        return replace(self, lineages=kept, trials=trials, _frames={})

    def in_round(self, number: int) -> Results:
        """The same at this round, not at the last that every lineage has reached."""
        return replace(self, round=number, _frames={})

    def at_base(self, but: Sequence[str] = GAUSSIANITY) -> Results:
        """Every axis except `but` at the base trial's value, else at its first; what a paper's figure shows of a larger sweep."""
        kept, held = self.lineages, list(self.held)
        for path in (path for path in self.axes if path not in but):
            labels = kept[path].map_elements(label, return_dtype=pl.String, skip_nulls=False)
            if labels.n_unique() == 1:
                continue
            base = None if self.sweep is None else label(flat(spec_axes.value(self.sweep.trial, path)))
            first = min(zip(positions(kept[path].to_list())[1], labels, strict=True))[1]
            chosen = base if base in set(labels) else first
            kept = kept.filter(labels == chosen)
            held.append(f"{path} = {chosen}")
        trials = {id: trial for id, trial in self.trials.items() if id in set(kept["trial"])}
        return replace(self, lineages=kept, trials=trials, held=tuple(held), _frames={})

    def parameter(self, measure: str, name: str) -> Any:
        """A measure's parameter as the sweep has it; None where it does not ask for the measure, or is not known."""
        asked = () if self.sweep is None else self.sweep.measures
        return next((getattr(spec, name) for spec in asked if measure_name(spec) == measure), None)

    @cached_property
    def axis(self) -> str | None:
        """The axis of non-Gaussianity, else the sweep's first."""
        return next((path for path in GAUSSIANITY if path in self.axes), next(iter(self.axes), None))

    @property
    def missing(self) -> list[str]:
        """Sentences on lineages that are in no mean, on axes held at one value, and on a sweep that still runs."""
        lost = self.lineages.filter(pl.col("status") == "diverged")
        by = lost.group_by("method", "name").len().sort("name", "method").iter_rows()
        listed = ", ".join(f"{count} of {method} on {name}" for method, name, count in by)
        sentences = [f"{len(lost)} of {len(self.lineages)} lineages diverged{f' ({listed}); left out' * bool(listed)}."]
        if self.held:
            sentences.append(f"One part of the sweep: {', '.join(self.held)}.")
        alive = self.lineages.filter(pl.col("status") != "diverged")
        if len(alive) and alive["last"].n_unique() > 1 and self.round is None:
            ends = alive.group_by("trial").agg(pl.col("last").min().alias("low"), pl.col("last").max().alias("high"))
            if (ends["low"] < ends["high"]).any():
                sentences.append("Some lineages are further: shown is what every lineage of a trial has reached.")
        return sentences


def once(make: Callable[[Results], pl.DataFrame]) -> Callable[[Results], pl.DataFrame]:
    """Decorates rows that a figure makes: they are made once for all its panels and claims."""

    @wraps(make)
    def made(results: Results) -> pl.DataFrame:
        if make not in results._frames:
            results._frames[make] = make(results)
        return results._frames[make]

    return made


_KEYS = ("lineage", "method", "seed", "round")
_OF_TRIAL = ("number", "name", "kind", "family", "excess", "side", "end", "setting")


def results(place: Place, only: Mapping[str, str] | None = None, round: int | None = None) -> Results:
    """Open a sweep's folder for figures.

    Raises:  DataError: not a sweep's folder, no rows, an axis, value or round that the sweep does not have, a damaged file.
    """
    paths = Paths(place)
    try:
        axes = tables.axes_of(paths)
        frame = tables.scan("rounds", place).collect()
    except (pl.exceptions.PolarsError, OSError, ValueError, KeyError) as error:
        raise DataError(f"{place}: its tables cannot be read ({first_line(error)})") from error
    if frame.is_empty():
        raise DataError(f"{place}: no rows in the table rounds; {NO_SWEEP}")
    sweep = read_sweep(paths) if paths.sweep.is_file() else None
    trials, named = described_trials(place, sweep, set(frame["trial"]))
    keys = ["lineage", "trial", "method", "seed", *axes]
    done = pl.col("round").filter(pl.col("status") == "done").max().fill_null(-1).alias("last")
    ends = pl.when((pl.col("status") == "diverged").any()).then(pl.lit("diverged")).otherwise(pl.lit("done"))
    lineages = frame.group_by(keys, maintain_order=True).agg(done, ends.alias("status"))
    opened = Results(
        place, sweep, axes, trials, _described(_kept(lineages, axes, only or {}), trials, named, axes), round
    )
    if round is not None and not (opened.lineages["last"] >= round).any():
        raise DataError(
            f"--round {round}: the last round that a lineage has reached is {opened.lineages['last'].max()}"
        )
    return opened


def _kept(lineages: pl.DataFrame, axes: Mapping[str, str], only: Mapping[str, str]) -> pl.DataFrame:
    for path, wanted in only.items():
        if path not in axes:
            raise DataError(f"--only {path}: not an axis of this sweep; its axes: {', '.join(axes) or 'none'}")
        labels = lineages[path].map_elements(label, return_dtype=pl.String, skip_nulls=False)
        if canonical(wanted) not in set(labels):
            raise DataError(f"--only {path}={wanted}: no such value; there are {', '.join(sorted(set(labels)))}")
        lineages = lineages.filter(labels == canonical(wanted))
    return lineages


def _described(
    lineages: pl.DataFrame,
    trials: Mapping[str, Trial],
    named: Mapping[str, tuple[int, StimulusName]],
    axes: Mapping[str, str],
) -> pl.DataFrame:
    """Adds what each trial is (`_OF_TRIAL`)."""
    rows = [(id, number, n.name, n.kind, n.family, n.excess_kurtosis) for id, (number, n) in named.items()]
    columns = {"trial": pl.String, "number": pl.Int64, "name": pl.String, "kind": pl.String, "family": pl.String}
    of_trials = pl.DataFrame(rows, columns | {"excess": pl.Float64}, orient="row")
    frame = lineages.join(of_trials, on="trial", how="left", maintain_order="left")
    blend = pl.Series([getattr(trials[id].data, "gaussian_blend", 0.0) for id in frame["trial"]], dtype=pl.Float64)
    main = next((path for path in GAUSSIANITY if path in axes), None)
    further = [path for path in axes if path != main and frame[path].n_unique() > 1]
    settings = [
        ", ".join(f"{p} = {label(v)}" for p, v in zip(further, row, strict=True))
        for row in frame.select(further).iter_rows()
    ]
    return frame.with_columns(
        _sides(blend).alias("side"),
        _ends(frame, main).alias("end"),
        pl.Series("setting", settings if further else [""] * len(frame), dtype=pl.String),
    )


def _sides(blend: pl.Series) -> pl.Series:
    """natural: the smallest blend below 1; clone: 1; what lies between is named by its number."""
    below = blend.filter(blend < 1)
    least = below.min() if len(below) else None
    names = [CLONE if b == 1 else NATURAL if b == least else f"blend {b:g}" for b in blend]
    return pl.Series("side", names, dtype=pl.String)


def _ends(frame: pl.DataFrame, main: str | None) -> pl.Series:
    """Which end of the axis of non-Gaussianity a trial is at; empty between them, or where the axis has no Gaussian end."""
    if main not in (BLEND, GAIN) or frame[main].n_unique() < 2:
        return pl.Series("end", [""] * len(frame), dtype=pl.String)
    low, high = frame[main].min(), frame[main].max()
    least, most = (low, high) if main == BLEND else (high, low)
    return pl.Series([LEAST if v == least else MOST if v == most else "" for v in frame[main]], dtype=pl.String)


def _collected(frame: pl.LazyFrame, place: Place, table: str) -> pl.DataFrame:
    try:
        return frame.collect()
    except (pl.exceptions.PolarsError, OSError, ValueError, KeyError) as error:
        raise DataError(f"{place}: its table {table} cannot be read ({first_line(error)})") from error


def _listed(values: Mapping[str, object]) -> str:
    shown = {name: " or ".join(map(str, v)) if isinstance(v, (tuple, list)) else v for name, v in values.items()}
    return f" with {', '.join(f'{name} = {value}' for name, value in shown.items())}" if values else ""


def _filled_by(table: str) -> str:
    """The measures that have rows in a table of their own."""
    column = f"{table.removesuffix('s')}_columns"
    kinds = [
        kind.model_fields["name"].default
        for kind in families.measures.specs
        if table != "units" and getattr(kind, column, ())
    ]
    return f" (of the measure{'s' * (len(kinds) > 1)} {', '.join(kinds)})" if kinds else ""
