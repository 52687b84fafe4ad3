"""Rounds of a lineage that cost what their density says, against a plain torch loop that masks, side by side: ms per update, one thread.

Networks that lose 30 % of each layer's kept weights round by round, 11 rounds (from all to 2.8 %), ReLU, cross-entropy, SGD, with
samples that lie in memory. A lineage is as many updates in every round; the bench makes a few of each, which cost the same.

Ours: the engine that `impray.training.loop` runs. The reference: nn.Sequential and optim.SGD, weights masked after every update, as
lottery-ticket programs have it. Both run in this process, in turns.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from impray.bench.threads import one_torch_thread
from impray.nets.mlp import Architecture, architecture, initial
from impray.spec.nets import Mlp
from impray.spec.training import Sgd
from impray.training.engine import Groups
from impray.training.mlp import MlpEngine
from impray.training.updates import optimizer_of
from impray.training.weights import Dense, Sparse, Weights

ROUNDS, KEPT = 11, 0.7
PAPER = (3072, (1024, 1024), 1000), 40
LENET = (784, (300, 100), 10), 128
LENETS = 8  # in a pack
DENSITY = 0.33
RUNS = 5
Row = dict[str, str | float]


def compare_paper() -> Row:
    """The network of Redman et al. (2025), 3072:1024:1024:1000, batches of 40: a whole lineage."""
    return _compare("paper network, 11 rounds", *PAPER, 1, 4, _densities())


def compare_last() -> Row:
    """Its last round."""
    return _compare("paper network, round 10", *PAPER, 1, 8, _densities()[-1:])


def compare_lenet() -> Row:
    """LeNet-300-100, batches of 128, a pack of 8: a whole lineage."""
    return _compare("LeNet-300-100, 11 rounds", *LENET, LENETS, 8, _densities())


def compare_density() -> Row:
    """At a third of its weights."""
    return _compare(f"LeNet-300-100 at {DENSITY}", *LENET, LENETS, 40, [DENSITY])


def compare_layer() -> Row:
    """One layer of the paper's network, at a third of its weights."""
    return _compare_layer(0.34)


def compare_layer_later() -> Row:
    """In the middle of a lineage."""
    return _compare_layer(0.12)


def compare_layer_last() -> Row:
    """In its last round."""
    return _compare_layer(0.028)


def _compare_layer(density: float) -> Row:
    """Forward, the slope by the inputs, and the update of kept weights; of the reference the whole matrices, masked after the update."""
    units, inputs, batch = 1024, 3072, PAPER[1]
    draw = torch.Generator().manual_seed(0)
    kept = (torch.rand(1, units, inputs, generator=draw) < density).float()
    value, h, g = (
        torch.randn(1, *shape, generator=draw) for shape in ((units, inputs), (inputs, batch), (units, batch))
    )
    spec = Sgd(lr=0.01, batch=batch, steps=10)
    z, d = torch.empty(1, units, batch), torch.empty(1, inputs, batch)

    def layer(kind: Callable[..., Weights], *more: int) -> Callable[[], None]:
        held = kind(value.clone(), kept, optimizer_of(spec)([spec], None, value.new_empty(0)), *more)

        def step() -> None:
            held.forward(h, None, z)
            held.move(g, d)

        return step

    with one_torch_thread():
        both = [(layer(Sparse, batch), layer(Dense))]
        times = [_times(both, 10, 1) for _ in range(3 * RUNS + 1)][1:]
    ours, reference = (statistics.median(side) for side in zip(*times, strict=True))
    return {
        "name": f"layer {units} x {inputs} at {density}",
        "ours": ours,
        "reference": reference,
        "ratio": reference / ours,
        "unit": "ms",
        "gflops": 6 * batch * float(kept.sum()) / ours / 1e6,
        "note": f"batch {batch}, forward, slopes of inputs, update of kept weights, one thread, median of {3 * RUNS} runs; against the "
        "library's products of whole matrices and a mask",
    }


def _densities() -> list[float]:
    return [KEPT**round for round in range(ROUNDS)]


def _compare(name: str, sizes: tuple, batch: int, nets: int, steps: int, densities: Sequence[float]) -> Row:
    with one_torch_thread():
        inputs, hidden, outputs = sizes
        arch = architecture(Mlp(hidden=hidden), inputs, outputs)
        draw = torch.Generator().manual_seed(0)
        x = torch.randn(nets, batch, inputs, generator=draw)
        labels = torch.randint(0, outputs, (nets, batch), generator=draw)
        both = [
            (_ours(arch, batch, nets, masks, x, labels), _reference(arch, masks, x[0], labels[0]))
            for masks in (_masks(arch, density, draw) for density in densities)
        ]
        times = [_times(both, steps, nets) for _ in range(RUNS + 1)][1:]  # the first warms
    ours, reference = (statistics.median(side) for side in zip(*times, strict=True))
    chain = ":".join(map(str, arch.sizes))
    kept = f"{densities[0]:.2g} to {densities[-1]:.2g}" if len(densities) > 1 else f"{densities[0]:.2g}"
    flops = 6 * batch * sum(d * a * b for d in densities for a, b in zip(arch.sizes, arch.sizes[1:], strict=False))
    flops -= 2 * batch * sum(densities) * arch.sizes[0] * arch.sizes[1]  # of the inputs there is no slope
    return {
        "name": name,
        "ours": ours,
        "reference": reference,
        "ratio": reference / ours,
        "unit": "ms per update",
        "gflops": flops / len(densities) / ours / 1e6,
        "note": f"{chain}, batch {batch}, pack of {nets}, density {kept}, one thread, median of {RUNS} runs; "
        "against a torch loop over dense layers with masks",
    }


def _times(both: Sequence[tuple[Callable, Callable]], steps: int, nets: int) -> tuple[float, float]:
    """Milliseconds per update of one network, mean over rounds, of both in turns."""
    spent = [0.0, 0.0]
    for pair in both:
        for side, (run, of) in enumerate(zip(pair, (nets, 1), strict=True)):
            begin = time.perf_counter()
            for _ in range(steps):
                run()
            spent[side] += (time.perf_counter() - begin) / (steps * of)
    return 1e3 * spent[0] / len(both), 1e3 * spent[1] / len(both)


def _masks(arch: Architecture, density: float, draw: torch.Generator) -> dict[str, Tensor]:
    """One net's, of all layers, exactly as many kept as the density says."""
    masks = {}
    for layer in arch.layers:
        size = layer.shape[0] * layer.shape[1]
        kept = torch.zeros(size, dtype=torch.bool)
        kept[torch.randperm(size, generator=draw)[: round(density * size)]] = True
        masks[layer.weight] = kept.view(layer.shape)
    return masks


def _ours(arch: Architecture, batch: int, nets: int, masks: dict, x: Tensor, labels: Tensor) -> Callable[[], None]:
    """An update of the pack."""
    params = initial(Mlp(hidden=arch.sizes[1:-1]), arch, range(nets), torch.float32, "cpu")
    whole = all(bool(mask.all()) for mask in masks.values())
    each = None if whole else {name: mask.expand(nets, *mask.shape) for name, mask in masks.items()}
    sgd = Sgd(lr=0.01, batch=batch, steps=10)
    engine = Groups(MlpEngine, arch, [sgd] * nets, params, each, 0, 10)
    return lambda: engine.step(x, labels)


def _reference(arch: Architecture, masks: dict, x: Tensor, labels: Tensor) -> Callable[[], None]:
    """An update of one network."""
    linear = [nn.Linear(layer.shape[1], layer.shape[0]) for layer in arch.layers]
    model = nn.Sequential(*[part for one in linear for part in (one, nn.ReLU())][:-1])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    masked = [(one.weight, kept.float()) for one, kept in zip(linear, masks.values(), strict=True) if not kept.all()]

    def pruned() -> None:
        with torch.no_grad():
            for weight, kept in masked:
                weight.mul_(kept)

    def update() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), labels).backward()
        optimizer.step()
        pruned()

    pruned()
    return update
