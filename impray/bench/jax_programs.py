"""The benchmarks `pack` and `neuron` against what an expert writes in JAX: vmap over networks, lax.scan over steps, one jit.

Rows appear where JAX is installed (extra `bench-jax`). Both sides have one core (the process is pinned to it while they run, in turns),
draw their own samples by the same law, in float32, and are compiled before they are timed. JAX's samples are made as ours once were:
white noise, in the eigenbasis that all classes share, times the root of the sample's class, and one product back.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from impray.bench import neuron, pack
from impray.bench.threads import one_torch_thread
from impray.bench.torus import covariance, scale
from impray.data import open_pack
from impray.nets.mlp import architecture, initial
from impray.spec.data import Nlgp
from impray.spec.nets import Mlp
from impray.spec.training import Sgd
from impray.training import TRAINERS, Task

RUNS = 7
STEPS = {"pack": (200, 1_000), "neuron": (60, 1_000)}
"""Of a run with samples of their own, and with a shared stream: what a round begins with is little of it, as of a sweep's rounds."""
Row = dict[str, Any]


def compare_pack() -> Row | None:
    """32 networks 144:32:2, each with samples of its own."""
    return _compare("pack", "pack, 32 seeds", shared=False)


def compare_pack_shared() -> Row | None:
    """All on one stream of samples."""
    return _compare("pack", "pack, one shared stream", shared=True)


def compare_neuron() -> Row | None:
    """32 single neurons of 40 inputs at batch 1,000, each with samples of its own."""
    return _compare("neuron", "neuron, own samples", shared=False)


def compare_neuron_shared() -> Row | None:
    """All on one stream of samples."""
    return _compare("neuron", "neuron, shared stream", shared=True)


def _compare(kind: str, name: str, shared: bool) -> Row | None:
    if importlib.util.find_spec("jax") is None:
        return None
    steps = STEPS[kind][shared]
    with one_torch_thread():
        with _one_core():
            sides = _ours(kind, shared), _jax(kind, shared)
            for side in sides:
                side(steps)
            times = [[_seconds(side, steps) for side in sides] for _ in range(RUNS)]
    ours, jax = (pack.NETS * steps / statistics.median(side) for side in zip(*times, strict=True))
    what = "one stream of samples for all" if shared else "every network draws its own samples"
    return {
        "name": f"{name}, against JAX",
        "ours": ours,
        "reference": jax,
        "ratio": ours / jax,
        "unit": "lineage-steps/s",
        "gflops": ours * (pack if kind == "pack" else neuron).flops() / 1e9,
        "note": f"{pack.NETS} as in the rows of `{kind}`, {what}, sampling included, one core, median of {RUNS} runs",
    }


def _seconds(run: Callable[[int], None], steps: int) -> float:
    begin = time.perf_counter()
    run(steps)
    return time.perf_counter() - begin


@contextmanager
def _one_core() -> Iterator[None]:
    """JAX has no other way to be given one thread for certain."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def _ours(kind: str, shared: bool) -> Callable[[int], None]:
    spec = Nlgp(shape=(pack.SIDE, pack.SIDE), xi=pack.XI) if kind == "pack" else neuron.SPEC
    specs = [spec.model_copy(update={"draw": 0})] * pack.NETS if shared else [spec] * pack.NETS
    if kind == "neuron":
        train = neuron.open_neurons(specs, range(pack.NETS), neuron.BATCH)
        return lambda steps: ignored(train(steps))
    data = open_pack(specs, range(pack.NETS), batch=pack.BATCH, dtype=torch.float32, device=torch.device("cpu"))
    arch = architecture(Mlp(hidden=(32,)), spec.inputs, spec.classes)
    params = initial(Mlp(hidden=(32,)), arch, range(pack.NETS), torch.float32, "cpu")
    masks = {arch.layers[0].weight: pack.masks()}

    def run(steps: int) -> None:
        data.start(0)
        sgd = Sgd(lr=pack.LR, batch=pack.BATCH, steps=steps)
        TRAINERS[Sgd](Task(arch, [sgd] * pack.NETS, params, masks, data, steps))

    return run


def _spectrum(shape: tuple[int, ...], xi: Sequence[float], gain: float) -> tuple[np.ndarray, np.ndarray]:
    """A basis of eigenvectors that all classes share, [input, input], and gain times the root of each class's eigenvalues."""
    basis = torch.linalg.eigh(sum(covariance(shape, one) * (1 + place) for place, one in enumerate(xi)))[1]
    roots = [(basis.T @ covariance(shape, one) @ basis).diagonal().clamp(min=0).sqrt() for one in xi]
    return basis.T.float().numpy(), gain * torch.stack(roots).float().numpy()


def _jax(kind: str, shared: bool) -> Callable[[int], None]:
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    jax = importlib.import_module("jax")
    jnp = importlib.import_module("jax.numpy")

    of_pack = kind == "pack"
    shape, xi, gain = (
        ((pack.SIDE, pack.SIDE), pack.XI, 1.0) if of_pack else (neuron.SPEC.shape, neuron.SPEC.xi, neuron.SPEC.gain)
    )
    batch, inputs, rate = (
        (pack.BATCH, math.prod(shape), pack.LR) if of_pack else (neuron.BATCH, math.prod(shape), neuron.LR)
    )
    basis, roots = map(jnp.asarray, _spectrum(shape, xi, gain))
    amplitude = scale(gain)

    # The program: what a user would have written.
    def sample(key):  # noqa: ANN001, ANN202
        one, other = jax.random.split(key)
        labels = jax.random.randint(one, (batch,), 0, 2)
        noise = jax.random.normal(other, (batch, inputs))
        return jax.scipy.special.erf((noise * roots[labels]) @ basis) / amplitude, labels

    def loss(params, x, labels):  # noqa: ANN001, ANN202
        if not of_pack:
            return jnp.mean((jax.nn.relu(x @ params["w"]) - labels) ** 2)
        outputs = jax.nn.relu(x @ params["w1"] + params["b1"]) @ params["w2"] + params["b2"]
        return -jnp.take_along_axis(jax.nn.log_softmax(outputs), labels[:, None], 1).mean()

    def update(params, mask, x, labels):  # noqa: ANN001, ANN202
        slope = jax.grad(loss)(params, x, labels)
        params = jax.tree.map(lambda w, g: w - rate * g, params, slope)
        return {**params, "w1": params["w1"] * mask} if of_pack else params

    def own(key, params, mask):  # noqa: ANN001, ANN202
        return update(params, mask, *sample(key))

    def trained(params, mask, keys):  # noqa: ANN001, ANN202
        def step(params, key):  # noqa: ANN001, ANN202
            if shared:
                return jax.vmap(update, (0, 0, None, None))(params, mask, *sample(key)), None
            return jax.vmap(own)(jax.random.split(key, pack.NETS), params, mask), None

        return jax.lax.scan(step, params, keys)[0]

    key = jax.random.key(0)
    if of_pack:
        draw = lambda *shape: 0.1 * jax.random.normal(key, (pack.NETS, *shape))  # noqa: E731
        params = {"w1": draw(inputs, 32), "b1": draw(32), "w2": draw(32, 2), "b2": draw(2)}
    else:
        params = {"w": 0.01 * jax.random.normal(key, (pack.NETS, inputs))}
    mask = jnp.asarray(pack.masks().mT.numpy(), jnp.float32) if of_pack else jnp.ones(pack.NETS)
    program = jax.jit(trained)
    return lambda steps: ignored(jax.block_until_ready(program(params, mask, jax.random.split(key, steps))))


def ignored(result: object) -> None:
    """A run is timed for what it does."""
