"""How trials ended, from the tables alone: which diverged, wholly or in part, also where an earlier version wrote `done`.

A trial is `diverged` when each of its lineages is. With some of them it is done, and every view says how many.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import polars as pl

from impray.results import tables
from impray.results.axis_values import trials_in_words
from impray.results.paths import Paths
from impray.results.store import Place


def trials(folder: Place) -> pl.DataFrame:
    """The table `trials` by number, its status as this module's head says, and `diverged`: how many of the lineages are."""
    frame = tables.scan("trials", folder).sort("number").collect()
    gone = _diverged(folder).select("lineage").collect()["lineage"].unique()
    listed = frame.select("trial", pl.col("lineages").alias("lineage")).explode("lineage")
    counts = listed.filter(pl.col("lineage").is_in(gone.to_list())).group_by("trial").agg(pl.len().alias("diverged"))
    frame = frame.join(counts, on="trial", how="left", maintain_order="left").with_columns(
        pl.col("diverged").fill_null(0)
    )
    whole = (
        (pl.col("status") == "done") & (pl.col("diverged") > 0) & (pl.col("diverged") == pl.col("lineages").list.len())
    )
    return frame.with_columns(pl.when(whole).then(pl.lit("diverged")).otherwise(pl.col("status")).alias("status"))


def _diverged(folder: Place) -> pl.LazyFrame:
    return tables.scan("rounds", folder).filter(pl.col("status") == "diverged")


def diverged_trials(folder: Place) -> int:
    """How many trials diverged wholly."""
    return trials(folder).filter(pl.col("status") == "diverged").height


def share(diverged: int, lineages: int) -> str:
    """`1/4 diverged`, as every view says it; "" if none is."""
    return f"{diverged}/{lineages} diverged" if diverged else ""


def warning(folder: Place) -> str | None:
    """What must not be overlooked at the end of a sweep; None if no lineage diverged."""
    affected = trials(folder).filter(pl.col("diverged") > 0)
    if affected.is_empty():
        return None
    whole = affected.filter(pl.col("diverged") == pl.col("lineages").list.len()).height
    parts = [
        f"{count} {extent}" for count, extent in ((whole, "wholly"), (affected.height - whole, "in part")) if count
    ]
    noun = "trial" if affected.height == 1 else "trials"
    return (
        f"warning: {affected.height} {noun} diverged ({', '.join(parts)}; {affected['diverged'].sum()} lineages): "
        "the loss was not finite, so those numbers are missing"
    )


def named(folder: Place) -> dict[str, tuple[int, dict[str, object]]]:
    """Trial id -> its number and axis values, as `trials_in_words` takes them; of every trial of a folder."""
    axes = list(tables.axes_of(Paths(folder)))
    rows = tables.scan("trials", folder).select("trial", "number", *axes).collect()
    return {row["trial"]: (row["number"], {path: row[path] for path in axes}) for row in rows.iter_rows(named=True)}


def failure_lines(folder: Place, trace: bool) -> list[str]:
    """The table `failures` for `impray failures`, newest first: what, of which trials, and what to do; empty if nothing failed."""
    lines = []
    known = named(folder)
    over = set(trials(folder).filter(pl.col("status").is_in(["done", "diverged"]))["trial"])
    for row in tables.scan("failures", folder).sort("written_at", descending=True).collect().iter_rows(named=True):
        who = trials_in_words(known[id] for id in row["trials"] if id in known)
        unknown = [id for id in row["trials"] if id not in known]
        who = ", ".join([*([who] if len(unknown) < len(row["trials"]) else []), *unknown])
        lines.append(f"{row['written_at']:%Y-%m-%d %H:%M:%S} {who}, round {row['round']}: {row['error']}")
        ended = over.issuperset(row["trials"])
        ending = "; done since then" if ended else ""
        lines.append(f"  {len(row['lineages'])} lineages; host {row['host']}; pack {row['pack']}{ending}")
        lines += [f"  -> {row['hint']}"] if row["hint"] and not ended else []
        lines += [row["trace"]] if trace and row["trace"] else []
    return lines


def trials_with(folder: Place, status: str) -> str:
    """The trials of a status, in words; "" if there are none."""
    return of_ids(folder, trials(folder).filter(pl.col("status") == status)["trial"].to_list())


def of_ids(folder: Place, ids: Collection[str]) -> str:
    """Trials in words; "" if there are none."""
    known = named(folder)
    return trials_in_words(known[id] for id in known if id in ids) if ids else ""


def diverged_lines(folder: Place) -> list[str]:
    """One line per trial with diverged lineages, for `impray failures`: which of them, and in which round."""
    affected = trials(folder).filter(pl.col("diverged") > 0)
    rows = _diverged(folder).select("lineage", "method", "seed", "round").collect()
    known = named(folder)
    lines = []
    for row in affected.iter_rows(named=True):
        of_trial = rows.filter(pl.col("lineage").is_in(row["lineages"])).sort("method", "round", "seed")
        who = trials_in_words([known[row["trial"]]])
        lines.append(f"{who}: {share(row['diverged'], len(row['lineages']))}: {'; '.join(_ends(of_trial))}")
    return lines


def _ends(rows: pl.DataFrame) -> Iterator[str]:
    for (method, round), part in rows.group_by("method", "round", maintain_order=True):
        yield f"{method} in round {round}, {_counted('seed', part['seed'].to_list())}"


def _counted(noun: str, numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:8])) + (f" and {len(numbers) - 8} more" if len(numbers) > 8 else "")
    return f"{noun}{'s' if len(numbers) > 1 else ''} {shown}"
