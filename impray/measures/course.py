"""The time course within a round: held-out loss, and each first-layer unit's IPR, peak, length and weights, every few updates.

The numbers are taken while a round trains, of all nets at once; they change nothing of it. After Lufkin et al. (2024), Fig. 3, 4
and 8, and Ingrosso & Goldt (2022), whose figures show IPR and receptive fields against time. With batch norm the loss is at the
statistics of these held-out inputs.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from impray.measures.forward import first_of_each_class
from impray.measures.ipr import ipr
from impray.measures.scale import norm
from impray.measures.state import Readings, RoundState
from impray.nets.base import Network, Params
from impray.spec import measure as spec
from impray.training.losses import mean

_TOGETHER = 2**24  # numbers of held-out inputs up to which all nets' are laid together; more are read where they are


class Observer:
    """Called with a step and the parameters of all nets; keeps what the table `steps` wants of them."""

    def __init__(
        self, asked: spec.Course, network: Network, held_out: Sequence[tuple[Tensor, Tensor]], loss: str
    ) -> None:
        """held_out: inputs [sample, input] and labels of each net."""
        chosen = [first_of_each_class(*of_net, asked.samples) for of_net in held_out]
        together = sum(inputs.numel() for inputs, _ in chosen) <= _TOGETHER
        parts = [chosen] if together else [[of_net] for of_net in chosen]
        self._held_out = [
            (torch.stack([inputs for inputs, _ in part]), torch.stack([labels for _, labels in part]))
            if len(part) > 1
            else (part[0][0][None], part[0][1][None])
            for part in parts
        ]
        self._asked, self._network, self._loss = asked, network, loss
        self._steps: list[int] = []
        self._columns: list[dict[str, Tensor]] = []

    def __call__(self, step: int, params: Params) -> None:
        first = self._network.layers[0]
        weight = first.matrix(params[first.weight])
        peak = weight.abs().argmax(dim=2)
        columns = {
            "loss": self._losses(params)[:, None].expand(peak.shape),
            "ipr": ipr(weight),
            "peak": peak,
            "peak_weight": weight.gather(2, peak[..., None])[..., 0].double(),
            "norm": norm(weight),
            "weights": weight,
        }
        if self._columns and not self._kept(len(self._columns) - 1):  # only now is it known not to be the last
            del self._columns[-1]["weights"]
        self._steps.append(step)
        self._columns.append({name: values.cpu() for name, values in columns.items()})

    def _losses(self, params: Params) -> Float[Tensor, " net"]:
        """The training loss of each net on its held-out inputs. Reduced over each net's own row: neighbours do not matter."""
        losses, first = [], 0
        for inputs, labels in self._held_out:
            some = slice(first, first + len(inputs))
            whole = len(self._held_out) == 1
            of_part = params if whole else {name: value[some].clone() for name, value in params.items()}
            outputs = self._network.preactivations(of_part, inputs)[-1].double()
            losses.append(mean(self._loss, outputs, labels))
            first = some.stop
        return torch.cat(losses)

    def _kept(self, number: int) -> bool:
        """Whether the weights of this record are asked for, be it the last or not."""
        every = self._asked.weights_every
        return every is not None and number % every == 0

    def rows(self) -> list[list[dict]]:
        """Rows of the table `steps`, without the lineage's columns, of each net."""
        nets, units = self._columns[0]["peak"].shape
        rows: list[list[dict]] = [[] for _ in range(nets)]
        last = len(self._steps) - 1
        for number, (step, columns) in enumerate(zip(self._steps, self._columns, strict=True)):
            keep = self._kept(number) or (number == last and self._asked.weights_every is not None)
            listed = {name: values.tolist() for name, values in columns.items() if keep or name != "weights"}
            for net in range(nets):
                rows[net] += [
                    {"step": step, "unit": unit, **{name: values[net][unit] for name, values in listed.items()}}
                    for unit in range(units)
                ]
        return rows


def measure(asked: spec.Course, state: RoundState) -> Readings:
    """Rows of the table `steps`."""
    assert state.course is not None, "a round's state knows how to record its course"
    return Readings(steps=state.course(asked))
