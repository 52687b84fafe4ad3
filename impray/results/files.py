"""Files that exist only whole: serialised first, written aside, synced, then moved into place."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from impray.results.paths import UNFINISHED, Paths
from impray.spec.errors import StorageError


def write(path: Path, content: bytes) -> None:
    """Write atomically; a reader sees the old file, the new one, or none.

    Raises:  StorageError: the disk is full or the folder cannot be written; names the file.
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
        with suppress(OSError):  # there may be none, or no folder for it; on a read-only disk even that is refused
            aside.unlink()
        raise _unwritable(path, error) from error


def set_aside(path: Path, paths: Paths) -> Path:
    """Move a damaged file, or whatever lies in its place, into the folder's `damaged/`, where nothing is read; its new place.

    Raises:  StorageError: it cannot be moved.
    """
    place = str(path.relative_to(paths.folder)).replace(os.sep, "_")
    aside = paths.damaged / f"{place}.{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
    try:
        paths.damaged.mkdir(parents=True, exist_ok=True)
        os.replace(path, aside)
    except FileNotFoundError:
        pass  # another process has done it
    except OSError as error:
        raise _unwritable(path, error) from error
    return aside


def aside(paths: Paths) -> list[str]:
    """Names of what was set aside so far."""
    return sorted(path.name for path in paths.damaged.iterdir()) if paths.damaged.is_dir() else []


def _unwritable(path: Path, error: OSError) -> StorageError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    how = "free some space and run this again" if full else "make it writable or choose another place"
    if isinstance(error, IsADirectoryError):
        how = "a folder lies in its place: move it away and run this again"
    # mkdir says "File exists" where a file lies in a folder's place.
    reason = "Not a directory" if isinstance(error, FileExistsError) else error.strerror
    return StorageError(f"{path}: cannot be written ({reason}); {how}")


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold an advisory lock that the kernel lets go when this process dies. Yields False if taken and `wait` is False."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = path.open("a")
    except OSError as error:
        raise _unwritable(path, error) from error
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True
