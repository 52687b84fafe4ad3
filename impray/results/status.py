"""How far a sweep is, from its tables alone."""

from __future__ import annotations

from collections.abc import Set

import polars as pl

from impray.results import outcomes, tables
from impray.results.store import Place
from impray.results.undone import undone

UNDONE = "done before, with something left to do (rows were lost, or more is asked for)"


def sentence(folder: Place, again: Set[str] = frozenset()) -> str:
    """`3 of 4 trials done, 1 running; 84 rounds of 12 lineages in the tables (runs/quickstart)`.

    Args:    again: trials that were done and are not any more (`undone`); they are told apart.
    """
    trials = outcomes.trials(folder)
    trials = trials.with_columns(
        status=pl.when(pl.col("trial").is_in(list(again))).then(pl.lit("undone")).otherwise("status")
    )
    of_status = dict(trials.group_by("status").len().iter_rows())
    in_part = trials.filter(pl.col("diverged") > 0, pl.col("status") == "done").height
    rounds = tables.scan("rounds", folder).select(
        pl.len().alias("rounds"),
        pl.col("lineage").n_unique().alias("lineages"),
        pl.col("lineage").filter(pl.col("status") == "diverged").n_unique().alias("diverged"),
    )
    counts = rounds.collect().row(0, named=True)
    words = {
        "diverged": "diverged",
        "running": "not over",
        "stopped": "stopped early",
        "failed": "failed",
        "undone": UNDONE,
    }
    rest = "".join(f", {of_status[key]} {word}" for key, word in words.items() if of_status.get(key))
    failures = tables.scan("failures", folder).select(pl.len()).collect().item()
    done = f"done ({in_part} with diverged lineages)" if in_part else "done"
    text = f"{of_status.get('done', 0)} of {sum(of_status.values())} trials {done}{rest}; "
    text += f"{counts['rounds']} rounds of {counts['lineages']} lineages are in the tables of {folder}"
    text += f", {counts['diverged']} lineages diverged" if counts["diverged"] else ""
    return text + (f"; {failures} failures recorded" if failures else "")


def lines(folder: Place) -> list[str]:
    """The sentence, and which trials are not done, by number and axis values."""
    again = undone(folder)
    words = {"running": "not over", "failed": "failed", "diverged": "diverged", "stopped": "stopped early"}
    named = {word: outcomes.trials_with(folder, status) for status, word in words.items()}
    named["something left to do"] = outcomes.of_ids(folder, again)
    return [sentence(folder, again), *(f"  {word}: {trials}" for word, trials in named.items() if trials)]
