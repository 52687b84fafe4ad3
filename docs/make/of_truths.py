"""Pictures of measures of problems whose truth is known."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.linear_model import orthogonal_mp_gram

from impray.measures.order import tau_b
from impray.measures.recovery import decibels
from impray.theory.linear import bound_theorem5, spectrum

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#777777"
FEATURES, TRUE, SAMPLES = 16, 5, 40


class Problem:
    """y = phi s + noise, five of sixteen weights not 0; solved by least squares on what is kept.

    shared: standard deviation of what all features have in common; they are independent without it.
    """

    def __init__(self, shared: float = 0.0) -> None:
        draw = np.random.default_rng(4)
        self.phi = draw.standard_normal((SAMPLES, FEATURES)) + shared * draw.standard_normal((SAMPLES, 1))
        self.truth = np.zeros(FEATURES)
        self.truth[:TRUE] = draw.choice([-1.0, 1.0], TRUE)
        self.y = self.phi @ self.truth + 0.8 * draw.standard_normal(SAMPLES)

    def fitted(self, kept: np.ndarray) -> np.ndarray:
        w = np.zeros(FEATURES)
        w[kept] = np.linalg.lstsq(self.phi[:, kept], self.y, rcond=None)[0]
        return w

    def loss(self, w: np.ndarray) -> float:
        return float(((self.phi @ w - self.y) ** 2).mean())

    def imp(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """(kept, weights) of each round; one weight goes in each."""
        kept = np.ones(FEATURES, bool)
        rounds = []
        while kept.any():
            w = self.fitted(kept)
            rounds.append((kept.copy(), w))
            kept[np.where(kept, abs(w), np.inf).argmin()] = False
        return rounds


def supported(figure: Any) -> None:
    problem = Problem()
    kept, w = problem.imp()[FEATURES - TRUE - 1]
    shared = int((kept & (problem.truth != 0)).sum())
    axes = figure.subplots()
    axes.bar(np.arange(FEATURES) - 0.2, problem.truth, 0.4, color=GREY, label="truth")
    axes.bar(np.arange(FEATURES) + 0.2, w, 0.4, color=BLUE, label="trained")
    axes.axhline(0, color=GREY, linewidth=0.6)
    title = f"{int(kept.sum())} weights kept, {shared} of them true: precision {shared / kept.sum():.2f}, recall {shared / TRUE:.2f}"
    axes.set(xlabel="feature", ylabel="weight", title=title)
    axes.legend(frameon=False, loc="center right")


def estimated(figure: Any) -> None:
    problem = Problem()
    rounds = problem.imp()
    error = [np.linalg.norm(w - problem.truth) / np.linalg.norm(problem.truth) for _, w in rounds]
    axes = figure.subplots()
    axes.plot([int(kept.sum()) for kept, _ in rounds], error, "o-", color=BLUE)
    axes.axvline(TRUE, color=GREY, linewidth=0.8)
    axes.set(xlabel="weights left (line: as many as the truth has)", ylabel="estimation_error", ylim=(0, None))
    axes.invert_xaxis()


def ordered(figure: Any) -> None:
    problem = Problem()
    gone = _order(problem)
    places = np.empty(FEATURES)
    places[gone] = np.arange(FEATURES)
    alignment = abs(problem.phi.T @ problem.y)
    axes = figure.subplots()
    true = problem.truth != 0
    axes.scatter(places[~true], alignment[~true], color=BLUE, label="not in the truth")
    axes.scatter(places[true], alignment[true], color=ORANGE, label="in the truth")
    axes.set(xlabel="removal", ylabel="|phi_j^T y|", title=f"order_tau {tau_b(places, alignment):.2f}")
    axes.legend(frameon=False)


def _order(problem: Problem) -> list[int]:
    rounds = problem.imp()
    gone = [int(np.flatnonzero(one & ~other)[0]) for (one, _), (other, _) in zip(rounds, rounds[1:], strict=False)]
    return [*gone, int(np.flatnonzero(rounds[-1][0])[0])]


def removed(figure: Any) -> None:
    problem = Problem()
    left = np.stack([np.where(kept, abs(w), 0) for kept, w in problem.imp()])
    axes = figure.subplots()
    axes.imshow(left, aspect="auto")
    axes.set(
        xlabel=f"feature (0 to {TRUE - 1} are the truth)", ylabel="round", title="size of the weights that are left"
    )


def designed(figure: Any) -> None:
    draw = np.random.default_rng(0)
    lag = abs(np.subtract.outer(np.arange(12), np.arange(12)))
    designs = {"identity": np.eye(12), "toeplitz, rho 0.8": 0.8**lag, "uniform, alpha 0.5": 0.5 * np.eye(12) + 0.5}
    for axes, (name, sigma) in zip(figure.subplots(1, 3), designs.items(), strict=True):
        phi = draw.standard_normal((60, 12)) @ np.linalg.cholesky(sigma).T
        of = spectrum(phi)
        axes.imshow(phi.T @ phi / 60, vmin=0, vmax=1)
        axes.set(
            xticks=[], yticks=[], title=name, xlabel=f"lambda_min {of.lambda_min:.2f}\ncondition {of.condition:.1f}"
        )


def bounded(figure: Any) -> None:
    samples = np.arange(20, 401, 5)
    axes = figure.subplots()
    for least, colour in ((1.0, BLUE), (0.5, ORANGE)):
        bound = [bound_theorem5(int(n), 20, 5, 1.0, 1.0, least) for n in samples]
        axes.plot(samples, bound, color=colour, label=f"lambda_min {least:g}")
    axes.set(xlabel="samples (20 features, 5 true ones, gamma = sigma)", ylabel="bound_theorem5", ylim=(0, 1.05))
    axes.legend(frameon=False)


def just_pruned(figure: Any) -> None:
    problem = Problem(shared=1.5)
    rounds = problem.imp()
    after = [problem.loss(w) for _, w in rounds]
    before = [problem.loss(np.where(kept, w, 0)) for (kept, _), (_, w) in zip(rounds[1:], rounds, strict=False)]
    axes = figure.subplots()
    axes.plot(range(1, FEATURES), before, "o", color=ORANGE, label="just pruned")
    axes.plot(range(FEATURES), after, "o-", color=BLUE, label="trained again")
    axes.set(xlabel="round", ylabel="training loss", yscale="log")
    axes.legend(frameon=False)


def converging(figure: Any) -> None:
    problem = Problem()
    least = problem.loss(problem.fitted(np.ones(FEATURES, bool)))
    w, gap = np.zeros(FEATURES), []
    for _ in range(60):
        loss = problem.loss(w)
        gap.append((loss - least) / loss)
        w -= 0.2 * problem.phi.T @ (problem.phi @ w - problem.y) / SAMPLES
    axes = figure.subplots()
    axes.plot(gap, color=BLUE)
    axes.set(xlabel="updates of gradient descent, at fixed gates", ylabel="optimality_gap", ylim=(0, 1))


def linear(figure: Any) -> None:
    problem, counts = Problem(), np.arange(1, FEATURES + 1)
    gram, projections = problem.phi.T @ problem.phi, problem.phi.T @ problem.y
    psnr = []
    for count in counts:
        w = np.asarray(orthogonal_mp_gram(gram, projections, n_nonzero_coefs=int(count)))
        psnr.append(decibels(float(abs(problem.y).max()), problem.loss(w)))
    axes = figure.subplots()
    axes.plot(counts, psnr, "o-", color=BLUE)
    axes.axvline(TRUE, color=GREY, linewidth=0.8)
    axes.set(xlabel="weights (line: as many as the truth has)", ylabel="psnr_train_linear (dB)")


PICTURES = [
    ("linear_omp", "the PSNR of linear OMP with more and more weights", linear, 2.2),
    ("support", "true and trained weights, one more of them than the truth has", supported, 2.4),
    ("estimation", "the error of the trained weights as weights go", estimated, 2.2),
    ("order", "the order of removal against the alignment with the target", ordered, 2.4),
    ("removals", "the weights that are left, round by round", removed, 2.4),
    ("design", "the covariance of three samples", designed, 2.2),
    ("theorem5", "the bound against the number of samples", bounded, 2.2),
    ("pruned", "the loss just after pruning, and after training again", just_pruned, 2.4),
    ("optimality_gap", "the gap of gradient descent, update by update", converging, 2.2),
]
