"""Random masks and what their widths are held against."""

import numpy as np
import pytest
import torch

VARIANTS = [{"include_zero": zero, "offset": offset} for zero in (True, False) for offset in (False, True)]


variants = pytest.mark.parametrize("variant", VARIANTS, ids=str)


def random_masks(units: int, inputs: int, density: float, seed: int) -> torch.Tensor:
    return torch.rand(units, inputs, generator=torch.Generator().manual_seed(seed)) < density


def bumps(units: int, row: int, col: int, fan_in: int, seed: int) -> torch.Tensor:
    """Masks of `fan_in` inputs: three quarters from a Gaussian bump of random place and widths, others anywhere."""
    draw = np.random.default_rng(seed)
    y, x = np.mgrid[:row, :col]
    masks = np.zeros((units, row * col), dtype=bool)
    for mask in masks:
        (cy, cx), (sy, sx) = draw.uniform(0.3, 0.7, 2) * (row, col), draw.uniform(0.08, 0.2, 2) * (row, col)
        chance = np.exp(-((y - cy) ** 2) / (2 * sy**2) - (x - cx) ** 2 / (2 * sx**2)).ravel() + 1e-9
        mask[draw.choice(row * col, fan_in - fan_in // 4, replace=False, p=chance / chance.sum())] = True
        mask[draw.choice(np.flatnonzero(~mask), fan_in // 4, replace=False)] = True
    return torch.tensor(masks)


def lags(row: int, col: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.meshgrid(
        torch.arange(1.0 - row, row, dtype=torch.float64),
        torch.arange(1.0 - col, col, dtype=torch.float64),
        indexing="ij",
    )
