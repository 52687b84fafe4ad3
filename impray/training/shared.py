"""Streams of samples that several nets of a pack share, read where they lie.

A product over nets takes their samples as a view [net, ...]. Nets that lie equally far from one another in a stack have one where their
streams do so, too, or are one and the same. Other nets are split into runs that have one, and each run is a call of the library.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from jaxtyping import Shaped
from torch import Tensor

LEAST_OF_A_RUN = 2**18
"""Bytes of its nets' samples: to copy fewer takes less time than a run's calls (some 20 us a step). Bits are the same."""


class Run(NamedTuple):
    """Nets `net`, `net + apart`, ...: so many, of the streams `stream`, `stream + further`, ...; further 0: all of one.

    Plain numbers, rather than slices or arrays: `impray.training.refill` can compare engines that hold them.
    """

    nets: int
    net: int
    apart: int
    stream: int
    further: int

    def own(self, of_nets: Shaped[Tensor, "net ..."]) -> Shaped[Tensor, "run ..."]:
        """What these nets have of a stack's numbers; a view."""
        return of_nets[self.net : self.net + (self.nets - 1) * self.apart + 1 : self.apart]

    def read(self, of_streams: Shaped[Tensor, "stream ..."]) -> Shaped[Tensor, "run ..."]:
        """What each of them has of the streams' numbers; a view."""
        if self.further == 0:
            return of_streams[self.stream].expand(self.nets, *of_streams.shape[1:])
        return of_streams[self.stream : self.stream + (self.nets - 1) * self.further + 1 : self.further]


class Shared(NamedTuple):
    """Which of the streams each net has, and their runs."""

    stream_of_net: tuple[int, ...]
    runs: tuple[Run, ...]


def shared(stream_of_net: Sequence[int]) -> Shared:
    """Nets by stream, split greedily: one run where all have one stream or each its own in order, one for each stream in a grid."""
    runs: list[Run] = []
    for stream, net in sorted((stream, net) for net, stream in enumerate(stream_of_net)):
        last = runs[-1] if runs else None
        joined = None if last is None else _with(last, net, stream)
        if joined is None:
            runs.append(Run(1, net, 1, stream, 0))
        else:
            runs[-1] = joined
    return Shared(tuple(stream_of_net), tuple(runs))


def _with(run: Run, net: int, stream: int) -> Run | None:
    """A run and one more net, if it is as far from the last one as those are from one another."""
    apart = net - run.net - (run.nets - 1) * run.apart
    further = stream - run.stream - (run.nets - 1) * run.further
    alike = run.nets == 1 or (apart, further) == (run.apart, run.further)
    return Run(run.nets + 1, run.net, apart, run.stream, further) if apart > 0 and alike else None
