"""Training by updates: the loop over the steps of a round, for every optimizer and every engine of gradients.

Random numbers are drawn a block of steps at a time, and on a GPU steps run in CUDA graphs. A block is interrupted where
parameters are asked for.
"""

from __future__ import annotations

import sys
from collections.abc import Hashable
from itertools import pairwise

import torch

from impray.data.base import Raw, Streams
from impray.nets.base import Network, Params
from impray.nets.mlp import Architecture
from impray.nets.module import ModuleNetwork
from impray.spec.errors import MemberError
from impray.spec.training import StepsSpec
from impray.training.base import Task, TrainingEnd
from impray.training.blocks import Run, runner
from impray.training.engine import Groups, MakeEngine
from impray.training.module import ModuleEngine
from impray.training.small import Perceptrons

ENGINES: dict[type[Network], MakeEngine] = {
    Architecture: Perceptrons(),
    ModuleNetwork: ModuleEngine,
}


@torch.no_grad()
def train(task: Task) -> TrainingEnd:
    """One round: `task.until` updates of every net (a `Trainer`).

    Raises: ShapeError: the data's batches do not fit the nets, or the nets one another.
    """
    steps = int(task.until)
    if any(not 0 <= step <= steps for step in task.snapshots):
        raise ValueError(f"snapshots {task.snapshots}: must be from 0 to steps = {steps}")
    specs = [spec for spec in task.specs if isinstance(spec, StepsSpec)]
    assert len(specs) == len(task.specs), "training by updates takes specs with steps and batch"
    pack, run = _begun(task, specs, steps)
    snapshots: dict[int | float, Params] = {}
    observed = set() if task.observe is None else {*range(0, steps, task.observe[0]), steps}
    wanted = observed.union(map(int, task.snapshots))

    def keep(step: int) -> None:
        if step in task.snapshots:
            snapshots[step] = pack.params()
        if task.observe is not None and step in observed:
            task.observe[1](step, pack.params())

    keep(0)
    for begin in range(0, steps, task.data.block):
        size = min(task.data.block, steps - begin)
        raw = task.data.draw(size)
        stops = [0, *(step for step in range(1, size) if begin + step in wanted), size]
        for first, last in pairwise(stops):
            run(raw, first, last)
            if begin + last in wanted:
                keep(begin + last)
    if task.graphs is not None:
        task.graphs.keep(pack, task.data, run)
    return TrainingEnd(pack.params(), pack.stats(), snapshots)


def _begun(task: Task, specs: list[StepsSpec], steps: int) -> tuple[Groups, Run]:
    """The nets of a pack at the round's start, and what runs their steps; with a graph of the round before in its memory."""
    make = _engine_of(task.network)

    def made() -> Groups:
        return Groups(make, task.network, specs, task.start, task.masks, int(task.begin), steps, task.noise)

    pack = made() if task.graphs is None else task.graphs.made(made)
    batch = task.data.batch
    if isinstance(task.data, Streams):
        batch = task.data.streams if pack.share(task.data.stream_of_net) else task.data.lent
    again = None if task.graphs is None else task.graphs.again(pack, task.data)
    if again is not None:
        return again

    def run_steps(raw: Raw, first: int, last: int) -> None:
        for step in range(first, last):
            pack.step(*batch(raw, step))

    device = next(iter(task.start.values())).device
    return pack, runner(run_steps, device, task.graphs) if task.network.packed else run_steps


@torch.no_grad()
def held(
    network: Network, spec: StepsSpec, start: Params, masks: Params | None, begin: int, updates: int
) -> int | None:
    """Bytes that training one net holds beside inputs and targets, counted from what would train it; None where its engine does not say.

    Args:    start, masks: of the net, its net axis kept. begin, updates: as of `Groups`.
    """
    return Groups(_engine_of(network), network, [spec], start, masks, begin, updates).held()


def form_of(network: Network, spec: StepsSpec, params: Params, masks: Params) -> Hashable:
    """How one net is held while it trains, for engines that hold it in several ways: rounds of one form cost alike.

    Args:    params, masks: of the net, without a net axis.
    """
    form = getattr(_engine_of(network), "form_of", None)
    return None if form is None else form(network, params, masks, spec)


def _engine_of(network: Network) -> MakeEngine:
    """Its own (`Network.engine`), or that of the built-in network that it derives from.

    Raises:  MemberError: it has none.
    """
    if network.engine is not None:
        return network.engine
    for kind in type(network).__mro__:
        if kind in ENGINES:
            return ENGINES[kind]
    name, where = type(network).__name__, getattr(sys.modules.get(type(network).__module__), "__file__", None)
    right = "has no engine to train it by updates: give it `engine` (`impray.training.engine.MakeEngine`), derive it from a built-in one, "
    right += "or use kind: module"
    raise MemberError(name, where or type(network).__module__, right)
