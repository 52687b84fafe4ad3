"""Where everything of a sweep lies. No other file joins paths."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

UNFINISHED = ".part"  # a file that is being written ends like this, so that no scan picks it up

# Files of rows, by name; everything else in tables/ (.DS_Store, copies, notes) is not ours and is let alone. The last two forms
# are those of versions before 0.4.0.
_ROWS = re.compile(r"(?:rows-[0-9A-Za-z-]+|all-\d{8}T\d+|[0-9a-f]{6,16}-[0-9A-Za-z-]+)\.parquet")


@dataclass(frozen=True)
class Paths:
    """The folder of one sweep's results."""

    folder: Path

    @property
    def sweep(self) -> Path:
        return self.folder / "sweep.yaml"

    @property
    def provenance(self) -> Path:
        return self.folder / "provenance.json"

    @property
    def tables(self) -> Path:
        return self.folder / "tables"

    def table(self, name: str) -> Path:
        return self.tables / name

    def rows(self, table: str, file: str) -> Path:
        """Of a name made of letters, digits and hyphens."""
        path = self.table(table) / f"rows-{file}.parquet"
        assert _ROWS.fullmatch(path.name), path.name
        return path

    def row_files(self, table: str, starts: Sequence[str] = ("",)) -> list[Path]:
        """What is there of a table, sorted; only names that start like one of `starts`. Listed, not matched as a pattern."""
        folder = self.table(table)
        found = list(folder.iterdir()) if folder.is_dir() else []
        wanted = tuple(starts)
        return sorted(
            path for path in found if _ROWS.fullmatch(path.name) and path.name.removeprefix("rows-").startswith(wanted)
        )

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    def trunk(self, trunk: str, part: str) -> Path:
        return self.checkpoints / "trunks" / trunk / f"{part}.safetensors"

    def trunk_lock(self, trunk: str) -> Path:
        return self.checkpoints / "trunks" / f"{trunk}.lock"

    def lineage(self, lineage: str, round: int) -> Path:
        return self.checkpoints / "lineages" / lineage / f"round-{round:03d}.safetensors"

    def scores(self, lineage: str, measure: str, round: int) -> Path:
        """One number per kept weight; `measure` is its name and the hash of its parameters."""
        return self.checkpoints / "lineages" / lineage / f"{measure}-{round:03d}.safetensors"

    @property
    def figures(self) -> Path:
        return self.folder / "figures"

    @property
    def mlflow(self) -> Path:
        return self.folder / "mlflow.db"

    @property
    def mlflow_artifacts(self) -> Path:
        return self.folder / "mlflow-artifacts"

    @property
    def mlflow_id(self) -> Path:
        """The name of this sweep in any store."""
        return self.folder / "mlflow.id"

    @property
    def mlflow_lock(self) -> Path:
        """Locked by the one process that exports this folder."""
        return self.folder / "mlflow.lock"

    @property
    def damaged(self) -> Path:
        """Where files that cannot be read any more are kept; nothing is read from it."""
        return self.folder / "damaged"

    @property
    def running(self) -> Path:
        """Locked by the one driver that works on this folder."""
        return self.folder / "running.lock"
