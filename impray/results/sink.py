"""The sink of a pack: rows to tables, checkpoints to files, and what earlier runs left of both.

Order makes it safe to kill at any moment: a round's checkpoint is whole on disk before its rows are, and a round counts as done
only when its rows are there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import polars as pl

from impray.results import files, tables
from impray.results.paths import Paths
from impray.results.rows import Rows, covers, measured
from impray.results.schema import KEYS
from impray.spec.pack import Pack
from impray.spec.trial import Lineage


class FolderSink:
    """A sweep's folder on a disk, as seen by one pack (it is also the `Memory` of the pack's rounds)."""

    def __init__(self, folder: str | Path, pack: Pack) -> None:
        self.paths, self.pack = Paths(Path(folder)), pack
        self._rows: dict[tuple[str, int], dict] = {}
        self._fates: dict[str, dict[int, str]] = {}  # lineage -> round -> what its rows were written with
        self._read()

    def _read(self) -> None:
        """Rows of this pack's lineages: from the pack's own files, or from every file if an earlier run left some elsewhere."""
        wanted = [lineage.id for lineage in self.pack.lineages]
        for table, columns in (("rounds", ROW), ("fates", ("lineage", "round", "measured"))):
            own = list(self.paths.table(table).glob(f"{self.pack.id}-*.parquet"))
            if not own and not self.pack.known:
                continue
            found = tables.scan(table, self.paths.folder).filter(pl.col("lineage").is_in(wanted)).select(columns)
            for row in found.collect().iter_rows(named=True):
                if table == "rounds":
                    self._rows[row["lineage"], row["round"]] = row
                else:
                    self._fates.setdefault(row["lineage"], {})[row["round"]] = row["measured"] or ""

    # -- what is there ------------------------------------------------------------------------------------------------

    def done(self, lineage: Lineage, round: int) -> bool:
        row = self._rows.get((lineage.id, round))
        if row is None or not covers(row["measured"], self.pack.asked):
            return False
        # The last round of a shorter sweep was perhaps not trained; the next mask needs its weights.
        return row["trained"] or row["status"] == "diverged" or not self.pack.trains(lineage, round)

    def diverged(self, lineage: Lineage) -> int | None:
        rounds = [round for (id, round), row in self._rows.items() if id == lineage.id and row["status"] == "diverged"]
        return min(rounds) if rounds else None

    def last_round(self, lineage: Lineage) -> int:
        """The last round of a lineage that has a row; -1 before the first."""
        return max((round for id, round in self._rows if id == lineage.id), default=-1)

    def fates_until(self, lineage: Lineage) -> int:
        """The last round that the lineage's rows in `fates` know, written with all that is asked; -1 if there are none."""
        of_rounds = self._fates.get(lineage.id, {})
        whole = all(covers(written_with, self.pack.asked_of_fates) for written_with in of_rounds.values())
        return max(of_rounds, default=-1) if whole else -1

    # -- rows ---------------------------------------------------------------------------------------------------------

    def write(self, round: int, rows: Rows) -> None:
        """Write a round's rows, `rounds` last: a round whose row is there has all its others too."""
        again = [(row["lineage"], round) for row in rows["rounds"] if (row["lineage"], round) in self._rows]
        if again:
            rows = {table: self._merged(table, of_table, round) for table, of_table in rows.items()}
        for table in ("units", "masks", "images", "histograms", "steps", "rounds"):
            # Named by what was measured too: a later run that measures more must not replace a file with other rows in it.
            suffix = measured_digest(self.pack) if again else "0"
            tables.write(self.paths, table, f"{self.pack.id}-{round:03d}-{suffix}", rows[table], self.pack.axes)
        for row in rows["rounds"]:
            self._rows[row["lineage"], round] = {key: row[key] for key in ROW}

    def _merged(self, table: str, rows: Sequence[Mapping], round: int) -> list[dict]:
        """Rows measured again keep what only their predecessors knew: an earlier run's other measures are not lost."""
        key = [name for name in KEYS[table]]
        wanted = sorted({row["lineage"] for row in rows})
        old = tables.scan(table, self.paths.folder).filter(pl.col("lineage").is_in(wanted), pl.col("round") == round)
        known = {tuple(row[name] for name in key): row for row in old.collect().iter_rows(named=True)}
        merged = []
        for row in rows:
            before = {k: v for k, v in known.get(tuple(row[name] for name in key), {}).items() if v is not None}
            if "measured" in row and before:
                both = dict(
                    entry.split(":") for text in (before["measured"], row["measured"]) for entry in text.split()
                )
                row = {**row, "measured": measured(both)}
            merged.append({**{k: v for k, v in before.items() if k not in _FRESH}, **row})
        return merged

    def write_fates(self, lineage: Lineage, rows: Sequence[Mapping]) -> None:
        """Replace a lineage's rows in `fates`; `measured` of each says what it was written with."""
        tables.write(self.paths, "fates", f"{self.pack.id}-{lineage.id}", rows, self.pack.axes)
        self._fates[lineage.id] = {row["round"]: row["measured"] for row in rows}

    # -- checkpoints --------------------------------------------------------------------------------------------------

    def load_trunk(self, trunk: str, part: str) -> bytes | None:
        return _bytes(self.paths.trunk(trunk, part))

    def save_trunk(self, trunk: str, part: str, content: bytes) -> None:
        files.write(self.paths.trunk(trunk, part), content)

    @contextmanager
    def locked_trunks(self, trunks: Sequence[str]) -> Iterator[None]:
        """Hold the trunks' locks. Always taken in sorted order, so that two packs cannot wait for each other."""
        with ExitStack() as stack:
            for trunk in sorted(trunks):
                stack.enter_context(files.locked(self.paths.trunk_lock(trunk)))
            yield

    def load_record(self, lineage: str, round: int) -> bytes | None:
        return _bytes(self.paths.lineage(lineage, round))

    def save_record(self, lineage: str, round: int, content: bytes) -> None:
        files.write(self.paths.lineage(lineage, round), content)

    def load_scores(self, lineage: str, measure: str, digest: str, round: int) -> bytes | None:
        """One number per kept weight, as an earlier run measured them with the same parameters."""
        return _bytes(self.paths.scores(lineage, f"{measure}-{digest}", round))

    def save_scores(self, lineage: str, measure: str, digest: str, round: int, content: bytes) -> None:
        files.write(self.paths.scores(lineage, f"{measure}-{digest}", round), content)

    def earlier_scores(self, lineage: Lineage) -> list[tuple[str, str]]:
        """(measure, hash of its parameters) of the numbers of single weights that only earlier runs asked for."""
        texts = self._fates.get(lineage.id, {}).values()
        entries = dict(entry.split(":") for text in texts for entry in text.split())
        return [(name, digest) for name, digest in entries.items() if name not in self.pack.asked_of_fates]


ROW = ("lineage", "round", "status", "trained", "measured")  # what is remembered of a row of `rounds`
_FRESH = {"version", "git_sha", "host", "device", "written_at"}


def measured_digest(pack: Pack) -> str:
    """Names the set of measures and parameters that rows are written again with."""
    return hashlib.blake2b(measured(pack.asked).encode(), digest_size=6).hexdigest()


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None
