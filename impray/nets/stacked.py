"""The product of a Linear for all nets of a pack, each as if it were alone.

    y = x W^T + b        dx = dy W        dW = dy^T x        db = sum over samples of dy

vmap would make one batched product of it whose numbers lie where torch puts them; on the CPU a net's last bit then shows where it
stands (`impray.nets.layout`). Here every matrix begins on a cache line, and sides of 1 are padded to 2, since a product with one
column or row takes another path when the pack has one net.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear

from impray.nets import layout


class _Product(torch.autograd.Function):
    """One net's product as vmap sees it; its gradients are those of `_Stacked`."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return linear(x, weight, bias)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor | None, ...], output: Tensor) -> None:
        pass

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *operands: Tensor | None) -> tuple[Tensor, int]:
        stacked = [_first(x, dim, info.batch_size) for x, dim in zip(operands, in_dims, strict=True)]
        return _Stacked.apply(*stacked), 0  # type: ignore[return-value]


def _first(x: Tensor | None, dim: int | None, nets: int) -> Tensor | None:
    """The net axis first; one tensor for all nets is repeated."""
    if x is None:
        return None
    return x.expand(nets, *x.shape) if dim is None else x.movedim(dim, 0)


class _Stacked(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """x [net, ..., input], weight [net, unit, input], bias [net, unit]."""
        flat, wide = _laid_out(x.reshape(len(x), -1, x.shape[-1])), _laid_out(weight)
        ctx.save_for_backward(flat, wide)
        ctx.shapes = x.shape, weight.shape, bias is not None
        out = torch.bmm(flat, wide.mT, out=layout.empty(flat, len(flat), flat.shape[1], wide.shape[1]))
        out = out[:, : x[0, ..., 0].numel(), : weight.shape[1]].reshape(*x.shape[:-1], weight.shape[1])
        # New memory in any case: autograd forbids what a module may do with it, such as a ReLU in place, on a view.
        return out.clone() if bias is None else out + bias.view(len(x), *[1] * (x.dim() - 2), weight.shape[1])

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, ...]:
        flat, wide = ctx.saved_tensors
        x_shape, weight_shape, has_bias = ctx.shapes
        slope = slopes[0].reshape(len(flat), -1, weight_shape[1])
        rows = slope.shape[1]
        laid = _laid_out(slope)
        dx = dweight = dbias = None
        if ctx.needs_input_grad[0]:
            dx = torch.bmm(laid, wide, out=layout.empty(flat, *flat.shape))[:, :rows, : x_shape[-1]].reshape(x_shape)
        if ctx.needs_input_grad[1]:
            dweight = torch.bmm(laid.mT, flat, out=layout.empty(wide, *wide.shape))
            dweight = dweight[:, : weight_shape[1], : weight_shape[2]]
        if has_bias and ctx.needs_input_grad[2]:
            dbias = laid.mT.contiguous().sum(-1)[:, : weight_shape[1]]
        return dx, dweight, dbias


def _laid_out(x: Float[Tensor, "net row col"]) -> Float[Tensor, "net wide_row wide_col"]:
    """`x` with every net's matrix on a cache line, and with 2 rows and columns or more, the added ones 0."""
    nets, rows, cols = x.shape
    if rows > 1 and cols > 1:
        return layout.aligned(x) if x[0].is_contiguous() else layout.copied(x)
    wide = layout.zeros(x, nets, max(rows, 2), max(cols, 2))
    wide[:, :rows, :cols] = x
    return wide


@contextmanager
def products(module: nn.Module) -> Iterator[None]:
    """While entered, the plain Linear layers of `module` make these products; for what runs under vmap."""
    plain = [part for part in module.modules() if type(part) is nn.Linear]
    for part in plain:
        part.forward = partial(_product, part)  # type: ignore[assignment]
    try:
        yield
    finally:
        for part in plain:
            del part.forward


def _product(module: nn.Linear, x: Tensor) -> Tensor:
    return _Product.apply(x, module.weight, module.bias)  # type: ignore[return-value]
