"""What a trainer is handed, and what it returns. It need not be a loop over steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from impray.data.base import PackData
from impray.nets.base import Network, Params
from impray.spec.training import TrainingSpec
from impray.training.blocks import Graphs


@dataclass(frozen=True)
class Task:
    """One round of training of the nets of a pack.

    Args:
        network: what the nets share.
        specs: one per net; they differ in what is packable only.
        start: theta(rewind) * mask, [net, ...]; not modified.
        masks: of pruned parameters, 0 and 1 (or bool); None or without a key: dense.
        data: with its streams at the round's start. `whole` and `truth` are there where the spec needs them.
        until: how far to go, in the spec's progress (`TrainingSpec.length`): a number of updates, or a time.
        snapshots: progress, 0 to `until`, at which parameters are copied (0: those at the start, masked).
        observe: (n, call): call(progress, a copy of the parameters) at the start, after every n and at the end.
        begin: progress made before this round: the rewind step with `after_rewind: remaining`, else 0. Schedules of the learning
            rate go on from there; `until`, `snapshots` and `observe` count from this round's start.
        noise: one per net, the seed of what training itself draws, such as dropout (stream `noise`); empty: 0 for all.
        graphs: what the rounds of a pack on a GPU share; None: this one is alone. A round that is to go on with the graph of the last
            one has the same `data`, whose `batch` reads the memory that it read then.
    """

    network: Network
    specs: Sequence[TrainingSpec]
    start: Params
    masks: Params | None
    data: PackData
    until: int | float
    snapshots: tuple[int | float, ...] = ()
    observe: tuple[int, Callable[[int, Params], None]] | None = None
    begin: int | float = 0
    noise: Sequence[int] = ()
    graphs: Graphs | None = None


@dataclass
class TrainingEnd:
    """The end of a round.

    Args:
        params: pruned weights are 0, and a net that diverged has NaN.
        stats: evaluation statistics, where the network has any.
        snapshots: for each progress asked for, a copy of the parameters.
    """

    params: Params
    stats: Params
    snapshots: dict[int | float, Params] = field(default_factory=dict)


Trainer = Callable[[Task], TrainingEnd]


def wrong_with(made: object, task: Task) -> str | None:
    """Why what a trainer returns is not what `task` asks for; None where it is."""
    if not isinstance(made, TrainingEnd):
        return f"must return impray.training.TrainingEnd, not {type(made).__name__}"
    asked, given = set(task.snapshots), set(made.snapshots)
    if asked != given:
        return f"must return snapshots at {sorted(asked)}, not {sorted(given)}"
    for params in (made.params, *made.snapshots.values()):
        for name, start in task.start.items():
            if name not in params or params[name].shape != start.shape:
                shown = list(params[name].shape) if name in params else "none"
                return f"must return {name} of shape {list(start.shape)}, not {shown}"
    for name, mask in (task.masks or {}).items():
        pruned = made.params[name][~mask.bool()]
        alive = int(((pruned != 0) & ~pruned.isnan()).sum())  # a net that diverged has NaN everywhere
        if alive:
            return f"must leave pruned weights at 0; {alive} of {name} are not"
    return None
