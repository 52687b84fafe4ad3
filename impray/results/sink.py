"""The sink of a pack: rows to tables, checkpoints to files, and what earlier runs left of both.

Order makes it safe to kill at any moment: a round's checkpoint is whole on disk before its rows are, and a round counts as done
only when its rows are there. A checkpoint that is damaged is set aside when it is read, and counts as one that is not there.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

import polars as pl

from impray.lineage import checkpoint
from impray.results import ledger, tables
from impray.results.ledger import Ledger, Measured, counted
from impray.results.paths import Paths, set_aside
from impray.results.rows import Rows
from impray.results.schema import GROUPS, KEYS, OF_ROUNDS
from impray.results.store import File, Place
from impray.results.store.lease import lease
from impray.spec.pack import Pack
from impray.spec.trial import Lineage


class FolderSink:
    """A sweep's folder as seen by one pack (it is also the `Memory` of the pack's rounds)."""

    def __init__(self, folder: Place, pack: Pack) -> None:
        self.paths, self.pack = Paths(folder), pack
        self.ledger = self._earlier()

    def _earlier(self) -> Ledger:
        """Rows of this pack's lineages; only a pack that has left files itself, or is known to, need look for them."""
        own = any(self.paths.row_files(table, [f"{self.pack.id}-"]) for table in ("rounds", "fates", "removals"))
        if not own and not self.pack.known:
            return Ledger()
        return ledger.read(self.paths.store, [lineage.id for lineage in self.pack.lineages])

    # -- what is there ------------------------------------------------------------------------------------------------

    def done(self, lineage: Lineage, round: int) -> bool:
        return self.ledger.round_done(lineage, round, self.pack)

    def diverged(self, lineage: Lineage) -> int | None:
        return self.ledger.diverged(lineage)

    def last_round(self, lineage: Lineage) -> int:
        return self.ledger.last_round(lineage)

    def fates_done(self, lineage: Lineage) -> bool:
        return self.ledger.fates_done(lineage, self.pack)

    def removals_done(self, lineage: Lineage) -> bool:
        return self.ledger.removals_done(lineage, self.pack)

    # -- rows ---------------------------------------------------------------------------------------------------------

    def write(self, round: int, rows: Rows) -> None:
        """Write a round's rows, `rounds` last: a round whose row is there has all its others too."""
        # Also where only others of the pack have rows: this file must not take theirs away.
        again = self.pack.known or any(round in rounds for rounds in self.ledger.rounds.values())
        removals = self._longest(rows.pop("removals", []))
        if again:
            rows = {table: self._merged(table, of_table, round) for table, of_table in rows.items()}
        counts = self._counts(rows, round if again else None)
        rows["rounds"] = [{**row, "rows_elsewhere": counts[row["lineage"]]} for row in rows["rounds"]]
        # Named by what was measured of whom: a later run that measures more must not replace a file with other rows in it.
        suffix = _digest(self.pack, rows["rounds"]) if again else "0"
        for table, of_table in (("removals", removals), *((table, rows[table]) for table in (*OF_ROUNDS, "rounds"))):
            tables.write(self.paths, table, f"{self.pack.id}-{round:03d}-{suffix}", of_table, self.pack.axes)
        self.ledger.enter_removals(removals)
        self.ledger.enter_rounds(rows["rounds"])

    def _longest(self, removals: Sequence[Mapping]) -> list[dict]:
        """Removals of the lineages of which no longer story is there: a longer sweep's stays."""
        counts = Counter(row["lineage"] for row in removals)
        return [row for row in removals if counts[row["lineage"]] >= self.ledger.removals.get(row["lineage"], 0)]  # type: ignore[misc]

    def _counts(self, rows: Rows, round: int | None) -> dict[str, str]:
        """Lineage -> how many rows each other table will have of it; of rows measured again, those that stay count too."""
        lineages = [row["lineage"] for row in rows["rounds"]]
        counts: dict[str, dict[str, int]] = {lineage: {} for lineage in lineages}
        for table in OF_ROUNDS:
            keys = {tuple(row[name] for name in KEYS[table]) for row in rows[table]}
            if round is not None:
                keys |= self._staying(table, rows[table], lineages, round)
            for lineage in lineages:
                counts[lineage][table] = sum(key[0] == lineage for key in keys)
        return {lineage: counted(of_tables) for lineage, of_tables in counts.items()}

    def _staying(self, table: str, rows: Sequence[Mapping], lineages: Sequence[str], round: int) -> set[tuple]:
        """Keys of earlier rows that rows written now leave as they are."""
        group = GROUPS.get(table, KEYS[table])
        replaced = {tuple(row[name] for name in group) for row in rows}
        old = self._old(table, lineages, round).select(KEYS[table]).collect().iter_rows(named=True)
        keys = [(tuple(row[name] for name in group), tuple(row.values())) for row in old]
        return {key for of_group, key in keys if of_group not in replaced}

    def _old(self, table: str, lineages: Sequence[str], round: int) -> pl.LazyFrame:
        rows = tables.scan(table, self.paths.store)
        return rows.filter(pl.col("lineage").is_in(list(lineages)), pl.col("round") == round)

    def _merged(self, table: str, rows: Sequence[Mapping], round: int) -> list[dict]:
        """Rows measured again keep what only their predecessors knew: an earlier run's other measures are not lost."""
        key = [name for name in KEYS[table]]
        old = self._old(table, sorted({row["lineage"] for row in rows}), round)
        known = {tuple(row[name] for name in key): row for row in old.collect().iter_rows(named=True)}
        merged = []
        for row in rows:
            before = {k: v for k, v in known.get(tuple(row[name] for name in key), {}).items() if v is not None}
            if "measured" in row and before:
                row = {**row, "measured": self._both(row, before.get("measured"), round)}
            merged.append({**{k: v for k, v in before.items() if k not in _FRESH}, **row})
        return merged

    def _both(self, row: Mapping, before: str | None, round: int) -> str:
        """What a row is written with that replaces another one; where rows of other tables are lost, only what is new."""
        earlier = self.ledger.rounds.get(row["lineage"], {}).get(round)
        whole = earlier is not None and earlier.whole
        return str(Measured.parse(before) | Measured.parse(row["measured"])) if whole else row["measured"]

    def write_fates(self, lineage: Lineage, rows: Sequence[Mapping]) -> None:
        """Replace a lineage's rows in `fates`; `measured` of each says what it was written with."""
        tables.write(self.paths, "fates", f"{self.pack.id}-{lineage.id}", rows, self.pack.axes)
        self.ledger.enter_fates(lineage, rows)

    # -- checkpoints --------------------------------------------------------------------------------------------------

    def load_trunk(self, trunk: str, part: str) -> bytes | None:
        return self._whole(self.paths.trunk(trunk, part), "weights")

    def save_trunk(self, trunk: str, part: str, content: bytes) -> None:
        self._save(self.paths.trunk(trunk, part), content)

    @contextmanager
    def locked_trunks(self, trunks: Sequence[str]) -> Iterator[None]:
        """Hold the trunks' locks; leases where there are no locks. Always taken in sorted order, so that two packs cannot wait for
        each other. A lease that is lost to another pack costs time only: both train the same trunk, bit for bit.
        """
        store = self.paths.store
        with ExitStack() as stack:
            for trunk in sorted(trunks):
                if stack.enter_context(store.lock(self.paths.trunk_lock(trunk))) is None:
                    stack.enter_context(lease(store, f"trunk-{trunk}"))
            yield

    def load_record(self, lineage: str, round: int) -> bytes | None:
        return self._whole(self.paths.lineage(lineage, round), "mask")

    def save_record(self, lineage: str, round: int, content: bytes) -> None:
        self._save(self.paths.lineage(lineage, round), content)

    def load_scores(self, lineage: str, measure: str, digest: str, round: int) -> bytes | None:
        """One number per kept weight, as an earlier run measured them with the same parameters."""
        return self._whole(self.paths.scores(lineage, f"{measure}-{digest}", round), "")

    def save_scores(self, lineage: str, measure: str, digest: str, round: int, content: bytes) -> None:
        self._save(self.paths.scores(lineage, f"{measure}-{digest}", round), content)

    def earlier_scores(self, lineage: Lineage) -> list[tuple[str, str]]:
        """(measure, hash of its parameters) of the numbers of single weights that only earlier runs asked for."""
        written_with = self.ledger.fates_measured(lineage).digests
        return [(name, digest) for name, digest in written_with.items() if name not in self.pack.asked_of_fates]

    def _whole(self, file: File, part: str) -> bytes | None:
        """A checkpoint's bytes; None where there is none, also because it was damaged and has just been set aside."""
        try:
            content = file.read()
        except IsADirectoryError:
            content = b""
        if content is None:
            return None
        if checkpoint.damage(content, part) is None:
            return content
        set_aside(file)
        return None

    def _save(self, file: File, content: bytes) -> None:
        self._whole(file, "")  # something broken may lie there that nobody has read: it is kept
        file.write(content)


_FRESH = {"version", "git_sha", "host", "device", "written_at"}


def _digest(pack: Pack, rows: Sequence[Mapping]) -> str:
    """Names what rows are written again with, and whose they are."""
    text = " ".join([str(Measured(pack.asked)), *sorted(row["lineage"] for row in rows)])
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()
