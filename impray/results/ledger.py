"""What of a sweep is done, decided once: for the driver (which lineages are left), for a pack's sink (which rounds are left), for fates.

    round n of a lineage is done:   its row is there, written with all that is asked, and every other table has as many rows of it
                                    as that row says; it trained, if the next mask or a measure needs that; or the lineage diverged
                                    before it
    fates of a lineage are done:    they know every round that has a row, written with all that is asked
    its removals are done:          each weight that its last round with rows lacks has one (of solved lineages; they have no fates)
    a lineage is complete:          all its rounds that are to have rows, and its fates or removals, are done

A lost file of `units` is noticed so, and what was in it is measured again from the checkpoints.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from impray.results import tables
from impray.results.schema import OF_ROUNDS
from impray.results.store import Place, opened
from impray.spec import families
from impray.spec.family import until_changed
from impray.spec.pack import Pack
from impray.spec.trial import Lineage


@dataclass(frozen=True)
class Measured:
    """What a row was written with: measure (and `axes`) -> hash of its parameters. On disk: `accuracy:f1621cb3 axes:9b0e21ac`."""

    digests: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str | None) -> Measured:
        """Of a row's text; versions before 0.2.0 wrote none."""
        return cls(_entries(text or ""))

    def __str__(self) -> str:
        return _text(self.digests)

    def __or__(self, later: Measured) -> Measured:
        """Both; of a measure that is in both, the later one."""
        return Measured({**self.digests, **later.digests})

    def covers(self, asked: Mapping[str, str]) -> bool:
        """Whether a row written with this has everything that is asked for."""
        return asked.items() <= self.digests.items()


def counted(counts: Mapping[str, int]) -> str:
    """`masks:2 units:10`: how a row of `rounds` says how many rows the other tables have of it."""
    return _text({table: str(count) for table, count in counts.items() if count})


def _entries(text: str) -> dict[str, str]:
    parts = (entry.partition(":") for entry in text.split())
    return {name: value for name, _, value in parts}


def _text(entries: Mapping[str, str]) -> str:
    return " ".join(f"{name}:{value}" for name, value in sorted(entries.items()))


@dataclass(frozen=True)
class Round:
    """A round of a lineage that has a row. `whole`: the other tables have all its rows."""

    status: str
    measured: Measured
    trained: bool
    whole: bool = True


@dataclass(frozen=True)
class Fates:
    """A lineage's rows in `fates`: the last round they know (-1 if there are none, or some are lost), and per round, what they
    were written with."""

    until: int = -1
    measured: Mapping[int, Measured] = field(default_factory=dict)


@dataclass
class Ledger:
    """What is there, lineage -> round -> `Round`, lineage -> `Fates`, lineage -> number of removals, and what of it counts as done.

    Args: anywhere: lineages with rows in any table.
    """

    rounds: dict[str, dict[int, Round]] = field(default_factory=dict)
    fates: dict[str, Fates] = field(default_factory=dict)
    removals: dict[str, int] = field(default_factory=dict)
    anywhere: frozenset[str] = frozenset()

    # -- what is there ------------------------------------------------------------------------------------------------

    def has_rows(self, lineage: Lineage) -> bool:
        return bool(self.anywhere) and lineage.id in self.anywhere

    def last_round(self, lineage: Lineage) -> int:
        """The last round with a row; -1 before the first."""
        return max(self.rounds.get(lineage.id, ()), default=-1)

    def diverged(self, lineage: Lineage) -> int | None:
        """The round in which it diverged."""
        rounds = self.rounds.get(lineage.id, {})
        return min((round for round, row in rounds.items() if row.status == "diverged"), default=None)

    def fates_measured(self, lineage: Lineage) -> Measured:
        """What the lineage's rows in `fates` were written with, all rounds together."""
        every, fates = Measured(), self.fates.get(lineage.id, Fates())
        for round in sorted(fates.measured):
            every |= fates.measured[round]
        return every

    # -- what is done -------------------------------------------------------------------------------------------------

    def round_done(self, lineage: Lineage, round: int, pack: Pack) -> bool:
        """Whether nothing of this round is left to do for `pack`."""
        if not self.rounds:
            return False
        end = self.diverged(lineage)
        if end is not None and round > end:
            return True
        row = self.rounds.get(lineage.id, {}).get(round)
        if row is None or not row.whole or not row.measured.covers(pack.asked):
            return False
        # The last round of a shorter sweep was perhaps not trained; the next mask needs its weights, unless all masks are there.
        return row.trained or end is not None or not pack.trains(lineage, round)

    def fates_done(self, lineage: Lineage, pack: Pack) -> bool:
        """Whether the rows in `fates` are those of all rounds that have a row: also of rounds that a longer sweep has run."""
        fates = self.fates.get(lineage.id, Fates())
        known = fates.until >= max(0, self.last_round(lineage))
        return known and all(measured.covers(pack.asked_of_fates) for measured in fates.measured.values())

    def removals_done(self, lineage: Lineage, pack: Pack) -> bool:
        """Whether `removals` has all weights that have gone before the last round with rows; a longer sweep may have told of more."""
        if not pack.tells_removals or not lineage.rule.nests or self.diverged(lineage) is not None:
            return True
        return self.removals.get(lineage.id, 0) >= removals_of(lineage, pack.rows_of(lineage)[-1])

    def complete(self, lineage: Lineage, pack: Pack) -> bool:
        """Whether nothing of this lineage is left to do."""
        if not self.rounds:  # as of every new sweep: then no id of its lineages is needed
            return False
        if not all(self.round_done(lineage, round, pack) for round in pack.rows_of(lineage)):
            return False
        return self.removals_done(lineage, pack) if lineage.solved else self.fates_done(lineage, pack)

    # -- what was written ---------------------------------------------------------------------------------------------

    def enter_rounds(self, rows: Sequence[Mapping]) -> None:
        """Take note of rows of `rounds`, after all others of their rounds are written."""
        for row in rows:
            of_row = Round(row["status"], Measured.parse(row["measured"]), row["trained"])
            self.rounds.setdefault(row["lineage"], {})[row["round"]] = of_row

    def enter_removals(self, rows: Sequence[Mapping]) -> None:
        """Take note of rows of `removals`: all of their lineages'."""
        self.removals |= Counter(row["lineage"] for row in rows)

    def enter_fates(self, lineage: Lineage, rows: Sequence[Mapping]) -> None:
        """Take note of all rows of a lineage in `fates`."""
        written_with = {row["round"]: Measured.parse(row["measured"]) for row in rows}
        self.fates[lineage.id] = Fates(max(written_with, default=-1), written_with)


def removals_of(lineage: Lineage, round: int) -> int:
    """How many weights have gone before a round."""
    trial = lineage.trial
    return sum(size - trial.prune.kept(size, round) for size in trial.scope_sizes)


# -- reading it from the tables ---------------------------------------------------------------------------------------


def read(folder: Place, lineages: Sequence[str] | None = None) -> Ledger:
    """The ledger of a sweep's folder; an absent folder has an empty one.

    Args:    lineages: only these; all by default.
    """
    if not opened(folder).exists():
        return Ledger()
    counts = [
        _rows(table, folder, lineages).group_by("lineage", "round").agg(pl.len().alias(table)).collect()
        for table in OF_ROUNDS
    ]
    rounds, fates = _rounds(_rows("rounds", folder, lineages), counts), _fates(_rows("fates", folder, lineages))
    gone = _rows("removals", folder, lineages).group_by("lineage").len().collect()
    removals = dict(gone.iter_rows())
    anywhere = frozenset().union(rounds, fates, removals, *(count["lineage"] for count in counts))
    return Ledger(rounds, fates, removals, anywhere)


def _rows(table: str, folder: Place, lineages: Sequence[str] | None) -> pl.LazyFrame:
    rows = tables.scan(table, folder)
    return rows if lineages is None else rows.filter(pl.col("lineage").is_in(list(lineages)))


def _rounds(rows: pl.LazyFrame, counts: Sequence[pl.DataFrame]) -> dict[str, dict[int, Round]]:
    frame = rows.select("lineage", "round", "status", "trained", "measured", "rows_elsewhere").collect()
    for count in counts:
        frame = frame.join(count, on=["lineage", "round"], how="left")
    rounds: dict[str, dict[int, Round]] = {}
    for row in frame.iter_rows(named=True):
        measured = Measured.parse(row["measured"])
        whole = _is_whole(row, measured, {table: row[table] or 0 for table in OF_ROUNDS})
        rounds.setdefault(row["lineage"], {})[row["round"]] = Round(row["status"], measured, row["trained"], whole)
    return rounds


def _is_whole(row: Mapping, measured: Measured, counts: Mapping[str, int]) -> bool:
    """Whether the tables hold what the row of `rounds` says; rows of versions before 0.4.0 say nothing of it."""
    if row["rows_elsewhere"] is not None:
        return row["rows_elsewhere"] == counted(counts)
    return row["status"] != "done" or all(
        counts[table] > 0 for table in ("units", "masks") if measured.digests.keys() & _measures_with(table)
    )


@until_changed
def _measures_with(table: str) -> frozenset[str]:
    """Names of the measures that have rows in `units` or `masks` in every round."""
    columns = {"units": "unit_columns", "masks": "mask_columns"}[table]
    return frozenset(kind.model_fields["name"].default for kind in families.measures.specs if getattr(kind, columns))


def _fates(rows: pl.LazyFrame) -> dict[str, Fates]:
    of_rounds = rows.group_by("lineage", "round").agg(pl.len(), pl.col("measured").unique())
    counts: dict[str, dict[int, int]] = {}
    written_with: dict[str, dict[int, Measured]] = {}
    for lineage, round, count, texts in of_rounds.collect().iter_rows():
        counts.setdefault(lineage, {})[round] = count
        # Rows of one round that were written with different things are parts of two writings: they count as written with nothing.
        written_with.setdefault(lineage, {})[round] = Measured.parse(texts[0] if len(texts) == 1 else None)
    return {lineage: Fates(_until(counts[lineage]), written_with[lineage]) for lineage in counts}


def _until(counts: Mapping[int, int]) -> int:
    """The last round, n: round r has one row for each fate r + 1 to n and the survivors, in every layer; -1 where some lack."""
    last = max(counts)
    layers = counts[last]
    return last if all(counts.get(r) == layers * (last - r + 1) for r in range(last + 1)) else -1
