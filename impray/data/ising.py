"""The Ising model on a ring, sampled exactly in O(N).

    P(x) ~ exp(J sum_i x_i x_{i+1}), x_{N+1} = x_1      flip_i: x_{i+1} = -x_i      P(flip) = p = 1 / (1 + exp(2 J)) on a free chain

A ring is a free chain of relative signs with an even number of flips. With r flips' parity still to come on m bonds,

    P(parity r on m bonds) = (1 + (-1)^r a^m) / 2,  a = 1 - 2p = tanh J
    P(flip | r, m bonds left) = p P(1 - r on m - 1) / P(r on m)

so bond after bond is drawn from its exact conditional probability, and the first spin is fair. Both thresholds of a bond (r = 0
and 1) are compared with the same uniform number for all samples at once, and only the parity goes from bond to bond, as bytes.

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
    """P(flip) of each bond times 2^31, given that the parity of the flips from it on is 0 or 1."""
    a, p = math.tanh(coupling), 1 / (1 + math.exp(2 * coupling))

    def of_parity(parity: int, bonds: int) -> float:
        return (1 - a**bonds if parity else 1 + a**bonds) / 2

    found = []
    for left in range(spins, 0, -1):
        both = []
        for parity in (0, 1):
            whole = of_parity(parity, left)
            # The last bond must flip at parity 1 and must not at 0; a parity that cannot be is never met.
            share = p * of_parity(1 - parity, left - 1) / whole if whole > 0 else float(parity)
            both.append(round(min(share, 1.0) * 2**_BITS))
        found.append((both[0], both[1]))
    return found


class IsingProcess(Process):
    """Spins from uniform numbers: one for the first spin, one per bond."""

    specs: Sequence[Ising]
    drawn = ("uniform",)
    of_streams = frozenset({"spins"})

    def __init__(self, specs: Sequence[Ising], dtype: torch.dtype, device: torch.device) -> None:
        super().__init__(specs, dtype, device)
        thresholds = [[flip_thresholds(self.inputs, j) for j in spec.coupling] for spec in specs]
        # [stream, class, bond, parity]; 2^31 itself (always) fits no 32 bits.
        self._thresholds = torch.tensor(thresholds, dtype=torch.int64, device=device)
        roots = [math.sqrt(1 - spec.gaussian_blend) for spec in specs]
        self._amplitudes = torch.tensor(roots, dtype=torch.float64).to(device, dtype).view(-1, 1, 1)

    def draw(self, name: str, stream: torch.Generator, shape: tuple[int, int]) -> Tensor:
        """Bonds first, samples last: [step, bond, sample] as whole bytes of 64 bits, two numbers in each."""
        steps, samples = shape
        words = torch.empty(steps, self.inputs, samples // 2, dtype=torch.int64, device=self.device)
        return words.random_(-(2**63), None, generator=stream).view(torch.int32)

    def prepared(self, raw: Raw, seed_of_stream: Sequence[int]) -> Raw:
        """Spins of every stream, int8 [stream, step, sample, input]."""
        spins = [self._spins(raw["uniform"][seed], raw["labels"][seed], n) for n, seed in enumerate(seed_of_stream)]
        return {"labels": raw["labels"], "spins": torch.stack(spins)}

    def _spins(
        self, uniform: Int[Tensor, "step bond sample"], labels: Int[Tensor, "step sample"], stream: int
    ) -> Int[Tensor, "step sample bond"]:
        bits = uniform & (2**_BITS - 1)
        down = (uniform[:, -1] < 0).to(torch.uint8)  # the sign bit of the last number is free
        parity = torch.zeros_like(down)
        found = torch.empty(uniform.shape, dtype=torch.uint8, device=self.device)
        limits = self._thresholds[stream]
        for bond in range(self.inputs):
            found[:, bond] = down
            even, odd = (self._below(bits[:, bond], limits[:, bond, r], labels) for r in (0, 1))
            flip = even ^ (parity & (even ^ odd))
            parity ^= flip
            down = down ^ flip
        return found.to(torch.int8).mul_(-2).add_(1).transpose(1, 2).contiguous()

    def _below(self, number: Tensor, limits: Int[Tensor, " class"], labels: Tensor) -> Tensor:
        """number < limits[label], as bytes."""
        if self.specs[0].classes == 2:
            below = torch.where(labels == 0, number < int(limits[0]), number < int(limits[1]))
        else:
            below = number < limits[labels]
        return below.to(torch.uint8)

    def samples(self, numbers: Raw, labels: Int[Tensor, "stream padded"], samples: int) -> Tensor:
        spins = numbers["spins"][:, :samples].to(self.dtype)
        return spins.mul_(self._amplitudes)[:, :, None]


class IsingPack(StimulusPack):
    """See `StimulusPack`."""

    process = IsingProcess
