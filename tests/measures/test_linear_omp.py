"""Laws of linear_omp: the linear model of as many weights, by a slow pursuit and by least squares; known digits."""

import math

import numpy as np
import pytest
import torch
from data import dataset_files

from impray.data import open_pack
from impray.data.planted import true_weights
from impray.measures import linear_omp, readings_of
from impray.measures.state import RoundState
from impray.nets.mlp import Architecture
from impray.spec import measure as spec
from impray.spec.data import Digits, Idx, ImageCoordinates, Linear, Planted

CPU = torch.device("cpu")


class Given:
    def __init__(self, training, held_out):
        self.training, self.aside, self.asked = training, held_out, 0

    def whole(self, net):
        return self.training

    def held_out(self, net):
        return self.aside


def state_of(data, inputs, counts, problems=()):
    """Nets with a first layer of 3 units that keeps so many weights, and a readout that is pruned too: one weight of it is kept."""
    masks = torch.zeros(len(counts), 3 * inputs, dtype=torch.bool)
    for mask, count in zip(masks, counts, strict=True):
        mask[: count - 1] = True
    first, second = masks.view(-1, 3, inputs), torch.tensor([[[True, False, False]]] * len(counts))
    params = {"weight1": first.double(), "weight2": second.double()}
    arch = Architecture((inputs, 3, 1), "relu", False, False, "trained")
    held_out, whole = data.held_out, data.whole
    masks = {"weight1": first, "weight2": second}
    return RoundState(0, arch, masks, params, None, None, held_out, "mse", [], whole=whole, problems=problems)


def read(state):
    return readings_of(spec.LinearOmp(), state).lineage


def opened(data, nets=3):
    """The same problem for each net."""
    return open_pack([data] * nets, [0] * nets, batch=1, dtype=torch.float64, device=CPU)


def slowly(x, y, count):
    """Features and (constant, weights), one after the other by correlation with the residual."""
    ones, chosen = np.ones((len(x), 1)), []
    for _ in range(min(count, x.shape[1])):
        model = np.hstack([ones, x[:, chosen]])
        residual = y - model @ np.linalg.lstsq(model, y)[0]
        centred = x - x.mean(axis=0)
        lengths = np.linalg.norm(centred, axis=0)
        score = np.abs(centred.T @ residual) / np.where(lengths > 0, lengths, 1)
        score[[*chosen, *np.flatnonzero(lengths == 0)]] = -1
        if score.max() < 0:
            break
        chosen.append(int(score.argmax()))
    model = np.hstack([ones, x[:, chosen]])
    return chosen, np.linalg.lstsq(model, y)[0]


ALL = {
    "digits": Digits(task="three_eight"),
    "image_coordinates": ImageCoordinates(side=12, features=20),
    "planted": Planted(samples=300, inputs_count=9, units=3, nonzero=6, held_out=50),
    "linear": Linear(samples=80, features=12, nonzero=3, noise_scale=0.3, held_out=40),
}


@pytest.mark.parametrize("kind", [*ALL, "idx"])
def test_it_is_a_pursuit_one_feature_after_the_other(kind, tmp_path):
    data = ALL.get(kind)
    if data is None:
        dataset_files.idx(tmp_path, counts=(60, 20), classes=2, sides=(4, 5))
        data = Idx(path=str(tmp_path), shape=(4, 5), class_count=2)
    pack = opened(data)
    x, y = (part.numpy() for part in pack.whole(0))
    aside, of_aside = (part.numpy() for part in pack.held_out(0))
    y, of_aside = y.reshape(-1), of_aside.reshape(-1)
    counts = [2, 5, 8]
    found = read(state_of(pack, data.inputs, counts))
    for net, count in enumerate(counts):
        chosen, weights = slowly(x, y, count)
        for suffix, inputs, wanted in (("linear", aside, of_aside), ("train_linear", x, y)):
            outputs = weights[0] + inputs[:, chosen] @ weights[1:]
            error = np.mean((outputs - wanted) ** 2)
            expected = 20 * math.log10(np.abs(y).max()) - 10 * math.log10(error)
            assert found[f"psnr_{suffix}"][net] == pytest.approx(expected, abs=1e-8)
            share = np.mean((outputs > 0.5) == wanted) if kind in ("digits", "idx") else None
            assert found[f"accuracy_{suffix}"][net] == share


def test_with_as_many_weights_as_inputs_it_is_least_squares_with_an_intercept():
    pack, inputs = opened(ALL["planted"]), 9
    x, y = (part.numpy() for part in pack.whole(0))
    model = np.hstack([np.ones((len(x), 1)), x])
    error = np.mean((y - model @ np.linalg.lstsq(model, y)[0]) ** 2)
    expected = 20 * math.log10(np.abs(y).max()) - 10 * math.log10(error)
    assert read(state_of(pack, inputs, [9, 10, 25]))["psnr_train_linear"] == pytest.approx([expected] * 3, abs=1e-9)


def closed_form(weights, signs):
    """Of y = sum_j a_j relu(w_j x), x ~ N(0, I): constant and slope of the best affine function, the mean squared error that it leaves.

    E relu(u) x = w / 2; E relu(u) = |w| / sqrt(2 pi); E relu(u) relu(v) = |w||w'| (sin t + (pi - t) cos t) / (2 pi), t their angle
    (Cho & Saul 2009).
    """
    lengths = np.linalg.norm(weights, axis=1)
    angles = np.arccos(np.clip(weights @ weights.T / np.outer(lengths, lengths), -1, 1))
    square = np.outer(lengths, lengths) * (np.sin(angles) + (np.pi - angles) * np.cos(angles)) / (2 * np.pi)
    constant, slope = signs @ lengths / math.sqrt(2 * np.pi), signs @ weights / 2
    return constant, slope, signs @ square @ signs - constant**2 - slope @ slope


@pytest.mark.parametrize("readout", ["sum", "signed"])
def test_of_a_planted_network_it_is_half_its_weights_added_up(readout):
    """Independent inputs, so the best linear function of s inputs is that of the truth's; s of them are enough."""
    data = Planted(samples=20_000, inputs_count=20, units=4, nonzero=8, held_out=20_000, readout=readout)
    for seed in range(3):
        pack = open_pack([data], [seed], batch=1, dtype=torch.float64, device=CPU)
        (weights,) = true_weights(data, seed)
        signs = np.where(np.arange(4) % 2, -1.0, 1.0) if readout == "signed" else np.ones(4)
        alive = weights.any(axis=1)
        constant, slope, least = closed_form(weights[alive], signs[alive])
        found = read(state_of(pack, 20, [8]))
        peak = 20 * math.log10(pack.whole(0)[1].abs().max())
        for suffix, given in (("linear", pack.held_out(0)), ("train_linear", pack.whole(0))):
            x, y = (part.numpy() for part in given)
            squares = (y.reshape(-1) - constant - x @ slope) ** 2
            share = 10 ** ((peak - found[f"psnr_{suffix}"][0]) / 10) / least
            # The sample's own error of the closed form; and of nine fitted numbers, whose share of the error is about 9 / n each way.
            assert share == pytest.approx(
                1, abs=4 * squares.std() / squares.mean() / math.sqrt(len(y)) + 4 * 9 / len(y)
            )


def test_a_network_that_is_linear_is_found_exactly():
    """relu(w x) - relu(-w x) = w x, of three weights."""
    x = opened(ALL["planted"]).whole(0)[0]
    w = torch.tensor([0, 0.5, 0, 0, -2, 0, 0, 0, 1], dtype=torch.float64)
    y = (torch.relu(x @ w) - torch.relu(-x @ w))[:, None]
    found = read(state_of(Given((x, y), (x, y)), 9, [2, 3, 4]))["psnr_linear"]
    assert found[0] < 40 and min(found[1:]) > 250  # of float64: 10 log10 of its rounding squared is -313


def test_a_shift_of_inputs_or_targets_does_not_matter_and_what_is_constant_is_never_chosen():
    x, y = opened(ALL["planted"]).whole(0)
    constant = torch.full((len(x), 1), 0.1, dtype=torch.float64)

    def errors(inputs, targets):
        given = Given((inputs, targets), (inputs, targets))
        found = read(state_of(given, inputs.shape[1], [2, 4, 9]))["psnr_train_linear"]
        return np.array(found) - 20 * math.log10(float(targets.abs().max()))

    plain = errors(x, y)
    for other in (errors(x + 3, y), errors(x, y - 5), errors(torch.cat([constant, x], dim=1), y)):
        assert other == pytest.approx(plain, abs=1e-9)
    assert np.isposinf(errors(x, torch.ones_like(y))).all() and np.isnan(
        read(state_of(Given((x, 0 * y), (x, y)), 9, [2]))["psnr_train_linear"][0]
    )


def test_digits_are_those_that_are_known():
    """Of a prototype with another division: .903, .989 and .993; a standard error of 360 or 90 images is .016 or .011."""
    for task, count, known in (("even_odd", 20, 0.903), ("three_eight", 20, 0.989), ("zero_one", 5, 0.993)):
        own = [
            read(state_of(opened(Digits(task=task, draw=draw)), 64, [count]))["accuracy_linear"][0] for draw in range(6)
        ]
        assert np.mean(own) == pytest.approx(known, abs=0.02)


def test_it_is_selected_once_per_problem_for_all_counts_and_rounds(monkeypatch):
    calls, joining = [], linear_omp.joining
    monkeypatch.setattr(linear_omp, "joining", lambda problem: calls.append(1) or joining(problem))
    data = opened(ALL["digits"])
    first = state_of(data, 64, [100, 20, 20], problems=["a", "a", "b"])
    found = read(first)
    later = state_of(data, 64, [5], problems=["b"])
    later.of_data = first.of_data
    read(later)
    assert len(calls) == 2
    assert all(values[1] == values[2] for values in found.values())
    assert found == read(state_of(data, 64, [100, 20, 20]))
