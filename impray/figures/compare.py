"""Two sweeps' folders side by side: what differs in what was asked, and in what was measured where both keep the same share of the weights.

Trials meet where they agree in every axis that either folder has; an axis whose values the folders do not share is what differs
between them, and does not keep trials apart. Of both sides the first round is read with no more than a density that all lineages of
both have reached. Differences are paired by seed, since a seed's random streams are the same in every sweep, and judged as all claims
are (`impray.figures.judge`), Holm's correction over all of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl

from impray.figures.judge import CONTRADICTED, NOT_MEASURED, SUPPORTED, Finding, Sample, judged
from impray.results.axis_values import flat, label
from impray.results.quantities import Quantity
from impray.results.reported import reported, sparsest
from impray.results.tidy import Density, NotMeasured, Results
from impray.spec import axes as spec_axes
from impray.spec.base import Spec, canonical
from impray.spec.errors import DataError
from impray.spec.sweep import Sweep

HIGHER, LOWER, EQUAL, OPEN = "higher", "lower", "equal", "not told apart"
_STEPPED = 1.05  # ratio of densities from which on a note says that rounds stepped over the one that was asked for


@dataclass(frozen=True)
class Difference:
    """A place in the YAML whose values differ; "" where a side has no such field, or leaves it at its default."""

    path: str
    values: tuple[str, str]


@dataclass(frozen=True)
class Compared:
    """One quantity of one method in trials that both folders have.

    means, densities: of either side, over the seeds of both. finding: of the second minus the first, seed by seed.
    verdict: higher, lower (the second, than the first), equal (bit for bit in every seed), not told apart, or not measured.
    """

    trial: str
    method: str
    quantity: str
    unit: str
    means: tuple[float, float]
    densities: tuple[float, float]
    finding: Finding
    verdict: str


@dataclass(frozen=True)
class Comparison:
    """What differs, what was compared, and sentences on what could not be."""

    differences: Sequence[Difference]
    density: float
    rows: Sequence[Compared]
    notes: Sequence[str]

    def document(self) -> dict[str, Any]:
        """Ready for JSON; NaN as null."""
        return _plain(asdict(self))


def compare(one: Results, other: Results, density: float | None = None) -> Comparison:
    """Compare two folders.

    Args:    density: where; None: the smallest that all lineages of both have reached.
    Raises:  DataError: no trial of the one meets one of the other, nothing was measured in both, or none has got to the density.
    """
    sides = (one, other)
    reached = float(np.max([sparsest(side) for side in sides]))  # NaN if one is
    if math.isnan(reached):
        raise DataError(f"every lineage of {one.place} or of {other.place} diverged: there is nothing to compare")
    at = reached if density is None else density
    if not reached <= at * (1 + 1e-9):
        raise DataError(f"density {at:g}: all lineages of both have reached {reached:.3g}; none below that is in both")
    keys, apart = _keys(one, other)
    shared = [key for key in dict.fromkeys(keys[0].values()) if key in set(keys[1].values())]
    if not shared:
        raise DataError(
            f"no trial of {one.place} meets one of {other.place}: their axes {', '.join(apart) or '-'} have no value in both"
        )
    named = [{quantity.name: quantity for quantity in reported(side)} for side in sides]
    both = [quantity for name, quantity in named[0].items() if name in named[1]]
    meetings = []
    for quantity in both:
        left, right = (_values(side, quantity, at, of) for side, of in zip(sides, keys, strict=True))
        meetings += [(quantity, key, method, rows) for key in shared for method, rows in _meet(left, right, key)]
    if not meetings:
        raise DataError(f"{one.place} and {other.place} have no method with a quantity that both have measured")
    findings = judged([_sample(quantity, rows) for quantity, _, _, rows in meetings])
    compared = [
        Compared(
            key,
            method,
            quantity.name,
            quantity.unit,
            _both(rows, "value"),
            _both(rows, "density"),
            finding,
            _verdict(finding, rows),
        )
        for (quantity, key, method, rows), finding in zip(meetings, findings, strict=True)
    ]
    compared.sort(key=lambda row: (shared.index(row.trial), list(named[0]).index(row.quantity)))
    return Comparison(
        _differences(one.sweep, other.sweep), at, compared, list(_notes(sides, keys, apart, named, compared))
    )


# -- which trials meet ------------------------------------------------------------------------------------------------


def _keys(one: Results, other: Results) -> tuple[tuple[dict[str, str], dict[str, str]], list[str]]:
    """Of both: trial -> the axis values that it meets others by, in words; and the axes whose values the two do not share."""
    paths = list(dict.fromkeys([*one.axes, *other.axes]))
    values = [
        {id: {path: label(flat(spec_axes.value(trial, path))) for path in paths} for id, trial in side.trials.items()}
        for side in (one, other)
    ]
    apart = [
        path for path in paths if not {v[path] for v in values[0].values()} & {v[path] for v in values[1].values()}
    ]
    varied = [
        path for path in paths if path not in apart and len({v[path] for side in values for v in side.values()}) > 1
    ]
    keys = [{id: ", ".join(f"{path} = {v[path]}" for path in varied) for id, v in side.items()} for side in values]
    return (keys[0], keys[1]), apart


def _values(side: Results, quantity: Quantity, density: float, keys: Mapping[str, str]) -> pl.DataFrame:
    """Per key, method and seed the mean number, its score (what is compared), and the density it was read at."""
    try:
        frame = side.values(quantity, Density(density))
    except NotMeasured:
        return pl.DataFrame(
            schema={
                "key": pl.String,
                "method": pl.String,
                "seed": pl.Int64,
                **dict.fromkeys(("value", "score", "density"), pl.Float64),
            }
        )
    frame = frame.with_columns(
        pl.col("trial").replace_strict(keys, return_dtype=pl.String).alias("key"),
        quantity.compared(pl.col("value")).alias("score"),
        pl.col("seed").cast(pl.Int64),
    )
    return frame.group_by("key", "method", "seed", maintain_order=True).agg(pl.col("value", "score", "density").mean())


def _meet(one: pl.DataFrame, other: pl.DataFrame, key: str) -> Iterator[tuple[str, pl.DataFrame]]:
    """(method, seeds of both sides) of every method that both have under a key."""
    left, right = (side.filter(pl.col("key") == key) for side in (one, other))
    both = left.join(right, on=["method", "seed"], suffix="_other", maintain_order="left").sort("seed")
    for method in left["method"].unique(maintain_order=True):
        if method in set(right["method"]):
            yield str(method), both.filter(pl.col("method") == method)


# -- what they say ----------------------------------------------------------------------------------------------------


def _sample(quantity: Quantity, rows: pl.DataFrame) -> Sample:
    gaps = tuple((rows["score_other"] - rows["score"]).fill_null(math.nan).to_list())
    lacking = "" if gaps else "no seed in both"
    return Sample(says=quantity.name, gaps=gaps, sign=1, unit=quantity.unit, lacking=lacking)


def _verdict(finding: Finding, rows: pl.DataFrame) -> str:
    if finding.verdict == NOT_MEASURED:
        return NOT_MEASURED
    if finding.dropped == 0 and (rows["value"] == rows["value_other"]).all():
        return EQUAL
    return {SUPPORTED: HIGHER, CONTRADICTED: LOWER}.get(finding.verdict, OPEN)


def _both(rows: pl.DataFrame, column: str) -> tuple[float, float]:
    """A column's mean of either side; NaN where there is none."""
    left, right = (rows.select(pl.col(name).mean()).item() for name in (column, f"{column}_other"))
    return math.nan if left is None else float(left), math.nan if right is None else float(right)


def _notes(
    sides: Sequence[Results],
    keys: Sequence[Mapping[str, str]],
    apart: Sequence[str],
    named: Sequence[Mapping[str, Quantity]],
    rows: Sequence[Compared],
) -> Iterator[str]:
    for side, own, others in zip(sides, keys, reversed(keys), strict=True):
        alone = sum(key not in set(others.values()) for key in own.values())
        if alone:
            yield f"{alone} of {len(own)} trials of {side.place} meet none of the other's"
        pooled = len(own) - len(set(own.values()))
        if pooled:
            yield f"{side.place}: several trials meet one of the other's, and are averaged seed by seed"
    if apart:
        yield f"no value of both, so not what trials meet by: {', '.join(apart)}"
    for side, own, others in zip(sides, named, reversed(named), strict=True):
        if lacks := [name for name in own if name not in others]:
            yield f"only in {side.place}: {', '.join(lacks)}"
    same = set(sides[0].lineages["lineage"]) & set(sides[1].lineages["lineage"])
    if same:
        yield f"{len(same)} lineages are in both: one description, so one set of numbers"
    if any(max(row.densities) > _STEPPED * min(row.densities) for row in rows):
        yield "rounds step over the density: where it was read is in the columns of densities"
    scored = [name for name, quantity in named[0].items() if quantity.score is not None and name in named[1]]
    if scored:
        yield f"differences of {', '.join(scored)} are of what claims compare, such as the distance from 3, not of the number itself"


# -- what was asked ---------------------------------------------------------------------------------------------------


def _differences(one: Sweep | None, other: Sweep | None) -> list[Difference]:
    """Where two sweeps differ, in the order of the YAML; fields that only one's kind has are listed where it says them."""
    if one is None or other is None:
        return []
    whole, said = [dict(_flat(sweep, "")) for sweep in (one, other)], [_said(sweep) for sweep in (one, other)]
    rows = []
    for path in dict.fromkeys([*whole[0], *whole[1]]):
        if path in whole[0] and path in whole[1]:
            values = (whole[0][path], whole[1][path])
        else:
            values = tuple(whole[side][path] if path in whole[side] and path in said[side] else "" for side in (0, 1))
        if values[0] != values[1]:
            rows.append(Difference(path, (values[0], values[1])))
    return rows


def _said(sweep: Sweep) -> set[str]:
    """Paths that are not at their default, and those of tags."""
    document = canonical(sweep, whole=True)
    return {path for path, _ in _flat(document, "")}


def _flat(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """(dotted path, words) of every plain value; what has a name is called by it, not by its place in a list."""
    if isinstance(value, Spec):
        value = {name: getattr(value, name) for name in type(value).model_fields}
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _flat(inner, f"{path}.{name}".removeprefix("."))
    elif isinstance(value, (tuple, list)) and any(isinstance(item, (Spec, Mapping)) for item in value):
        for place, item in enumerate(value):
            fields = dict(item) if isinstance(item, (Spec, Mapping)) else {}
            name = fields.pop("name", None)
            yield f"{path}.{name or place}", "asked for"
            yield from _flat(fields, f"{path}.{name or place}")
    else:
        yield path, label(flat(canonical(value)))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and math.isnan(value) else value
