"""What a sweep's networks need of memory, from its description alone: the one estimate, and whether a machine has so much.

An actor is what a worker with torch takes, what preparing the data takes, and its pack: weights and the held-out inputs of every
network. Seen: 876 MiB where this says 988 (quickstart as one pack of 72), 449 where it says 495 (rewind_prune_gain, 60), 850 where it
says 927 (redman2025_small, 36); the constants were chosen after seeing these three.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from impray.spec import axes
from impray.spec.base import Spec
from impray.spec.counts import share
from impray.spec.data import DataSpec, Digits, FileData, ImageCoordinates, Linear, Photographs, Planted
from impray.spec.data.designs import Identity, ReluFeatures
from impray.spec.errors import Problem
from impray.spec.pack import Pack
from impray.spec.sweep import Sweep
from impray.spec.text import size
from impray.spec.trial import Lineage, Trial
from impray.spec.wording import show

ACTOR_BYTES = 400 << 20  # a worker with torch, polars and all of impray in it
PICTURES_BYTES = 320 << 20  # preparing photographs, or a Gaussian clone
PROBLEMS_BYTES = 256 << 20  # linear models that are kept; one that is larger alone is kept all the same
BLOCK_BYTES, SOLVING_COPIES = 64 << 20, 6  # and the matrices [feature, feature] of those that are solved at once
COPIES = 10  # of a pack's weights: rewound, end, gradients, moments (Adam has two), stacked, and those that are written
DIGITS = 1_797  # inputs of scikit-learn's
PACK_BYTES = 4 << 30  # of a pack that is trained, where it can be split: larger ones are no faster
ANY_MACHINE = 1 << 43  # 8 TiB: what no machine has; the limit where the machines are not known

# Images of published sets, held out.
_HELD_OUT: Mapping[str, int] = {"imagenet32": 50_000, "cifar10": 10_000, "cifar100": 10_000}


# -- the estimate -----------------------------------------------------------------------------------------------------


def tensors(pack: Pack) -> int:
    """Bytes of a pack's tensors while it trains and is measured, about."""
    trial, nets = pack.lineages[0].trial, len(pack.lineages)
    if pack.solved:
        rows = sum(len(pack.rows_of(lineage)) for lineage in pack.lineages)
        matrices = SOLVING_COPIES * max(BLOCK_BYTES, 8 * trial.data.inputs**2)
        return rows * 9 * parameters(trial) + matrices
    return nets * of_network(trial)


def of_network(trial: Trial) -> int:
    """Bytes of the tensors of one network that is trained."""
    width = trial.data.inputs + sum(kernel.units for kernel in trial.kernels)
    samples = 2 * (trial.train.batch_size + _held_out(trial))
    of_training = _finite(trial.data) * (trial.data.inputs + 1)
    return item(trial) * (COPIES * parameters(trial) + samples * width + of_training)


def parameters(trial: Trial) -> int:
    """Of one network: weights, biases, and those of batch norm with its statistics."""
    return trial.net.parameters(trial.kernels)


def item(trial: Trial) -> int:
    """Bytes of a number."""
    return 8 if trial.train.dtype == "float64" else 4


def prepared(data: DataSpec, blended: bool) -> int:
    """Bytes that preparing the data takes, for all networks of a process."""
    if isinstance(data, (Linear, Planted, ImageCoordinates)):
        one = 8 * data.inputs * (_finite(data) + (0 if isinstance(data, ImageCoordinates) else data.held_out))
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


def _finite(data: DataSpec) -> int:
    """Training inputs of one network that are gathered into a table; at most, for networks of one seed share theirs."""
    if isinstance(data, Digits):
        return DIGITS
    if isinstance(data, ImageCoordinates):
        return data.side**2
    return data.samples if isinstance(data, (Linear, Planted)) else 0


def _held_out(trial: Trial) -> int:
    """Held-out inputs of one network."""
    data = trial.data
    if isinstance(data, (Digits, ImageCoordinates)):
        return share(data.held_out_fraction, _finite(data))
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


# -- whether there is so much -----------------------------------------------------------------------------------------


def problems(sweep: Sweep, there: int | None) -> list[Problem]:
    """Trials of which not even one network per method fits: told once, of the largest.

    Args:    there: bytes of the machine that is to run it; None where it is not known.
    """
    most = ANY_MACHINE if there is None or sweep.resources.gpu > 0 else there
    alike = {_sizes(trial): trial for trial in axes.possible(sweep) if not trial.described}
    needed = [(_least(sweep, trial), trial) for trial in alike.values()]
    needed = [(need, trial) for need, trial in needed if need > most]
    if not needed:
        return []
    need, trial = max(needed, key=lambda pair: pair[0])
    path, value = _largest(trial)
    has = "no machine has so much" if most == ANY_MACHINE else f"this machine has {size(most)}"
    where = f"search.space.{path}" if path in sweep.search.space else f"trial.{path}"
    return [Problem(where, show(value), f"takes about {size(need)} of memory, and {has}: make it smaller")]


def _sizes(trial: Trial) -> tuple[object, ...]:
    """Equal for trials that need the same."""
    train = trial.train
    return type(trial.data), trial.shapes, train.batch_size, train.dtype, _held_out(trial), prepared(trial.data, True)


def _least(sweep: Sweep, trial: Trial) -> int:
    """Bytes of the process that runs the smallest pack: the lineages of one seed, which stay together."""
    kinds: dict[bool, list[Lineage]] = {}
    for lineage in trial.lineages(sweep.methods, sweep.seeds[:1]):
        kinds.setdefault(lineage.solved, []).append(lineage)
    # As many rows as `truth` gives, whose round there need not be: a sweep that is wrong otherwise is looked at too.
    rows_at = "last" if sweep.rows_at == "truth" else sweep.rows_at
    packs = (
        Pack(lineages=tuple(lineages), rounds=sweep.rounds, rows_at=rows_at, measures=()) for lineages in kinds.values()
    )
    scored = max(_scored(sweep, trial), default=0)
    width = trial.data.inputs + sum(kernel.units for kernel in trial.kernels)
    return ACTOR_BYTES + prepared(trial.data, blended(sweep)) + max(map(tensors, packs)) + item(trial) * scored * width


def _scored(sweep: Sweep, trial: Trial) -> Iterator[int]:
    """Inputs that measures and rules draw for themselves."""
    yield from (samples for measure in sweep.measures if isinstance(samples := getattr(measure, "samples", None), int))
    if any(method.startswith("cavity") for method in sweep.methods):
        yield trial.prune.cavity.samples


def _largest(trial: Trial) -> tuple[str, object]:
    """The field with the largest whole numbers, to blame: (path below `trial`, value)."""
    found = [pair for name in ("data", "net", "train") for pair in _counts(getattr(trial, name), name)]
    return max(found, key=lambda pair: _product(pair[1]), default=("data", None))


def _counts(spec: Spec, path: str) -> Iterable[tuple[str, Any]]:
    skipped = {"draw", "first_label", "steps"}
    for name in type(spec).model_fields.keys() - skipped:
        value = getattr(spec, name)
        if isinstance(value, Spec):
            yield from _counts(value, f"{path}.{name}")
        elif _product(value) > 1:
            yield f"{path}.{name}", value


def _product(value: object) -> int:
    if isinstance(value, (tuple, list)):
        whole = [item for item in value if isinstance(item, int)]
        product = len(value)
        for item in whole:
            product = max(product, 1) * item
        return product
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def parts_that_fit(lineages: Sequence[Lineage]) -> int:
    """Into how many parts a pack of lineages that are trained is cut at least, so that each keeps within `PACK_BYTES`."""
    return -(-len(lineages) * of_network(lineages[0].trial) // PACK_BYTES)


def of_samples(spec: DataSpec, per_class: int, there: int) -> list[Problem]:
    """What is wrong with describing so many samples of each class of some data, on a machine with so many bytes."""
    asked = min(per_class, spec.crops) if isinstance(spec, Photographs) else per_class
    classes = spec.classes if spec.targets == "classes" else 1
    copies = 4 * 8 * spec.inputs * classes  # the samples as they are drawn, and in float64 while moments are taken
    need = ACTOR_BYTES + prepared(spec, blended=True) + copies * asked
    if need <= there:
        return []
    most = (there - ACTOR_BYTES - prepared(spec, blended=True)) // copies
    right = f"takes about {size(need)} of memory, and this machine has {size(there)}"
    if most >= 8:
        return [Problem("--samples", show(per_class), f"{right}: at most {most}")]
    found = max(_counts(spec, "data"), key=lambda pair: _product(pair[1]), default=("data", None))
    return [Problem(f"trial.{found[0]}", show(found[1]), f"{right}: make it smaller")]
