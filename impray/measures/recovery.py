"""How well a trained network fits numbers, the gates of its first layer, and what its solver says of itself.

    psnr = 20 log10 max|y| - 10 log10 mean (f(x) - y)^2        y: the training targets, in both columns
    hamming_min = min over pairs j < k of mean_i [G_ij != G_ik]        trace_min = min over j of mean_i G_ij        G_ij = 1[z_j(x_i) > 0]

Over the training set (psnr: the held-out data; a `reconstruction`: all pixels of an image, with the peak of psnr). Fridovich-Keil &
Pilanci (2025) score planted networks on the training set alone, and images with a peak of 1. With Gaussian inputs the gates are near
angle / pi and 1/2 (`impray.theory.gates`).

Gates are counted exactly: products of zeros and ones in portions that single precision holds. Sums over samples are numpy's, which do
not depend on threads. One net at a time: a number then cannot depend on its neighbours.
Blind spot: psnr's peak is one sample's; where targets have heavy tails it says more of that sample than of the fit.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from impray.data.coordinates import division, picture
from impray.measures.accuracy import share_right
from impray.measures.forward import PORTION
from impray.measures.state import Readings, RoundState, image
from impray.spec import measure as spec
from impray.spec.data import ImageCoordinates

_Inputs = Literal["held_out", "whole"]


def psnr(asked: spec.Psnr, state: RoundState) -> Readings:
    """On held-out data and on the training set, in dB."""
    columns: dict[str, list[float]] = {"psnr": [], "psnr_train": []}
    for net in range(state.nets):
        assert state.whole is not None, "checked before a sweep runs"
        training = state.whole(net)
        peak = _peak(training[1])
        columns["psnr"].append(decibels(peak, _mean_square_error(state, net, "held_out", state.held_out(net)[1])))
        columns["psnr_train"].append(decibels(peak, _mean_square_error(state, net, "whole", training[1])))
    return Readings(lineage={**columns})


def reconstruction(asked: spec.Reconstruction, state: RoundState) -> Readings:
    """Pixels of both sorts at their places in the image. Values are stored as 32-bit floats; the ratio is of the full ones."""
    images: list[list[dict]] = []
    for net in range(state.nets):
        data = state.trials[net].data
        assert state.whole is not None and isinstance(data, ImageCoordinates), "checked before a sweep runs"
        aside, original = division(data), picture(data)
        levels = state.whole(net)[1]
        shown = np.empty(original.size)
        shown[~aside] = _numbers(_outputs(state, net, "whole", len(state.layers)))[:, 0]
        shown[aside] = _numbers(_outputs(state, net, "held_out", len(state.layers)))[:, 0]
        with np.errstate(over="ignore"):  # of a network that diverges: infinite
            error = float(np.mean(np.square(shown - original.ravel())))
        images.append(
            [
                image(torch.from_numpy(original), "original", 0),
                image(
                    torch.from_numpy(shown.reshape(original.shape)), "reconstruction", 0, decibels(_peak(levels), error)
                ),
            ]
        )
    return Readings(images=images)


def _peak(targets: Tensor) -> float:
    return float(np.abs(_numbers(targets)).max(initial=0))


def decibels(peak: float, error: float) -> float:
    """Peak signal-to-noise ratio of a mean squared error, in dB."""
    if peak == 0 or math.isnan(error):
        return math.nan
    if error in (0.0, math.inf):
        return math.inf if error == 0 else -math.inf
    return 20 * math.log10(peak) - 10 * math.log10(error)


def _mean_square_error(state: RoundState, net: int, inputs: _Inputs, targets: Tensor) -> float:
    outputs = _numbers(_outputs(state, net, inputs, len(state.layers)))
    with np.errstate(over="ignore"):  # of a network that diverges: infinite
        return float(np.mean(np.square(outputs - _numbers(targets)))) if len(outputs) else math.nan


def _numbers(values: Tensor) -> Float[np.ndarray, "sample output"]:
    """float64, labels as one column."""
    return values.reshape(len(values), -1).detach().cpu().double().numpy()


def _outputs(state: RoundState, net: int, inputs: _Inputs, layer: int) -> Float[Tensor, "sample unit"]:
    return state.passes.read(state, net, [layer], inputs)[0]


def training_accuracy(asked: spec.TrainingAccuracy, state: RoundState) -> Readings:
    """As `impray.measures.accuracy.accuracy`, of the training set."""
    shares = []
    for net in range(state.nets):
        assert state.whole is not None, "checked before a sweep runs"
        shares.append(float(share_right(_outputs(state, net, "whole", len(state.layers)), state.whole(net)[1])))
    return Readings(lineage={"accuracy_train": shares})


def gates(asked: spec.Gates, state: RoundState) -> Readings:
    """Over the training inputs, of the units of layer 1 with a weight left."""
    columns: dict[str, list[float]] = {"hamming_min": [], "trace_min": []}
    alive = _alive(state, 1)
    for net in range(state.nets):
        assert state.whole is not None, "checked before a sweep runs"
        open_ = _outputs(state, net, "whole", 1)[:, alive[net]] > 0
        hamming, trace = shares(open_)
        pairs = hamming[np.triu_indices(len(trace), 1)]
        columns["hamming_min"].append(float(pairs.min()) if len(pairs) else math.nan)
        columns["trace_min"].append(float(trace.min()) if len(trace) else math.nan)
    return Readings(lineage={**columns})


def shares(open_: Bool[Tensor, "sample unit"]) -> tuple[Float[np.ndarray, "unit unit"], Float[np.ndarray, " unit"]]:
    """Share of samples on which two gates differ, and on which each is open; exact. NaN: there are no samples."""
    samples, units = open_.shape
    both = torch.zeros(units, units, dtype=torch.int64)
    for part in open_.split(PORTION):
        ones = part.to(torch.float32)  # sums up to 4,096 are whole numbers in it
        both += (ones.mT @ ones).cpu().long()
    counts = both.numpy()
    alone = counts.diagonal()
    with np.errstate(invalid="ignore"):
        return (alone[:, None] + alone - 2 * counts) / np.float64(samples), alone / np.float64(samples)


def units_alive(asked: spec.UnitsAlive, state: RoundState) -> Readings:
    """Of all hidden layers."""
    counts = sum(_alive(state, layer.number).sum(dim=1) for layer in state.hidden)
    assert isinstance(counts, Tensor), "checked before a sweep runs: there is a hidden layer"
    return Readings(lineage={"units_alive": counts.cpu()})


def _alive(state: RoundState, layer: int) -> Bool[Tensor, "net unit"]:
    """Units with an incoming weight that is kept and not 0."""
    return (state.mask(layer) & (state.weights(layer, "end") != 0)).any(dim=2)


def solver(asked: spec.Solver, state: RoundState) -> Readings:
    """As the solver told it, or of a network that was trained the bytes that its training held. None: nobody knows."""
    facts = state.facts or [{}] * state.nets
    if state.held is not None:
        held = [state.held(net) for net in range(state.nets)]
        facts = [
            of_net if count is None else {"optimizer_bytes": count, **of_net}
            for of_net, count in zip(facts, held, strict=True)
        ]
    kinds = {"int": int, "float": float}

    def told(name: str, kind: str) -> list[int | float | None]:
        return [kinds[kind](of_net[name]) if name in of_net else None for of_net in facts]

    return Readings(lineage={column.name: told(column.name, column.type) for column in asked.lineage_columns})
