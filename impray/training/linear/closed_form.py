"""The trainer of linear models in closed form: one round, for any number of outputs and any data that offer the whole training set.

Lineages that are solved at once do not come here (`impray.lineage.solved`): this is for methods whose masks come from round to round.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np
import torch

from impray.data.one_thread import one_thread
from impray.nets.base import Params
from impray.spec.training import ClosedForm
from impray.training.base import Task, TrainingEnd
from impray.training.linear.factors import factors
from impray.training.linear.spectral import trained
from impray.training.losses import as_outputs


def train(task: Task) -> TrainingEnd:
    """A round of `gradient_flow` or `gradient_descent`: each unit of the single layer by itself, on what its mask keeps.

    Targets are real, or classes as one-hot (a single output: the label). A time course has points at 0, at multiples of n below the
    length where that is finite, and at the end.
    """
    points = _course(task)
    at = {
        point: {name: value.clone() for name, value in task.start.items()}
        for point in {*task.snapshots, *points, task.until}
    }
    with one_thread():
        for net in range(task.data.nets):
            _train_net(task, net, at)
    if task.observe is not None:
        for point in points:
            task.observe[1](point, {name: value.clone() for name, value in at[point].items()})
    return TrainingEnd(at[task.until], {}, {point: at[point] for point in task.snapshots})


def _course(task: Task) -> list[int]:
    """Where the time course has points: whole numbers, which is what a course's steps are."""
    if task.observe is None:
        return []
    if math.isinf(task.until):
        return [0]
    return sorted(
        {
            *range(0, math.ceil(task.until), task.observe[0]),
            *([int(task.until)] if task.until == int(task.until) else []),
        }
    )


def _train_net(task: Task, net: int, at: Mapping[int | float, Params]) -> None:
    """Fill in one net's weights at each point."""
    (layer,) = task.network.layers
    spec = task.specs[net]
    assert isinstance(spec, ClosedForm), "only these come here"
    phi, targets = _whole(task, net, layer.units)
    start = task.start[layer.weight][net].detach().cpu().numpy()
    mask = None if task.masks is None else task.masks.get(layer.weight)
    kept = np.ones(start.shape, dtype=bool) if mask is None else mask[net].bool().cpu().numpy()
    for unit in range(layer.units):
        own, wanted = np.ascontiguousarray(phi[:, kept[unit]]), np.ascontiguousarray(targets[:, unit])
        of_points = _at_points(spec, own, wanted, start[unit, kept[unit]], at)
        for point, params in at.items():
            weights = np.zeros(layer.inputs)
            weights[kept[unit]] = of_points[point]
            params[layer.weight][net, unit] = torch.from_numpy(weights).to(params[layer.weight])


def _at_points(
    spec: ClosedForm, phi: np.ndarray, y: np.ndarray, start: np.ndarray, points: Iterable[int | float]
) -> dict[int | float, np.ndarray]:
    """The kept weights of one unit at each point."""
    finite = [point for point in points if not math.isinf(point)]
    made = {point: factors(phi, y, start).weights for point in points if math.isinf(point)}
    if finite:
        values, vectors = np.linalg.eigh(phi.T @ phi / len(y))
        projections = phi.T @ y / len(y)
        made |= {point: trained(spec, point, values, vectors, projections, start) for point in finite}
    return made


def _whole(task: Task, net: int, units: int) -> tuple[np.ndarray, np.ndarray]:
    """phi [sample, feature] and targets [sample, unit], float64."""
    inputs, targets = task.data.whole(net)
    wanted = as_outputs(targets, units)
    return inputs.detach().cpu().double().numpy(), wanted.detach().cpu().double().numpy()
