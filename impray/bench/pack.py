"""A pack of networks against a plain loop over them, sampling included: lineage-steps per second, one thread.

32 networks 144:32:2, ReLU, batch 64, cross-entropy, SGD, a mask of 34 % on the first layer; inputs from the
non-linear Gaussian process on a 12 x 12 torus, fresh in every step. A lineage-step is one update of one
network.

Ours: the pack's data and `impray.training.loop.train`. The reference: one network at a time, as one would
write it with nn.Sequential, torch.nn.utils.prune and optim.SGD; its samples come from the two classes'
covariance roots, factorised once and not timed. Both run in this process, in turns, so that what else the
machine does falls on both.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from impray.bench.threads import one_torch_thread
from impray.data import open_pack
from impray.nets.mlp import architecture, initial
from impray.spec.data import Nlgp
from impray.spec.nets import Mlp
from impray.spec.training import Sgd
from impray.training import TRAINERS, Task

NETS = 32
BATCH = 64
LR = 0.1
DENSITY = 0.34
SIDE = 12
XI = (1.0, 2.0)
STEPS = 200  # per network and run, for both; a round of a sweep has 1,500
REFERENCE_NETS = 8  # of a run: networks of the loop cost the same, and a run stays near a second
RUNS = 9


def compare() -> dict[str, str | float]:
    """Every network has its own seed, hence its own stream of inputs: the least that a pack can share.

    Returns: name, ours and reference (lineage-steps per second), ratio, unit, note; medians over alternating runs, one thread.
    """
    return _compare("pack, 32 seeds", [_spec(1.0)] * NETS, range(NETS), "every network draws its own inputs")


def compare_methods() -> dict[str, str | float]:
    """As a sweep packs them: the lineages imp, oneshot and random of one seed see the same inputs, which are drawn once."""
    seeds = [place // 3 for place in range(NETS)]
    what = "imp, oneshot and random of a seed share its inputs, as in every sweep"
    return _compare("pack, 3 methods x 11 seeds", [_spec(1.0)] * NETS, seeds, what)


def compare_shipped() -> dict[str, str | float]:
    """As `search.pack: [data.gain]` packs them in sweeps/rewind_prune_gain.yaml: gains share a seed's random numbers too."""
    gains = (0.01, 0.3, 1.0, 3.0, 100.0)
    places = [(seed, gain) for seed in range(3) for gain in gains for _ in range(3)][:NETS]
    what = "lineages of 5 gains x 3 methods per seed, as in a pack of sweeps/rewind_prune_gain.yaml"
    return _compare(
        "pack, 5 gains x 3 methods", [_spec(gain) for _, gain in places], [seed for seed, _ in places], what
    )


def _spec(gain: float) -> Nlgp:
    return Nlgp(shape=(SIDE, SIDE), gain=gain, xi=XI)


def _compare(name: str, specs: Sequence[Nlgp], seeds: Sequence[int], what: str) -> dict[str, str | float]:
    with one_torch_thread():
        ours, reference = _ours(specs, seeds), _reference()
        _ = ours(), reference()  # warm
        rates = [(ours(), reference()) for _ in range(RUNS)]
    fast, slow = (statistics.median(side) for side in zip(*rates, strict=True))
    return {
        "name": name,
        "ours": fast,
        "reference": slow,
        "ratio": fast / slow,
        "unit": "lineage-steps/s",
        "gflops": fast * flops() / 1e9,
        "note": f"{NETS} networks {SIDE * SIDE}:32:2, batch {BATCH}, NLGP {SIDE} x {SIDE}, sampling included, one thread, median of "
        f"{RUNS} runs; {what}; against a torch loop per network that draws its own",
    }


def flops() -> float:
    """Of an update's products with kept weights: forward, gradients, and slopes of the hidden layer; sampling not counted."""
    return BATCH * (4 * 32 * SIDE * SIDE * DENSITY + 6 * 2 * 32)


def masks() -> Tensor:
    """Kept weights [net, unit, input] of the first layers."""
    return torch.rand(NETS, 32, SIDE * SIDE, generator=torch.Generator().manual_seed(0)) < DENSITY


def _ours(specs: Sequence[Nlgp], seeds: Sequence[int]) -> Callable[[], float]:
    """A run of the pack: its lineage-steps per second."""
    cpu = torch.device("cpu")
    spec = specs[0]
    data = open_pack(specs, seeds, batch=BATCH, dtype=torch.float32, device=cpu)
    net = Mlp(hidden=(32,))
    arch = architecture(net, spec.inputs, spec.classes)
    params = initial(net, arch, seeds, torch.float32, cpu)
    kept = {arch.layers[0].weight: masks()}
    sgd = Sgd(lr=LR, batch=BATCH, steps=STEPS)

    def run() -> float:
        begin = time.perf_counter()
        data.start(0)
        TRAINERS[Sgd](Task(arch, [sgd] * NETS, params, kept, data, STEPS))
        return NETS * STEPS / (time.perf_counter() - begin)

    return run


def _covariance_root(xi: float) -> Tensor:
    """Symmetric root [input, input] of C = exp(-d^2 / xi^2) on the torus, negative eigenvalues clipped."""
    along = torch.arange(SIDE)
    apart = (along[:, None] - along).abs()
    ring = torch.minimum(apart, SIDE - apart).double().square().neg().div(xi**2).exp()
    values, vectors = torch.linalg.eigh(torch.kron(ring, ring))
    return (vectors * values.clamp(min=0).sqrt() @ vectors.T).float()


def _reference() -> Callable[[], float]:
    """A run of the loop: its lineage-steps per second."""
    roots = torch.stack([_covariance_root(xi) for xi in XI])
    amplitude = math.sqrt(2 / math.pi * math.asin(2 / 3))  # Z(1)
    kept = masks()

    def sample() -> tuple[Tensor, Tensor]:
        # The same work as ours: the label of each sample is drawn, and its class's root correlates it.
        labels = torch.randint(len(XI), (BATCH,))
        noise = torch.randn(BATCH, SIDE * SIDE)
        z = torch.where((labels == 0)[:, None], noise @ roots[0], noise @ roots[1])
        return torch.erf(z).div_(amplitude), labels

    def run() -> float:
        begin = time.perf_counter()
        for mask in kept[:REFERENCE_NETS]:
            model = nn.Sequential(nn.Linear(SIDE * SIDE, 32), nn.ReLU(), nn.Linear(32, 2))
            prune.custom_from_mask(model[0], "weight", mask)
            optimizer = torch.optim.SGD(model.parameters(), lr=LR)
            for _ in range(STEPS):
                x, labels = sample()
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(x), labels).backward()
                optimizer.step()
        return REFERENCE_NETS * STEPS / (time.perf_counter() - begin)

    return run
