"""A prefix of a bucket as a store: S3 and what speaks like it, and Google Cloud Storage."""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from impray.results.store.base import File, Store
from impray.spec.errors import Problem, StorageError, SweepError

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import ObjectStore

T = TypeVar("T")

# A connection and a request may take so long; what fails (a refused connection, 5xx, a broken connection) is tried again until the
# last has passed.
REQUEST_S, CONNECT_S, GIVE_UP_S = 30, 5, 60
KEPT_BYTES = 256 << 20  # of files that were read, in memory: tables are scanned again and again while a sweep runs
AT_ONCE = 16  # requests
RETRY_S = 0.5


class Bucket(Store):
    """Every file is one object, put in one request.

    Listings and reads see every put that was answered before (S3 since 2020, Google's always).
    """

    def __init__(self, uri: str, give_up_s: float | None = None) -> None:
        self.uri = uri
        self._limit_s = give_up_s
        self._kept: OrderedDict[str, tuple[Hashable, bytes]] = OrderedDict()
        self._kept_bytes = 0
        self._lock = threading.Lock()
        self._made: ObjectStore | None = None
        self._hasty: dict[float, Bucket] = {}

    @property
    def absolute(self) -> str:
        return self.uri

    @property
    def _objects(self) -> ObjectStore:
        """Made late: opening a place costs nothing, and a process that was forked makes its own."""
        if self._made is None:
            from obstore.store import from_url

            http = _endpoint().startswith("http://")
            with self._told(""):
                self._made = from_url(
                    self.uri,
                    client_options={
                        "timeout": timedelta(seconds=min(REQUEST_S, self._give_up_s)),
                        "connect_timeout": timedelta(seconds=CONNECT_S),
                        "allow_http": http,  # an address that the user has given; nothing else is ever reached without TLS
                    },
                    retry_config={"max_retries": 20, "retry_timeout": timedelta(seconds=self._give_up_s / 3)},
                )
        return self._made

    @property
    def _give_up_s(self) -> float:
        return GIVE_UP_S if self._limit_s is None else self._limit_s

    def hasty(self, seconds: float) -> Bucket:
        if seconds not in self._hasty:
            self._hasty[seconds] = Bucket(self.uri, seconds)  # with connections of its own
        return self._hasty[seconds]

    def exists(self) -> bool:
        return bool(self._listed("", most=1))

    def read(self, key: str, stamp: Hashable = None) -> bytes | None:
        import obstore

        if stamp is not None and (kept := self._recall(key, stamp)) is not None:
            return kept

        def get() -> tuple[ObjectMeta, bytes]:
            response = obstore.get(self._objects, key)
            return response.meta, bytes(response.bytes())

        try:
            meta, content = self._tried(key, get, "read")
        except FileNotFoundError:
            return None
        self._keep(key, _stamp(meta), content)
        return content

    def write(self, key: str, content: bytes) -> None:
        import obstore

        self._tried(key, lambda: obstore.put(self._objects, key, content, use_multipart=False))

    def create(self, key: str, content: bytes) -> bool:
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        def put() -> bool:
            try:
                obstore.put(self._objects, key, content, mode="create", use_multipart=False)
            except (AlreadyExistsError, PreconditionError):
                # One whose answer was lost was tried again, and then finds its own object.
                return self.read(key) == content
            return True

        return self._tried(key, put)

    def files(self, folder: str, starts: Sequence[str] = ("",)) -> list[File]:
        base = f"{folder}/" if folder else ""
        by_name = {}
        for start in _outermost(starts):
            for meta in self._listed(f"{base}{start}"):
                name = meta["path"].removeprefix(base)
                if "/" not in name:
                    by_name[name] = File(self, meta["path"], _stamp(meta))
        return [by_name[name] for name in sorted(by_name)]

    def _listed(self, start: str, most: int | None = None) -> list[ObjectMeta]:
        """Objects whose keys start like this. obstore lists whole folders only: the rest of a name is sought in its folder, from where
        it can begin (listings are in the order of their keys) to where it cannot go on."""
        import obstore

        folder, _, rest = start.rpartition("/")

        def list_all() -> list[ObjectMeta]:
            objects = []
            for page in obstore.list(
                self._objects, folder or None, offset=_before(start) if rest else None, chunk_size=1000
            ):
                for meta in page:
                    if meta["path"].startswith(start):
                        objects.append(meta)
                    if meta["path"] > start and not meta["path"].startswith(start) or len(objects) == most:
                        return objects
            return objects

        return self._tried(start, list_all, "read")

    def stamp(self, key: str) -> Hashable:
        import obstore

        try:
            return _stamp(self._tried(key, lambda: obstore.head(self._objects, key), "read"))
        except FileNotFoundError:
            return None

    def has(self, key: str) -> bool:
        return self.stamp(key) is not None

    def delete(self, key: str) -> None:
        import obstore

        with suppress(FileNotFoundError):
            self._tried(key, lambda: obstore.delete(self._objects, key))

    def delete_all(self, files: Sequence[File]) -> None:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda file: self.delete(file.key), files))

    def move(self, key: str, to: str) -> None:
        import obstore

        try:
            self._tried(key, lambda: obstore.copy(self._objects, key, to))
        except FileNotFoundError:
            return  # another process has done it
        self.delete(key)

    def sources(self, files: Sequence[File]) -> list[bytes] | None:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            contents = list(pool.map(File.read, files))
        return None if any(content is None for content in contents) else [c for c in contents if c is not None]

    def folders(self, folder: str = "") -> list[str]:
        import obstore

        listing = self._tried(folder, lambda: obstore.list_with_delimiter(self._objects, folder or None), "read")
        return sorted(prefix.rstrip("/").rpartition("/")[2] for prefix in listing["common_prefixes"])

    def beside(self) -> list[str]:
        scheme, _, rest = self.uri.partition("://")
        if "/" not in rest:
            return []
        parent = f"{scheme}://{rest.rpartition('/')[0]}"
        return [f"{parent}/{name}" for name in Bucket(parent).folders()]

    def _tried(self, key: str, call: Callable[[], T], what: str = "written") -> T:
        """Call until it works, or `give_up_s` have passed. obstore itself tries again only what fails before an answer begins, and no
        create whose connection broke.

        Raises:  FileNotFoundError: there is no such object. StorageError: what goes wrong, in words of ours; also of reading, for no
                 pack can go on while its store is silent, and a file that cannot be read now must not be held for damaged.
        """
        end = time.monotonic() + self._give_up_s
        while True:
            try:
                with self._told(key, what):
                    return call()
            except StorageError as error:
                if time.monotonic() > end or _hopeless(error):
                    raise
                time.sleep(RETRY_S)

    # -- what was read ------------------------------------------------------------------------------------------------

    def _recall(self, key: str, stamp: Hashable) -> bytes | None:
        with self._lock:
            kept = self._kept.get(key)
            if kept is None or kept[0] != stamp:
                return None
            self._kept.move_to_end(key)
            return kept[1]

    def _keep(self, key: str, stamp: Hashable, content: bytes) -> None:
        if not key.startswith("tables/"):
            return  # checkpoints are read once
        with self._lock:
            self._kept_bytes += len(content) - len(self._kept.pop(key, (None, b""))[1])
            self._kept[key] = (stamp, content)
            while self._kept_bytes > KEPT_BYTES:
                _, (_, dropped) = self._kept.popitem(last=False)
                self._kept_bytes -= len(dropped)

    @contextmanager
    def _told(self, key: str, what: str = "written") -> Iterator[None]:
        """What the service says, in words of ours; an object that is not there stays FileNotFoundError."""
        from obstore.exceptions import BaseError

        try:
            yield
        except StorageError:
            raise
        except FileNotFoundError as error:  # obstore's own is one
            if "NoSuchBucket" in str(error):
                raise StorageError(f"{self.place(key)}: there is no such bucket; make it, or choose another") from error
            raise
        except (BaseError, OSError, ValueError) as error:
            raise StorageError(f"{self.place(key)}: cannot be {what} ({_said(error)}); {_mend(error)}") from error


def _endpoint() -> str:
    """Of an S3 server of the user's own; "" for AWS.

    Raises:  SweepError: it is no address. obstore would panic.
    """
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"):
        value = os.environ.get(name, "")
        if value and not value.startswith(("http://", "https://")):
            raise SweepError("environment", [Problem(name, repr(value), "must start with http:// or https://")])
        if value:
            return value
    return ""


def _said(error: Exception) -> str:
    """The first line of what obstore says, which goes on with pages of internals; an error document of S3 down to its message."""
    line = next(iter(str(error).strip().splitlines()), type(error).__name__)
    if "<Message>" in str(error):
        return str(error).partition("<Message>")[2].partition("</Message>")[0][:200]
    return line.rpartition(" - ")[2][:200] or line[:200]


def _mend(error: Exception) -> str:
    from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

    if isinstance(error, (PermissionDeniedError, UnauthenticatedError)) or any(
        w in str(error) for w in ("redential", " 403 ")
    ):
        return "check the credentials (AWS_ACCESS_KEY_ID and so on, or the machine's role) and what they may do in this bucket"
    return "check the address and the network, then run this again"


def _hopeless(error: StorageError) -> bool:
    """Whether trying again cannot help."""
    from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

    return isinstance(error.__cause__, (FileNotFoundError, PermissionDeniedError, UnauthenticatedError, ValueError))


def _stamp(meta: ObjectMeta) -> Hashable:
    return (meta["e_tag"] or str(meta["last_modified"]), meta["size"])


def _outermost(starts: Sequence[str]) -> list[str]:
    """Those that are not within another one."""
    return [s for s in dict.fromkeys(starts) if not any(s != other and s.startswith(other) for other in starts)]


def _before(start: str) -> str:
    """A key that comes before every key with this start, and after nearly all others."""
    return start[:-1] + chr(ord(start[-1]) - 1) + "\x7e" if ord(start[-1]) > 33 else start[:-1]
