"""How steps are run: one by one, or on a GPU in CUDA graphs of a few steps each.

A CUDA graph replays what was recorded once, with the memory it was recorded with, without the host: so the random numbers of its steps
are copied into buffers that stay, and a step must update its parameters in place, never read them on the host, and draw nothing.

One graph of `STEPS` steps is recorded and replayed. Longer ones gain nothing (a launch is a few microseconds, a step of a small network
some fifty launches), cost more to record, and are of no use between two steps at which parameters are asked for.

It serves the rounds of a pack that are alike (`Graphs`): the next one begins in the memory of the last (`impray.training.refill`), on
the same data. Where nets, data, masks or arithmetic are others, and after a round that failed, there is a new engine and a new graph.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import torch

from impray.data.base import Raw
from impray.spec.training import GRAPH_STEPS
from impray.training.refill import refilled

STEPS = GRAPH_STEPS

Run = Callable[[Raw, int, int], None]
"""run(raw, first, last) makes the updates first, ..., last - 1 of a block whose random numbers are raw."""
Do = Callable[[], None]
Made = TypeVar("Made")


def captures(device: torch.device) -> bool:
    """Whether steps are captured there: then a round may have to begin without the host, and the next one to go on in its memory."""
    return device.type == "cuda"


def runner(steps: Run, device: torch.device, graphs: Graphs | None = None) -> Run:
    """`steps` itself on the CPU, its graphed form on a GPU; to be chosen once per engine. graphs: of the rounds before."""
    return CapturedSteps(steps, graphs) if captures(device) else steps


def _on_a_side_stream(do: Do, side: Any = None) -> None:
    """Runs `do` on a stream of its own, as is asked for once before capturing; the main stream waits."""
    side = torch.cuda.Stream() if side is None else side
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        do()
    torch.cuda.current_stream().wait_stream(side)


class _Round(NamedTuple):
    """What a round leaves for the next one: nets, the data that they are trained on, and the graph of both."""

    nets: Any
    data: object
    run: CapturedSteps


class Graphs:
    """The graphs of a pack's rounds, one after the other in one pool of memory; the last round's nets and graph, for the next one.

    A pool of its own for each would stay reserved when its graph is gone, until the device is full: memory that other processes of
    that device lack. A pool lives as long as any of its graphs, and cannot be taken up again after: so the last graph, which nobody
    replays any more, stays until the next one is recorded. What it held is free for that one: on one stream, they run one after the other.
    """

    def __init__(self) -> None:
        self._pool: Any = None
        self._side: Any = None  # a pool gives memory back to the stream that had it
        self._last: Any = None
        self._kept: _Round | None = None

    def made(self, make: Callable[[], Made]) -> Made:
        """What `make` makes, beside the last round's nets or, where memory is full, once they are gone."""
        try:
            return make()
        except torch.OutOfMemoryError:
            if self._kept is None:
                raise
            self.let_go()
        return make()

    def again(self, nets: Made, data: object) -> tuple[Made, Run] | None:
        """The last round's nets, begun anew as `nets` are, and what runs their steps; None where they are others, or on other data.

        To be asked once per round: a round that does not end leaves nothing.
        """
        kept, self._kept = self._kept, None
        if kept is None or kept.data is not data or not refilled(kept.nets, nets):
            return None
        return kept.nets, kept.run

    def keep(self, nets: object, data: object, run: Run) -> None:
        """The nets of a round that ended, for the next one; only where there is a graph to replay."""
        if isinstance(run, CapturedSteps) and run.recorded:
            self._kept = _Round(nets, data, run)

    def let_go(self) -> None:
        """Of the last round's nets; its graph keeps the pool until another one is recorded."""
        self._kept = None

    def captured(self, do: Do) -> Do:
        """Records `do` without running it; the answer runs it.

        Not by `torch.cuda.graph`, which synchronises the device, collects garbage and empties the cache of memory each time.
        """
        if self._pool is None:
            self._pool = torch.cuda.graph_pool_handle()
        if self._side is None:
            self._side = torch.cuda.Stream()
        graph = torch.cuda.CUDAGraph()

        def record() -> None:
            graph.capture_begin(pool=self._pool)
            try:
                do()
            finally:
                graph.capture_end()

        try:
            _on_a_side_stream(record, self._side)
        except BaseException:
            self._pool = self._last = None  # nobody knows what a capture that failed left in it
            raise
        self._last = graph
        return graph.replay


class CapturedSteps:
    """Runs every `length` steps in a row as one graph, what is left of a block (a remainder, up to a snapshot) step by step.

    The first such steps are run one by one and are the warm-up: real updates, so that nothing has to be undone. The second ones are
    captured. Where capturing fails, the rest is run step by step, with one warning; but not where memory is full, which is an error.
    """

    def __init__(
        self,
        steps: Run,
        graphs: Graphs | None = None,
        length: int = STEPS,
        warm_up: Callable[[Do], None] | None = None,
        capture: Callable[[Do], Do] | None = None,
    ) -> None:
        self._steps, self._length, self._warm_up = steps, length, warm_up or _on_a_side_stream
        self._capture: Callable[[Do], Do] | None = capture or (graphs or Graphs()).captured
        self._raw: Raw = {}
        self._replay: Do | None = None
        self._failed = False

    @property
    def recorded(self) -> bool:
        """Whether there is a graph."""
        return self._replay is not None and not self._failed

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
            assert self._capture is not None, "there is no graph yet"
            try:
                self._replay = self._capture(self._of_buffers)
                self._capture = None  # `Graphs` may keep this: each would keep the other
            except torch.OutOfMemoryError:
                raise
            except RuntimeError as error:  # what torch raises for whatever CUDA could not record
                warnings.warn(f"no CUDA graph, steps are launched one by one: {error}", RuntimeWarning, stacklevel=2)
                self._failed = True
                self._replay = self._of_buffers  # these steps are not lost: capturing runs nothing
        self._replay()

    def _of_buffers(self) -> None:
        self._steps(self._raw, 0, self._length)
