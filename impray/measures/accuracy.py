"""Accuracy and loss on held-out data after the round's training, at the batch-norm statistics of evaluation."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from impray.measures.state import Readings, RoundState
from impray.spec import measure as spec
from impray.training.losses import of_net


def accuracy(asked: spec.Accuracy, state: RoundState) -> Readings:
    """Share of held-out inputs whose largest output is their class (a single output: nearer to 0 or to 1)."""
    return Readings(lineage={"accuracy": _per_net(state, share_right)})


def loss(asked: spec.Loss, state: RoundState) -> Readings:
    """Mean held-out loss, the same function that trained the network."""
    return Readings(lineage={"loss": _per_net(state, partial(of_net, state.loss))})


def _per_net(state: RoundState, function) -> Tensor:  # noqa: ANN001
    """One net at a time: its number then cannot depend on its neighbours, and memory stays small."""
    values = []
    for net in range(state.nets):
        outputs = state.passes.read(state, net, [len(state.layers)])[0]
        values.append(function(outputs, state.held_out(net)[1]).double())
    return torch.stack(values).cpu()


def share_right(outputs: Tensor, labels: Tensor) -> Tensor:
    guess = (outputs[:, 0] > 0.5).long() if outputs.shape[1] == 1 else outputs.argmax(dim=1)
    return (guess == labels).double().mean()
