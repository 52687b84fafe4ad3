"""How a block of steps is run: one by one, or on a GPU as one CUDA graph.

A CUDA graph replays what was recorded once, with the memory it was recorded with, without the host: so the
block's random numbers are copied into buffers that stay, and a step must update its parameters in place,
never read them on the host, and draw nothing.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch

from impray.data.base import Raw

Run = Callable[[Raw, int, int], None]
"""run(raw, first, last) makes the updates first, ..., last - 1 of a block whose random numbers are raw."""
Do = Callable[[], None]


def runner(steps: Run, block: int, device: torch.device) -> Run:
    """`steps` itself on the CPU, its graphed form on a GPU; to be chosen once per round."""
    return CapturedSteps(steps, block) if device.type == "cuda" else steps


def _on_a_side_stream(do: Do) -> None:
    """Runs `do` on a stream of its own, as is asked for once before capturing; the main stream waits."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        do()
    torch.cuda.current_stream().wait_stream(side)


def _captured(do: Do) -> Do:
    """Records `do` without running it; the answer runs it."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        do()
    return graph.replay


class CapturedSteps:
    """Runs whole blocks as a graph, parts of blocks (a remainder, a snapshot within) step by step.

    The first whole block is run step by step and is the warm-up: real updates, so that nothing has to be
    undone. The second one is captured. Where capturing fails, the rest is run step by step, with one warning.
    """

    def __init__(
        self,
        steps: Run,
        block: int,
        warm_up: Callable[[Do], None] = _on_a_side_stream,
        capture: Callable[[Do], Do] = _captured,
    ) -> None:
        self._steps, self._block, self._warm_up, self._capture = steps, block, warm_up, capture
        self._raw: Raw = {}
        self._replay: Do | None = None
        self._failed = False

    def __call__(self, raw: Raw, first: int, last: int) -> None:
        if self._failed or (first, last) != (0, self._block):
            self._steps(raw, first, last)
        elif not self._raw:
            self._raw = {name: numbers.clone() for name, numbers in raw.items()}
            self._warm_up(self._whole_block)
        else:
            for name, numbers in raw.items():
                self._raw[name].copy_(numbers)
            self._replayed()

    def _whole_block(self) -> None:
        self._steps(self._raw, 0, self._block)

    def _replayed(self) -> None:
        if self._replay is None:
            try:
                self._replay = self._capture(self._whole_block)
            except RuntimeError as error:  # what torch raises for whatever CUDA could not record
                warnings.warn(f"no CUDA graph, steps are launched one by one: {error}", RuntimeWarning, stacklevel=2)
                self._failed = True
                self._replay = self._whole_block  # this block is not lost: capturing runs nothing
        self._replay()
