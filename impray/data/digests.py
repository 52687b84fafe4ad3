"""Digests of the files of a folder in the cache, so that what a disk has changed is seen before it becomes a number.

    digests.json    file -> blake2b of its bytes; sealed (`impray.seal`), written last

A pass over all bytes takes a second for every GB: `impray sweep` makes one where it is going to train, actors make none.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from impray.seal import BLANK, intact, sealed

NAME = "digests.json"


def write(folder: Path) -> None:
    """Write the digests of all files that are in the folder."""
    digests = {path.name: _digest(path) for path in sorted(folder.iterdir()) if path.is_file()}
    with (folder / NAME).open("wb") as file:
        file.write(sealed(json.dumps({"files": digests, "seal": BLANK}, indent=1).encode()))
        file.flush()
        os.fsync(file.fileno())


def damaged(folder: Path) -> list[str]:
    """Names of the files that are not what was written; `digests.json` where that cannot be told."""
    try:
        content = (folder / NAME).read_bytes()
        if not intact(content):
            return [NAME]
        return [name for name, digest in json.loads(content)["files"].items() if _digest(folder / name) != digest]
    except OSError as error:
        return [Path(error.filename or NAME).name]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
