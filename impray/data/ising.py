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
from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from impray.data.base import Raw
from impray.data.stimulus import Process, StimulusPack
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
    """Spins from uniform numbers: one for the first spin, one per bond but the last."""

    specs: Sequence[Ising]
    drawn = ("uniform",)
    of_streams = frozenset({"spins"})
    numbers = {"cpu": 2**18, "cuda": 2**21}  # bond after bond: long rows against the overhead of their calls

    def __init__(self, specs: Sequence[Ising], dtype: torch.dtype, device: torch.device) -> None:
        super().__init__(specs, dtype, device)
        thresholds = [[flip_thresholds(self.inputs, j) for j in spec.coupling] for spec in specs]
        # [stream, parity, bond, class]
        self._thresholds = torch.tensor(thresholds, dtype=torch.int32, device=device).permute(0, 3, 2, 1).contiguous()
        roots = [math.sqrt(1 - spec.gaussian_blend) for spec in specs]
        self._amplitudes = torch.tensor(roots, dtype=torch.float64).to(device, dtype).view(-1, 1, 1)

    def draw(self, name: str, stream: torch.Generator, shape: tuple[int, int]) -> Tensor:
        """Integers of 32 bits [bond, step, sample]; two are drawn at once."""
        steps, samples = shape
        words = torch.empty(self.inputs, steps, samples // 2, dtype=torch.int64, device=self.device)
        return words.random_(-(2**63), None, generator=stream).view(torch.int32)

    def prepared(self, raw: Raw, seed_of_stream: Sequence[int]) -> Raw:
        """Spins of every stream, int8 [stream, step, sample, input]."""
        spins = [self._spins(raw["uniform"][seed], raw["labels"][seed], n) for n, seed in enumerate(seed_of_stream)]
        return {"labels": raw["labels"], "spins": torch.stack(spins)}

    def _spins(
        self, uniform: Int[Tensor, "bond step sample"], labels: Int[Tensor, "step sample"], stream: int
    ) -> Int[Tensor, "step sample bond"]:
        number = uniform[:-1] & (2**_BITS - 1)
        even, odd = (number < _of_class(limits, labels) for limits in self._thresholds[stream])
        stays = torch.eq(even, odd)
        parity = torch.zeros(uniform.shape, dtype=torch.bool, device=self.device)
        rows = parity.unbind()
        for now, after, stay, flip in zip(rows, rows[1:], stays.unbind(), even.unbind(), strict=False):
            torch.bitwise_and(now, stay, out=after).bitwise_xor_(flip)
        parity ^= uniform[-1] < 0  # the first spin: the sign bit of a number that no bond needs
        return parity.permute(1, 2, 0).to(torch.int8).mul_(-2).add_(1).contiguous()

    def samples(self, numbers: Raw, labels: Int[Tensor, "stream padded"], samples: int) -> Tensor:
        spins = numbers["spins"][:, :samples].to(self.dtype)
        return spins.mul_(self._amplitudes)[:, :, None]


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
