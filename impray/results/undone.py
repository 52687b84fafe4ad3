"""Trials that were done once and are not any more: rows were lost, or the folder's sweep asks for more by now.

A row of `trials` says how a trial ended when it did. Whether all that is asked for is still there, the ledger knows: this is what the
same command would find left to do. Of a sweep with plugins nothing is known, since nothing of theirs is run to look at a folder.
"""

from __future__ import annotations

import polars as pl

from impray.results import ledger, tables
from impray.results.paths import Paths
from impray.results.provenance import read_sweep
from impray.results.store import Place
from impray.spec import axes
from impray.spec.pack import Pack
from impray.spec.sweep import Sweep
from impray.spec.trial import Trial


def undone(folder: Place) -> frozenset[str]:
    """Ids of trials whose rows say done or diverged, and that have something left to do."""
    paths = Paths(folder)
    over = tables.scan("trials", folder).filter(pl.col("status").is_in(["done", "diverged"]))
    rows = over.select("trial", "description").collect()
    if rows.is_empty() or not paths.sweep.is_file():
        return frozenset()
    sweep = read_sweep(paths)
    asked = _asked(sweep, rows)
    if any(trial.described for trial in asked):
        return frozenset()
    known, columns = ledger.read(folder), tables.axes_of(paths)
    return frozenset(trial.id for trial in asked if not _complete(sweep, trial, known, columns))


def _asked(sweep: Sweep, rows: pl.DataFrame) -> list[Trial]:
    """Of the trials in these rows, those that the sweep asks for as it was run last; a search by optuna asked for all."""
    if sweep.search.algorithm == "optuna":
        return [Trial.model_validate_json(text) for text in rows["description"]]
    there = set(rows["trial"])
    return [trial for _, trial in axes.trials(sweep) if trial.id in there]


def _complete(sweep: Sweep, trial: Trial, known: ledger.Ledger, columns: dict[str, str]) -> bool:
    lineages = tuple(trial.lineages(sweep.methods, sweep.seeds))
    pack = Pack(
        lineages=lineages, rounds=sweep.rounds, rows_at=sweep.rows_at, measures=sweep.measures, axes=dict(columns)
    )
    return all(known.complete(lineage, pack) for lineage in lineages)
