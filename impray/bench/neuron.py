"""A pack of single neurons against a plain loop over one: lineage-steps per second, one thread, sampling included.

    y = relu(w x), no bias      loss = mean (y - label)^2      w <- w - lr gradient      (model M2 of Lufkin et al. 2024)

40 inputs from the non-linear Gaussian process on a ring, gain 100, xi (0.3, 0.7), 1,000 fresh samples in every step. A
lineage-step is one update of one neuron.

Ours: 32 neurons, the pack's data and `impray.training.loop.train`. The reference: one neuron, as one would write it with
nn.Sequential and optim.SGD; its samples come from the two classes' covariance roots, factorised once and not timed. Both run in
this process, in turns, so that what else the machine does falls on both.

What the neurons of a pack share decides the ratio: making 1,000 samples takes far longer than an update with them. Where every
neuron has samples of its own, ours are made in one pass from counters (`impray.kernels.stimuli`), the reference's by torch.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from impray.bench.threads import one_torch_thread
from impray.bench.torus import covariance, scale
from impray.data import open_pack
from impray.nets.mlp import architecture, initial
from impray.spec.data import Nlgp
from impray.spec.nets import Init, Mlp
from impray.spec.training import Sgd
from impray.training import TRAINERS, Task

NEURONS = 32
BATCH = 1_000
LR = 0.05
SPEC = Nlgp(shape=(40,), gain=100.0, xi=(0.3, 0.7))
NET = Mlp(
    hidden=(1,),
    activation="relu",
    bias=False,
    outputs=1,
    readout="mean",
    init=Init(kind="glorot_normal", scale=0.001**0.5),
)
STEPS, OWN_STEPS, REFERENCE_STEPS = 200, 20, 200  # per neuron and run; of samples of their own, fewer take as long
RUNS = 9


def compare() -> dict[str, Any]:
    """32 seeds, one stream of samples: name, ours and reference (lineage-steps per second), ratio, unit, note."""
    specs = [SPEC.model_copy(update={"draw": 0})] * NEURONS
    what = "all share one stream of samples (draw: 0) and differ in their initial weights only"
    return _compare("neuron, 32 initialisations", specs, range(NEURONS), STEPS, what)


def compare_own() -> dict[str, Any]:
    """32 seeds, nothing shared."""
    what = "every neuron draws its own samples, so nothing is shared"
    return _compare("neuron, 32 seeds", [SPEC] * NEURONS, range(NEURONS), OWN_STEPS, what)


def compare_gains() -> dict[str, Any]:
    """As `search.pack: [data.gain]` packs them: gains share a seed's random numbers."""
    gains = (0.01, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
    specs = [SPEC.model_copy(update={"gain": gain}) for _ in range(NEURONS // len(gains)) for gain in gains]
    seeds = [place // len(gains) for place in range(NEURONS)]
    what = f"{len(gains)} gains x {NEURONS // len(gains)} seeds: the gains of a seed share its random numbers, not the samples"
    return _compare("neuron, 8 gains x 4 seeds", specs, seeds, OWN_STEPS, what)


def _compare(name: str, specs: Sequence[Nlgp], seeds: Sequence[int], steps: int, what: str) -> dict[str, Any]:
    with one_torch_thread():
        pack, sample = open_neurons(specs, seeds, BATCH), rooted(SPEC, BATCH)

        def ours() -> float:
            begin = time.perf_counter()
            pack(steps)
            return NEURONS * steps / (time.perf_counter() - begin)

        def reference() -> float:
            begin = time.perf_counter()
            plain(sample, SPEC.inputs, REFERENCE_STEPS)
            return REFERENCE_STEPS / (time.perf_counter() - begin)

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
        "note": f"{NEURONS} neurons of {SPEC.inputs} inputs, relu, batch {BATCH}, NLGP at gain 100, sampling included, one thread, "
        f"median of {RUNS} runs; {what}; against a torch loop of one neuron that draws its own",
    }


def flops() -> float:
    """Of an update's products, forward and gradient; sampling not counted."""
    return 4 * BATCH * SPEC.inputs


def open_neurons(specs: Sequence[Nlgp], seeds: Sequence[int], batch: int) -> Callable[[int], Tensor]:
    """Ours: trains all from their start for so many steps; weights [neuron, input]."""
    cpu = torch.device("cpu")
    data = open_pack(specs, seeds, batch=batch, dtype=torch.float32, device=cpu)
    arch = architecture(NET, data.inputs, 1)
    params = initial(NET, arch, seeds, torch.float32, cpu)
    sgd = Sgd(lr=LR, batch=batch, loss="mse")

    def run(steps: int) -> Tensor:
        data.start(0)
        trained = TRAINERS[Sgd](Task(arch, [sgd] * len(specs), params, None, data, steps))
        return trained.params[arch.layers[0].weight][:, 0]

    return run


def rooted(spec: Nlgp, batch: int) -> Callable[[], tuple[Tensor, Tensor]]:
    """The reference's samples [sample, input] and labels; the gain is part of the classes' roots."""
    roots = []
    for xi in spec.xi:
        values, vectors = torch.linalg.eigh(covariance(spec.shape, xi))
        roots.append((spec.gain * vectors * values.clamp(min=0).sqrt() @ vectors.T).float())
    amplitude = scale(spec.gain)

    def sample() -> tuple[Tensor, Tensor]:
        # The same work as ours: the label of each sample is drawn, and its class's root correlates it.
        labels = torch.randint(len(roots), (batch,))
        noise = torch.randn(batch, spec.inputs)
        z = torch.where((labels == 0)[:, None], noise @ roots[0], noise @ roots[1])
        return z.erf_().div_(amplitude), labels

    return sample


def plain(sample: Callable[[], tuple[Tensor, Tensor]], inputs: int, steps: int, weight: Tensor | None = None) -> Tensor:
    """The reference: trains one neuron, from `weight` [input] or from a start of its own; its weights [input]."""
    linear = nn.Linear(inputs, 1, bias=False)
    with torch.no_grad():
        if weight is None:
            nn.init.xavier_normal_(linear.weight, gain=0.001**0.5)
        else:
            linear.weight.copy_(weight)
    model = nn.Sequential(linear, nn.ReLU())
    optimizer = torch.optim.SGD(model.parameters(), lr=LR)
    for _ in range(steps):
        x, labels = sample()
        optimizer.zero_grad()
        nn.functional.mse_loss(model(x).squeeze(1), labels.float()).backward()
        optimizer.step()
    return linear.weight.detach()[0]
