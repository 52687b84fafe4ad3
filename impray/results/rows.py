"""Rows from readings: tensors with a net axis become dicts with column names."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence

import polars as pl
from torch import Tensor

from impray.lineage.rounds import FinishedRound
from impray.measures import Readings
from impray.results.ledger import Measured
from impray.spec import families
from impray.spec.axes import value as axis_value
from impray.spec.family import until_changed
from impray.spec.pack import Pack
from impray.spec.trial import Lineage, Trial

Rows = dict[str, list[dict]]


def rows(pack: Pack, finished: FinishedRound, readings: Sequence[Readings]) -> Rows:
    """The rows of one round: tables `rounds`, `units`, `masks`, `images`, `histograms` and `steps`; in a lineage's last, `removals`."""
    tables: Rows = {table: [] for table in ("rounds", "units", "masks", "images", "histograms", "steps", "removals")}
    place = {lineage.id: net for net, lineage in enumerate(finished.well)}
    of_lineages = zip(
        finished.lineages,
        finished.status,
        finished.trained,
        finished.density,
        finished.wall_s,
        finished.lineage_s,
        strict=True,
    )
    for lineage, status, trained, density, wall_s, lineage_s in of_lineages:
        shared = keys(pack, lineage) | {"round": finished.round}
        net = place.get(lineage.id)
        of_units = [] if net is None else _units(readings, net)
        tables["units"] += [{**shared, **unit} for unit in of_units]
        if net is not None:
            tables["masks"] += [{**shared, **mask} for mask in _masks(readings, net)]
            tables["images"] += [{**shared, **image} for r in readings if r.images for image in r.images[net]]
            tables["histograms"] += [{**shared, **row} for r in readings if r.histograms for row in r.histograms[net]]
            tables["steps"] += [{**shared, **row} for r in readings if r.steps for row in r.steps[net]]
            if finished.round == pack.rows_of(lineage)[-1]:
                tables["removals"] += [{**shared, **row} for r in readings if r.removals for row in r.removals[net]]
        tables["rounds"].append(
            shared
            | {"trunk": lineage.trunk, "trial": lineage.trial.id, "status": status}
            | {"trained": trained, "exact": finished.exact, "density": density}
            | (_nan(pack) if net is None else _of_lineage(readings, net) | summaries(of_units))
            | {"measured": str(Measured(pack.asked)), "wall_s": wall_s, "lineage_s": lineage_s}
        )
    return tables


def fate_rows(
    pack: Pack, lineage: Lineage, fates: Sequence[Mapping], made_with: Mapping[int, Mapping[str, str]]
) -> list[dict]:
    """Rows of the table `fates` of one lineage.

    Args:    made_with: round -> the measures that its numbers are of, with the hashes of their parameters.
    """
    texts = {round: {"measured": str(Measured(asked))} for round, asked in made_with.items()}
    return [{**keys(pack, lineage), **row, **texts[row["round"]]} for row in fates]


def keys(pack: Pack, lineage: Lineage) -> dict:
    """Columns that every table of a lineage has: its names and its axis values."""
    axes = {path: axis_value_of_column(kind, lineage.trial, path) for path, kind in pack.axes.items()}
    return {"lineage": lineage.id, "method": lineage.method, "seed": lineage.seed, **axes}


def axis_value_of_column(kind: str, trial: Trial, path: str) -> object:
    """A trial's value on an axis, as its column stores it; None where this kind of data or net has no such field."""
    value = axis_value(trial, path)
    if value is None:
        return None
    if kind == "json":
        return json.dumps(value)
    return float(value) if kind == "float" else value  # type: ignore[arg-type]


def _of_lineage(readings: Sequence[Readings], net: int) -> dict:
    return {name: _number(values[net]) for reading in readings for name, values in reading.lineage.items()}


def _units(readings: Sequence[Readings], net: int) -> list[dict]:
    """One dict per (layer, unit) with the columns of all measures."""
    layers: dict[int, dict[str, list]] = {}
    for reading in readings:
        for layer, columns in reading.units.items():
            for name, values in columns.items():
                layers.setdefault(layer, {})[name] = _listed(values[net], name)
    units = []
    for layer in sorted(layers):
        columns = layers[layer]
        for unit, values in enumerate(zip(*columns.values(), strict=True)):
            units.append({"layer": layer, "unit": unit, **dict(zip(columns, values, strict=True))})
    return units


@until_changed
def _quantities() -> frozenset[str]:
    """Columns of units that have a mean and a median over units."""
    return frozenset(c.name for kind in families.measures.specs for c in kind.unit_columns if c.is_quantity)


@until_changed
def _integers() -> frozenset[str]:
    """Columns of units that hold whole numbers."""
    return frozenset(c.name for kind in families.measures.specs for c in kind.unit_columns if c.type == "int")


def _listed(values: Tensor, name: str) -> list:
    """A column's values. Integers know no NaN: a unit that has no such number is null there."""
    if name not in _integers() or not values.is_floating_point():
        return values.tolist()
    return [None if math.isnan(value) else int(value) for value in values.tolist()]


def _masks(readings: Sequence[Readings], net: int) -> list[dict]:
    return [
        {"layer": layer, "unit": unit, **columns}
        for reading in readings
        for layer, of_nets in reading.masks.items()
        for unit, columns in of_nets[net]
    ]


def summaries(units: Sequence[Mapping]) -> dict:
    """Mean and median over layer 1's units of each measured column; units where it is NaN do not count."""
    first = [unit for unit in units if unit["layer"] == 1]
    if not first:
        return {}
    numbers = {}
    for name in (name for name in first[0] if name in _quantities()):
        # polars' mean and median add in one fixed order, so that they do not depend on the pack.
        values = pl.Series([unit[name] for unit in first], dtype=pl.Float64).drop_nans().drop_nulls()
        numbers[f"{name}_mean"] = values.mean() if len(values) else math.nan
        numbers[f"{name}_median"] = values.median() if len(values) else math.nan
        if name == "rf_width_x_px":
            numbers["units_counted"] = len(values)
    return numbers


def _nan(pack: Pack) -> dict:
    """NaN for every number that a diverged lineage would have had."""
    names = {}
    for kind in families.measures.specs:
        if any(isinstance(measure, kind) for measure in pack.measures):
            names |= {column.name: math.nan for column in kind.lineage_columns if column.type == "float"}
            quantities = [column.name for column in kind.unit_columns if column.is_quantity]
            names |= {f"{name}_{statistic}": math.nan for name in quantities for statistic in ("mean", "median")}
    return names


def _number(value: object) -> object:
    return value.item() if isinstance(value, Tensor) else value
