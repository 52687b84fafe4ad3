"""Kernels, compiled by numba when they are first called."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

import numba
from llvmlite.binding import get_host_cpu_features
from numba import extending
from numba.core import config as numbas

from impray.kernels.kept import kept_in

config: Any = numbas

Function = TypeVar("Function", bound=Callable[..., Any])


@cache
def lacking() -> str | None:
    """Why this machine cannot run the kernels with the bits they have elsewhere, in words; None where it can."""
    if os.uname().machine != "x86_64":
        return f"kernels are for x86-64, this is {os.uname().machine}"
    return None if get_host_cpu_features().get("fma") else "this CPU has no fused multiply-add"


@cache
def wide_registers() -> bool:
    """Whether a vector of 16 lanes is one register, of 32, on the CPU that numba compiles for; else it is two of 16.

    A kernel may take larger blocks then, with the same bits.
    """
    if lacking() is not None:
        return False
    if config.CPU_NAME is not None or config.CPU_FEATURES is not None:  # another than this machine's
        return "+avx512f" in (config.CPU_FEATURES or "")
    return bool(get_host_cpu_features().get("avx512f"))


def compiled(function: Function, *, allocates: bool = True) -> Function:
    """`function`, compiled when it is first called; kept on disk where that is safe (`impray.kernels.kept`).

    allocates: whether it makes arrays. One that makes none need not count who refers to its arrays, which costs more than small loops do.
    """
    folder = kept_in()
    # numba reads this when it is told to cache, below, and never again for this function.
    before, config.CACHE_DIR = config.CACHE_DIR, "" if folder is None else str(folder)
    make: Any = numba.njit
    options = {"error_model": "numpy", "boundscheck": False, "fastmath": False, "_nrt": allocates}
    try:
        return make(**options, cache=folder is not None)(function)
    finally:
        config.CACHE_DIR = before


def specialised(function: Function, *, inlined: bool = False) -> Function:
    """`function` as kernels call it: a part of them, compiled anew for every number among its arguments that is known when it is compiled,
    as `lanes` must be. It makes and returns no arrays, and counts nothing. (numba's own `register_jitable` forgets numbers, and counts.)

    inlined: where a call would cost as much as what it does.
    """

    def of_types(*arguments: Any, **more: Any) -> Function:
        return function

    options: Any = {"forceinline": inlined, "_nrt": False}
    extending.overload(function, jit_options=options, prefer_literal=True, strict=False)(of_types)
    return function


def inlined(function: Function) -> Function:
    """As `specialised`, a part of its callers."""
    return specialised(function, inlined=True)
