"""What a sweep's networks need of memory, about, from its description alone: the one estimate.

An actor is what a worker with torch takes, what preparing the data takes, and its pack: weights and the held-out inputs of every
network. Seen: 876 MiB where this says 988 (quickstart as one pack of 72), 449 where it says 495 (rewind_prune_gain, 60), 850 where it
says 927 (redman2025_small, 36); the constants were chosen after seeing these three.
"""

from __future__ import annotations

from collections.abc import Mapping

from impray.spec.counts import share
from impray.spec.data import DataSpec, Digits, FileData, ImageCoordinates, Linear, Photographs, Planted, Stimulus
from impray.spec.data.designs import Identity, ReluFeatures
from impray.spec.pack import Pack
from impray.spec.sweep import Sweep
from impray.spec.training import GRAPH_STEPS
from impray.spec.trial import Trial

ACTOR_BYTES = 400 << 20  # a worker with torch, polars and all of impray in it
PICTURES_BYTES = 320 << 20  # preparing photographs, or a Gaussian clone
PROBLEMS_BYTES = 256 << 20  # linear models that are kept; one that is larger alone is kept all the same
BLOCK_BYTES, SOLVING_COPIES = 64 << 20, 6  # and the matrices [feature, feature] of those that are solved at once
COPIES = 10  # of a pack's weights: rewound, end, gradients, moments (Adam has two), stacked, and those that are written
KEPT_COPIES = 6  # more on a GPU: a round begins in the memory of the last one, which stays (weights, mask, gradient, two moments, scratch)
DIGITS = 1_797  # inputs of scikit-learn's

# Images of published sets, held out.
_HELD_OUT: Mapping[str, int] = {"imagenet32": 50_000, "cifar10": 10_000, "cifar100": 10_000}


def tensors(pack: Pack) -> int:
    """Bytes of a pack's tensors while it trains and is measured, about."""
    if len(pack.parts) > 1:
        return sum(map(tensors, pack.parts))
    trial, nets = pack.lineages[0].trial, len(pack.lineages)
    if pack.solved:
        rows = sum(len(pack.rows_of(lineage)) for lineage in pack.lineages)
        matrices = SOLVING_COPIES * max(BLOCK_BYTES, 8 * trial.data.inputs**2)
        return rows * 9 * parameters(trial) + matrices
    width = trial.data.inputs + sum(kernel.units for kernel in trial.kernels)
    samples = 2 * (trial.train.batch_size + held_out(trial))
    of_training = sum(finite(lineage.trial.data) for lineage in pack.lineages) * (trial.data.inputs + 1)
    on_a_gpu = nets * _of_graphs(trial) if trial.device == "cuda" else 0
    return bytes_of_item(trial) * (nets * (COPIES * parameters(trial) + samples * width) + of_training + on_a_gpu)


def _of_graphs(trial: Trial) -> int:
    """Numbers of one network that a GPU holds besides: what the next round begins in, a graph's random numbers, and its copy of them."""
    drawn = 0
    if isinstance(trial.data, Stimulus):
        drawn = 2 * GRAPH_STEPS * trial.train.batch_size * trial.data.inputs
        drawn *= 2 if trial.data.gaussian_blend else 1
    return KEPT_COPIES * parameters(trial) + drawn


def parameters(trial: Trial) -> int:
    """Of one network: weights, biases, and those of batch norm with its statistics."""
    return trial.net.parameters(trial.kernels)


def bytes_of_item(trial: Trial) -> int:
    """Of a number that is trained."""
    return 8 if trial.train.dtype == "float64" else 4


def prepared(data: DataSpec, blended: bool) -> int:
    """Bytes that preparing the data takes, for all networks of a process."""
    if isinstance(data, (Linear, Planted, ImageCoordinates)):
        one = 8 * data.inputs * (finite(data) + (0 if isinstance(data, ImageCoordinates) else data.held_out))
        # while one is drawn: the numbers, and their product with the covariance
        return max(PROBLEMS_BYTES, one) + 2 * one + _of_law(data)
    pictures = isinstance(data, Photographs) or (isinstance(data, FileData) and blended)
    crops = 12 * data.inputs * data.classes * (data.crops + data.held_out) if isinstance(data, Photographs) else 0
    return max(PICTURES_BYTES, crops) if pictures else 0


def _of_law(data: DataSpec) -> int:
    """Of what the inputs or targets are drawn from: a covariance and its root, random features, a planted network."""
    if isinstance(data, Linear) and isinstance(data.design, ReluFeatures):
        return 8 * data.design.inputs * (data.features + data.samples)
    if isinstance(data, Linear) and data.design.has_covariance and not isinstance(data.design, Identity):
        return 2 * 8 * data.features**2
    return 8 * data.units * (data.inputs + data.units) if isinstance(data, Planted) else 0


def finite(data: DataSpec) -> int:
    """Training inputs of one network that are gathered into a table; at most, for networks of one seed share theirs."""
    if isinstance(data, Digits):
        return DIGITS
    if isinstance(data, ImageCoordinates):
        return data.side**2
    return data.samples if isinstance(data, (Linear, Planted)) else 0


def held_out(trial: Trial) -> int:
    """Held-out inputs of one network."""
    data = trial.data
    if isinstance(data, (Digits, ImageCoordinates)):
        return share(data.held_out_fraction, finite(data))
    given = getattr(data, "held_out", None)
    if isinstance(data, FileData):
        per_class = (
            given if given is not None else _HELD_OUT.get(str(getattr(data, "kind", "")), 10_000) // data.stored_classes
        )
        return per_class * data.classes
    return int(given or 0) * (1 if isinstance(data, Photographs) else data.classes)


def blended(sweep: Sweep) -> bool:
    """Whether some trial draws from a Gaussian clone."""
    return "data.gaussian_blend" in sweep.search.space or bool(getattr(sweep.trial.data, "gaussian_blend", 0))
