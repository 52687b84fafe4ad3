"""Files that exist only whole: serialised first, written aside, synced, then moved into place."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from impray.results.paths import UNFINISHED
from impray.spec.errors import DataError


def write(path: Path, content: bytes) -> None:
    """Write atomically; a reader sees the old file, the new one, or none.

    Raises:  DataError: the disk is full or the folder cannot be written; names the file.
    """
    # The process and host are in the name: two writers of one file each move a whole one into place.
    aside = path.with_name(f"{path.name}.{socket.gethostname()}-{os.getpid()}{UNFINISHED}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except OSError as error:
        aside.unlink(missing_ok=True) if aside.parent.is_dir() else None
        raise DataError(
            f"{path}: cannot be written ({error.strerror}); free or choose another folder with --out"
        ) from error


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold an advisory lock that the kernel lets go when this process dies. Yields False if taken and `wait` is False."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = path.open("a")
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror}); choose another folder with --out") from error
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True
