"""Where compiled kernels are kept: in a folder of the user's cache, one for each state of the kernels' sources.

numba keeps what it compiled beside a function's source and looks at that file's time alone; a kernel inlines functions of other files,
so the folder's name has a hash of them all, and of numba's version. numba's files are pickles: the folder is the user's alone
(mode 700), and one that belongs to anyone else, or that others may write to, is not used: then kernels are compiled anew in every
process.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numba
from llvmlite.binding import get_host_cpu_features
from numba.core import config

from impray.cache import cache as user_cache

Function = TypeVar("Function", bound=Callable[..., Any])


@cache
def lacking() -> str | None:
    """Why this machine cannot run the kernels with the bits they have elsewhere, in words; None where it can."""
    if os.uname().machine != "x86_64":
        return f"kernels are for x86-64, this is {os.uname().machine}"
    return None if get_host_cpu_features().get("fma") else "this CPU has no fused multiply-add"


def compiled(function: Function) -> Function:
    """`function`, compiled when it is first called; kept on disk where that is safe."""
    folder = kept_in()
    # numba reads this when it is told to cache, below, and never again for this function.
    before, config.CACHE_DIR = config.CACHE_DIR, "" if folder is None else str(folder)
    try:
        return numba.njit(error_model="numpy", boundscheck=False, fastmath=False, cache=folder is not None)(function)
    finally:
        config.CACHE_DIR = before


@cache
def kept_in() -> Path | None:
    """The folder of compiled kernels, made if it is not there; None where there can be none that is safe."""
    folder = user_cache() / "kernels" / _state()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
    except OSError:
        return None
    own = found.st_uid == os.getuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return folder if own and os.access(folder, os.W_OK) else None


def _state() -> str:
    """A hash of the sources of all kernels and of numba's version."""
    digest = hashlib.sha256(numba.__version__.encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()[:16]
