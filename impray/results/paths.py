"""Where everything of a sweep lies: keys in its store, and what can only lie on a disk. No other file joins paths."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from impray.cache import cache
from impray.results.store import File, Place, Store, opened

TRUNKS = "checkpoints/trunks"

# Files of rows, by name; everything else in tables/ (.DS_Store, copies, notes) is not ours and is let alone. The last two forms
# are those of versions before 0.4.0.
_ROWS = re.compile(r"(?:rows-[0-9A-Za-z-]+|all-\d{8}T\d+|[0-9a-f]{6,16}-[0-9A-Za-z-]+)\.parquet")


class Paths:
    """The folder of one sweep's results."""

    def __init__(self, folder: Place) -> None:
        self.store: Store = opened(folder)

    @property
    def folder(self) -> str:
        """As a person is shown it."""
        return self.store.uri

    @property
    def sweep(self) -> File:
        return self.store.file("sweep.yaml")

    @property
    def provenance(self) -> File:
        return self.store.file("provenance.json")

    def table(self, name: str) -> File:
        return self.store.file(f"tables/{name}")

    def rows(self, table: str, file: str) -> File:
        """Of a name made of letters, digits and hyphens."""
        name = f"rows-{file}.parquet"
        assert _ROWS.fullmatch(name), name
        return self.store.file(f"tables/{table}/{name}")

    def row_files(self, table: str, starts: Sequence[str] = ("",)) -> list[File]:
        """What is there of a table, sorted; only names that start like one of `starts`, behind `rows-` or (before 0.4.0) without it."""
        told = ("",) if "" in starts else tuple(form for start in starts for form in (f"rows-{start}", start))
        return [file for file in self.store.files(f"tables/{table}", told) if _ROWS.fullmatch(file.name)]

    def trunk(self, trunk: str, part: str) -> File:
        return self.store.file(f"{TRUNKS}/{trunk}/{part}.safetensors")

    def trunk_lock(self, trunk: str) -> str:
        return f"{TRUNKS}/{trunk}.lock"

    def lineage(self, lineage: str, round: int) -> File:
        return self.store.file(f"checkpoints/lineages/{lineage}/round-{round:03d}.safetensors")

    def scores(self, lineage: str, measure: str, round: int) -> File:
        """One number per kept weight; `measure` is its name and the hash of its parameters."""
        return self.store.file(f"checkpoints/lineages/{lineage}/{measure}-{round:03d}.safetensors")

    def figure(self, name: str) -> File:
        """`name` with its ending."""
        return self.store.file(f"figures/{name}")

    def figures(self) -> list[File]:
        return self.store.files("figures")

    @property
    def report(self) -> File:
        """The whole sweep on one page."""
        return self.store.file("report.html")

    @property
    def study(self) -> File:
        """The Optuna study of a search, as Optuna's journal."""
        return self.store.file("optuna.journal")

    @property
    def mlflow_id(self) -> File:
        """The name of this sweep in any store of MLflow's."""
        return self.store.file("mlflow.id")

    def damaged(self) -> list[File]:
        """Files that cannot be read any more; nothing is read from there."""
        return self.store.files("damaged")

    @property
    def running(self) -> str:
        """Locked by the one driver that works on this folder."""
        return "running.lock"

    # -- on a disk ----------------------------------------------------------------------------------------------------

    @cached_property
    def disk(self) -> Path:
        """Where what needs a file system lies: in the folder itself; for a bucket, in a place of its own in the user's cache."""
        if self.store.local is not None:
            return self.store.local
        digest = hashlib.blake2b(self.store.absolute.encode(), digest_size=6).hexdigest()
        return cache() / "stores" / f"{self.store.name}-{digest}"

    @property
    def mlflow(self) -> Path:
        return self.disk / "mlflow.db"

    @property
    def mlflow_artifacts(self) -> Path:
        return self.disk / "mlflow-artifacts"

    @property
    def mlflow_lock(self) -> Path:
        """Locked by the one process of this machine that syncs this folder."""
        return self.disk / "mlflow.lock"


def set_aside(file: File) -> File:
    """Move a damaged file, or whatever lies in its place, into the folder's `damaged/`; its new place.

    Raises:  StorageError: it cannot be moved.
    """
    to = file.store.file(f"damaged/{damaged_name(file.key)}")
    file.store.move(file.key, to.key)
    return to


def damaged_name(key: str) -> str:
    """What a file that is set aside now is called."""
    return f"{key.replace('/', '_')}.{datetime.now(UTC):%Y%m%dT%H%M%S%f}"


def aside(paths: Paths) -> list[str]:
    """Names of what was set aside so far."""
    return [file.name for file in paths.damaged()]
