"""Files that exist only whole: serialised first, written aside, synced, then moved into place."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from impray.results.paths import UNFINISHED
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


def _unwritable(path: Path, error: OSError) -> StorageError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    how = "free some space and run this again" if full else "make it writable or choose another place"
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
