"""Files that exist only whole: serialised first, written aside, synced, then moved into place."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from impray import processes
from impray.spec.errors import StorageError

UNFINISHED = ".part"  # a file that is being written ends like this, so that no scan picks it up
# NAME.PROCESS-THREAD.part; a database has no thread, and may have a journal beside it. Up to 0.8.0: HOST-PROCESS-THREAD, or PROCESS.
_ASIDE = re.compile(rf".+\.({processes.NAME.pattern}(-\d+)?|\S+-\d+-\d+|\d+)\{UNFINISHED}(-\w+)?")


def write(path: Path, content: bytes) -> None:
    """Write atomically; a reader sees the old file, the new one, or none.

    Raises:  StorageError: the disk is full or the folder cannot be written; names the file.
    """
    with _aside(path, content) as aside:
        os.replace(aside, path)


def create(path: Path, content: bytes) -> bool:
    """As `write`, only if nothing lies there; of several at once exactly one is told True.

    Raises:  StorageError: the disk is full or the folder cannot be written; names the file.
    """
    with _aside(path, content) as aside:
        try:
            _link(aside, path, content)
        except FileExistsError:
            return _is(path, content)
    return True


@contextmanager
def _aside(path: Path, content: bytes) -> Iterator[Path]:
    """A whole file beside the place it is for. Process and thread are in its name: two writers of one file each move a whole one."""
    aside = path.with_name(f"{path.name}.{processes.name()}-{threading.get_ident()}{UNFINISHED}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield aside
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        with suppress(OSError):  # moved by now; or there is none, or no folder for it, or the disk is read-only
            aside.unlink()


def clear_unfinished(folder: Path) -> None:
    """Remove what killed writers left in a folder and below it; what may still be written stays."""
    for place, _, names in os.walk(folder):
        for name in names:
            if UNFINISHED in name and _ASIDE.fullmatch(name) and processes.left(path := Path(place, name)):
                with suppress(OSError):
                    path.unlink()


def _link(aside: Path, path: Path, content: bytes) -> None:
    """Give a whole file its name, unless there is one: atomic on every file system that several machines share as well."""
    try:
        os.link(aside, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # Still one winner; a reader may see a part of the file for a moment.
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        with os.fdopen(handle, "wb") as file:
            file.write(content)


# What link says on a file system without hard links (exFAT, a bucket mounted as a folder).
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}


def _is(path: Path, content: bytes) -> bool:
    """Whether it was this process: NFS may carry out a link and lose the answer."""
    try:
        return path.read_bytes() == content
    except OSError:
        return False


def unwritable(path: Path, error: OSError) -> StorageError:
    """What a person is told."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    mend = "free some space and run this again" if full else "make it writable or choose another place"
    if isinstance(error, IsADirectoryError):
        mend = "a folder lies in its place: move it away and run this again"
    # mkdir says "File exists" where a file lies in a folder's place.
    reason = "Not a directory" if isinstance(error, FileExistsError) else error.strerror
    return StorageError(f"{path}: cannot be written ({reason}); {mend}")


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold an advisory lock that the kernel lets go when this process dies. Yields False if taken and `wait` is False."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = path.open("a")
    except OSError as error:
        raise unwritable(path, error) from error
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True
