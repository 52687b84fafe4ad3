"""Pictures of measures that read samples, outputs and the course of training."""

from __future__ import annotations

from typing import Any

import numpy as np
import sklearn.datasets
import torch

from impray.measures.cavity import cavity_scores
from impray.measures.components import fit
from impray.measures.inputs import summary
from impray.measures.kurtosis import kurtosis
from impray.measures.recovery import decibels
from impray.spec.data import Nlgp
from impray.theory.localization import flow as by_theory
from impray.theory.ring import ipr
from impray.training.memory import bytes_of

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#777777"


def _laws(samples: int) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(0)
    return {
        "binary": draw.choice([-1.0, 1.0], samples) + 0.1 * draw.standard_normal(samples),
        "uniform": draw.uniform(-1.7, 1.7, samples),
        "Gaussian": draw.standard_normal(samples),
        "Laplace": draw.laplace(size=samples) / np.sqrt(2),
    }


def kurtoses(figure: Any) -> None:
    laws = _laws(20_000)
    for axes, (name, values) in zip(figure.subplots(1, len(laws)), laws.items(), strict=True):
        axes.hist(values, bins=np.linspace(-4, 4, 61), color=BLUE)
        number = float(kurtosis(torch.tensor(values)[:, None])[0])
        axes.set(yticks=[], title=name, xlabel=f"kurtosis {number:.2f}")


def cavities(figure: Any) -> None:
    draw = np.random.default_rng(0)
    inputs = draw.standard_normal((20_000, 12))
    inputs[:, 0] = draw.laplace(size=20_000) * np.sqrt(2)
    scores = cavity_scores(torch.ones(1, 12, dtype=torch.float64), torch.tensor(inputs))[0].numpy()
    axes = figure.subplots()
    axes.bar(range(12), scores, color=[ORANGE] + [BLUE] * 11)
    axes.axhline(0, color=GREY, linewidth=0.6)
    axes.set(
        xlabel="input, all with the same weight: one heavy-tailed and twice as large (orange), eleven Gaussian",
        ylabel="cavity score",
    )


def found_components(figure: Any) -> None:
    draw = np.random.default_rng(0)
    place = np.arange(40)
    filters = np.stack([np.exp(-((place - centre) ** 2) / 8.0) for centre in (8, 20, 32)])
    inputs = draw.laplace(size=(4000, 3)) @ filters + 0.02 * draw.standard_normal((4000, 40))
    found = fit(torch.tensor(inputs), 3)
    for axes, lines, name in zip(
        figure.subplots(1, 3), (filters, found.pca, found.ica), ("made from", "PCA", "ICA"), strict=True
    ):
        axes.plot(np.asarray(lines).T / np.abs(np.asarray(lines)).max(), color=BLUE)
        axes.set(xticks=[], yticks=[], title=name, xlabel="input")


def filled(figure: Any) -> None:
    laws = _laws(4 * 144)
    for axes, (name, values) in zip(figure.subplots(1, len(laws)), laws.items(), strict=True):
        of = summary(torch.tensor(values.reshape(-1, 1)))
        axes.imshow(values[:144].reshape(12, 12), vmin=-2.5, vmax=2.5)
        axes.set(
            xticks=[],
            yticks=[],
            title=name,
            xlabel=f"mean |x| {float(of.abs_mean[0]):.2f}\nkurtosis {float(of.kurtosis[0]):.2f}",
        )


def opened(figure: Any) -> None:
    draw = np.random.default_rng(0)
    weights = draw.standard_normal((5, 8))
    weights[4] = weights[3] + 0.3 * draw.standard_normal(8)
    gates = weights @ draw.standard_normal((8, 60)) > 0
    apart = (gates[:, None] != gates[None]).mean(-1) + np.eye(5)
    axes = figure.subplots()
    axes.imshow(gates, aspect="auto", vmax=1.3)
    title = f"hamming_min {apart.min():.2f} (the last two units), trace_min {gates.mean(1).min():.2f}"
    axes.set(xlabel="training input", ylabel="unit", xticks=[], yticks=range(5), title=title)


def by_noise(figure: Any) -> None:
    image = np.asarray(sklearn.datasets.load_digits(return_X_y=True)[0])[0].reshape(8, 8) / 16
    draw = np.random.default_rng(0)
    for axes, size in zip(figure.subplots(1, 5), (0, 0.03, 0.1, 0.2, 0.4), strict=True):
        fitted = image + size * draw.standard_normal(image.shape)
        number = decibels(float(image.max()), float(((fitted - image) ** 2).mean()))
        axes.imshow(fitted, vmin=0, vmax=1)
        axes.set(xticks=[], yticks=[], xlabel=f"{number:.1f} dB")


def right(figure: Any) -> None:
    margin = np.linspace(-3, 3, 301)
    axes = figure.subplots()
    axes.plot(margin, (margin > 0).astype(float), color=BLUE)
    axes.set(xlabel="output of the right class minus the largest other output", ylabel="counts as right", yticks=[0, 1])


def lost(figure: Any) -> None:
    margin = np.linspace(-3, 3, 301)
    left, other = figure.subplots(1, 2)
    left.plot(margin, np.log1p(np.exp(-margin)), color=BLUE)
    left.set(xlabel="margin, two classes", ylabel="nats", title="cross_entropy")
    other.plot(margin, margin**2, color=BLUE)
    other.set(xlabel="output minus target", title="mse")


def _course() -> tuple[np.ndarray, np.ndarray]:
    """Times, and the weights [time, input] that the theory gives a neuron on nearly binary inputs."""
    stimulus = Nlgp(kind="nlgp", shape=(40,), gain=10.0, xi=(0.3, 0.7))
    start = 0.01 * np.random.default_rng(3).standard_normal(40)
    times = np.linspace(0, 60, 31)
    return times, by_theory(stimulus, start, times)


def coursed(figure: Any) -> None:
    times, weights = _course()
    field, line = figure.subplots(1, 2)
    field.imshow(
        weights.T,
        aspect="auto",
        extent=(0, times[-1], 39, 0),
        cmap="RdBu_r",
        vmin=-abs(weights).max(),
        vmax=abs(weights).max(),
    )
    field.set(xlabel="learning rate x updates", ylabel="input", title="weights")
    line.plot(times, ipr(weights), color=BLUE)
    line.set(xlabel="learning rate x updates", title="ipr", ylim=(0, 1))


def predicted(figure: Any) -> None:
    times, weights = _course()
    for axes, step in zip(figure.subplots(1, 4), (0, 6, 12, 30), strict=True):
        axes.plot(weights[step] / np.abs(weights[step]).max(), color=BLUE)
        axes.set(
            xticks=[],
            yticks=[],
            title=f"t = {times[step]:.0f}",
            xlabel=f"peak at {int(np.abs(weights[step]).argmax())}",
        )


def by_heart(figure: Any) -> None:
    draw = np.random.default_rng(0)
    x = draw.standard_normal((400, 60))
    labels = (x[:, :3].sum(1) + 1.5 * draw.standard_normal(400) > 0).astype(float)
    counts = np.arange(2, 61, 2)
    scores: dict[str, list[float]] = {"training_accuracy": [], "accuracy": []}
    for count in counts:
        w = np.linalg.lstsq(x[:80, :count], labels[:80] - 0.5, rcond=None)[0]
        right_ones = (x[:, :count] @ w > 0) == (labels > 0)
        scores["training_accuracy"].append(right_ones[:80].mean())
        scores["accuracy"].append(right_ones[80:].mean())
    axes = figure.subplots()
    for (name, values), colour in zip(scores.items(), (ORANGE, BLUE), strict=True):
        axes.plot(counts, values, color=colour, label=name)
    axes.set(
        xlabel="inputs of a linear model, three of which decide the class; 80 training samples",
        ylabel="share",
        ylim=(0.5, 1),
    )
    axes.legend(frameon=False)


def reconstructed(figure: Any) -> None:
    image = np.asarray(sklearn.datasets.load_digits(return_X_y=True)[0])[0].reshape(8, 8) / 16
    waves = np.fft.fft2(image)
    sizes = np.sort(abs(waves).ravel())[::-1]
    for axes, count in zip(figure.subplots(1, 5), (64, 33, 17, 9, 3), strict=True):
        fitted = np.fft.ifft2(np.where(abs(waves) >= sizes[count - 1] - 1e-9, waves, 0)).real
        error = float(((fitted - image) ** 2).mean())
        axes.imshow(fitted, vmin=0, vmax=1)
        words = "original" if count == 64 else f"{decibels(float(image.max()), error):.1f} dB"
        axes.set(xticks=[], yticks=[], xlabel=words)


def held(figure: Any) -> None:
    sizes = {"weight1": (32, 144), "bias1": (32,), "weight2": (2, 32), "bias2": (2,)}
    weights = {name: torch.zeros(size) for name, size in sizes.items()}
    masks = {"weight1": torch.zeros(sizes["weight1"], dtype=torch.bool)}
    parts = {"weights": weights, "masks": masks, "gradients": dict(weights), "Adam's moments": [weights, weights]}
    bytes_held = {name: bytes_of(part) * (2 if name == "Adam's moments" else 1) for name, part in parts.items()}
    axes = figure.subplots()
    bars = axes.barh(list(bytes_held), list(bytes_held.values()), color=BLUE)
    axes.bar_label(bars, fmt="{:,.0f}", padding=3)
    axes.set(xlabel="bytes of a network 144:32:2, without a batch's buffers", xlim=(0, 1.2 * max(bytes_held.values())))
    axes.invert_yaxis()


PICTURES = [
    ("training_accuracy", "accuracy on training and on held-out samples as a model grows", by_heart, 2.2),
    ("reconstruction", "a digit from fewer and fewer waves", reconstructed),
    ("solver", "the bytes that training a small network by Adam holds", held, 2.2),
    ("kurtosis", "four laws of a preactivation and their kurtosis", kurtoses),
    ("cavity", "cavity scores of a unit with one heavy-tailed input", cavities, 2.2),
    ("components", "three filters, and what PCA and ICA find of them", found_components),
    ("inputs", "inputs of four laws, with their mean size and kurtosis", filled),
    ("gates", "gates of five units over sixty inputs", opened, 2.2),
    ("psnr", "a digit with more and more noise", by_noise),
    ("accuracy", "accuracy counts the sign of the margin", right),
    ("loss", "the two losses", lost, 2.2),
    ("course", "a neuron's weights and IPR over the time of training, by theory", coursed, 2.2),
    ("flow", "the field that eq. 5 predicts, at four times", predicted),
]
