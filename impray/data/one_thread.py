"""Products of matrices on one thread: with several, numpy's last bits depend on how many there are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import scipy.linalg  # noqa: F401  brings its own library, which must be there when libraries are looked for
from threadpoolctl import ThreadpoolController


@cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()  # looks for them once: that takes 3 ms, as long as a small problem


@contextmanager
def one_thread() -> Iterator[None]:
    """While it lasts, numpy's and scipy's linear algebra has one thread; `with one_thread():`, or `@one_thread()` on a function."""
    with _libraries().limit(limits=1, user_api="blas"):
        yield
