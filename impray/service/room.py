"""Whether a machine has the memory that a sweep's networks need (`impray.service.sizes`), before anything starts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from impray.service.sizes import ACTOR_BYTES, blended, bytes_of_item, held_out, prepared, tensors
from impray.spec import axes
from impray.spec.base import Spec
from impray.spec.data import DataSpec, Photographs
from impray.spec.errors import Problem
from impray.spec.pack import Pack, entries
from impray.spec.sweep import Sweep
from impray.spec.text import size
from impray.spec.trial import Lineage, Trial
from impray.spec.wording import show

ANY_MACHINE = 1 << 43  # 8 TiB: what no machine has; the limit where the machines are not known


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
    return type(trial.data), trial.shapes, train.batch_size, train.dtype, held_out(trial), prepared(trial.data, True)


def _least(sweep: Sweep, trial: Trial) -> int:
    """Bytes of the process that runs the smallest pack: the lineages of one seed, which stay together."""
    kinds: dict[bool, list[Lineage]] = {}
    for lineage in trial.lineages(sweep.methods, sweep.seeds[:1]):
        kinds.setdefault(lineage.solved, []).append(lineage)
    # As many rows as `truth` gives, whose round there need not be: a sweep that is wrong otherwise is looked at too.
    rows_at = sweep.rows_at if sweep.rows_at == "all" else tuple(range(len(entries(sweep.rows_at))))
    packs = (
        Pack(lineages=tuple(lineages), rounds=sweep.rounds, rows_at=rows_at, measures=()) for lineages in kinds.values()
    )
    scored = max(_scored(sweep, trial), default=0)
    width = trial.data.inputs + sum(kernel.units for kernel in trial.kernels)
    of_process = ACTOR_BYTES + prepared(trial.data, blended(sweep))
    return of_process + max(map(tensors, packs)) + bytes_of_item(trial) * scored * width


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
