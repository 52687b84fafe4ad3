"""Rows of memory maps as tensors, where they lie or on a device."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from jaxtyping import Int, Shaped
from torch import Tensor

PORTION = 2**22  # inputs treated at once where a whole data set passes through


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
