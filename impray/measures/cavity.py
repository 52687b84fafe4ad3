"""Cavity score of a weight: what its removal does to the non-Gaussianity of its unit's preactivation.

    lambda_i^(-j)(X) = sum_k W_ik X_k - W_ij X_j                                                    eq. 6
    cavity(W_ij) = +-(kurt(lambda_i^(-j)) - kurt(lambda_i)) / kurt(lambda_i)                        eq. 5
                   + where kurt(lambda_i) > 3, - where it is < 3

Redman, Wang, Ingrosso & Goldt (2025), section 3.3. Positive: further from a Gaussian without the weight. With labels,
eq. 5 within every class and then the mean over classes; the paper averages over classes too, but does not say whether
scores or kurtoses. The bias is left out: it moves no kurtosis. At a kurtosis of exactly 3, which eq. 5 leaves open,
the score is NaN.

How. The paper recomputes a kurtosis per weight. With preactivation L and input x both centred and scaled to variance
1, w the weight in these units, m_pq = E[L^p x^q] and k = m40 the kurtosis, four matrix products give all of them:

    d = E[(L - w x)^2] - 1 = w (w - 2 m11)
    kurt^(-j) - k = (w (4 E[(k L - L^3) x] + w (E[(6 L^2 - 2 k) x^2] + w (-4 m13 + w m04))) - k d^2) / (1 + d)^2

m31 and k m11 nearly cancel (for a Gaussian L altogether), so their difference is summed over samples, not the other
way round. Centring is in float64. Where a weight carries more than half of its unit's variance, 1 + d and the
numerator cancel as well: these weights, few unless almost all are pruned, are recomputed by eq. 6 in float64. A class
is read twice: k comes first. Units go block by block, so that what is combined stays in a CPU's cache.

Precision: with float32 weights the RMS error is 1e-6 of the scores' standard deviation, up to 2e-5 where kurtosis is
in the hundreds; with float64 weights 1e-12.
Limits: the kurtosis is the sample's: never above the number of samples n, low in small classes, fixed for 2 or 3.
Blind spot: at a kurtosis of exactly 3 the sign is undefined, and a Gaussian's sample kurtosis scatters about 3 by
sqrt(24 / n). The scores of Gaussian data are noise that shrinks with the sample: read a score beside a Gaussian
clone's, or beside that of half of the inputs. The sign is the unit's own: a removal that carries the kurtosis across 3
and as far beyond counts as more Gaussian. In units with very few inputs scores can be as large as n.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from impray.measures.scale import power_of_two, scaled
from impray.spec.errors import ShapeError

_UNITS = 128  # at a time
_SAMPLES = 1024  # at a time; with more in a class, powers of the inputs are made anew for every block of units, so ...
_STORED = 2**25  # ... as many units at a time as have so many preactivations (128 MiB in float32)
_CENTRED = 64  # samples at a time, as float64 is twice as large
# What varies less is constant up to rounding: a preactivation, relative to sum |w_j| std(x_j); an input (centred in
# float64), relative to its largest magnitude.
_CONSTANT = 1e-6
_CONSTANT_INPUT = 1e-12
# Inputs, and weights on standardised inputs, from whose inverse to which the type holds all that is made of them.
_ORDINARY = {torch.float32: 2.0**60, torch.float64: 2.0**200}
_DOMINANT = 0.5  # of the variance left, or less: recomputed (rounding grows as the inverse square of what is left)
_PAIRS = 4096  # recomputed at a time

_Group = slice | Tensor  # the samples of one class


class _Powers(NamedTuple):
    x: Float[Tensor, "few input"]
    square: Float[Tensor, "few input"]
    cube: Float[Tensor, "few input"]


class _Inputs:
    """Inputs of one class, centred and scaled to variance 1 (constant ones to 0), some samples at a time."""

    def __init__(self, values: Float[Tensor, "sample input"], dtype: torch.dtype) -> None:
        # All by one factor: no score changes, and constant inputs stay constant.
        low, high = values.aminmax()
        size = power_of_two(torch.maximum(-low, high).double(), _ORDINARY[dtype])
        values = values if size == 1 else values / size
        self.values, self.dtype = values, dtype
        # In blocks, as torch makes a float64 copy of what it sums.
        sums = [block.sum(dim=0, dtype=torch.float64) for block in values.split(_SAMPLES)]
        self.mean = torch.stack(sums).sum(dim=0) / len(values)
        square, fourth, largest = self.mean.new_zeros(3, len(self.mean))
        for block in values.split(_CENTRED):
            squares = (block - self.mean).square_()
            square += squares.sum(dim=0) / len(values)
            fourth += squares.square_().sum(dim=0) / len(values)
            largest = torch.maximum(largest, block.abs().amax(dim=0))
        varies = square > (_CONSTANT_INPUT * largest).square()
        self.deviation = torch.where(varies, square.sqrt(), 0.0)
        self.inverse = torch.where(varies, square.rsqrt(), 0.0)
        self.fourth = torch.where(varies, fourth / square.square(), 0.0).to(dtype)  # m04
        self._only = self._powers(values) if len(values) <= _SAMPLES else None  # the only block

    @property
    def samples(self) -> int:
        return len(self.values)

    @property
    def units_at_a_time(self) -> int:
        return _UNITS if self._only is not None else min(max(_UNITS, _STORED // self.samples), 8 * _UNITS)

    def powers(self) -> Iterator[_Powers]:
        if self._only is not None:
            yield self._only
        else:
            yield from map(self._powers, self.values.split(_SAMPLES))

    def standardised(self, block: Float[Tensor, "few input"]) -> Float[Tensor, "few input"]:
        """Samples of the class in float64."""
        return (block - self.mean).mul_(self.inverse)

    def _powers(self, block: Float[Tensor, "few input"]) -> _Powers:
        x = torch.cat([self.standardised(few).to(self.dtype) for few in block.split(_CENTRED)])
        square = x.square()
        return _Powers(x, square, square * x)


class _Work(NamedTuple):
    """One number per weight of some units each, reused for all units and classes: fresh memory costs more than sums."""

    w: Float[Tensor, "unit input"]
    first: Float[Tensor, "unit input"]
    linear: Float[Tensor, "unit input"]
    square: Float[Tensor, "unit input"]
    cube: Float[Tensor, "unit input"]

    def rows(self, start: int, stop: int) -> _Work:
        return _Work(*(buffer[start:stop] for buffer in self))


class _Preactivations(NamedTuple):
    blocks: list[Float[Tensor, "unit few"]]  # centred; not yet scaled
    inverse: Float[Tensor, "unit 1"]  # 1 / standard deviation; NaN: constant
    kurtosis: Float[Tensor, "unit 1"]


def _preactivations(
    w: Float[Tensor, "unit input"], inputs: _Inputs, scratch: Float[Tensor, "unit input"]
) -> _Preactivations:
    """Of weights `w` on standardised inputs, within one class; moments in float64."""
    blocks = [w @ power.x.T for power in inputs.powers()]
    square, fourth = torch.zeros(2, len(w), 1, dtype=torch.float64, device=w.device)
    for block in blocks:
        squares = block.double().square()
        square += squares.sum(dim=1, keepdim=True) / inputs.samples
        fourth += squares.square_().sum(dim=1, keepdim=True) / inputs.samples
    floor = (_CONSTANT * torch.abs(w, out=scratch).sum(dim=1, keepdim=True).double()).square()
    variance = torch.where(square > floor, square, torch.nan)
    return _Preactivations(blocks, variance.rsqrt(), fourth / variance.square())


def _products(preactivations: _Preactivations, inputs: _Inputs, work: _Work) -> None:
    """The four matrix products, with the factors they have in the polynomial, into `work`."""
    for number, (block, power) in enumerate(zip(preactivations.blocks, inputs.powers(), strict=True)):
        # In float64 up to here, so that no rounding is common to all samples.
        part = block.double() * preactivations.inverse
        share = part / inputs.samples
        square = part * share
        linear = (preactivations.kurtosis * share).addcmul_(square, part, value=-1)
        square = (3 * square).sub_(preactivations.kurtosis / inputs.samples)
        share, linear, square = (of_sample.to(work.w.dtype) for of_sample in (share, linear, square))
        beta = 0 if number == 0 else 1
        work.first.addmm_(share, power.x, beta=beta, alpha=-2)
        work.linear.addmm_(linear, power.x, beta=beta, alpha=4)
        work.square.addmm_(square, power.square, beta=beta, alpha=2)
        work.cube.addmm_(share, power.cube, beta=beta, alpha=-4)


def _combine(
    weight: Float[Tensor, "unit input"], inputs: _Inputs, kurtosis: Float[Tensor, "unit 1"], work: _Work
) -> Float[Tensor, "unit input"]:
    """kurt^(-j) - kurt, in place in `work.linear`."""
    w, first, linear, square, cube = work
    linear.addcmul_(w, square.addcmul_(w, cube.addcmul_(w, inputs.fourth))).mul_(w)
    change = first.add_(w).mul_(w)
    linear.addcmul_(torch.mul(change, change, out=cube), -kurtosis.to(w.dtype))
    left = change.add_(1)
    dominated = (left.amin(dim=1) < _DOMINANT).nonzero()[:, 0]
    pairs = (left[dominated] < _DOMINANT).nonzero() if len(dominated) else dominated.new_empty(0, 2)
    linear.div_(left.square_())
    for start in range(0, len(pairs), _PAIRS):
        row, at = pairs[start : start + _PAIRS].unbind(1)
        unit = dominated[row]
        linear[unit, at] = (_recomputed(weight, inputs, unit, at) - kurtosis[unit, 0]).to(linear.dtype)
    return linear


def _recomputed(
    weight: Float[Tensor, "unit input"], inputs: _Inputs, unit: Int[Tensor, " pair"], at: Int[Tensor, " pair"]
) -> Float[Tensor, " pair"]:
    """Kurtosis of `unit` without its weight from input `at`, by eq. 6 in float64; NaN where nothing varies any more."""
    few, place = unit.unique(return_inverse=True)
    w, _ = scaled(weight[few].double(), 1)
    w, _ = scaled(w * inputs.deviation, 1)
    removed = w[place, at][:, None]
    square, fourth = w.new_zeros(2, len(unit))
    for block in inputs.values.split(_SAMPLES):
        x = inputs.standardised(block)
        squares = ((w @ x.T)[place] - removed * x.T[at]).square_()
        square += squares.sum(dim=1) / inputs.samples
        fourth += squares.square_().sum(dim=1) / inputs.samples
    floor = (_CONSTANT * w.abs().sum(dim=1)[place]).square()
    return torch.where(square > floor, fourth / square.square(), torch.nan)


def _on_standardised_inputs(
    weight: Float[Tensor, "unit input"],
    inputs: _Inputs,
    out: Float[Tensor, "unit input"],
    scratch: Float[Tensor, "unit input"],
) -> None:
    """Weights times standard deviations; a unit's together by a power of two where they would leave their type: no score changes."""
    deviation, ordinary = inputs.deviation.to(weight.dtype), _ORDINARY[weight.dtype]
    largest = torch.abs(torch.mul(weight, deviation, out=out), out=scratch).amax(dim=1)
    beyond = ~((largest >= 1 / ordinary) & (largest <= ordinary))
    if bool(beyond.any()):
        product = scaled(weight[beyond].double(), 1)[0] * deviation
        out[beyond] = (product / power_of_two(product.abs().amax(dim=1, keepdim=True), ordinary)).to(out.dtype)


def _add_class(
    total: Float[Tensor, "unit input"], weight: Float[Tensor, "unit input"], inputs: _Inputs, work: _Work
) -> None:
    """Add the scores within one class to `total`, those of some units."""
    work = work.rows(0, len(weight))
    _on_standardised_inputs(weight, inputs, work.w, work.first)
    preactivations = _preactivations(work.w, inputs, work.first)
    work.w.mul_(preactivations.inverse.to(weight.dtype))
    _products(preactivations, inputs, work)
    for start in range(0, len(weight), _UNITS):
        few = slice(start, start + _UNITS)
        kurtosis = preactivations.kurtosis[few]
        sign = torch.where(kurtosis == 3, torch.nan, (kurtosis - 3).sign())
        change = _combine(weight[few], inputs, kurtosis, work.rows(start, start + _UNITS))
        total[few].addcmul_(change, (sign / kurtosis).to(change.dtype))


def _one_net(
    weight: Float[Tensor, "unit input"], inputs: Float[Tensor, "sample input"], groups: list[_Group]
) -> Float[Tensor, "unit input"]:
    """Scores of one net. Products round by where a matrix starts (`impray.nets.layout`): here in buffers of its own."""
    weight = weight.to(torch.promote_types(weight.dtype, torch.float32))
    total = weight.new_zeros(weight.shape)
    work = None
    for group in groups:
        of_class = _Inputs(inputs[group], weight.dtype)
        units = min(of_class.units_at_a_time, len(weight))
        if work is None or len(work.w) < units:
            work = _Work(*(weight.new_empty(units, weight.shape[1]) for _ in _Work._fields))
        for start in range(0, len(weight), units):
            _add_class(total[start : start + units], weight[start : start + units], of_class, work)
    return total / len(groups)


def _groups(labels: Int[Tensor, " sample"] | None) -> list[_Group]:
    """Where each class's samples are: slices if labels are sorted, else indices in the same order."""
    if labels is None:
        return [slice(None)]
    ends = list(accumulate(labels.unique(return_counts=True)[1].tolist()))
    slices = [slice(start, end) for start, end in zip([0, *ends[:-1]], ends, strict=True)]
    if (labels[1:] >= labels[:-1]).all():
        return [*slices]
    order = labels.argsort(stable=True)
    return [order[part] for part in slices]


def _check(weight: Tensor, inputs: Tensor, labels: Tensor | None) -> None:
    given = f"weight {tuple(weight.shape)} (*net, unit, input), inputs {tuple(inputs.shape)} (sample, input)"
    if weight.ndim < 2 or inputs.ndim != 2 or weight.shape[-1] != inputs.shape[-1]:
        raise ShapeError(f"{given}: the last axes of both must be the same inputs")
    if labels is not None and labels.shape != inputs.shape[:1]:
        raise ShapeError(f"labels {tuple(labels.shape)} for {given}: one label for each sample")


@torch.no_grad()
def cavity_scores(
    weight: Float[Tensor, "*net unit input"],
    inputs: Float[Tensor, "sample input"],
    labels: Int[Tensor, " sample"] | None = None,
) -> Float[Tensor, "*net unit input"]:
    """Cavity score of every weight, Redman et al. (2025), eq. 5 and 6.

    Args:    weight: after the mask, of one or more nets that see the same inputs.
             inputs: what the units read (eq. 3's X~); neither centred nor scaled beforehand.
             labels: of the inputs: scores within every class, averaged over the classes present. None: one class.
    Returns: relative change of the unit's kurtosis, in the weights' dtype, in (-n, n) for n samples; 0 for a weight of 0
             and for a constant input. A net's scores are bit for bit the same beside any others.
             NaN where undefined in any class: a preactivation that is constant, with the weight (then the whole
             unit, weights of 0 too) or without it, that is below 1e-6 of sum |w_j| std(x_j), as that of a single sample is;
             a kurtosis of exactly 3; no samples.
    Raises:  ShapeError: the inputs or labels do not fit.
    """
    _check(weight, inputs, labels)
    if len(inputs) == 0 or weight.numel() == 0:
        return torch.full_like(weight, torch.nan)
    groups = _groups(labels)
    scores = torch.empty_like(weight, memory_format=torch.contiguous_format)
    nets = zip(scores.view(-1, *weight.shape[-2:]), weight.reshape(-1, *weight.shape[-2:]), strict=True)
    for into, net in nets:
        into.copy_(_one_net(net, inputs, groups))
    return scores
