"""Exact samples of the Ising ring against a Metropolis sampler of 2,000 proposals: milliseconds per batch, one thread.

    propose a site at random      flip it with probability min(1, exp(-2 J s (left + right)))

The public code of Lufkin et al. (2024) makes each sample of a batch so, from a random start. The reference does it in numpy
(torch, whose calls take longer, needs four times as long): all chains of a batch at once, each with sites of its own, and all
random numbers of a batch drawn beforehand. Ours is exact, however long the correlations; its batches are drawn in whole blocks,
which count. Both run in this process, in turns.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import numpy as np

from impray.bench.threads import one_torch_thread
from impray.bench.torus import ms_per_call, sampler
from impray.spec.data import Ising

SPEC = Ising(shape=(40,), coupling=(0.3, 0.7))
BATCH = 100
PROPOSALS = 2_000
BATCHES, REFERENCE_BATCHES = 320, 5  # of a run; ours in whole blocks
RUNS = 9


def compare() -> dict[str, Any]:
    """Milliseconds per batch: name, ours, reference, ratio = reference / ours, unit, note; medians over alternating runs."""
    with one_torch_thread():
        ours, reference = sampler(SPEC, BATCH), metropolis(SPEC, BATCH)
        _ = ms_per_call(ours, BATCHES), ms_per_call(reference, REFERENCE_BATCHES)  # warm
        times = [(ms_per_call(ours, BATCHES), ms_per_call(reference, REFERENCE_BATCHES)) for _ in range(RUNS)]
    fast, slow = (statistics.median(side) for side in zip(*times, strict=True))
    return {
        "name": "ising, exact",
        "ours": fast,
        "reference": slow,
        "ratio": slow / fast,
        "unit": f"ms per batch of {BATCH}",
        "note": f"a ring of {SPEC.inputs} spins, J {SPEC.coupling}, one thread, median of {RUNS} runs; reference: {PROPOSALS:,} "
        f"Metropolis proposals per sample from a random start, numpy, all samples of a batch at once",
    }


def metropolis(spec: Ising, batch: int, proposals: int = PROPOSALS) -> Callable[[], tuple[np.ndarray, np.ndarray]]:
    """The reference: each call one batch [sample, spin] and its labels; couplings above 0."""
    random = np.random.default_rng(0)
    spins = spec.inputs
    first = np.arange(batch) * spins  # of each chain, in one flat array
    couplings = np.array(spec.coupling, dtype=np.float32)

    def sample() -> tuple[np.ndarray, np.ndarray]:
        labels = random.integers(0, spec.classes, batch)
        state = random.choice(np.array([-1, 1], dtype=np.int8), batch * spins)
        sites = random.integers(0, spins, (proposals, batch))
        left, right = first + (sites - 1) % spins, first + (sites + 1) % spins
        # u < exp(-2 J s (left + right)) is s (left + right) < -log(u) / 2J, and -log(u) is exponential.
        bounds = random.standard_exponential((proposals, batch), dtype=np.float32) / (2 * couplings[labels])
        for here, before, after, bound in zip(first + sites, left, right, bounds, strict=True):
            spin = state.take(here)
            flip = spin * (state.take(before) + state.take(after)) < bound
            state[here] = np.where(flip, -spin, spin)
        return state.reshape(batch, spins).astype(np.float32), labels

    return sample
