"""Where source files lie: on this machine, or anywhere that a URI of pyarrow.fs reaches (s3://, gs://, file:// ...).

A remote file is copied into the cache when it is converted, one at a time, and removed again. Credentials and regions
are pyarrow's: the environment's, never parts of a URI (`impray.spec.text`).
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pyarrow import NativeFile, fs

from impray.spec.errors import DataError
from impray.spec.text import PATH_SHOWN, cut

_COPIED = 2**22  # bytes at a time
_URI = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.-]*://")


def working_folder() -> str:
    """What a relative path starts from: the folder where the sweep was started, also in its actors (Ray gives them another)."""
    return os.environ.get("IMPRAY_WORKING_FOLDER") or os.getcwd()


@dataclass(frozen=True)
class File:
    """A source that can be read here: the file itself or a copy, and the name a user knows it by."""

    path: Path
    shown: str


@dataclass(frozen=True)
class Place:
    """A file or folder, which need not exist."""

    system: fs.FileSystem
    path: str
    shown: str
    remote: bool

    @classmethod
    def at(cls, path: str) -> Place:
        """Raises: DataError: a URI that pyarrow cannot follow."""
        if not _URI.match(path):
            inner = os.path.join(working_folder(), os.path.expanduser(path))
            return cls(fs.LocalFileSystem(), inner, cut(path, PATH_SHOWN), False)
        shown = re.sub(r"//[^/@]*@", "//", path).partition("?")[0].rstrip("/")
        try:
            system, inner = fs.FileSystem.from_uri(path)
        except (OSError, ValueError) as error:  # pyarrow's own errors are children of these
            # Not `from error`: that holds the whole URI, with what `shown` leaves out.
            raise DataError(f"{shown}: cannot be reached: {_first_line(error).replace(path, shown)}") from None
        return cls(system, inner.rstrip("/"), shown, True)

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def seen_from(self) -> str:
        """Of a relative path, for who wonders why it is not there: the folder that it starts from, which is not the sweep file's."""
        shown = os.path.expanduser(self.shown)
        return (
            ""
            if self.remote or os.path.isabs(shown)
            else f" in {cut(working_folder(), PATH_SHOWN)}, from where impray is started"
        )

    def beneath(self, *names: str) -> Place:
        inner = [name for name in names if name]
        return Place(self.system, "/".join([self.path, *inner]), "/".join([self.shown, *inner]), self.remote)

    def info(self) -> fs.FileInfo:
        return infos([self])[0]

    def ends(self, size: int, length: int) -> bytes:
        """The first and the last `length` bytes of a file of `size` bytes."""
        with self.reading(), self.system.open_input_file(self.path) as file:
            first = file.read(length)
            file.seek(max(0, size - length))
            return first + file.read(length)

    @contextmanager
    def opened(self) -> Iterator[NativeFile]:
        """The file's bytes where they lie, to look at a few of them."""
        with self.reading(), self.system.open_input_file(self.path) as file:
            yield file

    @contextmanager
    def here(self, folder: Path) -> Iterator[File]:
        """The file as one of this machine; a remote one is copied into `folder` meanwhile."""
        if not self.remote:
            yield File(Path(self.path), self.shown)
            return
        with tempfile.TemporaryDirectory(dir=folder, prefix="source-") as beside:
            copy = Path(beside, self.name)
            with self.reading():
                # Left to itself, pyarrow decompresses what is called .gz.
                source = self.system.open_input_stream(self.path, compression=None)
            with source, copy.open("wb") as into:
                while content := self._next(source):
                    into.write(content)
            yield File(copy, self.shown)

    def _next(self, source: NativeFile) -> bytes:
        with self.reading():
            return source.read(_COPIED)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """What the system says of this file becomes an error that names it."""
        try:
            yield
        except OSError as error:
            raise DataError(f"{self.shown}: cannot be read: {cut(_first_line(error), PATH_SHOWN)}") from error


def infos(places: Sequence[Place]) -> list[fs.FileInfo]:
    """Type, size and time of places of one system, in one request.

    Raises: DataError: the system does not answer.
    """
    with places[0].reading():
        return places[0].system.get_file_info([place.path for place in places])


def is_file(info: fs.FileInfo) -> bool:
    return info.type == fs.FileType.File


@dataclass(frozen=True)
class Layout:
    """One way in which a data set is distributed."""

    folders: tuple[str, ...]  # below the path that is asked for: "" is itself
    files: tuple[tuple[str, ...], ...]  # each needed file, with all the names it may have
    words: str  # the files in words, for those who lack them
    many: bool = False  # whether each of its folders may hold another data set


def located(at: Place, layouts: Sequence[Layout], what: str, origin: str) -> tuple[Layout, list[Place]]:
    """The layout found below a folder, and its files in order.

    Args:    what: the data set; origin: where it is published.
    Raises:  DataError: no layout is complete; names all files that the nearest one lacks.
    """
    needed = f"{what} needs {'; or '.join(layout.words for layout in layouts)}"
    kind = at.info().type
    if kind == fs.FileType.File:
        raise DataError(f"{at.shown}: is a file; unpack it, and name the folder. {needed}. {origin}")
    tried = [(layout, _found(at.beneath(folder), layout)) for layout in layouts for folder in layout.folders]
    _only_one(at, tried)
    layout, files = max(tried, key=lambda pair: sum(file is not None for file in pair[1]))
    if None not in files:
        return layout, [file for file in files if file is not None]
    # A store of objects has no empty folders: there, a missing folder is one without files.
    absent = [names[0] for names, file in zip(layout.files, files, strict=True) if file is None]
    gone = (
        f"there is no such folder{at.seen_from}. " if kind == fs.FileType.NotFound and len(absent) == len(files) else ""
    )
    raise DataError(f"{at.shown}: {gone}{needed}. Absent: {', '.join(absent)}. {origin}")


def _only_one(at: Place, tried: Sequence[tuple[Layout, list[Place | None]]]) -> None:
    """Raises: DataError: there are several data sets to choose from."""
    whole = [files[0] for layout, files in tried if layout.many and None not in files]
    folders = [file.shown.rpartition("/")[0] for file in whole if file is not None]
    if len(folders) > 1 and folders[0] != at.shown:  # what lies in the named folder itself is meant
        raise DataError(f"{at.shown}: holds more than one data set; name one of {', '.join(folders)}")


def _found(folder: Place, layout: Layout) -> list[Place | None]:
    named = [[folder.beneath(name) for name in names] for names in layout.files]
    states = iter(infos([place for places in named for place in places]))
    present = [[place for place in places if is_file(next(states))] for places in named]
    return [places[0] if places else None for places in present]


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
