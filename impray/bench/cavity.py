"""Cavity scores of a layer against recomputing the kurtosis without each weight in turn; and the paper's full size.

`python -m impray.bench.cavity` is the full size alone, as a process of its own: its peak memory is then its own too.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import torch

from impray.bench.threads import one_torch_thread
from impray.measures.cavity import cavity_scores

INPUTS, UNITS, SAMPLES, REMOVED, REPEATS = 784, 128, 1_000, 400, 7
FULL_INPUTS, FULL_UNITS, FULL_CLASSES, PER_CLASS, FULL_THREADS = 3072, 1024, 1_000, 50, 2  # ImageNet32's test set


def synthetic(units: int, inputs: int, samples: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights [unit, input] and samples [sample, input], float32; dark and bright samples, so kurtosis is above 3."""
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(samples, inputs, generator=generator)
    values *= torch.empty(samples, 1).exponential_(generator=generator)
    return torch.randn(units, inputs, generator=generator), values


def score_without(preactivation: torch.Tensor, kurt: torch.Tensor, weight: torch.Tensor, x: torch.Tensor) -> Any:
    """Eq. 5 and 6 for one weight, all samples at once; `kurt` is the kurtosis of `preactivation`."""
    without = kurtosis(preactivation - weight * x)
    return ((without - kurt) if kurt > 3 else (kurt - without)) / kurt


def kurtosis(preactivation: torch.Tensor) -> torch.Tensor:
    squares = (preactivation - preactivation.mean()).square_()
    variance = squares.mean()
    return squares.square_().mean() / (variance * variance)


def _one_by_one(weight: torch.Tensor, values: torch.Tensor, pairs: list[list[int]]) -> list[torch.Tensor]:
    """Scores of the weights `pairs`; all that weights share is made beforehand, once per unit and per input."""
    preactivations, columns = weight @ values.T, values.T.contiguous()
    kurt = [kurtosis(of_unit) for of_unit in preactivations]
    return [score_without(preactivations[i], kurt[i], weight[i, j], columns[j]) for i, j in pairs]


def _wall_s(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def compare() -> dict[str, Any]:
    """Median seconds for all weights, ours and one weight at a time; and how far ours are from float64 ones."""
    with one_torch_thread():
        weight, values = synthetic(UNITS, INPUTS, SAMPLES)
        chosen = torch.randperm(UNITS * INPUTS, generator=torch.Generator().manual_seed(1))[:REMOVED]
        pairs = torch.stack([chosen // INPUTS, chosen % INPUTS], 1).tolist()
        scores = cavity_scores(weight, values).flatten()[chosen]
        exact = torch.stack(_one_by_one(weight.double(), values.double(), pairs))
        shared_s = min(_wall_s(lambda: _one_by_one(weight, values, [])) for _ in range(3))
        ours, theirs = [], []
        for _ in range(REPEATS):  # in turns, so that a slow moment of the machine meets both
            ours.append(_wall_s(lambda: cavity_scores(weight, values)))
            own_s = _wall_s(lambda: _one_by_one(weight, values, pairs)) - shared_s
            theirs.append(shared_s + own_s * UNITS * INPUTS / REMOVED)
    ours_s, theirs_s = statistics.median(ours), statistics.median(theirs)
    return {
        "name": "cavity",
        "ours": ours_s,
        "reference": theirs_s,
        "ratio": theirs_s / ours_s,
        "unit": "s",
        "note": (
            f"All weights of {UNITS} units on {INPUTS} inputs, {SAMPLES} samples, one class, float32, one thread, "
            f"median of {REPEATS}. Reference: a loop over weights; each takes its part from the unit's preactivations "
            f"and the kurtosis anew, all samples at once (torch). Timed on {REMOVED} weights drawn at random and scaled "
            f"to all {UNITS * INPUTS}; what weights share (preactivations, inputs transposed) counts once."
        ),
        "rms_error_of_spread": float((scores - exact).square().mean().sqrt() / exact.std()),
    }


def compare_full() -> dict[str, Any]:
    """Seconds and peak memory at the paper's size, once, in a process of its own; no reference: it would take days."""
    # Two threads meet after every operation; by default the first one spins, and on a machine with other work it spins
    # on the processor that the second one waits for (a fourfold time was seen).
    env = {**os.environ, "OMP_WAIT_POLICY": "passive"}
    done = subprocess.run([sys.executable, "-m", __name__], env=env, capture_output=True, text=True, check=True)
    result = json.loads(done.stdout)
    return {
        "name": "cavity at full size",
        "ours": result["wall_s"],
        "reference": None,
        "ratio": None,
        "unit": "s",
        "note": (
            f"{FULL_UNITS} x {FULL_INPUTS} weights, {FULL_CLASSES * PER_CLASS} samples, {FULL_CLASSES} classes, "
            f"synthetic data, float32, {FULL_THREADS} threads that do not spin, one run. Peak memory of the process "
            f"{result['peak_gib']:.2f} GiB, of which {result['before_gib']:.2f} GiB were there before: torch, weights and "
            f"inputs."
        ),
    }


def _peak_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # Linux counts KiB


def _full() -> dict[str, float]:
    torch.set_num_threads(FULL_THREADS)
    weight, values = synthetic(FULL_UNITS, FULL_INPUTS, FULL_CLASSES * PER_CLASS)
    labels = torch.arange(FULL_CLASSES).repeat_interleave(PER_CLASS)
    before_gib = _peak_gib()
    wall_s = _wall_s(lambda: cavity_scores(weight, values, labels))
    return {"wall_s": wall_s, "before_gib": before_gib, "peak_gib": _peak_gib()}


if __name__ == "__main__":
    print(json.dumps(_full()))
