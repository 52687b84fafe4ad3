"""The learning rate's factor s_t on the device, where a step finds it without asking the host."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from impray.spec.errors import ShapeError
from impray.spec.training import StepsSpec


class Pace:
    """s_t of one update after the other; a CUDA graph of many steps moves it on as it moves the parameters.

    Attributes: factor: s_t of the update that is being made, float64, the same memory throughout.
    """

    def __init__(self, spec: StepsSpec, begin: int, updates: int, device: torch.device) -> None:
        """begin: t of the first update. updates: how many will be made at most."""
        rates = [spec.schedule.rate(update, spec.steps) for update in range(begin, begin + updates)]
        self._rates = torch.tensor(rates, dtype=torch.float64, device=device)
        self._next = torch.zeros(1, dtype=torch.int64, device=device)
        self.factor: Float[Tensor, " 1"] = torch.ones(1, dtype=torch.float64, device=device)

    def advance(self) -> None:
        """To the next update; called once before each, the first included."""
        torch.index_select(self._rates, 0, self._next, out=self.factor)
        self._next.add_(1)


def pace(specs: Sequence[StepsSpec], begin: int, updates: int, device: torch.device) -> Pace | None:
    """The pace that nets share; None where their learning rate stays.

    Raises: ShapeError: their schedules differ, or the rounds that these run over.
    """
    if len({(spec.schedule, spec.steps) for spec in specs}) != 1:
        raise ShapeError("the nets of a pack share schedule and steps; theirs differ")
    return None if specs[0].schedule.is_constant or not updates else Pace(specs[0], begin, updates, device)
