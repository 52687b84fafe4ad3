"""What the tensors of a pack take in memory, about, from its description alone."""

from __future__ import annotations

from collections.abc import Mapping

from impray.spec.counts import share
from impray.spec.data import DataSpec, Digits, FileData, ImageCoordinates, Linear, Photographs, Planted
from impray.spec.pack import Pack
from impray.spec.trial import Trial

DIGITS = 1_797  # inputs of scikit-learn's
BLOCK_BYTES, SOLVING_COPIES = 64 << 20, 6  # and the matrices [feature, feature] of those that are solved at once
COPIES = 10  # of a pack's weights: rewound, end, gradients, moments (Adam has two), stacked, and those that are written
_HELD_OUT: Mapping[str, int] = {"imagenet32": 50_000, "cifar10": 10_000, "cifar100": 10_000}


def parameters(trial: Trial) -> int:
    """Of one network: weights, biases, and those of batch norm with its statistics."""
    return trial.net.parameters(trial.kernels)


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
    return bytes_of_item(trial) * (nets * (COPIES * parameters(trial) + samples * width) + of_training)


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


def bytes_of_item(trial: Trial) -> int:
    """Of a number that is trained."""
    return 8 if trial.train.dtype == "float64" else 4
