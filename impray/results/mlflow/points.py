"""What the tables say should be metrics of a trial's run in MLflow.

    accuracy/imp at step n                  mean over the seeds of method imp of the column `accuracy` in round n
    accuracy_standard_error/imp at step n   its standard error over those seeds (`impray.results.spread`), from two seeds on
    diverged/imp at step n                  how many of its lineages have diverged up to round n, where there are any
    goal/NAME at step n                     a goal of the sweep and the round it was read in, as `impray top` tells them
    goal_standard_error/NAME at step n      its standard error over seeds

A mean leaves out NaN and infinite values, and is not logged where none is finite. A round of a trial's method is logged once
each of its lineages that the trial lists has a row there or has diverged before, and a column once no such row lacks it: a
point that is there does not change any more. Goals are logged once the trial is over, where no seed lacks the number; not of
a trial that was stopped before it got there, so that sorting by a goal gives the leaderboard's order.
"""

from __future__ import annotations

import math

import polars as pl
from pydantic import ValidationError

from impray.results import goals, leaderboard, schema, tables
from impray.results.paths import Paths
from impray.spec.sweep import Sweep
from impray.spec.trial import Trial

DIGITS = 12  # of a mean
SPREAD = "_standard_error"
GOAL = "goal"
_NO_METRICS = {"round", "seed", "wall_s", "lineage_s"}
_NO_SPREAD = {"density"}  # every seed keeps the same counts

Point = tuple[str, int]  # metric, step
Values = dict[Point, tuple[float, int]]  # -> value, timestamp in ms


def group_of(metric: str) -> str:
    """Metrics that are told together: those of a method, or the goals."""
    first, _, last = metric.partition("/")
    return GOAL if first in (GOAL, GOAL + SPREAD) else last


def goal_points(paths: Paths, sweep: Sweep, listed: pl.DataFrame) -> dict[str, Values]:
    """trial -> its goals, of the trials in `listed` (as `outcomes.trials` gives them) that are over."""
    points: dict[str, Values] = {}
    trials = leaderboard.compared(sweep.search.goals, listed) if sweep.search.goals else listed.clear()
    for goal in sweep.search.goals:
        name, read = goals.label(goal), goals.of_trials(goal, paths.store, trials)
        for trial, trial_read in zip(trials.iter_rows(named=True), read, strict=True):
            mean, ms = leaderboard.mean_of(trial_read), int(trial["written_at"].timestamp() * 1000)
            if not leaderboard.is_rival(trial["status"], goal):
                continue
            for metric, value in ((GOAL, mean.mean), (GOAL + SPREAD, mean.standard_error)):
                if value is not None:
                    value = round(value, DIGITS) if value == 0 else float(f"{value:.{DIGITS}g}")
                    points.setdefault(trial["trial"], {})[f"{metric}/{name}", trial_read.round] = (value, ms)
    return points


def _metric_columns() -> list[str]:
    return [c.name for c in schema.columns("rounds") if c.type in ("int", "float") and c.name not in _NO_METRICS]


def round_points(paths: Paths, sweep: Sweep) -> tuple[dict[str, Values], dict[str, int]]:
    """trial -> its metric points, and trial -> when its first row was written, in ms."""
    listed = tables.scan("trials", paths.store).select("trial", pl.col("lineages").alias("lineage")).explode("lineage")
    rows = tables.scan("rounds", paths.store).join(listed, on=["trial", "lineage"], how="semi")
    ms, diverged = pl.col("written_at").dt.epoch("ms"), pl.col("status") == "diverged"
    means = rows.group_by("trial", "method", "round").agg(
        ms.max().alias("ms"),
        ms.min().alias("first"),
        *(_mean(name, diverged) for name in _metric_columns()),
        *(_spread(name, diverged) for name in _metric_columns() if name not in _NO_SPREAD),
    )
    ends = rows.group_by("trial", "method", "lineage").agg(
        pl.col("round").max().alias("last"), pl.col("round").filter(diverged).min().alias("diverged")
    )
    rounds, lineages = pl.collect_all([means, ends])
    names = [name for name in rounds.columns if name not in ("trial", "method", "round", "ms", "first")]
    complete, gone = _complete(paths, sweep, lineages)
    points: dict[str, Values] = {}
    first: dict[str, int] = {}
    for row in rounds.sort("trial", "method", "round").iter_rows(named=True):
        trial, method, round = row["trial"], row["method"], row["round"]
        first[trial] = min(row["first"], first.get(trial, row["first"]))
        if round > complete.get((trial, method), -1):
            continue
        values = {name: row[name] for name in names if row[name] is not None}
        count = sum(at <= round for at in gone.get((trial, method), []))
        for name, value in {**values, **({"diverged": float(count)} if count else {})}.items():
            points.setdefault(trial, {})[f"{name}/{method}", round] = (value, row["ms"])
    return points, first


def _mean(column: str, diverged: pl.Expr) -> pl.Expr:
    """Over finite values; null where a row of a lineage that has not diverged was written without the column."""
    numbers, lacks = _numbers(column, diverged)
    # A mean's last bits depend on the order in which threads add: a flat line would be drawn as a step of 1e-16.
    return pl.when(lacks).then(None).otherwise(numbers.mean().round_sig_figs(DIGITS)).alias(column)


def _spread(column: str, diverged: pl.Expr) -> pl.Expr:
    """The standard error of that mean over the same values; null below two of them."""
    numbers, lacks = _numbers(column, diverged)
    # Of the distances to the smallest, which are exact where values are close: of the values themselves, a small deviation is
    # what rounding leaves, in an order of threads, and a point would change from sync to sync.
    error = (numbers - numbers.min()).std() / numbers.len().sqrt()
    error = pl.when(lacks | (numbers.len() < 2) | ~error.is_finite()).then(None).otherwise(error)
    return error.round_sig_figs(DIGITS).alias(column + SPREAD)


def _numbers(column: str, diverged: pl.Expr) -> tuple[pl.Expr, pl.Expr]:
    """The finite values, and whether the column lacks in a row that should have it."""
    numbers = pl.col(column).cast(pl.Float64)
    return numbers.filter(numbers.is_finite()), (numbers.is_null() & ~diverged).any()


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
    trials = tables.scan("trials", paths.store).select("trial", "lineages", "description").collect()
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
