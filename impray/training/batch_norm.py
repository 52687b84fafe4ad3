"""Batch norm by hand: gamma (h - mean) / sqrt(var + eps) + beta over the samples of a batch.

A layer's evaluation statistics are an exponential moving average of its batches' mean and population variance, s <- 0.99 s + 0.01
(batch's), beginning with those of the round's first batch (no bias towards 0, as a start at 0 would have). Source: Pellegrini &
Biroli (2022), the code that Redman et al. (2025) build on: 0.99, reset each round.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from impray.nets import layout
from impray.nets.mlp import BATCH_NORM_EPS
from impray.training import blocks
from impray.training.shared import Shared
from impray.training.updates import Parameter

EMA_DECAY = 0.99


class BatchNorm:
    """The batch norm of one layer's inputs, with the buffers of a batch.

    Attributes: mean, var: evaluation statistics, [net, input, 1].
    """

    def __init__(self, gamma: Parameter, beta: Parameter, batch: int, inputs_first: bool) -> None:
        """gamma, beta: [net, input, 1]. inputs_first: how the inputs lie in memory, see `buffer`."""
        self._gamma, self._beta = gamma, beta
        self._shared: Shared | None = None
        self._batch = batch
        # A graph that is replayed from the first step on cannot ask the host which one it is at: it adds all of the first batch's to 0.
        on_device = blocks.captures(gamma.value.device)
        self._first = not on_device
        self._share: Tensor | float = gamma.value.new_ones(1) if on_device else 1 - EMA_DECAY
        nets, inputs = gamma.value.shape[:2]
        self._normal, self._out = (buffer(gamma.value, nets, inputs, batch, inputs_first) for _ in range(2))
        self._rate = torch.empty_like(gamma.value)
        self.mean, self.var = torch.zeros_like(gamma.value), torch.zeros_like(gamma.value)

    def share(self, of_nets: Shared | None) -> None:
        """Inputs are [stream, input, sample] from now on; None: of each net."""
        self._shared = of_nets

    def forward(self, h: Float[Tensor, "stream input sample"]) -> Float[Tensor, "net input sample"]:
        """The normalised inputs; moves the evaluation statistics on."""
        mean = self._centred(h)
        var = torch.mul(self._normal, self._normal, out=self._out).mean(-1, keepdim=True)
        torch.add(var, BATCH_NORM_EPS, out=self._rate).sqrt_().reciprocal_()
        self._normal.mul_(self._rate)
        torch.mul(self._normal, self._gamma.value, out=self._out).add_(self._beta.value)
        self._follow(self.mean, mean)
        self._follow(self.var, var)
        self._first = False
        if isinstance(self._share, Tensor):
            self._share.fill_(1 - EMA_DECAY)
        return self._out

    def _centred(self, h: Float[Tensor, "stream input sample"]) -> Float[Tensor, "net input 1"]:
        """h - mean, and the mean."""
        means = h.mean(-1, keepdim=True)
        if self._shared is None:
            torch.sub(h, means, out=self._normal)
            return means
        mean = torch.empty_like(self.mean)
        for run in self._shared.runs:
            run.own(mean).copy_(run.read(means))
            torch.sub(run.read(h), run.read(means), out=run.own(self._normal))
        return mean

    def _follow(self, average: Tensor, new: Tensor) -> None:
        if self._first:
            average.copy_(new)
        else:
            average.add_(new.sub_(average).mul_(self._share))

    def backward(self, d: Float[Tensor, "net input sample"], to_inputs: bool) -> None:
        """Moves gamma and beta by `d`, the slope by the result; `d` becomes that by the inputs, if asked."""
        d_beta = d.sum(-1, keepdim=True)
        d_gamma = torch.mul(d, self._normal, out=self._out).sum(-1, keepdim=True)
        if to_inputs:
            d.sub_(d_beta / self._batch).sub_(self._normal.mul_(d_gamma / self._batch))
            d.mul_(self._rate.mul_(self._gamma.value))
        self._gamma.add(d_gamma)
        self._beta.add(d_beta)


def buffer(like: Tensor, nets: int, inputs: int, batch: int, inputs_first: bool) -> Float[Tensor, "net input sample"]:
    """[net, input, sample] of the dtype and device of `like`; unless `inputs_first` in memory as the inputs x [net, sample, input]."""
    return layout.empty(like, nets, inputs, batch) if inputs_first else layout.empty(like, nets, batch, inputs).mT
