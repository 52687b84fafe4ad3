"""Where everything of a sweep lies. No other file joins paths."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

UNFINISHED = ".part"  # a file that is being written ends like this, so that no scan picks it up


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
        return self.table(table) / f"{file}.parquet"

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
    def running(self) -> Path:
        """Locked by the one driver that works on this folder."""
        return self.folder / "running.lock"
