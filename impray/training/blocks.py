"""How steps are run: one by one, or on a GPU in CUDA graphs of a few steps each.

A CUDA graph replays what was recorded once, with the memory it was recorded with, without the host: so the random numbers of its steps
are copied into buffers that stay, and a step must update its parameters in place, never read them on the host, and draw nothing.

One graph of `STEPS` steps is recorded per round and replayed for the rest of it. Longer ones gain nothing (a launch is a few
microseconds, a step of a small network some fifty launches), cost more to record, and are of no use between two steps at which
parameters are asked for.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch

from impray.data.base import Raw

STEPS = 16

Run = Callable[[Raw, int, int], None]
"""run(raw, first, last) makes the updates first, ..., last - 1 of a block whose random numbers are raw."""
Do = Callable[[], None]


def runner(steps: Run, device: torch.device) -> Run:
    """`steps` itself on the CPU, its graphed form on a GPU; to be chosen once per round."""
    return CapturedSteps(steps) if device.type == "cuda" else steps


def _on_a_side_stream(do: Do) -> None:
    """Runs `do` on a stream of its own, as is asked for once before capturing; the main stream waits."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        do()
    torch.cuda.current_stream().wait_stream(side)


def _captured(do: Do) -> Do:
    """Records `do` without running it; the answer runs it.

    Not by `torch.cuda.graph`, which synchronises the device, collects garbage and empties the cache of memory each time.
    """
    graph = torch.cuda.CUDAGraph()

    def record() -> None:
        graph.capture_begin()
        try:
            do()
        finally:
            graph.capture_end()

    _on_a_side_stream(record)
    return graph.replay


class CapturedSteps:
    """Runs every `length` steps in a row as one graph, what is left of a block (a remainder, up to a snapshot) step by step.

    The first such steps are run one by one and are the warm-up: real updates, so that nothing has to be undone. The second ones are
    captured. Where capturing fails, the rest is run step by step, with one warning; but not where memory is full, which is an error.
    """

    def __init__(
        self,
        steps: Run,
        length: int = STEPS,
        warm_up: Callable[[Do], None] = _on_a_side_stream,
        capture: Callable[[Do], Do] = _captured,
    ) -> None:
        self._steps, self._length, self._warm_up, self._capture = steps, length, warm_up, capture
        self._raw: Raw = {}
        self._replay: Do | None = None
        self._failed = False

    def __call__(self, raw: Raw, first: int, last: int) -> None:
        while last - first >= self._length and not self._failed:
            self._graphed({name: numbers[:, first : first + self._length] for name, numbers in raw.items()})
            first += self._length
        if first < last:
            self._steps(raw, first, last)

    def _graphed(self, raw: Raw) -> None:
        if not self._raw:
            self._raw = {name: numbers.clone() for name, numbers in raw.items()}
            self._warm_up(self._of_buffers)
            return
        for name, numbers in raw.items():
            self._raw[name].copy_(numbers)
        if self._replay is None:
            try:
                self._replay = self._capture(self._of_buffers)
            except torch.OutOfMemoryError:
                raise
            except RuntimeError as error:  # what torch raises for whatever CUDA could not record
                warnings.warn(f"no CUDA graph, steps are launched one by one: {error}", RuntimeWarning, stacklevel=2)
                self._failed = True
                self._replay = self._of_buffers  # these steps are not lost: capturing runs nothing
        self._replay()

    def _of_buffers(self) -> None:
        self._steps(self._raw, 0, self._length)
