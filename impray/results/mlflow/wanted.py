"""What the tables say should be in MLflow: a parent run for the sweep, a child run per trial.

    metric `accuracy/imp` at step n = mean over the seeds of method imp of the column `accuracy` in round n

A mean leaves out NaN and infinite values, and is not logged where none is finite. `diverged/imp` counts the lineages
that have diverged up to round n, where there are any. A round of a trial's method is logged once each of its lineages
that the trial lists has a row there or has diverged before, and a column once no such row lacks it: a point that is
there does not change any more. Timestamps come from the rows (`written_at`), so exporting again adds nothing.
"""

from __future__ import annotations

import colorsys
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl
from pydantic import ValidationError

from impray.results import outcomes, schema, tables
from impray.results.paths import Paths
from impray.results.provenance import read_sweep
from impray.spec.sweep import Sweep
from impray.spec.trial import Trial

STATUS = {"done": "FINISHED", "diverged": "FAILED", "stopped": "KILLED", "failed": "FAILED"}  # all else is RUNNING
PARAM_LENGTH = 500
DIGITS = 12  # of a mean
_NO_METRICS = {"round", "seed", "wall_s"}

Point = tuple[str, int]  # metric, step


@dataclass(frozen=True)
class Wanted:
    """One run as it should be; times in ms. `trial` is None for the sweep's own run."""

    trial: str | None
    start: int
    end: int | None
    status: str
    params: dict[str, str]
    tags: dict[str, str]
    points: dict[Point, tuple[float, int]] = field(default_factory=dict)  # -> value, timestamp


def runs(paths: Paths) -> list[Wanted]:
    """The sweep's own run, then one per trial in the order of their numbers.

    Raises:  SweepError: sweep.yaml cannot be read. DataError: a table cannot be read.
    """
    sweep = read_sweep(paths)
    children = _children(paths, sweep)
    return [_parent(paths, sweep, children), *children]


def _now(paths: Paths) -> int:
    """When sweep.yaml was written, in ms, where nothing has run yet; 0 in a bucket."""
    return int(paths.sweep.path.stat().st_mtime * 1000) if paths.store.local is not None else 0


def title(paths: Paths) -> str:
    """What the sweep is called in a store: its folder's name."""
    return paths.store.name


def _parent(paths: Paths, sweep: Sweep, children: list[Wanted]) -> Wanted:
    ends = [child.end for child in children if child.end is not None]
    over = bool(children) and len(ends) == len(children)
    found = [child.tags["impray.status"] for child in children]
    start = min((child.start for child in children), default=_now(paths))
    tags = {
        "mlflow.runName": title(paths),
        "mlflow.note.content": sweep.question,
        "impray.question": sweep.question,
        "impray.trials": ", ".join(f"{found.count(status)} {status}" for status in sorted(set(found))) or "none yet",
    }
    params = {"measures": _text([measure.name for measure in sweep.measures]), "search": sweep.search.algorithm}
    params |= {
        f"space.{path}": _text(json.loads(sweep.search.model_dump_json())["space"][path]) for path in sweep.search.space
    }
    status = ("FAILED" if "failed" in found else "FINISHED") if over else "RUNNING"
    return Wanted(None, start, max(ends) if over else None, status, {**_shared_params(sweep), **params}, tags)


def _shared_params(sweep: Sweep) -> dict[str, str]:
    return {"rounds": _text(sweep.rounds), "methods": _text(sweep.methods), "seeds": _seeds(sweep)}


def _seeds(sweep: Sweep) -> str:
    """How many, or a list, as in the YAML."""
    counted = list(sweep.seeds) == list(range(len(sweep.seeds)))
    return _text(len(sweep.seeds) if counted else sweep.seeds)


def _children(paths: Paths, sweep: Sweep) -> list[Wanted]:
    """One run per row of the table `trials`, in the order of their numbers."""
    axes = tables.axes_of(paths)
    points, first = _points(paths, sweep)
    wanted = []
    for row in outcomes.trials(paths.folder).iter_rows(named=True):
        written = int(row["written_at"].timestamp() * 1000)
        tags = {
            "mlflow.runName": _name(row, axes),
            "mlflow.note.content": sweep.question,
            "impray.trial": row["trial"],
            "impray.number": f"{row['number']:05d}",  # MLflow sorts tags as text
            "mlflow.runColor": _colour(row["number"]),
            "impray.status": row["status"],
            **({"impray.diverged": f"{row['diverged']}/{len(row['lineages'])}"} if row["diverged"] else {}),
            **{f"impray.{name}": row[name] for name in ("version", "host", "device") if row[name]},
            **({"mlflow.source.git.commit": row["git_sha"]} if row["git_sha"] else {}),
        }
        status = STATUS.get(row["status"], "RUNNING")
        start, end = min(written, first.get(row["trial"], written)), None if status == "RUNNING" else written
        params = {**_trial_params(row, axes), **_shared_params(sweep)}
        wanted.append(Wanted(row["trial"], start, end, status, params, tags, points.get(row["trial"], {})))
    return wanted


def _name(row: Mapping[str, Any], axes: Mapping[str, str]) -> str:
    """`gain=1 fraction=0.2`; whole paths where two axes end alike; the trial's id where there is no axis."""
    given = [path for path in axes if row[path] is not None]
    last = [path.rpartition(".")[2] for path in given]
    words = given if len(set(last)) < len(last) else last
    shown = [f"{row[path]:.4g}" if isinstance(row[path], float) else str(row[path]) for path in given]
    return " ".join(f"{word}={value}" for word, value in zip(words, shown, strict=True))[:200] or row["trial"]


def _colour(number: int) -> str:
    """Of a trial's lines: the golden ratio keeps hues apart however many there are. MLflow's own, by run id, repeat."""
    hue = (0.6 + number * 0.618034) % 1
    red, green, blue = (round(255 * part) for part in colorsys.hls_to_rgb(hue, 0.4 + 0.15 * (number % 2), 0.65))
    return f"#{red:02x}{green:02x}{blue:02x}"


def _trial_params(row: Mapping[str, Any], axes: Mapping[str, str]) -> dict[str, str]:
    """Every field of the trial by its dotted path, defaults included."""
    description = json.loads(row["description"])
    try:
        description = Trial.model_validate(description).model_dump(mode="json")
    except ValidationError:
        pass  # written by another version of impray: its fields without the defaults are still right
    return {**{path: _text(row[path]) for path in axes if row[path] is not None}, **_flat(description)}


def _flat(value: Any, path: str = "") -> dict[str, str]:
    if not isinstance(value, dict):
        return {path: _text(value)}
    found: dict[str, str] = {}
    for name, part in value.items():
        found |= _flat(part, f"{path}.{name}" if path else name)
    return found


def _text(value: object) -> str:
    return (value if isinstance(value, str) else json.dumps(value))[:PARAM_LENGTH]


def _metric_columns() -> list[str]:
    return [c.name for c in schema.columns("rounds") if c.type in ("int", "float") and c.name not in _NO_METRICS]


def _points(paths: Paths, sweep: Sweep) -> tuple[dict[str, dict[Point, tuple[float, int]]], dict[str, int]]:
    """trial -> its metric points, and trial -> when its first row was written, in ms."""
    listed = tables.scan("trials", paths.folder).select("trial", pl.col("lineages").alias("lineage")).explode("lineage")
    rows = tables.scan("rounds", paths.folder).join(listed, on=["trial", "lineage"], how="semi")
    ms, diverged = pl.col("written_at").dt.epoch("ms"), pl.col("status") == "diverged"
    means = rows.group_by("trial", "method", "round").agg(
        ms.max().alias("ms"), ms.min().alias("first"), *(_mean(name, diverged) for name in _metric_columns())
    )
    ends = rows.group_by("trial", "method", "lineage").agg(
        pl.col("round").max().alias("last"), pl.col("round").filter(diverged).min().alias("diverged")
    )
    found, lineages = pl.collect_all([means, ends])
    complete, gone = _complete(paths, sweep, lineages)
    points: dict[str, dict[Point, tuple[float, int]]] = {}
    first: dict[str, int] = {}
    for row in found.sort("trial", "method", "round").iter_rows(named=True):
        trial, method, round = row["trial"], row["method"], row["round"]
        first[trial] = min(row["first"], first.get(trial, row["first"]))
        if round > complete.get((trial, method), -1):
            continue
        values = {name: row[name] for name in _metric_columns() if row[name] is not None}
        count = sum(at <= round for at in gone.get((trial, method), []))
        for name, value in {**values, **({"diverged": float(count)} if count else {})}.items():
            points.setdefault(trial, {})[f"{name}/{method}", round] = (value, row["ms"])
    return points, first


def _mean(column: str, diverged: pl.Expr) -> pl.Expr:
    """Over finite values; null where a row of a lineage that has not diverged was written without the column."""
    numbers = pl.col(column).cast(pl.Float64)
    lacks = (numbers.is_null() & ~diverged).any()
    # A mean's last bits depend on the order in which threads add: a flat line would be drawn as a step of 1e-16.
    mean = numbers.filter(numbers.is_finite()).mean().round_sig_figs(DIGITS)
    return pl.when(lacks).then(None).otherwise(mean).alias(column)


def _complete(
    paths: Paths, sweep: Sweep, lineages: pl.DataFrame
) -> tuple[dict[tuple[str, str], float], dict[tuple[str, str], list[int]]]:
    """(trial, method) -> the last round that no lineage is missing from, and -> the rounds in which some diverged."""
    heard = {row["lineage"]: row for row in lineages.iter_rows(named=True)}
    complete: dict[tuple[str, str], float] = {}
    gone: dict[tuple[str, str], list[int]] = {}
    for row in lineages.iter_rows(named=True):
        at = (row["trial"], row["method"])
        settled = math.inf if row["diverged"] is not None else row["last"]
        complete[at] = min(settled, complete.get(at, math.inf))
        if row["diverged"] is not None:
            gone.setdefault(at, []).append(row["diverged"])
    trials = tables.scan("trials", paths.folder).select("trial", "lineages", "description").collect()
    for trial, listed, description in trials.iter_rows():
        silent = [id for id in listed or [] if id not in heard]
        for method in _methods_of(silent, description, sweep):
            complete[trial, method] = -1  # a lineage without any row
    return complete, gone


def _methods_of(lineages: list[str], description: str, sweep: Sweep) -> set[str]:
    """Methods of lineages that have no row yet; all methods if that cannot be told."""
    if not lineages:
        return set()
    try:
        described = Trial.model_validate_json(description).lineages(sweep.methods, sweep.seeds)
    except ValidationError:
        return set(sweep.methods)
    methods = {lineage.id: lineage.method for lineage in described}
    return {methods[id] for id in lineages} if set(lineages) <= set(methods) else set(sweep.methods)
