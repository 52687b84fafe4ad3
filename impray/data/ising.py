"""The Ising model on a ring, sampled exactly in O(N).

    P(x) ~ exp(J sum_i x_i x_{i+1}), x_{N+1} = x_1      flip_i: x_{i+1} = -x_i      P(flip) = p = 1 / (1 + exp(2 J)) on a free chain

A ring is a free chain of relative signs with an even number of flips. With r flips' parity still to come on m bonds,

    P(parity r on m bonds) = (1 + (-1)^r a^m) / 2,  a = 1 - 2p = tanh J
    P(flip | r, m bonds left) = p P(1 - r on m - 1) / P(r on m)

so bond after bond is drawn from its exact conditional probability, the last one follows from the others, and the first spin is
fair. Whether a bond flips at r = 0 (e) and at r = 1 (o) is told by one uniform number, for all bonds and samples at once; only the
parity goes from bond to bond, as bytes:

    r' = r ^ flip = e ^ (r & ~(e ^ o))      x_{i+1} = x_1 where an even number of bonds has flipped so far

Source: Lufkin, Saxe & Grant (2024), eq. 2, whose exponent has the other sign and whose public code runs 2,000 Metropolis flips
per sample; the conditioning is ours. Uniform numbers have 31 bits: probabilities are exact to 5e-10.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from impray.data import streams
from impray.data.base import Raw
from impray.data.process import Process, Sources, counters
from impray.data.room import OfBlock, Room, flat
from impray.data.stimulus import StimulusPack
from impray.data.streams import Steps
from impray.kernels import ising as kernels
from impray.spec.data import Ising

_BITS = 31


def flip_thresholds(spins: int, coupling: float) -> list[tuple[int, int]]:
    """P(flip) of each bond but the last times 2^31, given that the parity of the flips from it on is 0 or 1; below 2^31."""
    a, p = math.tanh(coupling), 1 / (1 + math.exp(2 * coupling))

    def of_parity(parity: int, bonds: int) -> float:
        return (1 - a**bonds if parity else 1 + a**bonds) / 2

    thresholds = []
    for left in range(spins, 1, -1):
        both = []
        for parity in (0, 1):
            whole = of_parity(parity, left)
            # Without coupling, or with an infinite one, a parity may be impossible: it is never met.
            share = p * of_parity(1 - parity, left - 1) / whole if whole > 0 else 0.0
            both.append(min(round(share * 2**_BITS), 2**_BITS - 1))
        thresholds.append((both[0], both[1]))
    return thresholds


class IsingProcess(Process):
    """Spins from uniform numbers: one per bond but the last, one for the first spin."""

    specs: Sequence[Ising]
    numbers = {"cpu": 2**18, "cuda": 2**21}  # bond after bond: long rows against the overhead of their calls

    def __init__(self, specs: Sequence[Ising], sources: Sources, dtype: torch.dtype, device: torch.device) -> None:
        super().__init__(specs, sources, dtype, device)
        limits = np.array([[flip_thresholds(self.inputs, j) for j in spec.coupling] for spec in specs])
        roots = [math.sqrt(1 - spec.gaussian_blend) for spec in specs]
        # [stream, parity, bond, class]
        self._thresholds = torch.tensor(limits, dtype=torch.int32, device=device).permute(0, 3, 2, 1).contiguous()
        self._amplitudes = torch.tensor(roots, dtype=torch.float64).to(device, dtype).view(-1, 1, 1)
        self._entries = np.array(sources.in_turn)
        self._limits = limits[self._entries].transpose(0, 2, 1, 3).astype(np.uint32).ravel()
        self._flat = OfBlock(flat), OfBlock(flat)
        self._of_entries = np.array(roots, np.float32)[self._entries]

    def draw(self, keys: Mapping[str, Sequence[int]], steps: Steps, labels: Int[Tensor, "seed step sample"]) -> Raw:
        """Counters; or, of every stream, its spins: int8 [stream, step, input, sample]."""
        if self.one_pass:
            return {"noise": counters(keys["noise"], steps)}
        words = streams.words(keys["noise"], steps, self.inputs, self.device)
        spins = [self._spins(words[seed], labels[seed], stream) for stream, seed in enumerate(self.sources.place)]
        return {"noise": torch.stack(spins)}

    def put(self, room: Room, raw: Raw, step: int) -> None:
        noise, labels = raw["noise"], raw["labels"]
        if not self.one_pass:
            torch.mul(noise[:, step].to(self.dtype), self._amplitudes, out=room.x)
            return
        noises, drawn = self._flat
        kernels.spins(
            room.numbers,
            room.apart,
            labels.shape[2],
            labels.shape[1],
            step,
            noises(noise).view(np.uint64),
            drawn(labels),
            self.sources.begins,
            self._entries,
            self._limits,
            self._of_entries,
            self.classes,
            self.inputs,
        )

    def _spins(
        self, words: Int[Tensor, "step bond sample"], labels: Int[Tensor, "step sample"], stream: int
    ) -> Int[Tensor, "step bond sample"]:
        word = words.transpose(0, 1)
        number = (word[:-1] & (2**_BITS - 1)).to(torch.int32)
        even, odd = (number < _of_class(limits, labels) for limits in self._thresholds[stream])
        stays = torch.eq(even, odd)
        parity = torch.zeros(word.shape, dtype=torch.bool, device=self.device)
        rows = parity.unbind()
        for now, after, stay, flip in zip(rows, rows[1:], stays.unbind(), even.unbind(), strict=False):
            torch.bitwise_and(now, stay, out=after).bitwise_xor_(flip)
        parity ^= word[-1] >> _BITS > 0  # the first spin: a bit of a number that no bond needs
        return parity.transpose(0, 1).to(torch.int8).mul_(-2).add_(1).contiguous()


def _of_class(limits: Int[Tensor, "bond class"], labels: Int[Tensor, "step sample"]) -> Int[Tensor, "bond step sample"]:
    """Each bond's limit in the class of each sample."""
    if limits.shape[1] > 2:
        return limits[:, labels]
    # Picked by bits: torch.where of broadcast integers takes three times as long.
    first = (labels == 0).to(torch.int32).neg_()  # all ones for class 0
    return ((limits[:, :1] ^ limits[:, 1:])[:, :, None] & first).bitwise_xor_(limits[:, 1:, None])


class IsingPack(StimulusPack):
    """See `StimulusPack`."""

    process = IsingProcess
