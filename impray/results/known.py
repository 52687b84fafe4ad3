"""What a sweep's folder already knows: which rounds have all their rows, which lineages are complete.

A round counts only if its row in `rounds` is there and every other table has as many rows of it as that row says (`rows_elsewhere`):
a lost file of `units` is noticed, and what was in it is measured again from the checkpoints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from impray.results import tables
from impray.results.rows import covers
from impray.results.schema import OF_ROUNDS
from impray.results.store import Place, opened
from impray.spec import families
from impray.spec.family import until_changed
from impray.spec.pack import Pack
from impray.spec.trial import Lineage


@dataclass(frozen=True)
class Round:
    """A round of a lineage that has rows: how it ended, what its rows were written with ("" if some are lost), if it trained."""

    status: str
    measured: str
    trained: bool


@dataclass(frozen=True)
class Fates:
    """A lineage's rows in `fates`: the last round they know (-1 if some are lost), and what they were written with, per round."""

    until: int
    measured: Mapping[int, str]


@dataclass(frozen=True)
class Known:
    """Rows of earlier runs: lineage -> round -> `Round`, lineage -> `Fates`, and lineages that have rows in any table."""

    rounds: Mapping[str, Mapping[int, Round]]
    fates: Mapping[str, Fates]
    anywhere: frozenset[str] = frozenset()

    def has_rows(self, lineage: Lineage) -> bool:
        return lineage.id in self.anywhere

    def complete(self, lineage: Lineage, pack: Pack) -> bool:
        """Whether nothing of this lineage is left to do: all rounds measured as `pack` asks, or diverged, and fates written."""
        of_lineage = self.rounds.get(lineage.id, {})
        diverged = [round for round, row in of_lineage.items() if row.status == "diverged"]
        last = min(diverged) if diverged else pack.rounds
        measured = all(
            round in of_lineage
            and covers(of_lineage[round].measured, pack.asked)
            and (of_lineage[round].trained or bool(diverged) or not pack.trains(lineage, round))
            for round in range(last + 1)
        )
        fates = self.fates.get(lineage.id, Fates(-1, {}))
        return measured and fates.until >= last and all(covers(t, pack.asked_of_fates) for t in fates.measured.values())


def known(folder: Place, lineages: Sequence[str] | None = None) -> Known:
    """Read it from the tables; an absent folder knows nothing.

    Args:    lineages: only these; all by default.
    """
    if not opened(folder).exists():
        return Known({}, {})
    counts = [
        _of(table, folder, lineages).group_by("lineage", "round").agg(pl.len().alias(table)).collect()
        for table in OF_ROUNDS
    ]
    rounds, fates = _rounds(_of("rounds", folder, lineages), counts), _fates(_of("fates", folder, lineages))
    return Known(rounds, fates, frozenset().union(rounds, fates, *(count["lineage"] for count in counts)))


def _of(table: str, folder: Place, lineages: Sequence[str] | None) -> pl.LazyFrame:
    rows = tables.scan(table, folder)
    return rows if lineages is None else rows.filter(pl.col("lineage").is_in(list(lineages)))


def _rounds(rows: pl.LazyFrame, counts: Sequence[pl.DataFrame]) -> dict[str, dict[int, Round]]:
    found = rows.select("lineage", "round", "status", "trained", "measured", "rows_elsewhere").collect()
    for count in counts:
        found = found.join(count, on=["lineage", "round"], how="left")
    rounds: dict[str, dict[int, Round]] = {}
    for row in found.iter_rows(named=True):
        whole = _is_whole(row, {table: row[table] or 0 for table in OF_ROUNDS})
        round = Round(row["status"], row["measured"] if whole else "", row["trained"])
        rounds.setdefault(row["lineage"], {})[row["round"]] = round
    return rounds


def _is_whole(row: Mapping, counts: Mapping[str, int]) -> bool:
    """Whether the tables hold what the row of `rounds` says; rows of versions before 0.4.0 say nothing of it."""
    if row["rows_elsewhere"] is not None:
        return row["rows_elsewhere"] == counted(counts)
    names = {entry.split(":")[0] for entry in row["measured"].split()}
    return row["status"] != "done" or all(
        counts[table] > 0 for table in ("units", "masks") if names & _measures_with(table)
    )


@until_changed
def _measures_with(table: str) -> frozenset[str]:
    """Names of the measures that have rows in `units` or `masks` in every round."""
    columns = {"units": "unit_columns", "masks": "mask_columns"}[table]
    return frozenset(kind.model_fields["name"].default for kind in families.measures.specs if getattr(kind, columns))


def counted(counts: Mapping[str, int]) -> str:
    """`masks:2 units:10`: how a row of `rounds` says how many rows the other tables have of it."""
    return " ".join(f"{table}:{count}" for table, count in sorted(counts.items()) if count)


def _fates(rows: pl.LazyFrame) -> dict[str, Fates]:
    of_rounds = rows.group_by("lineage", "round").agg(pl.len(), pl.col("measured").fill_null("").unique())
    counts: dict[str, dict[int, int]] = {}
    texts: dict[str, dict[int, str]] = {}
    for lineage, round, count, measured in of_rounds.collect().iter_rows():
        counts.setdefault(lineage, {})[round] = count
        texts.setdefault(lineage, {})[round] = measured[0] if len(measured) == 1 else ""
    return {lineage: Fates(_until(counts[lineage]), texts[lineage]) for lineage in counts}


def _until(counts: Mapping[int, int]) -> int:
    """The last round, n: round r has one row for each fate r + 1 to n and the survivors, in every layer; -1 where some lack."""
    last = max(counts)
    layers = counts[last]
    return last if all(counts.get(r) == layers * (last - r + 1) for r in range(last + 1)) else -1
