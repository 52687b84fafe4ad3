"""Folders for a moment, in the temporary folder of this machine: `impray-KIND-PROCESS-...`, the process's name as in `processes`."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from impray import processes

START = "impray-"
RAY = "tune"  # those of a Ray are cleared with what else is left of it, by `service.leftovers`


@contextmanager
def scratch(kind: str) -> Iterator[Path]:
    """A folder for this process alone, gone when the block is left. After a kill the next sweep removes it."""
    folder = named(kind)
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def named(kind: str, more: str = "") -> Path:
    """A place for such a folder; nothing lies there."""
    return Path(tempfile.gettempdir(), f"{START}{kind}-{more or f'{processes.name()}-{uuid.uuid4().hex[:12]}'}")


def left(kind: str) -> list[Path]:
    """Folders of this kind and user whose processes have ended."""
    return [path for path in Path(tempfile.gettempdir()).glob(f"{START}{kind}-*") if _is_left(path)]


def _is_left(path: Path) -> bool:
    return (
        bool(processes.dead(path.name))
        and path.is_dir()
        and not path.is_symlink()
        and path.lstat().st_uid == os.geteuid()
    )


def clear() -> None:
    """Remove what killed processes left."""
    for folder in left("*"):
        if not folder.name.startswith(f"{START}{RAY}-"):
            shutil.rmtree(folder, ignore_errors=True)
