"""A folder of a file system as a store."""

from __future__ import annotations

import errno
import os
from collections.abc import Hashable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cached_property
from pathlib import Path

from impray.results import files
from impray.results.store.base import File, Store

# What flock says on a file system that has no locks (NFS without its lock service, some cluster and object file systems).
NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.ENOTSUP}


class Folder(Store):
    """On a local disk, or on one that several machines share."""

    def __init__(self, path: Path) -> None:
        self._folder = path
        self.uri = str(path)

    @property
    def local(self) -> Path:
        return self._folder

    @property
    def absolute(self) -> str:
        return self._absolute

    @cached_property
    def _absolute(self) -> str:
        return str(self.local.resolve())  # kept: it is asked for with every comparison of files

    def _path(self, key: str) -> Path:
        return self.local / key

    def exists(self) -> bool:
        return self.local.is_dir()

    def read(self, key: str, stamp: Hashable = None) -> bytes | None:
        try:
            return self._path(key).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def write(self, key: str, content: bytes) -> None:
        files.write(self._path(key), content)

    def create(self, key: str, content: bytes) -> bool:
        return files.create(self._path(key), content)

    def files(self, folder: str, starts: Sequence[str] = ("",)) -> list[File]:
        # Compared, not matched as a pattern: a name may hold a pattern's characters.
        wanted = tuple(starts)
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(self._path(folder)) as entries:
            names = [entry.name for entry in entries if entry.name.startswith(wanted)]
            return [File(self, f"{folder}/{name}" if folder else name) for name in sorted(names)]
        return []

    def stamp(self, key: str) -> Hashable:
        path = self._path(key)
        try:
            info = path.stat()
        except OSError:
            return None
        return (info.st_mtime_ns, info.st_size, info.st_ino) if path.is_file() else None

    def has(self, key: str) -> bool:
        return os.path.lexists(self._path(key))

    def delete(self, key: str) -> None:
        try:
            self._path(key).unlink(missing_ok=True)
        except OSError as error:
            raise files.unwritable(self._path(key), error) from error

    def move(self, key: str, to: str) -> None:
        source, target = self._path(key), self._path(to)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(source, target)
        except FileNotFoundError:
            pass  # another process has done it
        except OSError as error:
            raise files.unwritable(source, error) from error

    def sources(self, files: Sequence[File]) -> list[Path] | None:
        paths = [file.path for file in files]
        return paths if all(path.exists() for path in paths) else None

    def folders(self, folder: str = "") -> list[str]:
        path = self._path(folder)
        return sorted(entry.name for entry in path.iterdir() if entry.is_dir()) if path.is_dir() else []

    def beside(self) -> list[str]:
        parent = self.local.parent
        return [str(parent / name) for name in Folder(parent).folders()]

    @contextmanager
    def lock(self, key: str, *, wait: bool = True) -> Iterator[bool | None]:
        with ExitStack() as held:
            try:
                free = held.enter_context(files.locked(self._path(key), wait=wait))
            except OSError as error:
                if error.errno not in NO_LOCKS:
                    raise
                free = None
            yield free
