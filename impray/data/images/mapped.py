"""Rows of memory maps as tensors, where they lie or on a device."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int, Shaped
from torch import Tensor

PORTION = 2**22  # inputs treated at once where a whole data set passes through

_SHARE = 4  # a device's free memory over the most that one table takes of it


class Table(NamedTuple):
    """Rows as the files have them.

    Attributes: rows: on the CPU the memory map itself, which all processes share. sent: whether they stay there, and those of batches are
    sent to the device.
    """

    rows: Shaped[Tensor, "row input"]
    sent: bool


def table(inputs: Shaped[np.ndarray, "all input"], rows: Int[np.ndarray, " row"], device: torch.device) -> Table:
    """A table for a device: a copy of some rows there, or where that would take too much, and on the CPU, all of them where they are."""
    if not fits(len(rows) * inputs[:1].nbytes, device):
        return Table(shared_memory(inputs), True)
    if device.type == "cpu":
        return Table(shared_memory(inputs), False)
    return Table(copied(inputs, rows, device), False)


def fits(size: int, device: torch.device) -> bool:
    """Whether a device's free memory has room for a table of `size` bytes, beside those of other processes; the CPU copies none."""
    return device.type == "cpu" or size * _SHARE <= torch.cuda.mem_get_info(device)[0]


def shared_memory(array: np.ndarray) -> Tensor:
    """The array's memory as a tensor that no one may write to."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(np.asarray(array))


def copied(
    table: Shaped[np.ndarray, "all input"], rows: Int[np.ndarray, " row"], device: torch.device
) -> Shaped[Tensor, "row input"]:
    """Rows on the device, in portions: a second whole copy in the machine's memory might not fit."""
    x = torch.empty(len(rows), table.shape[1], dtype=shared_memory(table[:1]).dtype, device=device)
    portion = max(1, PORTION // table.shape[1])
    for first in range(0, len(rows), portion):
        x[first : first + portion] = rows_on(device, table, rows[first : first + portion])
    return x


def rows_on(
    device: torch.device, table: Shaped[np.ndarray, "all input"], rows: Int[np.ndarray, " row"]
) -> Shaped[Tensor, "row input"]:
    return torch.from_numpy(np.asarray(table)[rows]).to(device)


def sent(
    source: Shaped[Tensor, "row input"], rows: Int[Tensor, "order step sample"], device: torch.device
) -> Shaped[Tensor, "order step sample input"]:
    """Rows of a memory map on the device, gathered here first."""
    gathered = torch.empty(
        *rows.shape, source.shape[1], dtype=source.dtype, pin_memory=device.type == "cuda"
    )  # pinned: the host does not wait for the copy
    torch.index_select(source, 0, rows.flatten(), out=gathered.view(-1, source.shape[1]))
    return gathered.to(device, non_blocking=True)
