"""How the held-out data fill the input: mean magnitude, variance and kurtosis of each input over samples, and a few samples.

    abs_mean_j = E|x_j|        variance_j = E[(x_j - E x_j)^2]        kurtosis_j = E[(x_j - E x_j)^4] / variance_j^2

E is over all held-out samples, of all classes together; the variance is that of the population. x is what the network is
given, before its batch norm. A number of a lineage is the mean over inputs; constant inputs have no kurtosis and are left
out of its mean.

A mixture of classes has another kurtosis than the classes have: pooled, the crops of the ten shipped photographs have an excess
of -0.3 and their Gaussian clone one of 1.2. So it is also taken within each class that has 8 different samples or more, averaged
over inputs (`input_kurtosis_by_class`; the excess is that minus 3), and its median over classes: there the clone has 0, six
photographs are negative (to -1.6) and three are far above (7, 14, 23).

Source: ours, to see what data a lineage was given (Fig. 3A of Redman et al. 2025 shows samples).
Blind spot: inputs one at a time. A Gaussian clone and its natural images agree in abs_mean and variance, and a kurtosis of 3
does not make the inputs jointly Gaussian.

Nothing here depends on the round, or on the network: it is computed once per process for every distinct set of inputs.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from impray.data.recent import Recent
from impray.measures.forward import PORTION, frequent
from impray.measures.kurtosis import by_class, by_label, kurtosis, median
from impray.measures.scale import scaled
from impray.measures.state import Readings, RoundState, image
from impray.spec import measure as spec

_INPUTS = 32  # at a time: in double precision, 50,000 samples of 3,072 inputs would be 1.2 GB, several times


class Summary(NamedTuple):
    """Of each input over samples, float64 on the CPU."""

    abs_mean: Float[Tensor, " input"]
    variance: Float[Tensor, " input"]
    kurtosis: Float[Tensor, " input"]  # at least 1; NaN for a constant input


def summary(inputs: Float[Tensor, "sample input"]) -> Summary:
    """Mean magnitude, variance and kurtosis of each input over samples."""
    parts = []
    for some in inputs.split(_INPUTS, dim=1):
        x, size = scaled(some.double(), 0)
        # One factor after the other: the square of a size may be infinite where the variance is 0.
        variance = x.var(dim=0, correction=0) * size[0] * size[0]
        parts.append(torch.stack([x.abs().mean(dim=0) * size[0], variance, kurtosis(some)]).cpu())
    return Summary(*torch.cat(parts, dim=1))


def mean_over_inputs(values: Float[Tensor, " input"]) -> Float[Tensor, ""]:
    """The mean of those that are not NaN; NaN if there are none."""
    near_1, size = scaled(values, 0)
    return near_1.nanmean() * size[0]


class Within(NamedTuple):
    """Kurtosis of an input within each class, averaged over the inputs that are not constant there; float64 on the CPU."""

    kurtosis: Float[Tensor, " class"]
    classes: Int[Tensor, " class"]  # those of enough different samples


def within(inputs: Float[Tensor, "sample input"], labels: Int[Tensor, " sample"], *, fresh: bool = False) -> Within:
    """Of classes of enough different samples (`frequent`, which says what `fresh` is); NaN where no input varies."""
    classes = labels[frequent(inputs, labels, fresh=fresh)].unique()
    parts = [by_class(some, labels, classes).cpu() for some in inputs.split(_INPUTS, dim=1)] if len(labels) else []
    of_inputs = torch.cat(parts, dim=1) if parts else torch.empty(0, 1, dtype=torch.float64)
    return Within(of_inputs.nanmean(dim=1), classes.cpu())


def in_turn(labels: Int[Tensor, " sample"], count: int) -> Int[Tensor, " chosen"]:
    """Places of the first sample of each class, then of the second of each class, and so on; at most `count`."""
    by_class = torch.argsort(labels, stable=True)
    sizes = labels.unique(return_counts=True)[1]
    firsts = (sizes.cumsum(0) - sizes).repeat_interleave(sizes)
    turn = torch.arange(len(labels), device=labels.device) - firsts
    return by_class[torch.argsort(turn, stable=True)[:count]]


def measure(asked: spec.Inputs, state: RoundState) -> Readings:
    """Means over inputs in every round; in round 0 the images `abs_mean`, `variance` (their means) and `sample` (its class)."""
    columns: dict[str, list[Tensor]] = {"input_abs_mean": [], "input_variance": [], "input_kurtosis": []}
    medians: list[Tensor] = []
    listed: list[list[float]] = []
    images: list[list[dict]] = []
    for net in range(state.nets):
        inputs, labels = state.held_out(net)
        mine = fingerprint(inputs)
        overall = _SUMMARIES.of(mine, lambda inputs=inputs: summary(inputs))
        for column, values in zip(columns, overall, strict=True):
            columns[column].append(mean_over_inputs(values))
        fresh = state.fresh(net)
        key = mine, fingerprint(labels), fresh
        of_class = _WITHIN.of(
            key, lambda inputs=inputs, labels=labels, fresh=fresh: within(inputs, labels, fresh=fresh)
        )
        defined = of_class.kurtosis[~of_class.kurtosis.isnan()]
        medians.append(median(defined[:, None])[0] if len(defined) else torch.tensor(torch.nan, dtype=torch.float64))
        listed.append(by_label(of_class.kurtosis, of_class.classes, labels))
        if state.round == 0:
            chosen = in_turn(labels, asked.examples)
            images.append(
                [
                    image(overall.abs_mean.reshape(state.data_shape), "abs_mean", 0, float(overall.abs_mean.mean())),
                    image(overall.variance.reshape(state.data_shape), "variance", 0, float(overall.variance.mean())),
                    *(
                        image(inputs[place].reshape(state.data_shape), "sample", number, float(labels[place]))
                        for number, place in enumerate(chosen.tolist())
                    ),
                ]
            )
    numbers = {column: torch.stack(values) for column, values in columns.items()}
    of_classes = {"input_kurtosis_class_median": torch.stack(medians), "input_kurtosis_by_class": listed}
    return Readings(lineage=numbers | of_classes, images=images)


# -- what depends on the held-out inputs only is computed once --------------------------------------------------------------


def fingerprint(inputs: Shaped[Tensor, "*any"]) -> bytes:
    """Identifies inputs by their type, shape and every bit: 0.6 s for 50,000 inputs of 3,072 float32 numbers."""
    hasher = hashlib.blake2b(f"{inputs.dtype} {tuple(inputs.shape)}".encode(), digest_size=16)
    for part in inputs.split(PORTION):
        hasher.update(part.contiguous().cpu().numpy().data)
    return hasher.digest()


_SUMMARIES: Recent[Summary] = Recent()
_WITHIN: Recent[Within] = Recent()
