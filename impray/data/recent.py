"""Results that a process keeps for a while, within a number of bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

Result = TypeVar("Result", bound=tuple)


class Recent(Generic[Result]):
    """Results by key, of this process. Beyond `most_bytes` in their arrays the one that was used longest ago is let go."""

    def __init__(self, most_bytes: int = 2**28) -> None:
        self._most_bytes, self._bytes = most_bytes, 0
        self._results: OrderedDict[object, Result] = OrderedDict()

    def of(self, key: object, make: Callable[[], Result]) -> Result:
        """The result that has this key; made if there is none."""
        if key in self._results:
            self._results.move_to_end(key)
            return self._results[key]
        result = self._results[key] = make()
        self._bytes += _bytes(result)
        while len(self._results) > 1 and self._bytes > self._most_bytes:
            self._bytes -= _bytes(self._results.popitem(last=False)[1])
        return result


def _bytes(result: tuple) -> int:
    return sum(int(getattr(part, "nbytes", 0)) for part in result)  # tensors and arrays
