"""Where a sweep's folder lies: on a disk, or in a bucket. Only what needs a file system (MLflow's own file) asks which.

    store = opened("runs/quickstart")  or  opened("s3://bucket/runs/quickstart"), opened("gs://bucket/runs/quickstart")

Keys are paths inside the folder, with slashes: `tables/rounds/rows-x.parquet`. A file is there whole or not at all.

Buckets are reached through obstore, not through pyarrow.fs or fsspec. Leases need "create this unless it is there"
(`If-None-Match: *`); neither of those two has it, obstore has it for every service. It also puts an object in one request, as bytes
that are whole before it starts (an open output stream of pyarrow publishes a part of a file when an exception closes it), it retries
what may be retried, and it is the library inside polars, so both read the same environment: `AWS_ACCESS_KEY_ID`, `AWS_REGION`,
`AWS_ENDPOINT_URL` and so on, or the role of the machine.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from impray.results.store.base import File, Store
from impray.results.store.folder import Folder
from impray.spec.errors import Problem, SweepError
from impray.spec.text import refusal

Place = str | Path | Store  # what a sweep's folder is given as
BUCKETS = ("s3://", "gs://")

__all__ = ["BUCKETS", "File", "Folder", "Place", "Store", "above", "in_bucket", "opened", "problems", "within"]


def opened(place: Place) -> Store:
    """The store at a place: a path, `file://...`, `s3://bucket/...` or `gs://bucket/...`. Nothing is read or made yet.

    Raises:  SweepError: a URI of another kind.
    """
    if isinstance(place, Store):
        return place
    wrong = problems("folder", str(place))
    if wrong:
        raise SweepError("the folder of a sweep", wrong)
    if isinstance(place, Path) or "://" not in place:
        return Folder(Path(place))
    if place.startswith("file://"):
        return Folder(Path(place.removeprefix("file://")))
    # One per process: it keeps connections, and what it has read. Another endpoint is another store.
    return _bucket(place.rstrip("/"), tuple(os.environ.get(name) for name in _OF_CLIENTS))


_OF_CLIENTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_REGION", "AWS_SESSION_TOKEN")


@lru_cache(maxsize=16)
def _bucket(uri: str, environment: tuple[str | None, ...]) -> Store:
    from impray.results.store.bucket import Bucket

    return Bucket(uri)


def in_bucket(place: Place) -> bool:
    """Whether a place is no folder of a file system."""
    return isinstance(place, str) and "://" in place and not place.startswith("file://")


def within(place: Place, name: str) -> str | Path:
    """The place of a folder inside a place, as a person would type it."""
    if isinstance(place, Store):
        place = place.uri if place.local is None else place.local
    return f"{place.rstrip('/')}/{name}" if isinstance(place, str) and "://" in place else Path(place) / name


def above(store: Store) -> str:
    """The place that the folder lies in, as a person would type it."""
    return str(store.local.parent) if store.local is not None else store.uri.rpartition("/")[0]


def problems(option: str, place: str) -> list[Problem]:
    """What is wrong with a URI as a place, before anything is opened."""
    if not in_bucket(place):
        return [Problem(option, repr(place), why)] if (why := refusal(place)) else []
    scheme, _, rest = place.partition("://")
    bucket = rest.partition("/")[0]
    if f"{scheme}://" not in BUCKETS:
        return [Problem(option, repr(place), f"must be a folder, or start with {' or '.join(BUCKETS)}")]
    if "@" in bucket:
        right = (
            "holds a login; credentials come from the environment (AWS_ACCESS_KEY_ID and so on) or the machine's role"
        )
        return [Problem(option, f"'{scheme}://...'", right)]
    if not bucket or "?" in place or "#" in place:
        return [Problem(option, repr(place), f"must be like {scheme}://bucket/runs")]
    return []
