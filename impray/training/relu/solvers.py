"""Solvers of ReLU networks, and which of them a trial needs."""

from __future__ import annotations

from impray.training.linear import Block, Solved
from impray.training.linear.iht import iht as linear_iht


def iht(block: Block) -> Solved:
    """The solver `iht`: of a linear model, of a fused network, of one with several outputs."""
    if block.trial.solvable:
        return linear_iht(block)
    raise NotImplementedError


def pursuit(block: Block) -> Solved:
    """The solver `pursuit`."""
    raise NotImplementedError
