"""The slice of a sweep that the paper's figures compare: natural inputs and their Gaussian clone, everything else at
one value.

Lineages that diverged are left out of every figure, whole, and counted in its caption; the last round is the last that
all others have reached.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import common
import polars as pl
from paper.parts import NotMeasured, Subject

from impray.results import tables
from impray.results.paths import Paths
from impray.results.provenance import read_sweep
from impray.results.store import Place
from impray.spec import axes as spec_axes
from impray.spec.errors import DataError
from impray.spec.measure import MEASURE_KINDS
from impray.spec.sweep import Sweep
from impray.spec.trial import Trial

BLEND = "data.gaussian_blend"
NATURAL, CLONE = "natural", "clone"
METHODS = ("imp", "oneshot", "random")


@dataclass(frozen=True)
class Slice(Subject):
    """Lineages of a slice (lineage, side, method, seed, diverged), and how to read their rows.

    `trial` is the slice's, at either blend; `fixed` names the further axes and the value each is held at, `unused`
    what is not drawn.
    """

    lineages: pl.DataFrame
    last: int
    furthest: int
    trial: Trial | None = None
    fixed: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()

    def rows(self, table: str, columns: Sequence[str], **values: object) -> pl.DataFrame:
        """Rows up to the last round of lineages that did not diverge: lineage, side, method, seed, round and `columns`.

        Args:    values: only rows with this value of a column, or one of these (a tuple).
        Raises:  NotMeasured: every lineage diverged. DataError: the files cannot be read.
        """
        sound = self.lineages.filter(~pl.col("diverged")).select("lineage", "side")
        if sound.is_empty():
            raise NotMeasured("every lineage diverged")
        wanted = [pl.col(name).is_in(value if isinstance(value, tuple) else [value]) for name, value in values.items()]
        names = list(dict.fromkeys(["lineage", "side", "method", "seed", "round", *columns]))
        try:
            found = tables.scan(table, self.folder).filter(pl.col("round") <= self.last, *wanted)
            return found.join(sound.lazy(), on="lineage", how="inner").select(names).collect()
        except (pl.exceptions.PolarsError, OSError, ValueError, KeyError) as error:
            why = (str(error).splitlines() or [type(error).__name__])[0]
            raise DataError(f"{self.folder}: its table {table} cannot be read ({why})") from error

    @property
    def has_clone(self) -> bool:
        return CLONE in self.lineages["side"]

    def parameter(self, measure: str, name: str) -> Any:
        """A measure's parameter as the sweep has it, else its default; None where the sweep does not ask for it."""
        if self.sweep is None:
            kinds = {kind.model_fields["name"].default: kind for kind in MEASURE_KINDS}
            return kinds[measure].model_fields[name].default
        return next((getattr(each, name) for each in self.sweep.measures if each.name == measure), None)

    @cached_property
    def data(self) -> str:
        """The data set in words."""
        if self.trial is None:
            return "a data set that is not known (no sweep.yaml in the folder)"
        data = self.trial.data
        shape = " x ".join(map(str, data.input_shape))
        return f"{data.kind} ({shape} inputs, {data.classes} classes)"

    @cached_property
    def caption(self) -> str:
        """Data set, slice, and who is missing; what every caption ends with."""
        found = [f"Data: {self.data}."]
        if not self.has_clone:
            found.append(f"No Gaussian clone in this sweep ({BLEND} = 1).")
        if self.fixed:
            found.append(f"One slice of the sweep: {', '.join(self.fixed)}.")
        if self.unused:
            found.append(f"Not drawn: {'; '.join(self.unused)}.")
        diverged = self.lineages.filter(pl.col("diverged"))
        where = diverged.group_by("method", "side").len().sort("method", "side").iter_rows(named=True)
        listed = ", ".join(f"{row['len']} of {row['method']}, {row['side']}" for row in where)
        found.append(
            f"{len(diverged)} of {len(self.lineages)} lineages diverged{f' ({listed}): left out' * bool(listed)}."
        )
        if self.furthest > self.last:
            found.append(f"Some lineages are further, up to round {self.furthest}; drawn is up to round {self.last}.")
        return " ".join(found)


def cut(folder: Place, only: Mapping[str, str] | None = None, round: int | None = None) -> Slice:
    """The slice of a sweep's folder: of every axis but the blend the base trial's value, else the first.

    Raises:  DataError: not a sweep's folder, `only` names what is not there, or some lineage has not reached `round`.
    """
    rows, axes = common.rows("rounds", folder, only)
    sweep = read_sweep(Paths(folder)) if Paths(folder).sweep.is_file() else None
    frame, methods = _of_methods(rows.collect(), folder)
    frame, fixed = _at_one_value(frame, [path for path in axes if path != BLEND], sweep, only or {})
    trial = None if sweep is None else spec_axes.at(sweep, {path: _value(frame, path, axes[path]) for path in fixed})
    fixed |= {path: value for path, value in (only or {}).items() if path == BLEND}
    held = tuple(f"{path} = {value}" for path, value in fixed.items() if value is not None)
    frame, blends = _sided(frame, sweep)
    done = pl.col("round").filter(pl.col("status") == "done").max()
    diverged = (pl.col("status") == "diverged").any()
    keys = ["lineage", "side", "method", "seed"]
    lineages = frame.group_by(keys).agg(diverged.alias("diverged"), done.alias("reached")).sort(keys[1:])
    reached = lineages.filter(~pl.col("diverged"))["reached"].drop_nulls().to_list() or [0]
    if round is not None and round > min(reached):
        raise DataError(f"--round {round}: the last round that every lineage has reached is {min(reached)}")
    last = min(reached) if round is None else round
    furthest = max(reached) if round is None else last
    return Slice(folder, sweep, lineages.drop("reached"), last, furthest, trial, held, (*blends, *methods))


def _of_methods(frame: pl.DataFrame, folder: Place) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """The rows of the paper's methods, and which others there are."""
    found = frame.filter(pl.col("method").is_in(METHODS))
    if found.is_empty():
        raise DataError(f"{folder}: nothing to draw: no lineage of {', '.join(METHODS)}")
    others = sorted(set(frame["method"]) - set(METHODS))
    return found, ((f"methods {', '.join(others)}",) if others else ())


def _at_one_value(
    frame: pl.DataFrame, paths: Sequence[str], sweep: Sweep | None, only: Mapping[str, str]
) -> tuple[pl.DataFrame, dict[str, str | None]]:
    """The rows at one value of every axis, and these values in words; None where the axis has no other."""
    fixed: dict[str, str | None] = {}
    for path in paths:
        labels, places, _ = common.positions(frame, path)
        base = None if sweep is None else _label(spec_axes.value(sweep.trial, path))
        chosen = base if base in labels else min(zip(places, labels, strict=True))[1]
        fixed[path] = chosen if len(set(labels)) > 1 or path in only else None
        frame = frame.filter(pl.Series([each == chosen for each in labels], dtype=pl.Boolean))
    return frame, fixed


def _value(frame: pl.DataFrame, path: str, kind: str) -> object:
    """The slice's value of an axis, as a sweep's YAML has it."""
    value = frame[path][0]
    return json.loads(value) if kind == "json" and isinstance(value, str) else value


def _label(value: object) -> str:
    return json.dumps(value) if isinstance(value, (list, dict)) else common.label(value)


def _sided(frame: pl.DataFrame, sweep: Sweep | None) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Adds `side`: natural is the smallest blend below 1, clone is 1; rows of other blends go."""
    if BLEND not in frame.columns:
        blend = sweep.trial.data.gaussian_blend if sweep is not None else 0.0
        frame = frame.with_columns(pl.lit(blend, dtype=pl.Float64).alias(BLEND))
    blends = sorted(set(frame[BLEND].to_list()))
    sides = {blend: NATURAL for blend in blends[:1] if blend < 1} | ({1.0: CLONE} if 1.0 in blends else {})
    side = pl.col(BLEND).replace_strict(sides, default=None, return_dtype=pl.String).alias("side")
    others = ", ".join(common.label(blend) for blend in blends if blend not in sides)
    unused = (f"{BLEND} = {others}",) if others else ()
    if blends[0] not in (0.0, 1.0):
        unused = (f"{BLEND} = 0 (here natural means {common.label(blends[0])})", *unused)
    return frame.with_columns(side).filter(pl.col("side").is_not_null()), unused
