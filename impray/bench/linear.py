"""Whole paths of imp in linear models, against loops that train every round by itself; and a sweep of a thousand problems, tables included.

    p = 100 features, n = 400 samples, one weight per round, 90 rounds, 256 problems; 64 at a time, as sweeps solve them

Each reference is the loop that one would write: fit what is left, drop the smallest |w|. `lstsq` fits the samples; `solve` makes
Sigma and phi^T y once per problem and solves what is left of them, which is the cheapest without downdates, and exact enough at this
condition. Ours gives the order of removal, too. In turns, in this process, on one thread.

Blind spot: independent features, so that nothing is ever made anew; ill-conditioned designs are slower (`impray.training.linear.factors`).
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from rich.console import Console
from threadpoolctl import threadpool_limits

from impray.data.linear import Problem, problem
from impray.scratch import scratch
from impray.service import driver
from impray.service.here import LocalPool
from impray.service.progress import Progress
from impray.spec.sweep import Sweep
from impray.spec.trial import Trial
from impray.training.solver import SOLVERS, Block

PROBLEMS, AT_ONCE, FEATURES, ROUNDS = 256, 64, 100, 90
RUNS = 5
_PATHS: dict[str, Any] = {
    "question": "how long does a path take?",
    "trial": {
        "data": {"kind": "linear", "samples": 400, "features": FEATURES, "nonzero": 10, "noise_scale": 0.5},
        "net": {"kind": "linear"},
        "train": {"optimizer": "gradient_flow"},
        "prune": {"remove": 1, "layers": "all"},
    },
    "methods": ["imp"],
    "seeds": PROBLEMS,
    "rounds": ROUNDS,
}
_THEOREM_5: dict[str, Any] = {
    "question": "how often does imp lose a feature of the truth, and what does Theorem 5 allow?",
    "trial": {
        "data": {
            "kind": "linear",
            "samples": 40,
            "features": 20,
            "nonzero": 5,
            "law": "signs",
            "noise_scale": 1.0,
            "held_out": 1,
        },
        "net": {"kind": "linear"},
        "train": {"optimizer": "gradient_flow"},
        "prune": {"remove": 1, "layers": "all"},
    },
    "methods": ["imp", "oneshot", "alignment"],
    "seeds": 1000,
    "rounds": 15,
    "rows_at": "truth",
    "measures": ["support", "theorem5", "design"],
}


def compare_lstsq() -> dict[str, Any]:
    """Seconds of all paths, medians over alternating runs; reference: `lstsq` in every round, on an eighth of the problems, times 8."""
    return _compare("lstsq", _by_lstsq, PROBLEMS // 8)


def compare_solve() -> dict[str, Any]:
    """The same; reference: `solve` on the Gram matrix in every round, on all problems."""
    return _compare("solve", _by_solve, PROBLEMS)


def _compare(name: str, by: Callable[[Problem], np.ndarray], some: int) -> dict[str, Any]:
    trial = Sweep.model_validate(_PATHS).trial
    problems = [problem(trial.data, seed) for seed in range(PROBLEMS)]  # type: ignore[arg-type]  # data of kind linear
    with threadpool_limits(1):
        ours, reference = _paths(trial, problems), np.stack([by(own) for own in problems[:some]])  # and warm
        times = []
        for _ in range(RUNS):
            own_s = _seconds(lambda: _paths(trial, problems))
            reference_s = _seconds(lambda: [by(own) for own in problems[:some]])
            times.append((own_s, reference_s * PROBLEMS / some))
    fast, slow = (statistics.median(side) for side in zip(*times, strict=True))
    same = int(((ours[:some] != 0) == (reference != 0)).all(axis=1).sum())
    scaled = "" if some == PROBLEMS else f"; reference: {some} problems, times {PROBLEMS // some}"
    return {
        "name": f"imp in linear models, {name} in every round",
        "ours": fast,
        "reference": slow,
        "ratio": slow / fast,
        "unit": f"s for {PROBLEMS} problems",
        "note": f"p {FEATURES}, n 400, {ROUNDS} rounds of one weight, one thread, median of {RUNS} runs{scaled}; the same features left in "
        f"{same} of {some} problems, largest error of a weight {np.abs(ours[:some] - reference).max():.1e}",
    }


def _paths(trial: Trial, problems: Sequence[Problem]) -> np.ndarray:
    """Weights after the last round [problem, feature]."""
    counts = trial.prune.counts(FEATURES, ROUNDS)
    parts = []
    for first in range(0, len(problems), AT_ONCE):
        some = problems[first : first + AT_ONCE]
        block = Block(
            trial=trial,
            seeds=range(first, first + len(some)),
            designs=[own.features for own in some],
            targets=[own.targets for own in some],
            start=np.zeros((len(some), FEATURES)),
            counts=counts,
            rows=[ROUNDS],
        )
        parts.append(SOLVERS.call("imp", block).weights[ROUNDS])
    return np.concatenate(parts)


def _by_lstsq(own: Problem) -> np.ndarray:
    return _loop(lambda left: np.linalg.lstsq(own.features[:, left], own.targets)[0])


def _by_solve(own: Problem) -> np.ndarray:
    gram, projections = own.features.T @ own.features, own.features.T @ own.targets
    return _loop(lambda left: np.linalg.solve(gram[np.ix_(left, left)], projections[left]))


def _loop(fit: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Weights after the last round [feature]. fit: the features that are left -> their weights."""
    left = np.arange(FEATURES)
    for _ in range(ROUNDS):
        left = np.delete(left, np.abs(fit(left)).argmin())
    weights = np.zeros(FEATURES)
    weights[left] = fit(left)
    return weights


def compare_sweep() -> dict[str, Any]:
    """Seconds of a whole sweep in this process: 1,000 seeds of a point of Theorem 5, three methods, with its tables."""
    sweep = Sweep.model_validate(_THEOREM_5)
    times = [_seconds(lambda: _run(sweep)) for _ in range(RUNS)]
    return {
        "name": "1,000 problems of Theorem 5 as a sweep, tables included",
        "ours": statistics.median(times),
        "reference": None,
        "ratio": None,
        "unit": "s",
        "note": f"p 20, n 40, k 5, signs, 15 rounds, imp, oneshot and alignment, {', '.join(_THEOREM_5['measures'])}; in this process, "
        f"without figures, median of {RUNS} runs ({min(times):.2f} to {max(times):.2f})",
    }


def _run(sweep: Sweep) -> None:
    with scratch("bench") as folder, open(os.devnull, "w") as nowhere:
        console = Console(file=nowhere)
        driver.run(driver.Request(sweep, "theorem5", folder / "theorem5"), LocalPool(), [Progress(console)], console)


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
