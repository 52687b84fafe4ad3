"""Where compiled kernels are kept: in the user's cache (or IMPRAY_KERNELS), a folder for each state of the kernels' sources.

numba keeps what it compiled beside a function's source and looks at that file's time alone; a kernel inlines functions of other files,
so the folder's name has a hash of them all, and of numba's version. numba's files are pickles: the folder is the user's alone
(mode 700), and one that belongs to anyone else, or that others may write to, is not used: then kernels are compiled anew in every
process.
"""

from __future__ import annotations

import hashlib
import os
import stat
from functools import cache
from importlib.metadata import version
from pathlib import Path

from impray.cache import cache as user_cache


@cache
def kept_in() -> Path | None:
    """The folder of compiled kernels, made if it is not there; None where there can be none that is safe."""
    folder = _folder()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
    except OSError:
        return None
    own = found.st_uid == os.getuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return folder if own and os.access(folder, os.W_OK) else None


def compiled_before() -> bool:
    """Whether anything of this state of the sources was compiled on this machine; nothing is made."""
    return next(_folder().rglob("*.nbi"), None) is not None


def _folder() -> Path:
    place = os.environ.get("IMPRAY_KERNELS")
    return (Path(place).expanduser().absolute() if place else user_cache() / "kernels") / _state()


@cache
def _state() -> str:
    """A hash of the sources of all kernels and of numba's version."""
    digest = hashlib.sha256(version("numba").encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()[:16]
