"""A sweep's results as tables for other programs: one row per observation, no nested columns, what the trial is beside every row.

    flat("quantities", "runs/quickstart")     # lineage, trial, number, name, axes, method, seed, round, density, quantity, value
    columns("quantities", axes)               # the same table's columns, with types, units and a sentence each

They are made of the tables as they are stored (`impray tables`), at any time, also while a sweep runs: a round whose row in `rounds`
is not written yet is in none of them. A column that holds a list is a table of its own, `rounds_density_by_layer` say: the keys,
`position` (from 0) and the value. What only the bookkeeping reads, and which machine computed a row, is left out (provenance.json
has it); so these tables are the same however a sweep was run, but for `wall_s` and `written_at`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import polars as pl

from impray.results import outcomes, quantities, tables, tidy
from impray.results.paths import Paths
from impray.results.schema import KEYS, PROVENANCE, TABLES, TYPES
from impray.results.schema import columns as stored_columns
from impray.results.store import Place
from impray.spec.errors import DataError
from impray.spec.measure import Column
from impray.spec.wording import near

_LEFT_OUT = {"measured", "rows_elsewhere", *(column.name for column in PROVENANCE)} - {"wall_s"}
_OF_TRIAL = (
    Column("trial", "str", "", "id of the trial: a hash of data, net, training and pruning"),
    Column("number", "int", "", "the trial's number: the order in which the search asked for it, from 0"),
    Column("name", "str", "", "the trial's data in words"),
)
_POSITION = Column(
    "position", "int", "", "place in the list, from 0; of masks and images the first row's inputs come first"
)
_LISTS = ("list[float]", "list[int]", "list[str]", "bytes")
# Lists that have another place: a trial's and a failure's lineages are its rows; a shape is a text; bins are rows.
_PLACED = {
    "trials": {"goals", "goal_names", "lineages"},
    "failures": {"trials", "lineages"},
    "masks": {"shape"},
    "images": {"shape"},
    "histograms": {"x_edges", "y_edges", "counts"},
}
_OF_QUANTITIES = (
    Column("quantity", "str", "", "name in the catalogue of quantities"),
    Column(
        "value", "float", "as `unit` says", "its value; NaN: measured, and undefined. What was not measured has no row"
    ),
    Column("unit", "str", "", "of the value"),
)
_OF_GOALS = (
    Column("goal", "str", "", "what it reads"),
    Column("value", "float", "", "its value; NaN: undefined"),
)
_OF_BINS = tuple(
    Column(f"{axis}_{end}", "float", "1", f"{word} edge of the bin of {axis}; the outermost bins take what lies beyond")
    for axis in ("x", "y")
    for end, word in (("low", "lower"), ("high", "upper"))
) + (Column("count", "int", "weights", "weights in the bin"),)
_MADE = {
    "quantities": "one row per lineage, round and quantity that is known there",
    "goals": "one row per trial that is over and goal of the sweep",
    "histograms_counts": "one row per bin of a stored histogram",
}
LONG = (
    "masks_bits",
    "images_values",
    "histograms_counts",
    "steps_weights",
)  # a row per input or bin: named, or left out


def names() -> dict[str, str]:
    """Every flat table, and what it has a row for."""
    whole = TABLES | {"failures": "one row per failure and lineage that it ended"}
    lists = {
        f"{table}_{column.name}": f"one row per entry of `{column.name}` in the table {table}"
        for table in TABLES
        for column in stored_columns(table)
        if column.type in _LISTS and column.name not in _PLACED.get(table, ())
    }
    return {**whole, **lists, **_MADE}


def columns(name: str, axes: Mapping[str, str]) -> list[Column]:
    """Columns of a flat table, in order.

    Args:    axes: the folder's axes and their types (`tables.axes_of`).
    Raises:  DataError: no such table.
    """
    _known(name)
    table, entry = _source(name)
    keys = _keys(table, axes)
    if name == "quantities":
        density = next(column for column in stored_columns("rounds") if column.name == "density")
        return [*keys, density, *_OF_QUANTITIES]
    if name == "goals":
        return [*keys, *_OF_GOALS]
    if name == "histograms_counts":
        return [*keys, *_OF_BINS]
    if entry is not None:
        value = {"bytes": "bool" if table == "masks" else "float"}.get(entry.type, entry.type[5:-1])
        return [*keys, _POSITION, Column(entry.name, value, entry.unit, entry.sentence)]
    known = {column.name for column in keys} | _LEFT_OUT
    rest = [column for column in stored_columns(table, axes) if _own(table, column.name) not in known]
    return [*keys, *(_scalar(column) for column in rest if column.type not in _LISTS or column.name == "shape")]


def flat(name: str, folder: Place) -> pl.DataFrame:
    """The rows of a flat table, sorted by key.

    Args:    name: one of `names()`. folder: the sweep's own.
    Raises:  DataError: no such table or folder, or a damaged file.
    """
    _known(name)
    axes = tables.axes_of(Paths(folder))
    table, entry = _source(name)
    wanted = columns(name, axes)
    made: Callable[[], pl.DataFrame] = {
        "quantities": partial(_quantities, folder),
        "goals": partial(_goals, folder),
        "histograms_counts": partial(_bins, folder),
        "failures": partial(_failures, folder),
        "trials": partial(outcomes.trials, folder),
        "findings": lambda: tables.scan("findings", folder).collect(),
    }.get(name, partial(_rows, table, entry, folder))
    frame = made()
    return frame.select(pl.col(column.name).cast(TYPES[column.type]) for column in wanted)


def _known(name: str) -> None:
    if name not in names():
        raise DataError(f"no table {name!r}; there are {', '.join(names())}{near(name, names())}")


def _source(name: str) -> tuple[str, Column | None]:
    """The stored table that a flat one is made of, and the list in it that it has the entries of."""
    if name in TABLES:
        return name, None
    if name in ("quantities", "goals"):
        return {"quantities": "rounds", "goals": "trials"}[name], None
    table, _, column = name.partition("_")
    return table, next(c for c in stored_columns(table) if c.name == column)


def _own(table: str, column: str) -> str:
    """A stored column's name beside those of the trial: `image_name`, as `impray.results.tidy` calls it."""
    clashes = column in ("number", "name") and table not in ("trials", "findings")
    return f"{table.removesuffix('s')}_{column}" if clashes else column


def _scalar(column: Column) -> Column:
    if column.name != "shape":
        return column
    return Column("shape", "str", column.unit, f"{column.sentence}; 28x28, say")


def _keys(table: str, axes: Mapping[str, str]) -> list[Column]:
    """What identifies a row, with what its trial is."""
    if table == "findings":
        return [column for column in stored_columns(table) if column.name in KEYS[table]]
    of_axes = [Column(path, kind, "", "axis value") for path, kind in axes.items()]
    if table == "trials":
        return [*_OF_TRIAL, *of_axes]
    stored = {column.name: column for column in stored_columns(table)}
    lineage = Column("lineage", "str", "", "id of the lineage: a hash of all that decides its numbers")
    if table == "failures":
        return [lineage, *_OF_TRIAL, *of_axes, stored["pack"], stored["round"], stored["written_at"]]
    inner = [stored[name] for name in ("method", "seed", "round", *KEYS[table]) if name != "lineage"]
    named = [Column(_own(table, c.name), c.type, c.unit, c.sentence) for c in dict.fromkeys(inner)]
    return [lineage, *_OF_TRIAL, *of_axes, *named]


# -- rows -------------------------------------------------------------------------------------------------------------


def _trials(folder: Place) -> pl.LazyFrame:
    """What each trial is: id, number, name, axes."""
    axes = tables.axes_of(Paths(folder))
    return tables.scan("trials", folder).select("trial", "number", "name", *axes)


def _rows(table: str, entry: Column | None, folder: Place) -> pl.DataFrame:
    axes = tables.axes_of(Paths(folder))
    rows = tables.scan(table, folder).drop("trial", *axes, strict=False)
    rows = rows.rename({n: _own(table, n) for n in ("number", "name")}, strict=False)
    there = tables.scan("rounds", folder).select("lineage", "round", "trial")
    if table == "removals":  # of a lineage that is solved at once: its rounds need not have rows
        rows = rows.join(there.select("lineage", "trial").unique(), on="lineage")
    else:
        rows = rows.join(there, on=["lineage", "round"])
    rows = rows.join(_trials(folder), on="trial", how="left")
    if "shape" in rows.collect_schema():
        rows = rows.with_columns(
            pl.col("shape").cast(pl.List(pl.String)).list.join("x"),
            size=pl.col("shape").list.eval(pl.element().product()).list.first(),
        )
    keys = [column.name for column in _keys(table, axes)]
    frame = rows.sort("number", *keys).collect()
    return frame if entry is None else _entries(frame, entry, keys)


def _entries(frame: pl.DataFrame, entry: Column, keys: list[str]) -> pl.DataFrame:
    """One row per entry of a list."""
    frame = frame.filter(pl.col(entry.name).is_not_null())
    if entry.type == "bytes":
        decoded = [pl.Series(_decoded(entry.name, *row)) for row in frame.select(entry.name, "size").iter_rows()]
        kind = pl.Boolean if entry.name == "bits" else pl.Float64
        frame = frame.with_columns(pl.Series(entry.name, decoded, pl.List(kind)))
    frame = frame.select(*keys, entry.name, pl.int_ranges(pl.col(entry.name).list.len()).alias("position"))
    return frame.filter(pl.col(entry.name).list.len() > 0).explode(entry.name, "position")


def _decoded(name: str, content: bytes, size: int) -> np.ndarray:
    if name == "bits":
        return np.unpackbits(np.frombuffer(content, np.uint8))[:size].astype(bool)
    return np.frombuffer(content, "<f4").astype(np.float64)


def _bins(folder: Place) -> pl.DataFrame:
    frame = _rows("histograms", None, folder)
    keys = [column.name for column in _keys("histograms", tables.axes_of(Paths(folder)))]
    frame = frame.with_columns(pl.int_ranges(pl.col("counts").list.len()).alias("bin"))
    frame = frame.rename({"counts": "count"}).explode("count", "bin")
    bins = pl.col("y_edges").list.len() - 1
    places = {"x": pl.col("bin") // bins, "y": pl.col("bin") % bins}
    ends = [
        pl.col(f"{axis}_edges").list.get(place + (end == "high")).alias(f"{axis}_{end}")
        for axis, place in places.items()
        for end in ("low", "high")
    ]
    return frame.select(*keys, *ends, "count")


def _quantities(folder: Place) -> pl.DataFrame:
    rounds = _rows("rounds", None, folder)
    keys = [column.name for column in _keys("rounds", tables.axes_of(Paths(folder)))]
    catalogue = quantities.QUANTITIES
    read = {name: q.read for name, q in catalogue.items() if q.make is None and q.read in rounds.columns}
    parts = [rounds.select(*keys, "density", pl.lit(n).alias("quantity"), _number(c)) for n, c in read.items()]
    if rounds.height:
        results = tidy.results(folder)
        for name, quantity in catalogue.items():
            if quantity.make is not None:
                try:
                    made = quantity.make(results).select("lineage", "round", pl.col("value").cast(pl.Float64))
                except tidy.NotMeasured:
                    continue
                of_rows = rounds.select(*keys, "density", pl.lit(name).alias("quantity"))
                parts.append(of_rows.join(made, on=["lineage", "round"], maintain_order="left"))
    unit = pl.col("quantity").replace_strict({name: q.unit for name, q in catalogue.items()}, return_dtype=pl.String)
    frame = pl.concat(parts).filter(pl.col("value").is_not_null()).with_columns(unit.alias("unit"))
    return frame.sort("number", *keys, maintain_order=True)


def _number(column: str) -> pl.Expr:
    return pl.col(column).cast(pl.Float64).alias("value")


def _goals(folder: Place) -> pl.DataFrame:
    rows = tables.scan("trials", folder).filter(pl.col("goals").list.len() > 0).sort("number").collect()
    return rows.rename({"goals": "value", "goal_names": "goal"}).explode("value", "goal")


def _failures(folder: Place) -> pl.DataFrame:
    """A lineage's trial is the one of the failure's trials that lists it."""
    listed = tables.scan("trials", folder).select("trial", pl.col("lineages").alias("lineage")).explode("lineage")
    rows = tables.scan("failures", folder).with_columns(pl.col("lineages").alias("lineage")).explode("lineage")
    rows = rows.join(listed, on="lineage", how="left").filter(
        pl.col("trial").is_null() | pl.col("trial").is_in(pl.col("trials"))
    )
    rows = rows.join(_trials(folder), on="trial", how="left")
    return rows.sort("written_at", "number", "lineage").collect()
