"""What a store is asked, and a file in it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path


class Store(ABC):
    """The folder of one sweep. Two stores of one place are equal."""

    uri: str  # as it was given: what a person is shown and may type

    @property
    def local(self) -> Path | None:
        """The folder, where it is on a disk."""
        return None

    @property
    @abstractmethod
    def absolute(self) -> str:
        """A place that means the same in another process, whatever its working folder."""

    @property
    def name(self) -> str:
        """Its last part: the sweep's name."""
        return self.absolute.rstrip("/").rpartition("/")[2]

    @abstractmethod
    def exists(self) -> bool:
        """Whether there is such a folder; in a bucket: whether anything is in it."""

    @abstractmethod
    def read(self, key: str, stamp: Hashable = None) -> bytes | None:
        """A file's bytes, None where there is none. With a `stamp`, bytes that were read before may be given.

        Raises:  OSError: it is there and cannot be read. StorageError: the store does not answer.
        """

    @abstractmethod
    def write(self, key: str, content: bytes) -> None:
        """Write a file; a reader sees the old one, the new one, or none.

        Raises:  StorageError: it cannot be written; names the file.
        """

    @abstractmethod
    def create(self, key: str, content: bytes) -> bool:
        """As `write`, only if nothing lies there; of several at once exactly one is told True. The content must be the caller's alone:
        an answer that was lost on its way is recognised by it.

        Raises:  StorageError: it cannot be written; names the file.
        """

    @abstractmethod
    def files(self, folder: str, starts: Sequence[str] = ("",)) -> list[File]:
        """Files directly in a folder whose names start like one of `starts`, sorted by name; none where there is no such folder."""

    @abstractmethod
    def stamp(self, key: str) -> Hashable:
        """Changes when the file does; None where there is no file."""

    @abstractmethod
    def has(self, key: str) -> bool:
        """Whether anything lies there, be it a file or not."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Delete a file; nothing happens where there is none.

        Raises:  StorageError: it cannot be deleted.
        """

    def delete_all(self, files: Sequence[File]) -> None:
        """Delete many files.

        Raises:  StorageError: one of them cannot be deleted; others may be gone.
        """
        for file in files:
            self.delete(file.key)

    @abstractmethod
    def move(self, key: str, to: str) -> None:
        """Move a file, or whatever lies there; nothing happens where nothing does.

        Raises:  StorageError: it cannot be moved.
        """

    @abstractmethod
    def sources(self, files: Sequence[File]) -> list[Path] | list[bytes] | None:
        """What polars and pyarrow read files from; None if one is not there any more."""

    @abstractmethod
    def folders(self, folder: str = "") -> list[str]:
        """Names of the folders in a folder."""

    @abstractmethod
    def beside(self) -> list[str]:
        """Places of folders next to this one, for those who have mistyped it."""

    @contextmanager
    def lock(self, key: str, *, wait: bool = True) -> Iterator[bool | None]:
        """Hold a lock of the kernel, which lets it go when this process dies. Yields True with the lock held, False if another process
        of this machine holds it and `wait` is False, None where there are no such locks: a lease serves there.
        """
        yield None

    def hasty(self, seconds: float) -> Store:
        """The same store, which gives up soon where it can: for what is worth nothing when it comes late."""
        return self

    def place(self, key: str = "") -> str:
        """What a person is shown."""
        return f"{self.uri.rstrip('/')}/{key}" if key else self.uri

    def file(self, key: str) -> File:
        return File(self, key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Store) and self.absolute == other.absolute

    def __hash__(self) -> int:
        return hash(self.absolute)

    def __str__(self) -> str:
        return self.uri

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.uri!r})"


@dataclass(frozen=True)
class File:
    """A file of a store, there or not; as a text what a person is shown."""

    store: Store
    key: str
    listed: Hashable = field(default=None, compare=False, repr=False)  # its stamp, where a listing has just told it

    @property
    def name(self) -> str:
        return self.key.rpartition("/")[2]

    @property
    def folder(self) -> str:
        """The name of the folder that it is in."""
        return self.key.rpartition("/")[0].rpartition("/")[2]

    @property
    def path(self) -> Path:
        """On a disk."""
        assert self.store.local is not None, f"{self} is on no disk"
        return self.store.local / self.key

    @property
    def stamp(self) -> Hashable:
        return self.listed if self.listed is not None else self.store.stamp(self.key)

    def is_file(self) -> bool:
        return self.stamp is not None

    def exists(self) -> bool:
        return self.store.has(self.key)

    def read(self) -> bytes | None:
        return self.store.read(self.key, self.listed)

    def write(self, content: bytes) -> None:
        self.store.write(self.key, content)

    def delete(self) -> None:
        self.store.delete(self.key)

    def __str__(self) -> str:
        return self.store.place(self.key)

    def __lt__(self, other: File) -> bool:
        return self.key < other.key
